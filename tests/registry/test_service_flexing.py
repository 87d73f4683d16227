"""Two-tier inference from tariff to published claim: what is refused, what is frozen, and that nothing is a permit."""

import itertools
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, connection, transaction

from common.errors import Forbidden, Refused, SeveralRefusals
from common.invariants import check_all
from registry.flexing_invariants import INVARIANTS as OF_CLAIMS
from registry.ledger.models import Journal
from registry.models import (
    CLAIM,
    AvoidedClaim,
    ClaimHour,
    FlexEvent,
    Forecast,
    Period,
    Tariff,
    TariffPoint,
    Workload,
)
from registry.services.flexing import claims, events, forecasts, planning, tariffs
from registry.services.flexing.claims import Asked
from registry.services.flexing.events import EventTold
from registry.services.flexing.tariffs import PointOffered
from tests.cast import OPENING, Clock, Party, Regulator, engage
from tests.registry import flexed
from tests.registry.flexed import (
    CISO,
    DAY,
    DIRTY,
    GREEN,
    MIDNIGHT,
    MORNING_AFTER,
    NUMBER,
    at,
    day_of_records,
    deliver,
    forecast_of,
    record,
    stream_of,
    tariff_of,
)
from tests.registry.gridded import AVERAGE, intensity_file, load

TODAY = date(2026, 3, 2)


@pytest.fixture
def asked(acme: Party, regulator: Regulator, clock: Clock) -> Asked:
    """A day of flexing that may be claimed."""
    return flexed.flexed_day(acme, regulator, clock)


@pytest.fixture
def engaged(acme: Party, verity: Party, capped_period: Period) -> Party:
    """The verifier that Acme appointed for the year."""
    assert acme.operator is not None
    engage(verity, acme.operator, capped_period, OPENING)
    return verity


def codes(refusal: pytest.ExceptionInfo[Refused]) -> set[str]:
    """Name every reason of a refusal."""
    value = refusal.value
    return {one.code for one in value.refusals} if isinstance(value, SeveralRefusals) else {value.code}


# Tariffs --------------------------------------------------------------------------------------------------------------


def test_a_tariff_is_public_and_its_next_version_takes_over(acme: Party) -> None:
    first = tariff_of(acme)

    second = tariffs.publish_tariff(
        actor=acme.initiator,
        organisation=acme.organisation,
        name=" Green ",
        offered=replace(GREEN, discount=Decimal("0.15")),
        valid_from=date(2026, 4, 1),
        now=OPENING,
    )

    first.refresh_from_db()
    assert (first.version, first.valid_until, second.version) == (1, date(2026, 3, 31), 2)
    rows = tariffs.register()
    days = (date(2026, 3, 31), second.valid_from)
    assert [tariffs.in_force(rows, day).get() for day in days] == [first, second]
    assert [point.code for point in rows.get(pk=second.pk).points.all()] == ["full", "small"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"discount": Decimal(1)}, "discount_out_of_range"),
        ({"discount": Decimal("0.123456")}, "discount_out_of_range"),
        ({"flex_cap": Decimal("1.1")}, "flex_cap_out_of_range"),
        ({"hours_per_day": None}, "high_hours_missing"),
        ({"percentile": Decimal(75)}, "high_hours_missing"),
        ({"hours_per_day": 25}, "hours_per_day_out_of_range"),
        ({"shift_hours": 0, "points": GREEN.points[:1]}, "nothing_to_flex"),
        ({"points": ()}, "points_missing"),
        ({"points": (GREEN.points[0], GREEN.points[0])}, "point_code_malformed"),
        ({"points": (GREEN.points[1], GREEN.points[0])}, "full_not_best"),
        ({"accuracy_floor": Decimal("0.95")}, "full_below_floor"),
        ({"tier": "full"}, "full_tier_never_flexes"),
        ({"points": (PointOffered("full", Decimal("0.9"), Decimal(800), Decimal(0)),)}, "point_energy_out_of_range"),
    ],
)
def test_a_tariff_that_says_too_little_or_nonsense_is_refused(
    acme: Party, change: dict[str, object], code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        tariff_of(acme, replace(GREEN, **change))  # type: ignore[arg-type]

    assert code in codes(refusal)
    assert not Tariff.objects.exists() and not TariffPoint.objects.exists()


def test_what_was_published_stays(acme: Party, borealis: Party) -> None:
    tariff = tariff_of(acme)

    with pytest.raises(Forbidden):
        tariffs.end_tariff(actor=borealis.initiator, tariff=tariff, last_day=TODAY, now=OPENING)
    with pytest.raises(Refused, match="today"):
        tariffs.end_tariff(actor=acme.initiator, tariff=tariff, last_day=TODAY - timedelta(days=1), now=OPENING)
    tariffs.end_tariff(actor=acme.initiator, tariff=tariff, last_day=TODAY, now=OPENING)
    with pytest.raises(Refused, match="ends on 2026-03-02 already"):
        tariffs.end_tariff(actor=acme.initiator, tariff=tariff, last_day=TODAY, now=OPENING)
    for change in ({"discount": 0}, {"valid_until": date(2027, 1, 1)}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Tariff.objects.update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        TariffPoint.objects.update(kwh_per_request=1)


# Forecasts and events -------------------------------------------------------------------------------------------------


def test_a_forecast_is_dated_by_its_receipt_and_never_published_in_hindsight(acme: Party, clock: Clock) -> None:
    forecast = forecast_of(acme, clock)

    clock.move_to(MIDNIGHT)
    with pytest.raises(Refused) as refusal:
        forecasts.publish_forecast(
            actor=acme.initiator,
            organisation=acme.organisation,
            zone="CISO",
            day=DAY,
            values=forecast.values,
            source="Backdated",
            now=MIDNIGHT - timedelta(days=1),  # what the caller says does not count
        )

    assert refusal.value.code == "forecast_in_hindsight"
    assert forecast.published_at == flexed.EVENING_BEFORE
    with pytest.raises(DatabaseError), transaction.atomic():
        Forecast.objects.update(day=TODAY)


@pytest.mark.parametrize(
    ("zone", "values", "source", "code"),
    [
        ("ciso", CISO, "Model", "zone_malformed"),
        ("CISO", CISO[:23], "Model", "forecast_incomplete"),
        ("CISO", ["NaN", *CISO[1:]], "Model", "forecast_out_of_range"),
        ("CISO", ["1500.1", *CISO[1:]], "Model", "forecast_out_of_range"),
        ("CISO", ["0.0001", *CISO[1:]], "Model", "forecast_out_of_range"),
        ("CISO", CISO, " ", "source_missing"),
    ],
)
def test_a_forecast_that_cannot_be_read_is_refused(
    acme: Party, clock: Clock, zone: str, values: list[str], source: str, code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        forecasts.publish_forecast(
            actor=acme.initiator,
            organisation=acme.organisation,
            zone=zone,
            day=DAY,
            values=[Decimal(value) for value in values],
            source=source,
            now=clock.now(),
        )

    assert refusal.value.code == code


def test_events_carry_what_was_forecast_and_what_came(asked: Asked) -> None:
    rows = list(FlexEvent.objects.order_by("hour"))

    assert [row.hour for row in rows] == [at(hour) for hour in DIRTY]
    assert [str(row.forecast_g_per_kwh) for row in rows] == [f"{CISO[hour]}0" for hour in DIRTY]
    assert [row.actual_g_per_kwh for row in rows] == [Decimal(CISO[hour]) for hour in DIRTY]
    assert set(events.was_high(rows).values()) == {True}
    with pytest.raises(DatabaseError), transaction.atomic():
        FlexEvent.objects.update(requests=1)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (EventTold(at(3), "small", 5), "event_recorded_already"),
        (EventTold(at(1) + timedelta(minutes=1), "small", 5), "hour_not_full"),
        (EventTold(at(33), "small", 5), "hour_not_over"),
        (EventTold(at(-48), "small", 5), "tariff_not_valid"),
        (EventTold(at(1), "tiny", 5), "point_unknown"),
        (EventTold(at(1), "full", 5), "nothing_flexed"),
        (EventTold(at(9), "full", 5, at(8)), "served_before"),
        (EventTold(at(9), "small", 0), "requests_out_of_range"),
        (EventTold(at(-1), "small", 5), "forecast_missing"),
    ],
)
def test_an_event_that_cannot_be_is_refused_with_all_others(
    acme: Party, asked: Asked, told: EventTold, code: str
) -> None:
    good = EventTold(at(9), "small", 7)

    with pytest.raises(Refused) as refusal:
        events.record_events(
            actor=acme.initiator, tariff=asked.tariff, workload=asked.workload, told=[good, told], now=MORNING_AFTER
        )

    assert codes(refusal) == {code}
    assert FlexEvent.objects.count() == len(DIRTY)


# Claims ---------------------------------------------------------------------------------------------------------------


def test_a_claim_goes_from_draft_to_the_public_list_and_out_of_force(
    acme: Party, engaged: Party, asked: Asked, regulator: Regulator
) -> None:
    journals = Journal.objects.count()

    claim = flexed.published_claim(acme, engaged, asked, MORNING_AFTER)

    assert (claim.status, claim.serial) == ("published", "AVE-CISO-2026-000001")
    assert (claim.baseline_g, claim.actual_g) == (Decimal("155423.18"), Decimal("147779.564"))
    assert (claim.avoided_g, claim.energy_effect_g, claim.timing_effect_g) == (
        Decimal("7643.616"),
        claim.avoided_g,
        Decimal(0),
    )
    assert claims.public_claim(claim.serial).statement.verifier == engaged.organisation
    assert sum(claim.hours.values_list("avoided_g", flat=True)) == claim.avoided_g
    assert [row.hour for row in claim.hours.filter(is_high=True).order_by("hour")] == [at(hour) for hour in DIRTY]
    assert claims.is_reproduced(claim)

    claims.withdraw_claim(actor=regulator.desk, claim=claim, reason="A meter was found wrong.", now=MORNING_AFTER)

    again = flexed.published_claim(acme, engaged, asked, MORNING_AFTER)  # its hours are free again
    assert again.serial == "AVE-CISO-2026-000002"
    assert [row.serial for row in claims.public().order_by("serial")] == [claim.serial, again.serial]
    assert Journal.objects.count() == journals  # no permit moved in all this


def test_claims_are_checked_with_everything_else(acme: Party, engaged: Party, asked: Asked) -> None:
    """Not even a superuser changes an hour or a signature unseen."""
    claim = flexed.published_claim(acme, engaged, asked, MORNING_AFTER)
    assert [(result.checked, result.broken) for result in check_all(OF_CLAIMS)] == [(1, False), (1, False)]

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE registry_claimhour SET avoided_g = avoided_g + 1 WHERE hour = %s", [at(3)])
        cursor.execute("UPDATE registry_claimstatement SET findings = 'Nothing.'")

    assert [result.broken for result in check_all(OF_CLAIMS)] == [True, True]
    assert not claims.is_reproduced(AvoidedClaim.objects.get(pk=claim.pk))


def test_a_claim_is_no_permit_and_nobody_elses(acme: Party, borealis: Party, asked: Asked) -> None:
    """There is no key into the ledger, the table says what it is, and an owner cannot be changed by raw SQL."""
    claim = claims.draft_claim(actor=acme.initiator, asked=asked, now=MORNING_AFTER)

    related = {
        field.related_model._meta.app_label
        for model in (AvoidedClaim, ClaimHour, *(apps.get_model("registry", "ClaimStatement"),))
        for field in model._meta.get_fields()
        if field.is_relation and field.related_model is not None and not isinstance(field.related_model, str)
    }
    assert "ledger" not in related
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description('registry_avoidedclaim'::regclass)")
        assert "never a permit" in cursor.fetchone()[0]
        with pytest.raises(DatabaseError, match="claim_never_changes_hands"), transaction.atomic():
            cursor.execute(
                "UPDATE registry_avoidedclaim SET organisation_id = %s WHERE id = %s",
                [borealis.organisation.pk, claim.pk],
            )
        with pytest.raises(DatabaseError, match="claim_frozen"), transaction.atomic():
            cursor.execute("UPDATE registry_avoidedclaim SET avoided_g = avoided_g + 1 WHERE id = %s", [claim.pk])


def test_no_hour_of_a_stream_is_claimed_twice(acme: Party, asked: Asked) -> None:
    claim = claims.draft_claim(actor=acme.initiator, asked=asked, now=MORNING_AFTER)

    with pytest.raises(Refused, match="2026-03-03 03:00 to 05:00 UTC") as refusal:
        part = replace(asked, starts_at=at(3), ends_at=at(5))
        claims.draft_claim(actor=acme.initiator, asked=part, now=MORNING_AFTER)

    assert refusal.value.code == "hours_claimed_already"
    row = claim.hours.order_by("hour")[0]
    other = AvoidedClaim(
        **{f.attname: getattr(claim, f.attname) for f in AvoidedClaim._meta.concrete_fields if not f.primary_key}
    )
    with pytest.raises(IntegrityError, match="an_hour_is_claimed_once"), transaction.atomic():
        other.save(force_insert=True)
        row.pk, row.claim = None, other
        row.save(force_insert=True)


def test_hours_without_signed_records_are_named(acme: Party, asked: Asked) -> None:
    deliver(acme, day_of_records(asked.workload, degraded=()).replace(b",60000,", b",60001,"), signed=False)

    with pytest.raises(SeveralRefusals) as refusal:
        claims.draft_claim(actor=acme.initiator, asked=replace(asked, ends_at=at(26)), now=MORNING_AFTER)

    assert {"hours_missing", "hours_not_signed", "events_differ"} <= codes(refusal)
    assert "2026-03-04 00:00 to 02:00 UTC" in str(refusal.value)
    assert "2026-03-03 03:00 to 09:00 UTC" in str(refusal.value)
    assert not AvoidedClaim.objects.exists()


def test_what_was_flexed_in_hindsight_is_not_claimed(acme: Party, regulator: Regulator, clock: Clock) -> None:
    """The forecast expected a dirty evening; Acme flexed the night, which turned out dirty."""
    stream, tariff = stream_of(acme), tariff_of(acme)
    forecast_of(acme, clock, list(reversed(CISO)))
    clock.move_to(MORNING_AFTER)
    load(regulator, intensity_file("CISO", CISO, first=NUMBER))
    deliver(acme, day_of_records(stream))
    made = record(acme, tariff, stream)

    with pytest.raises(Refused) as refusal:
        claims.draft_claim(
            actor=acme.initiator, asked=Asked(tariff, stream, MIDNIGHT, at(24), 1_000), now=MORNING_AFTER
        )

    assert codes(refusal) == {"hour_not_high"}
    assert not any(events.was_high(made).values())


def test_a_draft_whose_inputs_changed_is_not_submitted(acme: Party, regulator: Regulator, asked: Asked) -> None:
    claim = claims.draft_claim(actor=acme.initiator, asked=asked, now=MORNING_AFTER)
    load(
        regulator,
        intensity_file("CISO", [*CISO[:3], "100", *CISO[4:]], first=NUMBER),
        said=replace(AVERAGE, note="Hour 3 was wrong."),
        now=MORNING_AFTER,
    )

    with pytest.raises(Refused) as refusal:
        claims.submit_claim(actor=acme.initiator, claim=claim, now=MORNING_AFTER + timedelta(hours=1))

    assert refusal.value.code == "claim_inputs_changed"
    assert claims.is_reproduced(claim)  # what was frozen still gives what was drafted


def test_a_filled_hour_and_last_years_requests_are_seen(acme: Party, asked: Asked, regulator: Regulator) -> None:
    deliver(acme, day_of_records(asked.workload, degraded=(), day=NUMBER - 365 * 24))
    load(
        regulator,
        intensity_file("CISO", [*CISO[:3], "", *CISO[4:]], first=NUMBER),
        said=replace(AVERAGE, note="Hour 3 is not known."),
        now=MORNING_AFTER,
    )
    load(
        regulator,
        intensity_file("CISO", ["500"] * 24, first=NUMBER),
        code="us-marginal-2026",
        said=replace(AVERAGE, kind="marginal", for_obligations=False),
    )

    claim = claims.draft_claim(actor=acme.initiator, asked=replace(asked, subscribers_before=2_000), now=MORNING_AFTER)

    filled = claim.hours.get(is_filled=True)
    assert (filled.hour, filled.avoided_g, filled.actual_g_per_kwh) == (at(3), Decimal(0), Decimal("271.05"))
    assert claim.not_credited_g == 20_000 * Decimal("0.00024") * Decimal("271.05")
    assert claim.requests_before == claim.requests == 2_400_000
    assert claims.reproduced(claim).rebound.change == 1  # half the subscribers asked as often
    assert claim.marginal_g == 6 * 20_000 * Decimal("0.00024") * 500
    assert claim.avoided_g < claim.marginal_g  # which is information and nothing more


def test_only_the_appointed_verifier_attests(
    acme: Party, borealis: Party, verity: Party, capped_period: Period, asked: Asked
) -> None:
    claim = claims.draft_claim(actor=acme.initiator, asked=asked, now=MORNING_AFTER)
    with pytest.raises(Forbidden):
        claims.submit_claim(actor=borealis.initiator, claim=claim, now=MORNING_AFTER)
    claim = claims.submit_claim(actor=acme.initiator, claim=claim, now=MORNING_AFTER)
    with pytest.raises(Forbidden):
        flexed.attested(verity, claim, MORNING_AFTER)  # not yet appointed
    assert acme.operator is not None
    engage(verity, acme.operator, capped_period, MORNING_AFTER)

    with pytest.raises(Refused) as refusal:
        claims.attest_claim(
            actor=verity.verifier, claim=claim, findings="Fine.", key_id="0" * 32, signature="x", now=MORNING_AFTER
        )
    assert refusal.value.code == "key_unknown"
    with pytest.raises(Refused, match="submitted"):
        claims.publish_claim(actor=acme.approver, claim=claim, now=MORNING_AFTER)
    attested = flexed.attested(verity, claim, MORNING_AFTER)

    assert attested.status == "attested"
    with pytest.raises(Forbidden):
        claims.withdraw_claim(actor=verity.verifier, claim=claim, reason="Too late for that.", now=MORNING_AFTER)
    with pytest.raises(DatabaseError), transaction.atomic():
        attested.statement.delete()


def test_every_move_of_a_claim_that_is_not_in_its_table_is_refused(acme: Party, asked: Asked) -> None:
    """By raw SQL, past the services: each state in turn, and from each of them every other."""
    claim = claims.draft_claim(actor=acme.initiator, asked=asked, now=MORNING_AFTER)
    facts: dict[str, dict[str, object]] = {
        "submitted": {"submitted_at": MORNING_AFTER},
        "attested": {},
        "published": {"serial": "AVE-CISO-2026-000009", "published_at": MORNING_AFTER},
        "withdrawn": {"withdrawn_at": MORNING_AFTER, "withdrawal_reason": "Over."},
    }
    rows = AvoidedClaim.objects.filter(pk=claim.pk)
    for before, after in itertools.pairwise(CLAIM.states):
        for other in CLAIM.states:
            if other != before and not CLAIM.allows(before, other):
                with pytest.raises(DatabaseError), transaction.atomic():
                    rows.update(status=other)
        rows.update(status=after, **facts[after])
    for other in CLAIM.states[:-1]:
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.update(status=other)


def test_hours_that_do_not_make_a_claim_are_refused(acme: Party, borealis: Party, asked: Asked) -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({"starts_at": MIDNIGHT + timedelta(minutes=30)}, "hour_not_full"),
        ({"ends_at": MIDNIGHT}, "hours_out_of_order"),
        ({"ends_at": at(48)}, "hours_not_over"),
        ({"starts_at": datetime(2024, 1, 1, tzinfo=MIDNIGHT.tzinfo)}, "hours_too_many"),
        ({"subscribers": 0}, "subscribers_out_of_range"),
        ({"workload": stream_of(borealis)}, "stream_unknown"),
    ]
    for change, code in wrong:
        with pytest.raises(Refused) as refusal:
            claims.assess_claim(actor=acme.initiator, asked=replace(asked, **change), now=MORNING_AFTER)  # type: ignore[arg-type]
        assert refusal.value.code == code


# Planning -------------------------------------------------------------------------------------------------------------


def test_only_complete_days_of_a_loaded_year_are_planned_with(regulator: Regulator, acme: Party) -> None:
    load(regulator, intensity_file("CISO", [*CISO, *CISO[:23], "", *CISO], first=0))

    loaded = planning.load("CISO", 2026, OPENING)

    assert planning.zones_and_years(OPENING) == [("CISO", 2026)]
    assert (len(loaded.grid.days), loaded.days_left_out) == (2, 363)
    assert loaded.grid.days[0] == tuple(map(float, CISO))
    with pytest.raises(Refused, match="Choose one of the list"):
        planning.load("CISO", 2025, OPENING)


def test_every_stream_may_be_claimed_for_by_itself(acme: Party, asked: Asked) -> None:
    other = stream_of(acme, "search")

    assert list(claims.claimable_streams(acme.organisation)) == [asked.workload, other]
    assert isinstance(other, Workload)
