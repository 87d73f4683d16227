"""`manage.py demo`: everything from an empty machine to a story told and a site to look at, until Ctrl-C."""

import argparse
import hashlib
import http.client
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from config.launcher import places
from config.launcher.crew import MANAGE, PYTHON, Crew
from config.launcher.locks import Claim
from config.launcher.progress import Problem, say, timed
from config.launcher.servers import Servers, shared_servers


class Stopped(Exception):
    """Somebody asked us to stop."""


def main(words: list[str]) -> int:
    """Run the demo and return its exit code."""
    options = _parse(words)
    address = f"http://127.0.0.1:{options.port}/"
    claim = Claim(places.state_folder() / "demo.lock")
    if not claim.take(f"process {os.getpid()}" + (f", {address}" if options.serve else "")):
        raise Problem(
            f"A demo of this checkout is already running ({claim.holder()}). Stop it there with Ctrl-C first."
        )
    try:
        listener = _listener(options.port) if options.serve else None
        with _stopping_on_signals(), shared_servers(fresh=options.fresh) as servers:
            _run(options, servers, listener, address)
    except Stopped:
        say("Stopped before it was finished.")
        return 128 + signal.SIGINT
    finally:
        claim.release()
    if options.serve:
        say("Everything has stopped. The data is kept; start again with the same command.")
    return 0


def _run(options: argparse.Namespace, servers: Servers, listener: socket.socket | None, address: str) -> None:
    """Migrate, tell the story through a real worker, and serve until somebody stops us."""
    crew = Crew(servers.environment)
    crew.servers_are_up = servers.are_up
    try:
        if options.fresh and not servers.cluster:
            _empty_external_database(os.environ["DATABASE_URL"])
        _migrate(crew, servers)
        start_worker(crew)
        code = crew.run([*MANAGE, "story", *_story_options(options)])
        if code:
            raise Problem(f"The story failed (code {code}). The lines above and {places.state_folder('log')} say why.")
        if listener:
            _start_beat(crew)
            _serve(crew, listener, address)
    finally:
        crew.stop()


def _story_options(options: argparse.Namespace) -> list[str]:
    """Return what the story is told about itself."""
    data = ["--data", str(options.data)] if options.data else []
    return data + (["--scheme", options.scheme] if options.scheme else [])


def start_worker(crew: Crew) -> None:
    """Start one Celery worker."""
    crew.start(
        "worker",
        [
            *(*PYTHON, "-m", "celery", "-A", "config.celery", "worker"),
            *("--concurrency", "1", "--loglevel", "INFO"),
        ],
        patience=20,
    )


def _start_beat(crew: Crew) -> None:
    """Start the scheduler, once the story is told.

    Not before: the story happens in the past, and a scheduler on the real clock found its deadlines long gone and
    closed a period before anybody in the story had surrendered. Without a pid file: one that a killed scheduler left
    behind would stop the next one.
    """
    schedule = places.state_folder() / "beat-schedule"
    crew.start(
        "beat",
        [
            *(*PYTHON, "-m", "celery", "-A", "config.celery", "beat"),
            *("--schedule", str(schedule), "--pidfile", "", "--loglevel", "INFO"),
        ],
        patience=20,
    )


def is_running() -> bool:
    """Tell whether a demo of this checkout runs, with its worker."""
    return Claim(places.state_folder() / "demo.lock").holder() is not None


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("manage.py demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--no-serve", dest="serve", action="store_false", help="stop after the story")
    parser.add_argument(
        "--port", type=int, default=8000, help="where the site listens, on the loopback address only (8000)"
    )
    parser.add_argument("--fresh", action="store_true", help="delete the demo's data and begin again")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with the measured data sets, else ../shared/data; `none` for the built-in published figures",
    )
    parser.add_argument(
        "--scheme",
        choices=sorted(path.parent.name for path in (places.CHECKOUT / "demo" / "schemes").glob("*/rules.json")),
        help="tell two periods of this shipped scheme instead, and compare them with the tables worked by hand",
    )
    options = parser.parse_args(words)
    if options.data and options.data != Path("none"):
        if not options.data.is_dir():
            parser.error(f"--data: there is no folder {options.data}")
        options.data = options.data.resolve()
    return options


def _listener(port: int) -> socket.socket:
    """Reserve the port before any work is done. gunicorn gets this very socket and begins to listen on it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise Problem(
            f"Port {port} cannot be used ({getattr(error, 'strerror', error)}). Choose another with --port N."
        ) from None
    return listener


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    """Turn the first of Ctrl-C, SIGTERM and SIGHUP into `Stopped`; later ones cannot interrupt the clean-up.

    A handler, not a signal mask: children inherit a mask through exec and would ignore our request to stop.
    """
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in wanted}

    def stop(number: int, frame: FrameType | None) -> None:
        for each in wanted:
            signal.signal(each, already_stopping)
        say("Stopping ...")
        raise Stopped

    def already_stopping(number: int, frame: FrameType | None) -> None:
        say("Already stopping, a moment please ...")

    for number in wanted:
        if (
            number != signal.SIGHUP or before[number] != signal.SIG_IGN
        ):  # under nohup a closed terminal is no reason to stop
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _migrate(crew: Crew, servers: Servers) -> None:
    """Migrate when the migration files have changed since this database was migrated.

    `migrate` with nothing to do takes five seconds, half of a warm start. For an external database it always runs: no
    file of ours can know what has become of that one.
    """
    stamp = servers.cluster.migrations_stamp if servers.cluster else None
    wanted = migrations_hash(places.CHECKOUT)
    if stamp and stamp.exists() and stamp.read_text() == wanted:
        return
    with timed("Migrating the database"):
        if crew.run([*MANAGE, "migrate", "--no-input"]):
            raise Problem("The migrations failed; the lines above say why.")
    if stamp:
        stamp.write_text(wanted)


def migrations_hash(checkout: Path) -> str:
    """Return one hash of all that decides the schema: our migrations and SQL files, and the libraries' versions."""
    digest = hashlib.sha256((checkout / "requirements.lock").read_bytes())
    for app in sorted(path for path in checkout.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for file in sorted((*app.rglob("migrations/*.py"), *app.rglob("*.sql"))):
            digest.update(f"{file.relative_to(checkout)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _empty_external_database(url: str) -> None:
    """Drop and make again the schema `public` of a database that is not ours to delete."""
    import psycopg

    if os.environ.get("HEADROOM_ENV") == "production":
        raise Problem("--fresh does not delete a production database.")
    with psycopg.connect(url, autocommit=True) as connection:
        info = connection.info
        say(f"--fresh: deleting everything in schema public of database {info.dbname} on {info.host} as {info.user}.")
        connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
        connection.execute("CREATE SCHEMA public")


def _serve(crew: Crew, listener: socket.socket, address: str) -> None:
    """Serve the site until somebody stops us."""
    port = listener.getsockname()[1]
    crew.start(
        "web",
        [
            *(*PYTHON, "-m", "gunicorn", "config.wsgi:application", "--bind", f"fd://{listener.fileno()}"),
            *("--worker-class", "gthread", "--workers", "2", "--threads", "4", "--preload", "--no-control-socket"),
        ],
        patience=10,
        pass_fds=[listener.fileno()],
    )
    crew.watch(until=lambda: _status(port) is not None)
    if (status := _status(port) or 0) >= 500:
        say(f"The first page answers with an error ({status}). {places.log_file('web')} says why.")
    print(f"\nHeadroom is ready at {address}\nCtrl-C stops it.", flush=True)
    sys.stdout.flush()
    with suppress(Stopped):
        crew.watch(until=lambda: False)


def _status(port: int) -> int | None:
    """Return the status of the first page, or None while nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
