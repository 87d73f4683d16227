"""The embedded broker keeps what was queued, and says so when it cannot."""

import os
import platform
import signal
import stat

import pytest
import redis
from kombu import Connection

from config.launcher import broker, processes
from config.launcher.broker import Broker
from config.launcher.progress import Problem


def _client(valkey: Broker) -> "redis.Redis":
    return redis.Redis(unix_socket_path=str(valkey.socket))


def _again(valkey: Broker) -> Broker:
    return Broker(valkey.data.parent, valkey.program, valkey.log)


def test_queued_messages_survive_a_killed_server(valkey: Broker) -> None:
    for number in range(200):
        _client(valkey).rpush("queue", number)

    pid = int(_client(valkey).info("server")["process_id"])
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_until(lambda: not valkey.is_running(), patience=30)
    later = _again(valkey)
    started = later.start_or_attach(dies_with_us=True)

    assert started
    assert _client(later).llen("queue") == 200
    later.stop()


def test_second_launcher_attaches_to_the_running_server(valkey: Broker) -> None:
    assert not _again(valkey).start_or_attach(dies_with_us=True)


def test_adopted_server_is_stopped_too(valkey: Broker) -> None:
    adopted = _again(valkey)

    adopted.stop()

    assert not valkey.is_running()


def test_full_memory_refuses_a_message_and_drops_none(valkey: Broker) -> None:
    client = _client(valkey)
    client.rpush("queue", "first")
    client.config_set("maxmemory", "1")

    with pytest.raises(redis.ResponseError, match="maxmemory"):
        client.rpush("queue", "second")

    assert client.lrange("queue", 0, -1) == [b"first"]


def test_only_we_may_enter_the_folders(valkey: Broker) -> None:
    modes = [stat.S_IMODE(folder.stat().st_mode) for folder in (valkey.data, valkey.socket.parent)]

    assert modes == [0o700, 0o700]


def test_celery_and_the_cache_read_the_urls(valkey: Broker) -> None:
    with Connection(valkey.broker_url) as connection:
        connection.ensure_connection(max_retries=1)

    redis.Redis.from_url(valkey.cache_url).set("cached", "1")

    assert _client(valkey).dbsize() == 0  # the cache is another database than the queue


def test_without_any_broker_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Plan9")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Problem, match="apt install redis-server"):
        broker.find_program()
