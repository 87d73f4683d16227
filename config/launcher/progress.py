"""What the launcher tells the person at the terminal: progress on stderr, and problems as one helpful sentence."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Problem(Exception):
    """Something the person must know or do; its text is shown as it is, without a traceback."""


def say(sentence: str) -> None:
    """Tell how far we are. On stderr, so that `manage.py spectacular > openapi.yml` stays clean."""
    print(f"headroom: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def timed(doing: str) -> Iterator[None]:
    """Announce a long step before it starts, and say afterwards how long it took."""
    say(f"{doing} ...")
    began = time.monotonic()
    yield
    say(f"{doing}: done in {time.monotonic() - began:.1f} s")


def last_lines(log: Path, count: int = 15) -> str:
    """Return the end of a log file, to show beside a failure."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"({log} cannot be read: {error.strerror})"
    return "\n".join(lines[-count:]) or f"({log} is empty)"
