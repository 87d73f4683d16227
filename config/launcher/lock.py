"""`manage.py lock`: resolve pyproject.toml into requirements.lock, for every platform and with hashes.

Not a `uv.lock`: that writes an address of its registry into every entry, and pip cannot read it.
"""

import subprocess

from config.launcher import places
from config.launcher.bootstrap import uv_environment, uv_program
from config.launcher.progress import Problem


def main() -> int:
    """Write requirements.lock and return uv's code."""
    state = places.state_folder()
    uv = uv_program(state)
    if uv is None:
        raise Problem("uv could not be fetched, and only uv resolves for every platform at once.")
    compile_lock = [
        *(uv, "pip", "compile", "pyproject.toml", "--all-extras", "--group", "test", "--group", "lint"),
        *("--universal", "--generate-hashes", "--python-version", "3.11"),
        *("--no-emit-index-url", "--no-header", "--quiet", "-o", "requirements.lock"),
    ]
    return subprocess.run(
        [str(word) for word in compile_lock], cwd=places.CHECKOUT, env=uv_environment(state)
    ).returncode
