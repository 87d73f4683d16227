"""The processes a demo runs beside itself: when one dies all end, and they end in the opposite order of their start."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.launcher import places, processes
from config.launcher.progress import Problem, last_lines

PYTHON = [sys.executable]
MANAGE = [sys.executable, str(places.CHECKOUT / "manage.py")]


@dataclass(frozen=True)
class Member:
    """One long-running child."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    patience: float


class Crew:
    """Long-running children, watched while shorter ones do their work."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self.servers_are_up: Callable[[], bool] = lambda: True
        self._members: list[Member] = []

    def start(self, name: str, argv: Sequence[str], *, patience: float, pass_fds: Sequence[int] = ()) -> None:
        """Start a long-running child with a log of its own."""
        log = places.log_file(name)
        process = processes.start(
            argv, env=self.environment, log=log, dies_with_us=signal.SIGTERM, pass_fds=pass_fds, cwd=places.CHECKOUT
        )
        self._members.append(Member(name, process, log, patience))

    def run(self, argv: Sequence[str]) -> int:
        """Run a short child to its end with its output on our terminal, and return its code."""
        process = processes.start(argv, env=self.environment, dies_with_us=signal.SIGTERM, cwd=places.CHECKOUT)
        try:
            self.watch(until=lambda: process.poll() is not None)
        finally:
            processes.stop(process, patience=10)
        return process.returncode

    def watch(self, until: Callable[[], bool]) -> None:
        """Wait, and raise as soon as a member or a server has died: the work would wait for it for ever."""
        checked_servers_at = time.monotonic()
        while not until():
            for member in self._members:
                if member.process.poll() is not None:
                    raise Problem(
                        f"The {member.name} process has ended with code {member.process.returncode}. "
                        f"The end of {member.log}:\n{last_lines(member.log)}"
                    )
            if time.monotonic() - checked_servers_at > 2:
                checked_servers_at = time.monotonic()
                if not self.servers_are_up():
                    raise Problem(f"An embedded server has ended. The logs in {places.state_folder('log')} say why.")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop everyone, the last started first: web before worker, so that no request is left waiting for a worker."""
        while self._members:
            member = self._members.pop()
            processes.stop(member.process, patience=member.patience)
