"""Lifecycles and append-only tables: every pair of states, asked of the tables in Python and of the database itself."""

import itertools
from collections.abc import Callable

import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction
from django.db.models import Model

from common.errors import Refused
from common.lifecycle import Lifecycle
from registry.models import (
    ALLOCATION_RUN,
    PERIOD,
    REPORT,
    AllocationLine,
    AllocationRun,
    Cap,
    ComplianceRecord,
    EvidenceChunk,
    EvidenceFile,
    Obligation,
    Period,
    Report,
    ReportLine,
    Sanction,
    Surrender,
    VerifierStatement,
)
from registry.models.compliance import SANCTION
from registry.services import allocation, compliance, reports, surrenders
from registry.services.drafting import evidence
from registry.services.reports import LineInput
from tests import cast
from tests.cast import Clock, Party, Regulator

LIFECYCLES: list[tuple[Lifecycle, type[Model]]] = [
    (PERIOD, Period),
    (ALLOCATION_RUN, AllocationRun),
    (REPORT, Report),
    (SANCTION, Sanction),
]
PAIRS = [
    pytest.param(lifecycle, model, before, after, id=f"{lifecycle.name}-{before}-{after}")
    for lifecycle, model in LIFECYCLES
    for before, after in itertools.product(lifecycle.states, repeat=2)
    if before != after
]


@pytest.fixture
def told(acme: Party, borealis: Party, verity: Party, regulator: Regulator, period: Period, clock: Clock) -> Period:
    """A period in which every table of the registry has rows."""
    clock.move_to(cast.REPORTING)
    assert acme.operator is not None
    report = reports.submit_lines(
        actor=acme.initiator,
        operator=acme.operator,
        period=period,
        lines=[LineInput("Training", "training", flop=100 * cast.PERMIT_FLOP)],
        boundary="full stack",
        now=clock.now(),
    )
    cast.judge(verity, report, now=clock.now())
    surrenders.surrender(
        actor=acme.trader, operator=acme.operator, period=period, quantity=60, key=cast.key(), now=clock.now()
    )
    with transaction.atomic():
        evidence.keep_bytes(
            organisation=acme.organisation, actor=acme.initiator, name="meter.csv", content=b"1", at=clock.now()
        )
    with transaction.atomic():
        compliance.begin_closing(period, clock.now())
    clock.move_to(period.surrender_due)
    with transaction.atomic():
        compliance.record_deadline_status(period, clock.now())
        compliance.impose_sanctions(period, clock.now())
    return period


@pytest.mark.parametrize(("lifecycle", "model", "before", "after"), PAIRS)
def test_every_pair_of_states(told: Period, lifecycle: Lifecycle, model: type[Model], before: str, after: str) -> None:
    """The service's question and the database's trigger give the same answer, whatever else a state implies."""
    row = model._default_manager.earliest("pk")
    _put(row, before)

    if lifecycle.allows(before, after):
        lifecycle.require(before, after)
        with transaction.atomic():
            _move_by_raw_sql(row, after)
    else:
        with pytest.raises(Refused) as refused:
            lifecycle.require(before, after)
        assert refused.value.code == f"{lifecycle.name}_not_{before}_to_{after}"
        with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
            _move_by_raw_sql(row, after)


def _put(row: Model, status: str) -> None:
    """Put a row in a state without asking, as only a superuser can, with the facts that the checks want of it."""
    facts = ", return_reason = 'x'" if isinstance(row, Report) else ""
    kind = "estimate" if status == "determined" else "operator"
    facts += f", kind = '{kind}'" if isinstance(row, Report) else ""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"UPDATE {row._meta.db_table} SET status = %s{facts} WHERE id = %s",  # noqa: S608
            [status, row.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")


def _move_by_raw_sql(row: Model, status: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {row._meta.db_table} SET status = %s WHERE id = %s", [status, row.pk])  # noqa: S608


APPEND_ONLY: list[type[Model]] = [
    Cap,
    AllocationLine,
    ReportLine,
    EvidenceChunk,
    EvidenceFile,
    VerifierStatement,
    Obligation,
    Surrender,
    ComplianceRecord,
]


@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize("model", APPEND_ONLY, ids=lambda model: model.__name__)
def test_append_only_tables_only_grow(told: Period, model: type[Model], statement: str) -> None:
    assert model._default_manager.exists()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with (
        pytest.raises(DatabaseError, match=r"Cannot|append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(model._meta.db_table))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE registry_report SET flop = flop + 1",
        "UPDATE registry_report SET received_at = received_at - interval '1 day'",
        "UPDATE registry_report SET content_sha256 = repeat('0', 64)",
        "DELETE FROM registry_report",
        "UPDATE registry_sanction SET amount_minor = 0",
        "DELETE FROM registry_sanction",
    ],
)
def test_versions_and_sanctions_are_frozen(told: Period, change: str) -> None:
    with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


@pytest.mark.parametrize(
    ("table", "change", "constraint"),
    [
        ("registry_surrender", "quantity = 0", "surrender_in_range"),
        ("registry_obligation", "quantity = -1", "obligation_in_range"),
        ("registry_report", "flop = 'NaN'", "report_flop_finite"),
        ("registry_report", "energy_kwh = 'NaN'", "report_energy_finite"),
        ("registry_report", "co2e_g = 'NaN'", "report_co2e_finite"),
        ("registry_report", "status = 'determined'", "only_estimates_are_determined"),
        ("registry_report", "status = 'returned'", "returned_report_says_why"),
        ("registry_reportline", "flop = 'NaN'", "report_line_finite"),
        ("registry_allocationrun", "auction = auction + 1", "allocation_pools_sum_to_cap"),
        ("registry_sanction", "shortfall = 0", "sanction_in_range"),
    ],
)
def test_figures_that_cannot_be_are_refused_even_past_the_triggers(
    told: Period, table: str, change: str, constraint: str
) -> None:
    with (
        pytest.raises(DatabaseError, match=constraint),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE {table} SET {change}")  # noqa: S608


def test_only_one_report_is_in_force(told: Period, acme: Party, draft_report: Callable[[], Report]) -> None:
    second = draft_report()
    Report.objects.filter(pk=second.pk).update(status="under_verification")

    with pytest.raises(DatabaseError, match="one_report_in_force"), transaction.atomic():
        _move_by_raw_sql(second, "verified")


@pytest.fixture
def draft_report(acme: Party, told: Period) -> Callable[[], Report]:
    """Copy a report as the next version, as raw SQL could."""

    def draft() -> Report:
        report = Report.objects.get(operator=acme.operator)
        report.pk, report.version, report.status = cast.key(), 2, "submitted"
        report._state.adding = True
        report.save(force_insert=True)
        return report

    return draft


def test_the_runs_inputs_are_what_the_lines_came_from(told: Period) -> None:
    run = AllocationRun.objects.get()

    assert allocation.recomputed_lines(run) == allocation.stored_lines(run)
