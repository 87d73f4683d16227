"""File locks between launchers of one checkout: one at a time, and who is last to leave.

They are `flock` locks: the kernel lets go of them when their process dies, however it dies, so none can be left behind.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.launcher.progress import say


@contextmanager
def exclusively(path: Path, *, waiting: str) -> Iterator[None]:
    """Hold the lock for the block; when somebody else has it, say `waiting` and wait."""
    descriptor = _open(path)
    try:
        if not _try(descriptor, fcntl.LOCK_EX):
            say(waiting)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Claim:
    """A lock that one process keeps while it runs, with a line telling others who has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self, line: str) -> bool:
        """Take the lock and leave a line for others, or return False when another process has it."""
        descriptor = _open(self.path)
        if not _try(descriptor, fcntl.LOCK_EX):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, line.encode(), 0)
        return True

    def holder(self) -> str | None:
        """Return the line of the process that has the lock, or None when nobody has it."""
        descriptor = _open(self.path)
        try:
            return None if _try(descriptor, fcntl.LOCK_EX) else os.pread(descriptor, 1000, 0).decode()
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Attendance:
    """Who is using a server. Each user holds a shared lock; whoever can make it exclusive is the last one in the room.

    Without it, `manage.py verify` that happened to start the database would stop it under a demo that came later.
    Entering and leaving happen under an outer lock (`exclusively`), because turning a shared lock into an exclusive one
    is not one step for the kernel.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = _open(path)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def is_alone(self) -> bool:
        """Tell whether nobody else is in the room."""
        alone = _try(self._descriptor, fcntl.LOCK_EX)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        return alone

    def leave(self) -> None:
        """Leave the room."""
        os.close(self._descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
