"""Servers of their own for the launcher's tests: never those the suite itself runs against."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.launcher import broker, places, postgres, processes
from config.launcher.server_user import server_user

Launch = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _no_external_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the servers of the suite."""
    for name in ("DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the server user can reach; pytest's own are closed to it for root. No server may be left in it."""
    folder = places.temporary_home(server_user())
    yield folder
    assert processes.wait_until(lambda: not running(folder), patience=30)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def binaries() -> postgres.Binaries:
    """The PostgreSQL that the launcher would choose here."""
    user = server_user()
    return postgres.find_binaries(places.server_home(user), user)


@pytest.fixture(scope="session")
def made_cluster(binaries: postgres.Binaries) -> Iterator[Path]:
    """A cluster that is made once and copied by each test, since making one means waiting for the disk."""
    folder = places.temporary_home(server_user())
    cluster = postgres.Cluster(folder, binaries, folder / "postgres.log")
    cluster.start_or_attach(dies_with_us=True)
    cluster.stop()
    yield cluster.data
    shutil.rmtree(folder)


@pytest.fixture
def checkout_state(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take a temporary folder for `.headroom/`, so that the real one is not touched."""
    monkeypatch.setattr(places, "STATE", home / "state")
    return home / "state"


@pytest.fixture
def checkout_with_cluster(checkout_state: Path, made_cluster: Path) -> Path:
    """A checkout in which the cluster has been made already."""
    _copy(made_cluster, places.state_folder())
    return checkout_state


@pytest.fixture
def cluster(home: Path, made_cluster: Path, binaries: postgres.Binaries) -> Iterator[postgres.Cluster]:
    """A running cluster."""
    _copy(made_cluster, home)
    cluster = postgres.Cluster(home, binaries, home / "postgres.log")
    cluster.start_or_attach(dies_with_us=True)
    yield cluster
    cluster.stop()


@pytest.fixture
def valkey(home: Path) -> Iterator[broker.Broker]:
    """A running broker."""
    valkey = broker.Broker(home, broker.find_program(), home / "valkey.log")
    valkey.start_or_attach(dies_with_us=True)
    yield valkey
    valkey.stop()


@pytest.fixture
def launch(checkout_with_cluster: Path) -> Iterator[Launch]:
    """Start another launcher process of the same checkout; it prints one line when it is where the test wants it."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str) -> "subprocess.Popen[str]":
        preamble = "from pathlib import Path\nfrom config.launcher import places\n"
        preamble += f"places.STATE = Path({str(checkout_with_cluster)!r})"
        # a shell that runs the tests in the background lets them ignore Ctrl-C, and children inherit that
        listening = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        process = subprocess.Popen(
            [sys.executable, "-c", f"{listening}{preamble}\n{script}"],
            cwd=places.CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def running(*names: object) -> list[str]:
    """Return the command line of every running process that contains one of the names."""
    lines = [processes.command_line(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [line for line in lines if any(str(name) in line for name in names)]


def _copy(made_cluster: Path, home: Path) -> None:
    subprocess.run(["cp", "-a", made_cluster, home], check=True)
