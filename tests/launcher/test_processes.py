"""Children stop when asked, whatever they inherited from us, and nothing of theirs stays behind."""

import os
import signal
import sys
from pathlib import Path

import pytest

from config.launcher import processes
from config.launcher.crew import Crew
from config.launcher.progress import Problem
from tests.launcher.conftest import running

SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "subprocess.Popen(['sleep', '601.5'])\n"
    "print('awake', flush=True)\n"
    "time.sleep(600)",
]


def _is_awake(log: Path) -> bool:
    return log.exists() and "awake" in log.read_text()


def test_blocked_or_ignored_signals_are_not_handed_on(home: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        child = processes.start(SLEEP, env=dict(os.environ), log=home / "log")
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert processes.wait_until(lambda: _is_awake(home / "log"), patience=60)

    processes.stop(child, patience=60)

    assert child.returncode == -signal.SIGTERM


def test_child_that_ignores_us_is_killed_with_its_own_children(home: Path) -> None:
    child = processes.start(STUBBORN, env=dict(os.environ), log=home / "log")
    assert processes.wait_until(lambda: _is_awake(home / "log"), patience=60)

    processes.stop(child, patience=0.2)

    assert child.returncode == -signal.SIGKILL
    assert processes.wait_until(lambda: not running("sleep 601.5"), patience=30)


def test_crew_tells_which_member_died_and_why(checkout_state: Path) -> None:
    crew = Crew({})
    crew.start("worker", [sys.executable, "-c", "raise SystemExit('no such market')"], patience=1)

    with pytest.raises(Problem, match=r"(?s)worker process has ended with code 1.*no such market"):
        crew.run(SLEEP)

    crew.stop()


def test_crew_notices_a_server_that_went_away(checkout_state: Path) -> None:
    crew = Crew({})
    crew.servers_are_up = lambda: False

    with pytest.raises(Problem, match="server has ended"):
        crew.run(SLEEP)


def test_crew_stops_the_last_started_first(checkout_state: Path, home: Path) -> None:
    crew = Crew({})
    order = home / "order"
    for name in ("worker", "web"):
        script = (
            "import signal, sys, time\n"
            f"signal.signal(signal.SIGTERM, lambda *_: (open({str(order)!r}, 'a').write('{name} '), sys.exit()))\n"
            "print('awake', flush=True)\n"
            "time.sleep(600)"
        )
        crew.start(name, [sys.executable, "-c", script], patience=60)
        log = checkout_state / "log" / f"{name}.log"
        assert processes.wait_until(lambda log=log: _is_awake(log), patience=60)  # type: ignore[misc]

    crew.stop()

    assert order.read_text() == "web worker "
