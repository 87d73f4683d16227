"""Child processes: started so that they die with us where they should, asked politely to stop, then made to."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from config.launcher.server_user import ServerUser

PR_SET_PDEATHSIG = 1


def start(
    argv: Sequence[str | Path],
    *,
    env: dict[str, str],
    log: Path | None = None,
    user: ServerUser | None = None,
    dies_with_us: signal.Signals | None = None,
    pass_fds: Sequence[int] = (),
    cwd: Path = Path("/"),
) -> "subprocess.Popen[bytes]":
    """Start a program in a session of its own, so that Ctrl-C reaches us alone and we stop things in the right order.

    `dies_with_us` is the signal the kernel sends it when we die, even by SIGKILL (Linux only).
    """
    output = log.open("ab") if log else None
    try:
        return subprocess.Popen(
            [str(word) for word in argv],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=_prepare(dies_with_us),
            **(user.identity() if user else {"cwd": str(cwd)}),
        )
    finally:
        if output:
            output.close()


def stop(process: "subprocess.Popen[bytes]", *, patience: float) -> None:
    """Ask a child and its session to end, wait, and kill whatever is left of them."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
    with suppress(ProcessLookupError, PermissionError):  # nothing is left; macOS says so with EPERM
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def command_line(pid: int) -> str:
    """Return the command line of a running process; empty for one that is gone, or dead and not yet reaped.

    Asking `kill(pid, 0)` is not enough: a killed server stays a zombie where PID 1 reaps slowly, and the number of a
    dead one may belong to somebody else by now. `/proc/PID/exe` is closed to root in a container without ptrace rights.
    """
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    answer = subprocess.run(["/bin/ps", "-ww", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True)
    state, _, command = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else command.strip()


def wait_until(condition: Callable[[], bool], *, patience: float) -> bool:
    """Poll until the condition holds; False when it does not within `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _prepare(dies_with_us: signal.Signals | None) -> Callable[[], None]:
    """Return what the child does between fork and exec."""
    parent = os.getpid()

    def prepare() -> None:
        # A blocked or ignored signal passes through exec: with SIGTERM blocked here, celery and valkey could never be
        # stopped. So the child starts with a clean mask whatever we inherited ourselves, e.g. from a `command &` of sh.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if dies_with_us and sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(dies_with_us))
            if os.getppid() != parent:  # we died between fork and prctl
                os._exit(1)

    return prepare
