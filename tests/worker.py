"""A real Celery worker for the tests that need one: its own process, on the test database, with a queue of its own."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import celery
import pytest
from django.db import connection

CHECKOUT = Path(__file__).resolve().parent.parent
BROKER = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/5")


def database_url() -> str:
    """Return the URL of the database this test runs on, for another process."""
    facts = connection.settings_dict
    place = (
        f"host={quote(facts['HOST'], safe='')}&user={facts['USER']}&port={facts['PORT']}&password={facts['PASSWORD']}"
    )
    return f"postgresql:///{facts['NAME']}?" + "&".join(one for one in place.split("&") if not one.endswith("="))


def start_worker(queue: str, *, log: Path) -> "subprocess.Popen[bytes]":
    """Start a worker with one child, and return once it is ready."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "CELERY_BROKER_URL": BROKER,
        "HEADROOM_QUEUE": queue,
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-c", "1", "--loglevel", "INFO"]
    with log.open("ab") as out:
        worker = subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    patience = time.monotonic() + 60
    while b" ready." not in log.read_bytes():
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < patience, log.read_text()
        time.sleep(0.05)
    return worker


@contextmanager
def ringing(queue: str) -> Iterator[None]:
    """Let this process ring for workers of one queue, over the real broker."""
    usual = celery.current_app._get_current_object()  # type: ignore[attr-defined]
    ringer = celery.Celery("ringer", broker=BROKER)
    ringer.config_from_object("django.conf:settings", namespace="CELERY")
    ringer.conf.update(broker_url=BROKER, task_default_queue=queue)
    try:
        for make in (ringer.set_current, ringer.set_default):  # this thread, and the threads of a live server
            make()
        yield
    finally:
        usual.set_current()
        usual.set_default()
        ringer.close()


@pytest.fixture
def worker(transactional_db: None, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that does what this test rings for, until the test ends."""
    queue = f"test-{uuid.uuid4()}"
    process = start_worker(queue, log=tmp_path / "worker.log")
    try:
        with ringing(queue):
            yield process
    finally:
        process.terminate()
        process.wait(timeout=30)
