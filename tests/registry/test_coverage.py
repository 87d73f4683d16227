"""What is missing of a period before it is reported, and what changed against the last report that was verified."""

from datetime import UTC, date, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registry import compared, drafted
from registry.coverage import Row, coverage
from registry.models import Draft, DraftLine, Period, Scheme, System, Workload
from registry.services.drafting import drafts
from tests import cast
from tests.cast import OPENING, Clock, Party, Regulator
from tests.registry import monitored
from tests.registry.gridded import deliver, open_chat, records
from tests.registry.monitored import cluster, operator_of, paris

__all__ = ["cluster", "paris"]
AFTER = datetime(2027, 2, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def scheme(regulator: Regulator) -> Scheme:
    """A scheme that counts CO2e."""
    return cast.co2e_scheme(regulator)


@pytest.fixture
def draft(acme: Party, capped_period: Period) -> Draft:
    """Acme's open draft."""
    return drafts.open_draft(actor=acme.initiator, operator=operator_of(acme), period=capped_period, now=OPENING)


def line(draft: Draft, key: str, workload: Workload | None = None, days: tuple[int, int] | None = None) -> DraftLine:
    """Add a line of a kilogram, measured from the morning of a day in January to the evening of another."""
    said: dict[str, object] = {}
    if days:
        said = {
            "started_at": datetime(2026, 1, days[0], 8, tzinfo=UTC),
            "ended_at": datetime(2026, 1, days[1], 18, tzinfo=UTC),
        }
    return DraftLine.objects.create(
        draft=draft, key=key, label=key, activity="training", method="typed", workload=workload, co2e_g=1000, **said
    )


def months(row: Row) -> list[tuple[str, int, int, int]]:
    return [(month.state, month.days, month.covered, month.part) for month in row.months]


def test_days_between_first_and_last_figure_of_a_run_are_missed(
    acme: Party, regulator: Regulator, draft: Draft, cluster: System
) -> None:
    run = cluster.workloads.get()
    plan = monitored.approved(regulator, acme, cluster)
    empty = coverage(operator_of(acme), draft.period, draft, plan, LATER)
    line(draft, "a", run, (5, 9))
    line(draft, "b", run, (8, 10))
    line(draft, "c", run, (20, 20))
    line(draft, "d")

    found = coverage(operator_of(acme), draft.period, draft, plan, LATER)

    assert empty.silent == (cluster,) and empty.rows[0].is_empty
    assert found.silent == ()
    measured, unnamed = found.rows
    assert months(measured)[:4] == [("some", 31, 7, 0), ("none", 28, 0, 0), ("none", 9, 0, 0), ("later", 0, 0, 0)]
    assert measured.gaps == ((date(2026, 1, 11), date(2026, 1, 19)),)
    assert (unnamed.workload, unnamed.undated, unnamed.gaps) == (None, 1, ())


def test_a_stream_is_missed_by_the_hour_and_costs_no_more_queries(acme: Party, draft: Draft, cluster: System) -> None:
    with CaptureQueriesContext(connection) as few:
        coverage(operator_of(acme), draft.period, draft, None, LATER)
    open_chat(acme)
    deliver(acme, records(["2"] * 20 + ["3"] * 6), LATER)
    for number in range(1, 6):
        line(draft, str(number), cluster.workloads.get(), (number, number))

    with CaptureQueriesContext(connection) as many:
        found = coverage(operator_of(acme), draft.period, draft, None, LATER)

    chat = next(row for row in found.rows if row.workload and row.workload.name == "chat")
    assert months(chat)[:2] == [("some", 31, 1, 1), ("unasked", 28, 0, 0)]
    assert chat.gaps == ((date(2026, 1, 2), date(2026, 1, 2)),), "its last day is not whole"
    assert len(many) == len(few)


def test_a_draft_stands_beside_the_report_in_force_of_the_year_before(
    acme: Party,
    verity: Party,
    regulator: Regulator,
    scheme: Scheme,
    capped_period: Period,
    cluster: System,
    clock: Clock,
) -> None:
    run = cluster.workloads.get()
    before = drafts.open_draft(actor=acme.initiator, operator=operator_of(acme), period=capped_period, now=OPENING)
    line(before, "a", run)
    line(before, "b")
    report = drafts.file_draft(actor=acme.initiator, draft=before, boundary="all", now=OPENING)
    following = cast.capped(regulator, cast.period_of(regulator, scheme, capped_period.year + 1))
    draft = drafts.open_draft(actor=acme.initiator, operator=operator_of(acme), period=following, now=LATER)
    assert compared.compare(draft) is None, "nobody verified the report yet"
    cast.engage(verity, operator_of(acme), capped_period, OPENING)
    clock.move_to(AFTER)
    cast.judge(verity, report, now=AFTER)

    line(draft, "c", run)
    DraftLine.objects.filter(draft=draft).update(co2e_g=1300)
    DraftLine.objects.create(draft=draft, key="e", label="e", activity="inference", method="typed", co2e_g=2)

    found = compared.compare(draft)
    meant = drafted.preview(draft, AFTER)

    assert (meant.missing, meant.spare) == (capped_period.obligations.get().quantity + meant.permits, 0), (
        "what is owed for the year before is given first"
    )
    assert found is not None and found.report == report
    said = {change.name: (change.words, change.needs_reason) for _, group in found.groups for change in group}
    assert said == {
        "Total": ("\N{MINUS SIGN}34.9 %", True),
        "Training": ("\N{MINUS SIGN}35.0 %", True),
        "Inference": ("new", True),
        "Cluster at Paris": ("+30.0 %", False),
        "No system named": ("\N{MINUS SIGN}99.8 %", True),
    }
