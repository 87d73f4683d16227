"""Serving records: taken whole or not at all, corrected in sight, and computed hour by hour to the last digit."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pgtrigger
import pytest
from django.db import DatabaseError, transaction

from common import signing
from common.errors import Forbidden, Refused
from common.invariants import check_all
from registry.invariants import INVARIANTS
from registry.models import DraftLine, Period, Scheme, ServingBatch, ServingCalculation, ServingRecord, Workload
from registry.services import operators
from registry.services.drafting import drafts
from registry.services.grid import serving, taking
from registry.services.reports import RowsRefused
from registry.services.verifying import keys
from registry.serving_invariants import INVARIANTS as OF_SERVING
from tests import cast
from tests.cast import OPENING, Party, Regulator
from tests.registry.gridded import AVERAGE, HEAD, NEW_YEAR, chat, deliver, hour, intensity_file, load, records

__all__ = ["chat"]
LATER = OPENING + timedelta(days=1)
HOUR = timedelta(hours=1)
INTENSITIES = [f"{100 + 7 * number}.{number:02}" for number in range(48)]
ENERGIES = [f"{3 + number % 5}.0000000000{number + 10}" for number in range(48)]
"""Two days, hour by hour, with digits to the last place that is kept."""


@pytest.fixture
def scheme(regulator: Regulator) -> Scheme:
    """A scheme that counts CO2e."""
    return cast.co2e_scheme(regulator)


@pytest.fixture
def grid(regulator: Regulator) -> None:
    """The intensities of the two days in California."""
    load(regulator, intensity_file("CISO", INTENSITIES))


def lines(acme: Party, period: Period) -> list[DraftLine]:
    """What Acme's records come to for a report."""
    assert acme.operator is not None
    return serving.report_lines(acme.operator, period, now=OPENING)


def plain_sum(energies: list[str], factors: list[str]) -> Decimal:
    """The emissions as one would add them up by hand, rounded once."""
    total = sum((Decimal(kwh) * Decimal(g) for kwh, g in zip(energies, factors, strict=True)), Decimal(0))
    return total.quantize(Decimal("0.000001"))


def test_records_become_one_line_by_the_hour_of_each(
    acme: Party, capped_period: Period, chat: Workload, grid: None
) -> None:
    deliver(acme, records(ENERGIES))

    (line,) = lines(acme, capped_period)

    assert line.co2e_g == plain_sum(ENERGIES, INTENSITIES)
    assert line.energy_kwh == sum(map(Decimal, ENERGIES))
    assert (line.zone, line.method, line.workload, line.activity) == ("CISO", "serving_hourly", chat, "inference")
    assert (line.requests, line.tokens) == (4_800, 96_000)
    assert line.flop == 2 * 7 * 10**9 * 96_000
    assert (line.started_at, line.ended_at) == (NEW_YEAR, NEW_YEAR + 48 * HOUR)
    assert line.factor_source.startswith("us-2026 v1: CISO by hour, 0 of 48 hours filled, #")


def test_tiers_and_operating_points_of_an_hour_are_added(
    acme: Party, capped_period: Period, chat: Workload, grid: None
) -> None:
    both = records(["2"] * 48) + b"\n" + records(["0.5"] * 48, tier="green", operating_point="int8").split(b"\n", 1)[1]
    deliver(acme, both)

    (line,) = lines(acme, capped_period)

    assert line.co2e_g == plain_sum(["2.5"] * 48, INTENSITIES)
    assert line.requests == 9_600


def test_a_later_batch_restates_whole_hours_and_the_first_stays(
    acme: Party, capped_period: Period, chat: Workload, grid: None
) -> None:
    first = deliver(acme, records(["2"] * 48))
    second = deliver(acme, records(["1", "1"], first=10, tier="green", operating_point="int8"), LATER)

    (line,) = lines(acme, capped_period)

    assert (first.restated, second.restated) == (0, 2)
    assert line.co2e_g == plain_sum(["2"] * 10 + ["1"] * 2 + ["2"] * 36, INTENSITIES)
    assert ServingRecord.objects.count() == 50
    counting = serving.counting([chat], NEW_YEAR + 9 * HOUR, NEW_YEAR + 12 * HOUR)
    assert [(record.tier, record.energy_kwh) for record in counting] == [
        ("full", Decimal(2)),
        ("green", Decimal(1)),
        ("green", Decimal(1)),
    ]
    with pytest.raises(DatabaseError), transaction.atomic():
        ServingRecord.objects.update(energy_kwh=0)


def test_the_same_file_is_one_batch_until_something_else_was_said_in_between(acme: Party, chat: Workload) -> None:
    first = deliver(acme, records(["2", "2"]))

    assert deliver(acme, records(["2", "2"])) == first
    deliver(acme, records(["1"]), LATER)
    again = deliver(acme, records(["2", "2"]), LATER)

    assert again != first
    assert (again.restated, ServingBatch.objects.count()) == (2, 3)


def test_hours_that_are_left_out_count_with_the_highest_of_the_month(
    acme: Party, capped_period: Period, chat: Workload, grid: None
) -> None:
    deliver(acme, records(["2"] * 10 + ["5"] + ["2"] * 9))
    deliver(acme, records(["2"] * 20, first=28))

    assert acme.operator is not None
    (found,) = serving.figures_of_period(acme.operator, capped_period, OPENING)

    told = ["2"] * 10 + ["5"] + ["2"] * 9 + ["5"] * 8 + ["2"] * 20
    assert len(found.missing) == 8
    assert found.result.grams == plain_sum(told, INTENSITIES)


def test_a_stream_that_never_reported_has_no_line(acme: Party, capped_period: Period, chat: Workload) -> None:
    assert lines(acme, capped_period) == []


def test_what_was_computed_comes_out_the_same_after_corrections_of_everything(
    acme: Party, regulator: Regulator, capped_period: Period, chat: Workload, grid: None
) -> None:
    assert acme.operator is not None
    deliver(acme, records(["2"] * 47))
    (found,) = serving.figures_of_period(acme.operator, capped_period, OPENING)
    with transaction.atomic():
        calculation = serving.keep_calculation(found, capped_period, acme.initiator, OPENING)

    deliver(acme, records(["9"] * 48), LATER)
    load(regulator, intensity_file("CISO", ["1"] * 48), said=replace(AVERAGE, note="All were wrong."), now=LATER)

    again = serving.recomputed(calculation)
    assert again is not None
    assert serving.reference_of(again, capped_period) == calculation.reference
    (anew,) = serving.figures_of_period(acme.operator, capped_period, LATER)
    assert anew.result.grams == 9 * 48


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (f"chat,{hour(0)},CISO,full,fp16,1,,-1", "energy_kwh", "number_out_of_range"),
        (f"chat,{hour(0)},CISO,full,fp16,1,,NaN", "energy_kwh", "not_a_number"),
        (f"chat,{hour(0)},CISO,full,fp16,1,,1E+27", "energy_kwh", "number_out_of_range"),
        (f"chat,{hour(0)},CISO,full,fp16,1,,0.0000000000001", "energy_kwh", "too_precise"),
        (f"chat,{hour(0)},CISO,full,fp16,1.5,,1", "requests", "not_whole"),
        (f"chat,{hour(0)},CISO,full,fp16,1,many,1", "tokens", "not_a_number"),
        (f"chat,{hour(0)},CISO,cheap,fp16,1,,1", "tier", "tier_unknown"),
        (f"chat,{hour(0)},CISO,full,,1,,1", "operating_point", "missing_value"),
        (f"chat,{hour(0)},PJM,full,fp16,1,,1", "zone", "zone_not_of_site"),
        ("chat,2026-01-01T00:30Z,CISO,full,fp16,1,,1", "hour_utc", "not_an_hour"),
        ("chat,2026-01-01T00:00+01:00,CISO,full,fp16,1,,1", "hour_utc", "not_an_hour"),
        ("chat,2025-05-31T23:00Z,CISO,full,fp16,1,,1", "hour_utc", "hour_before_opening"),
        (f"chat,{hour(48)},CISO,full,fp16,1,,1", "hour_utc", "hour_after_end"),
        ("chat,2026-03-02T09:00Z,CISO,full,fp16,1,,1", "hour_utc", "hour_not_over"),
        (f"talk,{hour(0)},CISO,full,fp16,1,,1", "stream", "stream_unknown"),
        (f"chat,{hour(1)},CISO,full,fp16,1,,1", "hour_utc", "row_twice"),
    ],
)
def test_a_row_that_cannot_be_is_named_by_line_and_column_and_nothing_is_stored(
    acme: Party, chat: Workload, row: str, column: str, code: str
) -> None:
    content = f"{HEAD}\nchat,{hour(1)},CISO,full,fp16,1,,1\n{row}\n".encode()

    with pytest.raises(RowsRefused) as refused:
        deliver(acme, content)

    assert (3, column, code) in [(error.line, error.column, error.code) for error in refused.value.errors]
    assert not ServingBatch.objects.exists()


def test_a_signature_is_believed_only_over_this_very_file(acme: Party, chat: Workload) -> None:
    private = signing.new_key()
    key = keys.register_key(
        actor=acme.initiator,
        organisation=acme.organisation,
        name="Meter",
        public_key=signing.to_text(signing.public_bytes(private)),
        proof=signing.sign(private, keys.proof_text(acme.organisation).encode()),
        now=OPENING,
    )
    content = records(["1"])

    def signed(over: bytes) -> ServingBatch:
        return serving.receive_file(
            actor=acme.initiator,
            organisation=acme.organisation,
            name="records.csv",
            content=content,
            key_id=key.key_id,
            signature=signing.sign(private, serving.signed_document(acme.organisation, over)),
            now=OPENING,
        )

    with pytest.raises(Refused) as refused:
        signed(records(["2"]))
    assert refused.value.code == "signature_invalid"
    assert signed(content).key_id == key.key_id


def test_only_those_who_report_for_an_organisation_deliver_its_records(
    acme: Party, borealis: Party, chat: Workload
) -> None:
    for outsider in (acme.viewer, borealis.initiator):
        with pytest.raises(Forbidden):
            serving.receive_file(
                actor=outsider, organisation=acme.organisation, name="r.csv", content=records(["1"]), now=OPENING
            )


def test_taken_into_a_draft_and_filed_the_figures_follow_from_the_records(
    acme: Party, capped_period: Period, chat: Workload, grid: None
) -> None:
    assert acme.operator is not None
    deliver(acme, records(ENERGIES))
    taking.take_into_draft(actor=acme.initiator, operator=acme.operator, period=capped_period, now=OPENING)

    draft = taking.take_into_draft(actor=acme.initiator, operator=acme.operator, period=capped_period, now=OPENING)
    report = drafts.file_draft(actor=acme.initiator, draft=draft, boundary="full stack", now=OPENING)

    assert report.co2e_g == plain_sum(ENERGIES, INTENSITIES)
    assert ServingCalculation.objects.count() == report.lines.count() == 1
    assert [result.name for result in check_all(INVARIANTS) if result.broken] == []
    assert sum(result.checked for result in check_all(OF_SERVING)) == 2

    with pgtrigger.ignore("registry.ServingRecord:append_only"):  # somebody who owns the database cleans an hour
        ServingRecord.objects.filter(hour=NEW_YEAR).update(energy_kwh=1)
    assert [result.name for result in check_all(OF_SERVING) if result.broken] == [
        "Each calculation of a serving stream follows from its hourly records"
    ]


def test_a_scheme_that_counts_flop_wants_every_token(
    acme: Party, regulator: Regulator, capped_period: Period, chat: Workload
) -> None:
    assert acme.operator is not None
    with pytest.raises(Refused) as refused:
        taking.take_into_draft(actor=acme.initiator, operator=acme.operator, period=capped_period, now=OPENING)
    assert refused.value.code == "nothing_served"
    compute = cast.flop_scheme(regulator)
    counted = operators.enrol(
        actor=regulator.desk,
        scheme=compute,
        organisation=acme.organisation,
        cohort="large",
        first_year=cast.YEAR,
        now=OPENING,
    )
    period = cast.capped(regulator, cast.period_of(regulator, compute))
    deliver(acme, records(["1"] * 47) + b"\n" + records(["1"], first=47, tokens="").split(b"\n", 1)[1])

    with pytest.raises(Refused) as refused:
        taking.take_into_draft(actor=acme.initiator, operator=counted, period=period, now=OPENING)

    assert refused.value.code == "flop_unknown"
    assert not DraftLine.objects.exists()
