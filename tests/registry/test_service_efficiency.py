"""Efficiency measures from draft to label: who may, what is refused, what is frozen, and what the public reads."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pgtrigger
import pytest
from django.db import DatabaseError, transaction

from accounts.models import Task
from accounts.selectors import scope_of
from common.errors import Forbidden, Refused, SeveralRefusals, Unknown
from common.invariants import check_all
from registry.efficiency_invariants import INVARIANTS as OF_EFFICIENCY
from registry.models import MEASURE, EfficiencyLabel, EfficiencyMeasure, EfficiencyMeasurement, LabelEdition, Scheme
from registry.services.efficiency import labels, league, measures
from registry.services.monitoring import sites, systems, workloads
from tests.cast import OPENING, Clock, Party, Regulator, accredit
from tests.registry.frugal import AFTER, BEFORE, FIELD, attested, published, recorded, submitted, told


@pytest.fixture(autouse=True)
def _the_clock_stands(clock: Clock) -> Iterator[None]:
    yield


def codes(refusal: pytest.ExceptionInfo[Refused]) -> set[str]:
    value = refusal.value
    return {one.code for one in value.refusals} if isinstance(value, SeveralRefusals) else {value.code}


def test_a_measure_goes_from_draft_to_the_league_table(acme: Party, verity: Party, scheme: Scheme) -> None:
    measure = published(acme, verity, scheme)

    (row,) = league.league(FIELD).rows
    assert (row.place, row.measure, row.label) == (1, measure, None)
    assert [row.figures.before_wh, row.figures.after_wh] == [340, 200]
    assert (row.figures.saving_percent, row.figures.quality_percent) == (Decimal("41.2"), Decimal("-0.5"))
    assert row.figures.within_tolerance
    assert [(field, many, firms) for field, many, firms in league.fields()] == [(FIELD, 1, 1)]
    statement = measure.statement
    assert statement.document["measurements"]["after"]["quantity"] == "2800000"
    assert measures.side(measure, "before").number_format == "BF16"
    assert Task.objects.get(kind="verification", key__endswith=str(measure.pk)).status == "completed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kinds": []}, "kind_unknown"),
        ({"kinds": ["magic"]}, "kind_unknown"),
        ({"description": " "}, "description_missing"),
        ({"quality_tolerance": Decimal("1.1")}, "tolerance_out_of_range"),
        ({"quality_tolerance": Decimal("0.0000001")}, "tolerance_out_of_range"),
        ({"ai_model": None}, "subject_unknown"),
        ({"after": replace(AFTER, task_class="juggling")}, "choice_unknown"),
        ({"after": replace(AFTER, ended_on=date(2026, 3, 3))}, "measured_in_the_future"),
        ({"after": replace(AFTER, energy_kwh=Decimal("1e30"))}, "energy_out_of_range"),
        ({"after": replace(AFTER, energy_kwh=Decimal("123456789012345678.0000000000001"))}, "energy_out_of_range"),
        ({"after": replace(AFTER, boundary="servers")}, "boundary_differs"),
        ({"after": replace(AFTER, zone="fr!")}, "not_a_zone"),
        ({"before": replace(BEFORE, quantity=10**24)}, "quantity_out_of_range"),
        ({"title": ""}, "name_missing"),
        ({"proof_after": ("run.exe", b"MZ\x00")}, "file_type_refused"),
    ],
)
def test_what_says_too_little_or_cannot_be_compared_is_refused(
    acme: Party, scheme: Scheme, change: dict[str, object], code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        measures.record_measure(
            actor=acme.initiator,
            organisation=acme.organisation,
            told=replace(told(acme, scheme), **change),  # type: ignore[arg-type]
            now=OPENING,
        )

    assert code in codes(refusal)
    assert not EfficiencyMeasure.objects.exists()
    assert not EfficiencyMeasurement.objects.exists()


def test_a_workload_of_ones_own_may_be_measured(acme: Party, borealis: Party, scheme: Scheme) -> None:
    site = sites.open_site(
        actor=acme.initiator,
        organisation=acme.organisation,
        name="Lyon",
        country="FRA",
        opened_on=date(2025, 1, 1),
        now=OPENING,
    )
    rack = systems.open_system(
        actor=acme.initiator,
        site=site,
        name="Rack",
        hardware="H100",
        devices=8,
        watts_per_device=Decimal(700),
        opened_on=date(2025, 1, 1),
        now=OPENING,
    )
    stream = workloads.open_workload(
        actor=acme.initiator, system=rack, name="chat", kind="stream", activity="inference", now=OPENING
    )
    mine = replace(told(acme, scheme), workload=stream, ai_model=None)
    theirs = replace(told(borealis, scheme), workload=stream, ai_model=None)

    measure = measures.record_measure(actor=acme.initiator, organisation=acme.organisation, told=mine, now=OPENING)
    with pytest.raises(Refused) as refusal:
        measures.record_measure(actor=borealis.initiator, organisation=borealis.organisation, told=theirs, now=OPENING)

    assert (measure.workload, codes(refusal)) == (stream, {"subject_unknown"})


def test_only_the_firm_acts_on_its_measure(acme: Party, borealis: Party, verity: Party, scheme: Scheme) -> None:
    with pytest.raises(Forbidden):
        measures.record_measure(actor=acme.viewer, organisation=acme.organisation, told=told(acme, scheme), now=OPENING)
    measure = recorded(acme, scheme)
    accredit(verity, scheme)
    with pytest.raises(Forbidden):
        measures.submit_measure(actor=borealis.initiator, measure=measure, verifier=verity.organisation, now=OPENING)
    with pytest.raises(Forbidden):
        measures.withdraw_measure(actor=verity.verifier, measure=measure, reason="Not yet handed over.", now=OPENING)
    measure = attested(verity, submitted(acme, verity, measure))
    with pytest.raises(Forbidden):
        measures.publish_measure(actor=borealis.initiator, measure=measure, now=OPENING)
    with pytest.raises(Forbidden):
        measures.withdraw_measure(actor=verity.verifier, measure=measure, reason="Too late.", now=OPENING)


def test_a_verifier_is_accredited_independent_and_the_chosen_one(
    acme: Party, borealis: Party, verity: Party, scheme: Scheme
) -> None:
    measure = recorded(acme, scheme)
    for verifier, code in ((verity, "verifier_not_accredited"), (borealis, "not_a_verifier")):
        with pytest.raises(Refused) as refusal:
            measures.submit_measure(actor=acme.initiator, measure=measure, verifier=verifier.organisation, now=OPENING)
        assert refusal.value.code == code
    submitted(acme, verity, measure)
    measure.refresh_from_db()
    assert measures.may_attest(verity.verifier, measure)
    assert not measures.may_attest(verity.viewer, measure)
    with pytest.raises(Forbidden):
        measures.attest_measure(
            actor=acme.initiator, measure=measure, findings="Fine.", key_id="x", signature="x", now=OPENING
        )
    with pytest.raises(Refused) as refusal:
        measures.attest_measure(actor=verity.verifier, measure=measure, findings=" ", key_id="x", now=OPENING)
    assert refusal.value.code == "findings_missing"
    long_after = OPENING + timedelta(days=30 * 366)
    with pytest.raises(Refused) as refusal:
        attested(verity, measure, long_after)
    assert refusal.value.code == "verifier_not_accredited"


def test_others_do_not_see_a_draft(acme: Party, borealis: Party, verity: Party, scheme: Scheme) -> None:
    measure = recorded(acme, scheme)

    def sees(who: Party, role: str = "viewer") -> bool:
        return measures.visible(scope_of(getattr(who, role))).filter(pk=measure.pk).exists()

    assert (sees(acme), sees(borealis), sees(verity)) == (True, False, False)
    submitted(acme, verity, measure)
    assert (sees(borealis), sees(verity)) == (False, True)


def test_a_published_measure_that_is_withdrawn_stays_marked(
    acme: Party, verity: Party, scheme: Scheme, regulator: Regulator
) -> None:
    measure = published(acme, verity, scheme)

    with pytest.raises(Refused) as refusal:
        measures.withdraw_measure(actor=regulator.desk, measure=measure, reason=" ", now=OPENING)
    measures.withdraw_measure(actor=regulator.desk, measure=measure, reason="The meter was wrong.", now=OPENING)

    assert refusal.value.code == "reason_missing"
    assert league.league(FIELD).rows == []
    assert league.public().get().withdrawal_reason == "The meter was wrong."


def test_a_lost_quality_is_shown(acme: Party, verity: Party, scheme: Scheme) -> None:
    lossy = replace(told(acme, scheme), quality_tolerance=Decimal(0))
    measure = measures.record_measure(actor=acme.initiator, organisation=acme.organisation, told=lossy, now=OPENING)

    figures = league.figures(measures.rows().get(pk=measure.pk))

    assert (figures.quality_percent, figures.within_tolerance) == (Decimal("-0.5"), False)


# Labels ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def contested(acme: Party, borealis: Party, cobalt: Party, verity: Party, scheme: Scheme) -> list[EfficiencyMeasure]:
    """Three firms in one field, the best first."""
    return [
        published(acme, verity, scheme, 560),
        published(borealis, verity, scheme, 700),
        published(cobalt, verity, scheme, 1_400),
    ]


def test_an_edition_gives_dated_stars_by_its_rule(regulator: Regulator, contested: list[EfficiencyMeasure]) -> None:
    first = labels.issue_edition(actor=regulator.desk, field=FIELD, rule="equal_width", now=OPENING)
    second = labels.issue_edition(actor=regulator.desk, field=FIELD, rule="quintile", now=OPENING + timedelta(days=200))

    def stars(edition: LabelEdition) -> list[int]:
        return [EfficiencyLabel.objects.get(edition=edition, measure=measure).stars for measure in contested]

    assert (stars(first), stars(second)) == ([5, 5, 1], [5, 4, 2])
    assert labels.is_reproduced(first)
    assert labels.is_reproduced(second)
    shown = league.league(FIELD)
    assert [(row.place, row.label.edition if row.label else None) for row in shown.rows] == [
        (1, second),
        (2, second),
        (3, second),
    ]
    assert [label.edition for label in league.labels_of(contested[0])] == [second, first]
    assert (shown.summary.organisations, shown.summary.median_saving) == (3, Decimal("26.5"))


def test_a_label_stays_when_its_measure_is_withdrawn_and_a_changed_field_is_noticed(
    regulator: Regulator, acme: Party, contested: list[EfficiencyMeasure]
) -> None:
    edition = labels.issue_edition(actor=regulator.desk, field=FIELD, rule="quintile", now=OPENING)
    measures.withdraw_measure(actor=acme.initiator, measure=contested[0], reason="Sold.", now=OPENING)

    assert contested[0].labels.get().edition == edition
    assert labels.is_reproduced(edition)
    assert [(result.checked, result.broken) for result in check_all(OF_EFFICIENCY)] == [(1, False), (0, False)]
    edition.document["field"][0]["wh"] = "1000"
    with pgtrigger.ignore("registry.LabelEdition:append_only"):  # somebody who owns the database
        edition.save(update_fields=["document"])
    assert [result.broken for result in check_all(OF_EFFICIENCY)] == [True, False]


def test_an_edition_needs_a_field_a_rule_an_officer_and_a_day_of_its_own(
    regulator: Regulator, acme: Party, verity: Party, scheme: Scheme, contested: list[EfficiencyMeasure]
) -> None:
    with pytest.raises(Forbidden):
        labels.issue_edition(actor=acme.initiator, field=FIELD, rule="quintile", now=OPENING)
    labels.issue_edition(actor=regulator.desk, field=FIELD, rule="quintile", now=OPENING)
    for field, rule, code in (
        (FIELD, "quintile", "edition_issued_already"),
        (FIELD, "by_mood", "rule_unknown"),
        (FIELD._replace(counted="tokens"), "quintile", "field_too_small"),
    ):
        with pytest.raises(Refused) as refusal:
            labels.issue_edition(actor=regulator.desk, field=field, rule=rule, now=OPENING)
        assert refusal.value.code == code
    for slug in ("text_generation-requests", "juggling-requests-site", "text_generation-requests-site-x"):
        with pytest.raises(Unknown):
            league.field_named(slug)
    assert league.field_named(FIELD.slug) == FIELD


# The life of a measure ------------------------------------------------------------------------------------------------


def test_a_measure_takes_no_way_that_its_life_does_not_have(acme: Party, verity: Party, scheme: Scheme) -> None:
    measure = recorded(acme, scheme)
    steps = {
        "submitted": lambda: submitted(acme, verity, measure),
        "attested": lambda: attested(verity, measure),
        "published": lambda: measures.publish_measure(actor=acme.initiator, measure=measure, now=OPENING),
        "withdrawn": lambda: measures.withdraw_measure(
            actor=acme.initiator, measure=measure, reason="Over.", now=OPENING
        ),
    }
    for state in MEASURE.states:
        if state != "draft":
            steps[state]()
            measure.refresh_from_db()
        assert measure.status == state
        for other in MEASURE.states:
            if other == state or MEASURE.allows(state, other):
                continue
            with pytest.raises(DatabaseError), transaction.atomic():
                EfficiencyMeasure.objects.filter(pk=measure.pk).update(status=other)
            if other in steps:
                with pytest.raises(Refused):
                    steps[other]()


@pytest.mark.parametrize("change", [{"title": "Other"}, {"kinds": ["other"]}, {"quality_tolerance": 1}])
def test_what_was_recorded_is_frozen(acme: Party, scheme: Scheme, change: dict[str, object]) -> None:
    measure = recorded(acme, scheme)

    with pytest.raises(DatabaseError), transaction.atomic():
        EfficiencyMeasure.objects.filter(pk=measure.pk).update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        EfficiencyMeasurement.objects.filter(measure=measure).update(energy_kwh=1)
