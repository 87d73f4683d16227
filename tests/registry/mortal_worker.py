"""A process that does due work and dies by SIGKILL at the issue of a period.

    python -m tests.registry.mortal_worker before|inside|after INSTANT

It dies before the work's own writes, in the middle of them, or after them and before the row says that it is done.
"""

import os
import signal
import sys
from datetime import datetime
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.services import audit  # noqa: E402
from registry.models import DueWork  # noqa: E402
from registry.services import due  # noqa: E402


def die(*args: Any, **kwargs: Any) -> None:
    """Be killed without any chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(place: str, now: datetime) -> None:
    """Do what is due, and die on the way."""
    usual = due.HANDLERS["issue"]

    def work(row: DueWork, at: datetime) -> due.Result:
        if place == "before":
            die()
        result = usual.work(row, at)
        if place == "inside":
            die()
        audit.record = die  # the service's last write, before the transaction is committed
        return result

    due.HANDLERS["issue"] = due.Handler(usual.label, work)
    due.run_due(now=now)


if __name__ == "__main__":
    main(sys.argv[1], datetime.fromisoformat(sys.argv[2]))
