"""The servers as a block: who starts them, who stops them, and that nobody leaves them behind."""

import shutil
import signal
from pathlib import Path

import psycopg
import pytest

from config.launcher import processes, servers
from config.launcher.progress import Problem
from tests.launcher.conftest import Launch, running

SHARED = """
from config.launcher.main import ending_cleanly
from config.launcher.servers import shared_servers
import time
with ending_cleanly(), shared_servers():
    print("ready", flush=True)
    time.sleep(600)
"""
PRIVATE = """
from config.launcher.servers import private_servers
import time
with private_servers() as servers:
    Path({report!r}).write_text(f"{{servers.cluster.data}}\\n{{servers.broker.data}}")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_named_servers_are_somebody_elses(checkout_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/headroom")
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://mq.example")

    with servers.shared_servers() as found:
        assert (found.cluster, found.broker, found.environment) == (None, None, {})


def test_external_broker_leaves_the_cache_to_the_settings(
    checkout_with_cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker.example")

    with servers.shared_servers() as found:
        assert set(found.environment) == {"DATABASE_URL", "PATH"}


def test_last_user_stops_the_servers(checkout_with_cluster: Path) -> None:
    with servers.shared_servers() as first:
        with servers.shared_servers() as second:
            assert second.environment == first.environment
        still_running = first.are_up()

    assert still_running
    assert not running(checkout_with_cluster)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_launcher_leaves_no_process_behind(
    launch: Launch, checkout_with_cluster: Path, number: signal.Signals
) -> None:
    launcher = launch(SHARED)
    at_first = running(checkout_with_cluster)

    launcher.send_signal(number)
    launcher.wait()

    assert at_first
    assert not running(checkout_with_cluster)


def test_servers_of_a_killed_launcher_are_adopted_with_their_rows(launch: Launch, checkout_with_cluster: Path) -> None:
    with servers.shared_servers() as before, psycopg.connect(before.environment["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE note AS SELECT 'kept' AS word")
    launcher = launch(SHARED)
    launcher.kill()
    launcher.wait()

    orphans = running(checkout_with_cluster)
    with servers.shared_servers() as after, psycopg.connect(after.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT word FROM note").fetchone()

    assert orphans
    assert row == ("kept",)
    assert not running(checkout_with_cluster)


def test_private_servers_die_with_a_killed_launcher(launch: Launch, home: Path) -> None:
    report = home / "report"
    launcher = launch(PRIVATE.format(report=str(report)))
    folders = [Path(line) for line in report.read_text().splitlines()]
    at_first = running(*folders)

    launcher.kill()
    launcher.wait()

    assert at_first
    assert processes.wait_until(lambda: not running(*folders), patience=30)
    shutil.rmtree(folders[0].parent)


def test_fresh_deletes_the_rows(checkout_with_cluster: Path) -> None:
    with servers.shared_servers() as old, psycopg.connect(old.environment["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE note ()")

    with servers.shared_servers(fresh=True) as new, psycopg.connect(new.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT to_regclass('note')").fetchone()

    assert row == (None,)


def test_fresh_is_refused_while_another_command_uses_the_servers(checkout_with_cluster: Path) -> None:
    with servers.shared_servers() as used:
        with pytest.raises(Problem, match="--fresh"), servers.shared_servers(fresh=True):
            pass

        assert used.are_up()
