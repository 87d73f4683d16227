"""A real Celery worker for the tests of faults: it works in small passes, and dies by SIGKILL where a plan says so.

    python -m tests.exchange.faulty_worker PLAN CONCURRENCY

PLAN is a file with one place in a line, such as `matching._write_trades`; the process that comes past the first of
them strikes it out and kills itself there, before the work or (with a `+` at the end) after it. Once the plan is
empty it is an honest worker.
"""

import fcntl
import os
import signal
import sys
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.models import User  # noqa: E402
from config.celery import app  # noqa: E402
from exchange.models import Market  # noqa: E402
from exchange.services import locks, matching, positions, settlement  # noqa: E402

PLACES = {
    "locks.lock_market": (locks, "lock_market"),
    "positions.lock": (positions, "lock"),
    "positions.change": (positions, "change"),
    "matching._write_positions": (matching, "_write_positions"),
    "matching._write_orders": (matching, "_write_orders"),
    "matching._write_trades": (matching, "_write_trades"),
    "matching._write_commands": (matching, "_write_commands"),
    "matching._pass": (matching, "_pass"),
    "settlement._post": (settlement, "_post"),
    "settlement.settle": (settlement, "settle"),
    "settlement.settle_market": (settlement, "settle_market"),
}


@app.task(name="tests.settle", acks_late=True)
def settle(actor: str, market: str, now: str) -> None:
    """Settle a market in this worker."""
    settlement.settle_market(
        actor=User.objects.get(pk=actor),
        market=Market.objects.get(pk=uuid.UUID(market)),
        now=datetime.fromisoformat(now),
    )


def die_as_planned(plan: Path) -> None:
    """Wrap every place so that it looks into the plan."""
    for name, (module, attribute) in PLACES.items():
        setattr(module, attribute, _mortal(plan, name, getattr(module, attribute)))


def _mortal(plan: Path, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def mortal(*args: Any, **keywords: Any) -> Any:
        if _is_next(plan, name):
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **keywords)
        if _is_next(plan, name + "+"):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return mortal


def _is_next(plan: Path, place: str) -> bool:
    with plan.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        places = file.read().split()
        if not places or places[0] != place:
            return False
        file.seek(0)
        file.truncate()
        file.write("\n".join(places[1:]))
        file.flush()
        return True


def main() -> None:
    """Run the worker until it is told to stop, or killed."""
    plan, concurrency = Path(sys.argv[1]), sys.argv[2]
    assert matching.drain.__kwdefaults__ is not None
    matching.drain.__kwdefaults__["batch"] = 40  # many passes, so that a kill falls between and inside of them
    die_as_planned(plan)
    app.worker_main(
        ["worker", "-c", concurrency, "-l", "error", "--without-mingle", "--without-gossip", "--without-heartbeat"]
    )


if __name__ == "__main__":
    main()
