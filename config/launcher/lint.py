"""`manage.py lint`: format, lint, types, templates, import contracts, migrations; all of them even when one fails."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from config.launcher import places
from config.launcher.progress import Problem


@dataclass(frozen=True)
class Check:
    """One tool, given as words to our Python."""

    name: str
    words: Sequence[str]


CHECKS = [
    Check("format", ["-m", "ruff", "format", "--check", "."]),
    Check("lint", ["-m", "ruff", "check", "."]),
    Check("types", ["-m", "mypy", "."]),
    Check("templates", ["-m", "djlint", "templates", "--lint", "--quiet"]),
    Check("imports", ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-logo"]),
    Check("migrations", ["manage.py", "makemigrations", "--check", "--dry-run"]),
]


def main(words: list[str]) -> int:
    """Run the checks, or those named, print each result, and return 1 when any failed."""
    names = [check.name for check in CHECKS]
    unknown = [word for word in words if word not in names]
    if unknown:
        raise Problem(f"There is no check named {unknown[0]}. The checks are: {', '.join(names)}.")
    results = {check.name: _passes(check) for check in CHECKS if not words or check.name in words}
    failed = [name for name, passed in results.items() if not passed]
    print(f"lint: {', '.join(failed)} FAILED" if failed else f"lint: all {len(results)} checks passed", flush=True)
    return 1 if failed else 0


def _passes(check: Check) -> bool:
    began = time.monotonic()
    done = subprocess.run([sys.executable, *check.words], cwd=places.CHECKOUT, capture_output=True, text=True)
    result = "ok" if done.returncode == 0 else "FAILED"
    print(f"{check.name:<12}{result:<8}{time.monotonic() - began:5.1f} s", flush=True)
    if done.returncode:
        print(f"{done.stdout}{done.stderr}", flush=True)
    return done.returncode == 0
