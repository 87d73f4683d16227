"""The environment of a real CodeCarbon client: its own, made once from its hashed lock, and used by every test after.

With pandas under it the client is as large as the product, so it is no dependency of ours.
"""

import ast
import csv
import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from config.launcher import places
from config.launcher.bootstrap import uv_environment, uv_program
from config.launcher.locks import exclusively

LOCK = Path(__file__).with_name("codecarbon.lock")


def codecarbon_python() -> Path:
    """Return the Python of an environment that has exactly the packages of the lock."""
    state = places.state_folder()
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = state / f"codecarbon-{digest}"
    python, whole = folder / "bin" / "python", folder / "whole"
    with exclusively(state / "codecarbon.lock", waiting="Another test is installing the client; waiting ..."):
        if not whole.exists():
            _install(folder, python, state)
            whole.touch()
    return python


def _install(folder: Path, python: Path, state: Path) -> None:
    """Install with uv, or with pip where uv cannot be had; a failure fails the test."""
    uv = uv_program(state)
    if uv is None:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-input"]
        subprocess.run([*install, "--require-hashes", "-r", LOCK], check=True)
        return
    env = uv_environment(state)
    subprocess.run(
        [uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, folder], env=env, check=True
    )
    install = [uv, "pip", "install", "--quiet", "--require-hashes", "-r", LOCK, "--python", python]
    subprocess.run(install, env=env, check=True)


MEASURE = """
import sys, time
from codecarbon import OfflineEmissionsTracker

tracker = OfflineEmissionsTracker(country_iso_code="FRA", log_level="debug")
tracker.start()
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    sum(number * number for number in range(10_000))
tracker.stop()
"""
"""What a person writes round their training loop; everything else is in the file .codecarbon.config."""


@dataclass(frozen=True)
class Measured:
    """What the client says of itself: the increments that it posted, by its own log, and the row of its own file."""

    increments: list[dict[str, object]]
    row: dict[str, str]
    log: str


def measure(folder: Path, configuration: str, *, seconds: int) -> Measured:
    """Let a real client measure a few seconds of work in a folder that holds its configuration."""
    (folder / ".codecarbon.config").write_text(configuration)
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "NO_PROXY": "localhost,127.0.0.1"}
    ran = subprocess.run(
        [codecarbon_python(), "-c", MEASURE, str(seconds)],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    posted = re.findall(r"Successful upload emission (\{.*?\}) to ", ran.stderr, re.DOTALL)
    rows = list(csv.DictReader((folder / "emissions.csv").read_text().splitlines()))
    assert len(rows) == 1, ran.stderr
    return Measured([ast.literal_eval(one) for one in posted], rows[0], ran.stderr)
