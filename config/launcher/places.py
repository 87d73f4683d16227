"""Where the launcher keeps things: the checkout, its environment and state, and folders a server user can reach."""

import hashlib
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

from config.launcher.progress import Problem
from config.launcher.server_user import ServerUser

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
STATE = CHECKOUT / ".headroom"
LONGEST_SOCKET_PATH = 100
"""A Unix socket address holds 104 to 108 bytes, and PostgreSQL adds its own file name to the folder."""


def state_folder(*names: str) -> Path:
    """Return a folder under `.headroom/`, made when missing. Others may pass through it, not read it."""
    try:
        folder = STATE
        own_folder(folder)
        for name in names:
            folder = folder / name
            own_folder(folder)
    except PermissionError:
        raise Problem(
            f"{STATE} cannot be written by this user. Run as the checkout's owner, or clone it to a folder of your own."
        ) from None
    return folder


def own_folder(folder: Path) -> None:
    """Make one folder that others may pass through, whatever the umask: 077 would lock the server user out."""
    if not folder.is_dir():
        folder.mkdir()
        folder.chmod(0o711)


def log_file(name: str) -> Path:
    """Return the log file of that name; a large old one is put aside first."""
    log = state_folder("log") / f"{name}.log"
    if log.exists() and log.stat().st_size > 10_000_000:
        log.replace(log.with_suffix(".log.1"))
    return log


def server_home(user: ServerUser | None) -> Path:
    """Return the folder for the embedded servers: `.headroom/`, or one elsewhere when the server user cannot get there.

    A checkout under a 0700 home is closed to the unprivileged user that root's PostgreSQL must run as. Opening those
    folders would publish somebody's home, so the servers move instead and the folders stay as they are.
    """
    home = state_folder()
    hidden = elsewhere("/var/tmp")  # noqa: S108 (survives a reboot; checked for its owner below)
    if can_enter(home, user) and not hidden.exists():
        return home
    private_folder(hidden)
    (home / "elsewhere").write_text(f"{hidden}\n")
    return hidden


def temporary_home(user: ServerUser | None) -> Path:
    """Return a new empty folder for servers that live as long as one command, where the server user can reach it."""
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 (mkdtemp makes a private folder)
        folder = Path(tempfile.mkdtemp(prefix="headroom-", dir=base))
        folder.chmod(0o711)
        if can_enter(folder, user):
            return folder
        folder.rmdir()
    raise Problem(
        "The user that runs PostgreSQL can reach no temporary folder. Set TMPDIR to one that everybody may enter."
    )


def socket_folder(home: Path, name: str) -> Path:
    """Return where a server of this home puts its socket: beside its data, or a short folder when that will not do.

    Too long a path fails at bind with "path too long"; a comma is a list separator to PostgreSQL; a space or a percent
    sign would have to survive the quoting rules of four different URL readers.
    """
    beside = home / name
    if len(str(beside)) + len("/.s.PGSQL.5432.lock") < LONGEST_SOCKET_PATH and re.fullmatch(
        r"[\w./-]+", str(beside), re.ASCII
    ):
        return beside
    short = elsewhere("/tmp", key=str(home))  # noqa: S108 (checked for its owner below)
    private_folder(short)
    return short / name


def private_folder(folder: Path) -> None:
    """Make a folder with a guessable name in a shared place, and refuse one that somebody else prepared for us."""
    try:
        folder.mkdir(mode=0o711)
        folder.chmod(0o711)
    except FileExistsError:
        # Root working in somebody's checkout finds that person's folder, and runs that person's code anyway.
        trusted = {os.geteuid(), CHECKOUT.stat().st_uid}
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in trusted or found.st_mode & 0o022:
            raise Problem(f"{folder} was made by somebody else or can be written by others. Remove it.") from None


def can_enter(folder: Path, user: ServerUser | None) -> bool:
    """Tell whether that user can get to the folder. The kernel knows; mode bits say nothing of ACLs or mounts."""
    if user is None:
        return True
    command = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]
    return subprocess.run(command, **user.identity(), stderr=subprocess.DEVNULL).returncode == 0


def elsewhere(base: str, key: str = str(CHECKOUT)) -> Path:
    """Return the folder in a shared place that is always the same for this checkout, or for another key."""
    return Path(base) / f"headroom-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
