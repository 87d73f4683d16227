"""Reminders of the year: tasks for operators and for the regulator, each opened once."""

from collections.abc import Iterable
from datetime import datetime

from accounts.models import Organisation, Task
from accounts.services import tasks
from common.database import assert_in_transaction


def key_of(period_code: str, what: str, organisation: Organisation | None = None) -> str:
    """Name a reminder, so that it is opened once."""
    return ":".join(filter(None, ("year", period_code, what, str(organisation.pk) if organisation else "")))


def regulator() -> Organisation | None:
    """Return the regulator whose desk is reminded."""
    return Organisation.objects.filter(kind="regulator", status="active").order_by("pk").first()


def remind_regulator(
    period_code: str, what: str, *, title: str, link: str, now: datetime, due_at: datetime | None = None
) -> bool:
    """Open a task for the desk; says whether there is a desk."""
    office = regulator()
    if office is None:
        return False
    tasks.open_task(
        key=key_of(period_code, what),
        kind=_kind(what),
        organisation=office,
        title=title,
        link=link,
        now=now,
        due_at=due_at,
    )
    return True


def remind_all(
    period_code: str,
    what: str,
    reminders: Iterable[tuple[Organisation, str]],
    *,
    link: str,
    now: datetime,
    due_at: datetime | None = None,
) -> int:
    """Open one task for each organisation with its own sentence; those that have theirs already keep it."""
    assert_in_transaction()
    opened = [
        Task(
            key=key_of(period_code, what, organisation),
            kind=_kind(what),
            organisation=organisation,
            title=title[:300],
            link=link,
            created_at=now,
            due_at=due_at,
        )
        for organisation, title in reminders
    ]
    Task.objects.bulk_create(opened, ignore_conflicts=True, batch_size=1000)
    return len(opened)


def _kind(what: str) -> str:
    """Return the kind of a reminder: what it is about, without what tells several apart."""
    return f"year_{what.partition(':')[0]}"


def withdraw(period_code: str, what: str, now: datetime, organisation: Organisation | None = None) -> None:
    """End a reminder because what it asked for was done."""
    tasks.end_task(key=key_of(period_code, what, organisation), actor=None, now=now)


def withdraw_notices(period_code: str, what: str, organisations: Iterable[Organisation], now: datetime) -> None:
    """End every notice of one sort, however early it came, for organisations that have done what it asked for."""
    assert_in_transaction()
    notices = Task.objects.filter(
        key__startswith=f"{key_of(period_code, what)}:",
        organisation__in=list(organisations),
        status__in=["unclaimed", "claimed"],
    )
    for key in notices.values_list("key", flat=True):
        tasks.end_task(key=key, actor=None, now=now)
