"""`manage.py lock`: resolve pyproject.toml into requirements.lock, for every platform and with hashes.

Not a `uv.lock`: that writes an address of its registry into every entry, and pip cannot read it. Clients that only a
test runs are as large as the product: they have a lock of their own, and are installed when that test asks.
"""

import subprocess

from config.launcher import places
from config.launcher.bootstrap import uv_environment, uv_program
from config.launcher.progress import Problem


def main() -> int:
    """Write the locks and return uv's code."""
    state = places.state_folder()
    uv = uv_program(state)
    if uv is None:
        raise Problem("uv could not be fetched, and only uv resolves for every platform at once.")
    wanted = {
        "requirements.lock": ("pyproject.toml", "--all-extras", "--group", "test", "--group", "lint"),
        "tests/clients/codecarbon.lock": ("--group", "pyproject.toml:clients"),
    }
    for lock, sources in wanted.items():
        compile_lock = [
            *(uv, "pip", "compile", *sources, "--universal", "--generate-hashes", "--python-version", "3.11"),
            *("--no-emit-index-url", "--no-header", "--quiet", "-o", lock),
        ]
        code = subprocess.run(
            [str(word) for word in compile_lock], cwd=places.CHECKOUT, env=uv_environment(state)
        ).returncode
        if code:
            return code
    return 0
