"""The embedded servers as one block: started or attached to on entry, stopped by the last user on exit.

A server named by DATABASE_URL or CELERY_BROKER_URL is somebody else's: the matching embedded one is not started.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.launcher import broker, places, postgres
from config.launcher.locks import Attendance, exclusively
from config.launcher.progress import Problem, say
from config.launcher.server_user import server_user

NOT_FOR_PRODUCTION = "for the demo, development and tests only, never for production"


@dataclass
class Servers:
    """The embedded servers a command needs; None where the environment names an external one."""

    cluster: postgres.Cluster | None
    broker: broker.Broker | None
    environment: dict[str, str] = field(default_factory=dict)
    """What the processes we start must be told."""

    def start(self, *, dies_with_us: bool) -> None:
        """Start or attach to each, in the order their users need them."""
        if self.cluster:
            started = self.cluster.start_or_attach(dies_with_us=dies_with_us)
            how = "started" if started else "was running already"
            say(f"Embedded PostgreSQL {self.cluster.binaries.version} {how} ({NOT_FOR_PRODUCTION}).")
            self.environment["DATABASE_URL"] = self.cluster.url
            self.environment["PATH"] = (
                f"{os.environ.get('PATH', '')}:{self.cluster.binaries.folder}"  # dbshell needs psql
            )
        if self.broker:
            started = self.broker.start_or_attach(dies_with_us=dies_with_us)
            say(f"Embedded Valkey, the broker and cache, {'started' if started else 'was running already'}.")
            self.environment["CELERY_BROKER_URL"] = self.broker.broker_url
            # An external broker need not be a Redis, so without ours the settings choose their own cache.
            self.environment.setdefault("CACHE_URL", os.environ.get("CACHE_URL", self.broker.cache_url))

    def stop(self) -> None:
        """Stop each, in the opposite order."""
        if self.broker:
            self.broker.stop()
        if self.cluster:
            self.cluster.stop()

    def are_up(self) -> bool:
        """Tell whether each still runs."""
        return all(server.is_running() for server in (self.cluster, self.broker) if server)

    def erase(self) -> None:
        """Stop each and delete what it stored."""
        if self.broker:
            self.broker.erase()
        if self.cluster:
            self.cluster.erase()


@contextmanager
def shared_servers(*, fresh: bool = False) -> Iterator[Servers]:
    """Run the block with the checkout's servers; whoever uses them last stops them. `fresh` deletes their data first.

    Servers that a killed launcher left behind are simply running already: they are adopted, and stopped in the end.
    """
    turn = places.state_folder() / "servers.lock"
    home = places.server_home(server_user())
    with exclusively(turn, waiting="Waiting for another command of this checkout that is starting the servers ..."):
        servers = _servers(home, places.log_file("postgres"), places.log_file("valkey"))
        # One room each, since a command with an external database says nothing about who uses the embedded one.
        cluster_room = Attendance(home / "postgres.users") if servers.cluster else None
        broker_room = Attendance(home / "valkey.users") if servers.broker else None
    try:
        with exclusively(turn, waiting="Waiting for another command of this checkout that is starting the servers ..."):
            if fresh and not all(room.is_alone() for room in (cluster_room, broker_room) if room):
                raise Problem(
                    "--fresh would delete the data of another running command of this checkout. Stop that first."
                )
            if fresh:
                servers.erase()
            servers.start(dies_with_us=False)
        yield servers
    finally:
        with exclusively(turn, waiting="Waiting for another command of this checkout that is stopping the servers ..."):
            if broker_room and servers.broker and broker_room.is_alone():
                servers.broker.stop()
            if cluster_room and servers.cluster and cluster_room.is_alone():
                servers.cluster.stop()
            for room in (broker_room, cluster_room):
                if room:
                    room.leave()


@contextmanager
def private_servers() -> Iterator[Servers]:
    """Run the block with new, empty servers in a temporary folder. If we are killed, they die too."""
    home = places.temporary_home(server_user())
    try:
        servers = _servers(home, home / "postgres.log", home / "valkey.log")
        try:
            servers.start(dies_with_us=True)
            yield servers
        finally:
            servers.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _servers(home: Path, cluster_log: Path, broker_log: Path) -> Servers:
    cluster = valkey = None
    if not os.environ.get("DATABASE_URL"):
        user = server_user()
        cluster = postgres.Cluster(home, postgres.find_binaries(places.server_home(user), user), cluster_log)
    if not os.environ.get("CELERY_BROKER_URL"):
        valkey = broker.Broker(home, broker.find_program(), broker_log)
    return Servers(cluster, valkey)
