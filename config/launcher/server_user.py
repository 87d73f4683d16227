"""Whom PostgreSQL runs as: it refuses to run as root, so root hands it to an unprivileged account."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


class Identity(TypedDict, total=False):
    """Keywords of `subprocess` that start a program as somebody else."""

    user: int
    group: int
    extra_groups: list[int]
    cwd: str


@dataclass(frozen=True)
class ServerUser:
    """An account that a program is started as, without any of root's groups."""

    uid: int
    gid: int

    def identity(self) -> Identity:
        """Return the `subprocess` keywords. From `/`, since the account may not enter root's current folder."""
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "cwd": "/"}


def server_user(data: Path | None = None) -> ServerUser | None:
    """Return who runs PostgreSQL over this data folder; None means ourselves.

    An existing cluster keeps its owner: PostgreSQL refuses a data folder of somebody else's, and the owner differs when
    an ordinary user made it first, or when a `postgres` account has appeared since.
    """
    if os.geteuid() != 0:
        return None
    if data is not None and data.exists() and data.stat().st_uid != 0:
        found = data.stat()
        return ServerUser(found.st_uid, found.st_gid)
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(account.pw_uid, account.pw_gid)
    return ServerUser(65534, 65534)
