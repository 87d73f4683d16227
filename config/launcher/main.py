"""Reads the command line: sees to the environment, then runs one of our commands or one of Django's."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from config.launcher import bootstrap, demo, lint, lock, suite
from config.launcher.crew import Crew
from config.launcher.progress import Problem, say
from config.launcher.servers import shared_servers

USAGE = """Headroom's own commands:

  demo        from an empty machine to a story told and a site to look at (see demo --help)
  test        the test suite against a database and a broker of its own; words go to pytest
  lint        format, lint, types, templates, import contracts, migrations; or only those named
  lock        resolve pyproject.toml into requirements.lock again
  run         run any program with the embedded servers in its environment, as in: run python benchmarks/orders.py

All others are Django's. One that needs the database finds the embedded one running, or has it started meanwhile.
"""

WITHOUT_SERVERS = {
    *(
        "check",
        "collectstatic",
        "compilemessages",
        "diffsettings",
        "findstatic",
        "help",
        "makemessages",
        "makemigrations",
    ),
    *("spectacular", "startapp", "version", "--help", "-h", "--version"),
}
"""Django's commands that read no database. All others get one, so that a new command works without a word here."""


def main(argv: list[str]) -> int:
    """Run the command of this command line and return its exit code."""
    open_closed_streams()
    try:
        return _run(argv)
    except Problem as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(argv: list[str]) -> int:
    if os.environ.get("HEADROOM_ENV") == "production":
        return _django(argv)  # a production image brings its own packages and is told its servers
    bootstrap.ensure_environment(argv)
    command, words = (argv[1], argv[2:]) if len(argv) > 1 else ("help", [])
    match command:
        case "demo":
            return demo.main(words)
        case "test":
            with ending_cleanly():
                return suite.main(words)
        case "lint":
            return lint.main(words)
        case "lock":
            return lock.main()
        case "run":
            with ending_cleanly(), shared_servers() as servers:
                return subprocess.run(words, env={**os.environ, **servers.environment}).returncode
    if len(argv) == 1:
        print(USAGE)
    if command in WITHOUT_SERVERS or {"--help", "-h"} & set(words) or _is_file_alone(command, words):
        return _django(argv)
    return _django_with_servers(argv)


def _is_file_alone(command: str, words: list[str]) -> bool:
    """Whether a published run is worked out from its downloaded file, as by a stranger who has nothing else."""
    return command == "recompute" and any(Path(word).is_file() for word in words)


def _django_with_servers(argv: list[str]) -> int:
    with ending_cleanly(), shared_servers() as servers:
        os.environ.update(servers.environment)
        if argv[1] == "migrate" and servers.cluster:
            servers.cluster.migrations_stamp.unlink(missing_ok=True)  # it may go backwards
        crew = Crew(servers.environment)
        try:
            if argv[1] == "story" and not demo.is_running():
                demo.start_worker(crew)  # the story trades through a real worker; a running demo has one
            return _django(argv)
        finally:
            crew.stop()


def _django(argv: list[str]) -> int:
    """Hand the command line to Django, in this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(argv)
    return 0


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Turn SIGTERM into an ordinary exit, so that the servers we started are stopped on the way out."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def open_closed_streams() -> None:
    """Give a closed stdin, stdout or stderr something to be.

    Started with `<&-`, the next file opened would become number 0, and every child would read our lock file as input.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
