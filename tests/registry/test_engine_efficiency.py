"""Efficiency by hand and by an obvious twin: intensities, what cannot be compared, published figures, ranks, stars."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import efficiency
from registry.engine.canonical import sha256
from registry.engine.efficiency import Measurement
from registry.engine.emissions import StarRule

BEFORE = Measurement(
    task_class="text_generation",
    counted="requests",
    boundary="site",
    started_on=date(2026, 1, 5),
    ended_on=date(2026, 1, 11),
    quantity=3_000_000,
    energy_kwh=Decimal(1_020),
    batch_size=8,
    number_format="BF16",
    hardware="H100 SXM",
    zone="FRA",
    quality_measure="MMLU accuracy",
    quality=Decimal("0.80"),
)
AFTER = replace(
    BEFORE,
    started_on=date(2026, 2, 2),
    ended_on=date(2026, 2, 8),
    quantity=2_800_000,
    energy_kwh=Decimal(560),
    number_format="INT8",
    quality=Decimal("0.796"),
)


def test_the_same_task_with_less_energy() -> None:
    found = efficiency.compare(BEFORE, AFTER, Decimal("0.01"))

    assert [found.before_wh, found.after_wh] == [340, 200]
    assert found.saving == Fraction(140, 340)
    assert (found.quality_change, found.within_tolerance) == (Fraction(-1, 200), True)
    assert not efficiency.compare(BEFORE, AFTER, Decimal("0.0049")).within_tolerance


def test_tokens_are_counted_by_the_million() -> None:
    assert efficiency.intensity_wh(replace(BEFORE, counted="tokens")) == 340_000


@pytest.mark.parametrize(
    ("side", "change", "code"),
    [
        ("after", {"task_class": "summarisation"}, "task_class_differs"),
        ("after", {"counted": "tokens"}, "counted_differs"),
        ("after", {"boundary": "accelerators"}, "boundary_differs"),
        ("after", {"quality_measure": "HellaSwag"}, "quality_measure_differs"),
        ("after", {"started_on": date(2026, 1, 11)}, "after_not_after"),
        ("before", {"ended_on": date(2026, 1, 4)}, "dates_out_of_order"),
        ("before", {"quantity": 0}, "nothing_counted"),
        ("after", {"energy_kwh": Decimal(0)}, "energy_missing"),
        ("after", {"energy_kwh": Decimal("0.000000000001")}, "intensity_implausible"),
        ("before", {"quality": Decimal(0)}, "quality_out_of_range"),
        ("before", {"batch_size": None}, "batch_not_declared"),
        ("after", {"number_format": ""}, "precision_not_declared"),
        ("after", {"hardware": ""}, "hardware_not_declared"),
        ("after", {"hardware": "B200"}, "change_not_named"),
        ("after", {"batch_size": 16}, "change_not_named"),
        ("after", {"zone": "SWE"}, "change_not_named"),
    ],
)
def test_what_cannot_be_compared_is_refused(side: str, change: dict[str, object], code: str) -> None:
    before = replace(BEFORE, **change) if side == "before" else BEFORE  # type: ignore[arg-type]
    after = replace(AFTER, **change) if side == "after" else AFTER  # type: ignore[arg-type]

    assert efficiency.faults(BEFORE, AFTER, ["quantisation"]) == ()
    assert [fault.code for fault in efficiency.faults(before, after, ["quantisation"])] == [code]


def test_a_change_that_is_named_may_be_compared() -> None:
    moved = replace(AFTER, hardware="B200", batch_size=16, zone="SWE")

    assert efficiency.faults(BEFORE, moved, ["quantisation", "hardware", "batching", "siting"]) == ()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Fraction(340), "340"),
        (Fraction(199_950, 1_000), "200"),
        (Fraction(1, 3), "0.333"),
        (Fraction(2, 3_000_000), "0.000000667"),
        (Fraction(9_995, 10), "1000"),
        (Fraction(123_456_789), "123000000"),
        (Fraction(12_345, 10_000), "1.23"),
        (Fraction(12_350, 10_000), "1.24"),
    ],
)
def test_three_digits_are_published(value: Fraction, shown: str) -> None:
    assert f"{efficiency.published(value):f}" == shown


@given(st.fractions(min_value=Fraction(1, 10**6), max_value=10**12))
def test_a_published_figure_is_near_and_keeps_no_more_than_three_digits(value: Fraction) -> None:
    shown = efficiency.published(value)

    assert abs(Fraction(shown) - value) <= value / 200
    assert len(f"{shown:f}".replace(".", "").strip("0")) <= 3


@pytest.mark.parametrize(
    ("share", "shown"), [(Fraction(140, 340), "41.2"), (Fraction(-1, 2000), "-0.1"), (Fraction(0), "0.0")]
)
def test_savings_are_published_with_one_place(share: Fraction, shown: str) -> None:
    assert str(efficiency.published_percent(share)) == shown


def test_energy_far_from_usual_is_remarked() -> None:
    assert efficiency.remarks(BEFORE) == ()
    assert "60" in efficiency.remarks(replace(BEFORE, energy_kwh=Decimal(180_000)))[0]
    assert efficiency.remarks(replace(BEFORE, task_class="embedding", energy_kwh=Decimal(180_000))) == ()


FIELDS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.integers(1, 30).map(lambda tenth: Decimal(tenth) / 10), max_size=12
)


@given(FIELDS)
def test_places_are_those_of_a_podium(wh: dict[str, Decimal]) -> None:
    assert efficiency.places(wh) == {name: 1 + sum(other < mine for other in wh.values()) for name, mine in wh.items()}


@given(FIELDS, st.sampled_from(StarRule))
def test_an_edition_follows_from_its_document_alone(wh: dict[str, Decimal], rule: StarRule) -> None:
    document, given_stars = efficiency.edition(
        task_class="text_generation", counted="tokens", boundary="site", rule=rule, on=date(2026, 3, 2), wh=wh
    )

    assert efficiency.reissued(document) == (sha256(document), given_stars)
    twin = {}
    for name, mine in wh.items():
        if rule is StarRule.QUINTILE:
            better = sum(other < mine for other in wh.values())
            twin[name] = 5 - int(Fraction(better * 5, len(wh)))
        else:
            low, high = min(wh.values()), max(wh.values())
            share = Fraction(mine - low) / Fraction(high - low) if high > low else Fraction(0)
            twin[name] = next(star for star in (5, 4, 3, 2, 1) if share * 5 <= 6 - star)
    assert given_stars == twin


def test_a_field_is_summed_up_from_three_organisations_on() -> None:
    rows = [
        ("Acme", ["pruning"], Decimal(10)),
        ("Acme", ["batching"], Decimal(20)),
        ("Bora", ["batching"], Decimal(40)),
    ]

    few, enough = efficiency.summary(rows), efficiency.summary([*rows, ("Cob", ["batching", "other"], Decimal(30))])

    assert (few.measures, few.organisations, few.median_saving, dict(few.by_kind)) == (3, 2, None, {})
    assert (enough.median_saving, enough.by_kind) == (Decimal(25), {"batching": 3, "other": 1, "pruning": 1})
