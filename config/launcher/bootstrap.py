"""Makes `.venv` from the hashed lock, and moves the running command into it.

uv does it in seconds; plain venv and pip do the same slowly where uv cannot be had. Debian's Python refuses a plain
`pip install` as externally managed, but allows `pip install --target`, which needs no venv package either.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from config.launcher import places
from config.launcher.locks import exclusively
from config.launcher.progress import Problem, say, timed

LOCK = places.CHECKOUT / "requirements.lock"
UV_LOCK = Path(__file__).with_name("uv.lock.txt")
STAMP_NAME = "headroom-stamp.json"
MOVED = "HEADROOM_MOVED_INTO_VENV"


def ensure_environment(argv: list[str]) -> None:
    """Return only inside an up-to-date `.venv`; otherwise make it and start the same command again in there."""
    if is_current(places.VENV, LOCK) and is_inside(places.VENV):
        return
    if os.environ.get(MOVED) == str(os.getpid()):
        raise Problem(f"{places.VENV} does not work as an environment of its own. Remove it and try again.")
    if is_inside(places.VENV):  # nobody can replace the Python that runs him: let the one it was made from do it
        _go_on_as(base_python(), argv, os.environ)
    state = places.state_folder()
    with exclusively(
        state / "bootstrap.lock", waiting="Another command is installing Headroom's dependencies; waiting ..."
    ):
        if not is_current(places.VENV, LOCK):
            install(places.VENV, LOCK, state)
    # The process number stays, which is how we notice going round in circles.
    _go_on_as(places.VENV / "bin" / "python", argv, {**os.environ, MOVED: str(os.getpid())})


def is_inside(venv: Path) -> bool:
    """Tell whether this Python is the environment's own."""
    return Path(sys.prefix).resolve() == venv.resolve()


def base_python() -> Path:
    """Return the Python that this environment was made from."""
    return Path(str(getattr(sys, "_base_executable")))  # noqa: B009 - typed nowhere, and there since 3.7


def is_current(venv: Path, lock: Path) -> bool:
    """Tell whether the environment was finished from this very lock, and its Python still runs and is the one it was.

    A system upgrade may replace the Python under an environment and leave its packages where the new one does not look.
    """
    try:
        stamp = (venv / STAMP_NAME).read_text()
    except OSError:
        return False
    return stamp == _stamp(venv, lock)


def install(venv: Path, lock: Path, state: Path) -> None:
    """Install exactly the lock into the environment; one that an interrupted installation left is made again.

    An interrupted installation may hold packages that look installed and are not whole. An environment without our
    mark, such as one an editor made, is completed in place.
    """
    unfinished = state / "venv-unfinished"
    if unfinished.exists() or not _python_version(venv):
        shutil.rmtree(venv, ignore_errors=True)
    unfinished.touch()
    (venv / STAMP_NAME).unlink(missing_ok=True)
    if not _install_with_uv(venv, lock, state):
        say("That did not work, so plain venv and pip follow. This takes a minute or two.")
        _install_with_pip(venv, lock)
    (venv / STAMP_NAME).write_text(_stamp(venv, lock))
    unfinished.unlink()


def uv_program(state: Path) -> Path | None:
    """Return our own uv, fetched with pip against a hash when missing; None where that fails."""
    folder = state / f"uv-{_hash(UV_LOCK)[:12]}"
    program = folder / "bin" / "uv"
    fetch = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--target", str(folder), "--upgrade", "--only-binary", ":all:", "--require-hashes", "-r", str(UV_LOCK)),
    ]
    env = {**os.environ, "PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore", "PIP_REQUIRE_VIRTUALENV": "0"}
    if not _has_home():
        env["PIP_NO_CACHE_DIR"] = "1"
    try:
        if not program.exists():
            with timed("Fetching the installer (uv)"):
                subprocess.run(fetch, env=env, stdin=subprocess.DEVNULL, check=True)
    except subprocess.CalledProcessError:  # no pip here, or no wheel for this platform
        return None
    return program


def uv_environment(state: Path) -> dict[str, str]:
    """Return the environment for uv: no downloads of Pythons, and a cache it can write."""
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    if not _has_home():
        env.setdefault("UV_CACHE_DIR", str(state / "uv-cache"))
    if "PIP_INDEX_URL" in os.environ:  # somebody's mirror: uv does not read pip's settings
        env.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])
    return env


def _install_with_uv(venv: Path, lock: Path, state: Path) -> bool:
    uv = uv_program(state)
    if uv is None:
        return False
    env = uv_environment(state)
    python = venv / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run(
                [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, venv], env=env, check=True
            )
        with timed("Installing the packages of requirements.lock into .venv"):
            install: list[str | Path] = [uv, "pip", "install", "--quiet", "--require-hashes", "-r", lock]
            subprocess.run([*install, "--python", python], env=env, check=True)
    except subprocess.CalledProcessError:
        return False
    return True


def _install_with_pip(venv: Path, lock: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", venv]).returncode:
        raise Problem(
            "This Python can make no virtual environment. Debian and Ubuntu keep that in a package of its own: "
            "apt install python3-venv python3-pip"
        )
    install = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    try:
        with timed("Installing the packages of requirements.lock into .venv"):
            subprocess.run([*install, "--require-hashes", "-r", str(lock)], check=True)
    except subprocess.CalledProcessError:
        raise Problem("The packages of requirements.lock could not be installed; the lines above say why.") from None


def _go_on_as(python: Path, argv: list[str], env: Mapping[str, str]) -> NoReturn:
    """Start the same command again under another Python, in this very process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(python, [str(python), *argv], env)  # noqa: S606 - a Python of ours, and no shell


def _stamp(venv: Path, lock: Path) -> str:
    return json.dumps({"lock": _hash(lock), "python": _python_version(venv)})


def _python_version(venv: Path) -> str | None:
    """Return the version of the environment's Python, or None when it does not run or belongs elsewhere."""
    if is_inside(venv):
        return sys.version.split()[0]
    program = [str(venv / "bin" / "python"), "-c", "import sys; print(sys.prefix, sys.version.split()[0])"]
    try:
        answer = subprocess.run(program, capture_output=True, text=True)
    except OSError:
        return None
    prefix, _, version = answer.stdout.strip().rpartition(" ")
    return version if answer.returncode == 0 and prefix and Path(prefix).resolve() == venv.resolve() else None


def _has_home() -> bool:
    """Tell whether we have a home to cache in; a service account's may be /nonexistent."""
    return os.access(Path.home(), os.W_OK)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
