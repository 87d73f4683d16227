"""Grid factor sets: loaded whole or not at all, in versions that stay, and read as they were known at an instant."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import DatabaseError, transaction

from accounts.models import Approval
from accounts.services import approvals, organisations
from common.errors import Forbidden, Refused
from registry.engine.grid import Fill
from registry.models import FactorSet, HourlyIntensity
from registry.services.grid import intensities
from registry.services.reports import RowsRefused
from tests.cast import OPENING, Party, Regulator
from tests.registry.gridded import AVERAGE, NEW_YEAR, intensity_file, load

LATER = OPENING + timedelta(days=1)
HOUR = timedelta(hours=1)
CORRECTED = replace(AVERAGE, note="Hydro was counted twice.")
COUNTRIES = b"iso3,country,year,gco2e_per_kwh\nFRA,France,2024,56.039\nUSA,United States,2024,370\n"


def test_a_loaded_file_gives_the_hours_of_a_zone(regulator: Regulator) -> None:
    made = load(regulator, intensity_file("CISO", ["100.5", "", "300.25"]))

    series = intensities.series("CISO", NEW_YEAR, NEW_YEAR + 3 * HOUR, at=OPENING)

    assert series.values == (Decimal("100.5"), Decimal("300.25"), Decimal("300.25"))
    assert series.filled == ((NEW_YEAR + HOUR, Fill.NEIGHBOURS),)
    assert series.versions == ("us-2026 v1",)
    assert made.zones == {"CISO": {"first": "2026-01-01T00:00Z", "last": "2026-01-01T02:00Z", "rows": 3, "missing": 1}}


def test_the_same_file_again_is_the_same_set(regulator: Regulator) -> None:
    content = intensity_file("CISO", ["100"])

    assert load(regulator, content) == load(regulator, content)
    assert HourlyIntensity.objects.count() == 1


def test_a_correction_is_a_new_version_and_what_was_known_before_stays_known(regulator: Regulator) -> None:
    load(regulator, intensity_file("CISO", ["100"]))

    def version_2() -> FactorSet:
        return load(regulator, intensity_file("CISO", ["120"]), said=CORRECTED, now=LATER)

    assert str(version_2()) == "us-2026 v2"
    before = intensities.series("CISO", NEW_YEAR, NEW_YEAR + HOUR, at=OPENING)
    after = intensities.series("CISO", NEW_YEAR, NEW_YEAR + HOUR, at=LATER)
    assert (before.values[0], before.versions) == (Decimal(100), ("us-2026 v1",))
    assert (after.values[0], after.versions) == (Decimal(120), ("us-2026 v2",))
    with pytest.raises(DatabaseError), transaction.atomic():
        HourlyIntensity.objects.update(g_per_kwh=1)


@pytest.mark.parametrize(
    ("code", "said", "refusal"),
    [
        ("us-2026", AVERAGE, "note_missing"),
        ("us-2026", replace(CORRECTED, basis="direct"), "factor_set_of_another_kind"),
        ("us-again", AVERAGE, "zone_told_already"),
        ("us-marginal", replace(AVERAGE, kind="marginal"), "marginal_is_information"),
        ("Us 2026", AVERAGE, "code_malformed"),
        ("us-x", replace(AVERAGE, perspective="both"), "perspective_unknown"),
        ("us-x", replace(AVERAGE, method=" "), "method_missing"),
        ("us-x", replace(AVERAGE, country="us"), "not_a_country"),
        ("us-x", replace(AVERAGE, retrieved_on=LATER.date()), "retrieved_on_implausible"),
    ],
)
def test_a_set_that_would_leave_a_doubt_is_refused(
    regulator: Regulator, code: str, said: intensities.Qualifiers, refusal: str
) -> None:
    load(regulator, intensity_file("CISO", ["100"]))

    with pytest.raises(Refused) as refused:
        load(regulator, intensity_file("CISO", ["101"]), code, said)

    assert refused.value.code == refusal
    assert FactorSet.objects.count() == 1


def test_marginal_factors_are_information_and_never_computed_with(regulator: Regulator) -> None:
    load(regulator, intensity_file("CISO", ["100"]))
    load(
        regulator,
        intensity_file("CISO", ["700"]),
        "us-marginal",
        replace(AVERAGE, kind="marginal", for_obligations=False),
    )

    assert intensities.series("CISO", NEW_YEAR, NEW_YEAR + HOUR, at=OPENING).values[0] == 100
    assert intensities.hours_of(intensities.factor_set("us-marginal"), "CISO") == [(NEW_YEAR, Decimal(700))]


def test_a_file_with_errors_is_refused_with_all_of_them_and_nothing_is_stored(regulator: Regulator) -> None:
    content = b"""zone,datetime_utc,gco2e_per_kwh,kind
CISO,2026-01-01T00:00Z,100,average
CISO,2026-01-01T00:30Z,100,average
CISO,2026-01-01T00:00Z,-1,marginal
ciso,2026-01-01T01:00,1501,typical
CISO,2026-01-01T02:00Z,1.0000001,average
"""

    with pytest.raises(RowsRefused) as refused:
        load(regulator, content)

    assert [(error.line, error.column, error.code) for error in refused.value.errors] == [
        (3, "datetime_utc", "not_an_hour"),
        (4, "datetime_utc", "hour_twice"),
        (4, "gco2e_per_kwh", "number_out_of_range"),
        (4, "kind", "qualifier_differs"),
        (5, "zone", "not_a_zone"),
        (5, "datetime_utc", "not_an_hour"),
        (5, "gco2e_per_kwh", "number_out_of_range"),
        (5, "kind", "qualifier_unknown"),
        (6, "gco2e_per_kwh", "too_precise"),
    ]
    assert not FactorSet.objects.exists()


def test_what_a_file_says_of_itself_is_not_overruled(regulator: Regulator) -> None:
    content = b"zone,datetime_utc,gco2e_per_kwh,basis\nCISO,2026-01-01T00:00Z,100,direct\n"

    with pytest.raises(Refused) as refused:
        load(regulator, content)

    assert refused.value.code == "qualifier_differs"


def test_a_wide_file_has_a_column_for_each_zone(regulator: Regulator) -> None:
    load(regulator, b"datetime_utc,CISO,PJM\n2026-01-01T00:00Z,100,\n2026-01-01T01:00Z,110,380\n")

    made = intensities.factor_set("us-2026")

    assert intensities.hours_of(made, "PJM") == [(NEW_YEAR, None), (NEW_YEAR + HOUR, Decimal(380))]
    assert made.zones["PJM"]["missing"] == 1


def test_a_set_counts_once_another_officer_published_it(regulator: Regulator) -> None:
    content = intensity_file("CISO", ["100"])

    def value() -> Decimal:
        return intensities.series("CISO", NEW_YEAR, NEW_YEAR + HOUR, at=OPENING).values[0]

    def loaded() -> Approval:
        intensities.load_hourly(
            actor=regulator.senior, code="us-2026", qualifiers=AVERAGE, content=content, now=OPENING
        )
        return Approval.objects.get(act=intensities.PUBLISH_FACTORS, status="proposed")

    first = loaded()
    assert loaded() == first, "it waits once"
    assert value() != 100
    with pytest.raises(Refused) as alone:
        approvals.approve(actor=regulator.senior, approval_id=first.pk, now=OPENING)
    assert alone.value.code == "second_person_needed"
    approvals.cancel(actor=regulator.senior, approval_id=first.pk, reason="The wrong year.", now=OPENING)
    assert value() != 100
    with pytest.raises(Forbidden):
        approvals.approve(actor=regulator.desk, approval_id=loaded().pk, now=OPENING)
    waiting = loaded()
    organisations.grant_role(
        actor=regulator.senior,
        user=regulator.desk,
        organisation=regulator.organisation,
        role="senior_officer",
        now=OPENING,
    )
    approvals.approve(actor=regulator.desk, approval_id=waiting.pk, now=OPENING)
    assert value() == 100


def test_of_two_sets_that_waited_for_one_zone_one_is_published(regulator: Regulator) -> None:
    for code in ("one", "two"):
        intensities.load_hourly(
            actor=regulator.desk, code=code, qualifiers=AVERAGE, content=intensity_file("CISO", ["100"]), now=OPENING
        )
    first, second = Approval.objects.filter(act=intensities.PUBLISH_FACTORS).order_by("summary")
    regulator.approve(first)

    with pytest.raises(Refused) as refusal:
        approvals.approve(actor=regulator.senior, approval_id=second.pk, now=OPENING)

    assert refusal.value.code == "zone_told_already"
    assert [str(one) for one in intensities.effective_sets(OPENING)] == ["one v1"]


def test_an_older_version_does_not_come_after_a_newer_one(regulator: Regulator) -> None:
    for said, figure in ((AVERAGE, "100"), (CORRECTED, "120")):
        content = intensity_file("CISO", [figure])
        intensities.load_hourly(actor=regulator.desk, code="us-2026", qualifiers=said, content=content, now=OPENING)
    older, newer = Approval.objects.filter(act=intensities.PUBLISH_FACTORS).order_by("summary")
    regulator.approve(newer)

    with pytest.raises(Refused) as refusal:
        approvals.approve(actor=regulator.senior, approval_id=older.pk, now=OPENING)

    assert refusal.value.code == "factor_set_overtaken"


def test_only_the_desk_loads_factors(acme: Party) -> None:
    with pytest.raises(Forbidden):
        intensities.load_hourly(
            actor=acme.approver,
            code="us-2026",
            qualifiers=AVERAGE,
            content=intensity_file("CISO", ["100"]),
            now=OPENING,
        )


def test_a_zone_without_hours_has_the_loaded_year_of_its_country(regulator: Regulator) -> None:
    without = intensities.series("FRA", NEW_YEAR, NEW_YEAR + HOUR, at=OPENING)
    load(regulator, COUNTRIES, "owid", yearly=True)

    loaded = intensities.series("FRA", NEW_YEAR, NEW_YEAR + HOUR, at=OPENING)

    assert (without.values[0], without.versions) == (Decimal("56.039"), ("owid-ember-2024-09-excerpt",))
    assert (loaded.values[0], loaded.versions, loaded.is_annual) == (Decimal("56.039"), ("owid v1",), True)


def test_hours_far_from_any_known_one_take_the_year_of_the_country_and_name_it(regulator: Regulator) -> None:
    load(regulator, intensity_file("CISO", ["100"]))
    load(regulator, COUNTRIES, "owid", yearly=True)

    series = intensities.series("CISO", NEW_YEAR, NEW_YEAR + timedelta(days=32), at=OPENING)

    assert (series.fills[-1], series.values[-1]) == (Fill.COUNTRY, Decimal("444"))
    assert series.versions == ("us-2026 v1", "owid v1")


def test_a_real_year_of_seven_zones_is_loaded_and_read(regulator: Regulator, shared_data: Path) -> None:
    content = (shared_data / "grid" / "us_hourly_ci_2022.csv").read_bytes()
    start, end = NEW_YEAR.replace(year=2022), NEW_YEAR.replace(year=2023)

    made = load(regulator, content, "us-hourly-2022")

    assert made.rows == HourlyIntensity.objects.count() == 61_320
    assert {zone: span["missing"] for zone, span in made.zones.items() if span["missing"]} == {
        "CISO": 3,
        "MISO": 3,
        "PJM": 23,
    }
    california, pjm = (intensities.series(zone, start, end, at=OPENING) for zone in ("CISO", "PJM"))
    assert round(california.mean() / 10**6, 1) == Decimal("256.2")
    assert [fill for _, fill in pjm.filled].count(Fill.SAME_HOUR) == 22
