"""Sites, systems, models and workloads: recorded by the firm's reporters, proven by files, ended and never deleted."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from accounts.models import AuditEvent
from common.errors import Forbidden, Refused
from registry import measuring
from registry.models import (
    AiModel,
    EvidenceFile,
    Period,
    ReportLine,
    Site,
    SitePue,
    System,
    SystemEvidence,
    Workload,
)
from registry.services import reports
from registry.services.monitoring import ai_models, sites, systems, workloads
from registry.services.reports import LineInput
from tests.cast import OPENING, YEAR, Party, Regulator
from tests.registry.monitored import BILL, operator_of

TODAY = OPENING.date()


def actions() -> list[str]:
    return list(
        AuditEvent.objects.filter(action__regex=r"^registry\.(site|system|ai_model|workload)")
        .order_by("id")
        .values_list("action", flat=True)
    )


def codes(act: Callable[..., object], changes: Iterable[dict[str, Any]]) -> list[str]:
    """Try an act with each change; it has to be refused each time. Return the codes."""
    found = []
    for change in changes:
        with pytest.raises(Refused) as refused:
            act(**change)
        found.append(refused.value.code)
    return found


# Sites ----------------------------------------------------------------------------------------------------------------


def test_a_site_runs_from_its_first_day_to_its_last(acme: Party, cluster: System, paris: Site) -> None:
    closed = sites.close_site(actor=acme.approver, site=paris, closed_on=TODAY, now=OPENING)

    assert (closed.zone, closed.closed_on) == ("FRA", TODAY)
    assert [system.closed_on for system in System.objects.all()] == [TODAY]
    assert [workload.ended_on for workload in Workload.objects.all()] == [TODAY]
    assert actions() == [
        "registry.site.opened",
        "registry.system.opened",
        "registry.system.proof_recorded",
        "registry.workload.opened",
        "registry.site.closed",
    ]


IMPOSSIBLE_SITES: list[tuple[dict[str, Any], str]] = [
    ({"name": "  "}, "name_missing"),
    ({"name": "x" * 121}, "name_missing"),
    ({"name": "a\x00b"}, "name_missing"),
    ({"name": "Paris"}, "name_taken"),
    ({"country": "France"}, "not_a_country"),
    ({"country": "F1A"}, "not_a_country"),
    ({"zone": "R2 D2"}, "not_a_zone"),
    ({"zone": "X"}, "not_a_zone"),
    ({"opened_on": TODAY + timedelta(days=1)}, "opening_day_implausible"),
    ({"opened_on": date(1999, 12, 31)}, "opening_day_implausible"),
]


def test_sites_that_cannot_be_are_refused(acme: Party, paris: Site) -> None:
    def open_site(**change: Any) -> None:
        values = {"name": "Lyon", "country": "FRA", "zone": "", "opened_on": TODAY, **change}
        sites.open_site(actor=acme.initiator, organisation=acme.organisation, now=OPENING, **values)

    assert codes(open_site, [change for change, _ in IMPOSSIBLE_SITES]) == [code for _, code in IMPOSSIBLE_SITES]
    assert Site.objects.count() == 1


def test_a_site_is_put_right_until_it_is_closed(acme: Party, paris: Site) -> None:
    changed = sites.change_site(
        actor=acme.initiator, site=paris, name="Paris Nord", country="fra", zone="rte", now=OPENING
    )
    sites.close_site(actor=acme.initiator, site=paris, closed_on=TODAY, now=OPENING)

    assert (changed.name, changed.country, changed.zone) == ("Paris Nord", "FRA", "RTE")
    with pytest.raises(Refused, match="was closed"):
        sites.change_site(actor=acme.initiator, site=paris, name="Paris", country="FRA", now=OPENING)
    with pytest.raises(Refused, match="was closed"):
        sites.close_site(actor=acme.initiator, site=paris, closed_on=TODAY, now=OPENING)


def test_the_place_of_a_site_stays_once_reports_rest_on_it(
    acme: Party, cluster: System, paris: Site, capped_period: Period
) -> None:
    report = reports.submit_lines(
        actor=acme.initiator,
        operator=operator_of(acme),
        period=capped_period,
        lines=[LineInput("Base model", "training", flop=1)],
        boundary="full stack",
        now=OPENING,
    )
    ReportLine.objects.create(
        report=report,
        number=2,
        label="Base model",
        activity="training",
        method="meter",
        workload=Workload.objects.get(),
    )

    with pytest.raises(Refused) as refused:
        sites.change_site(actor=acme.initiator, site=paris, name="Paris", country="FRA", zone="RTE", now=OPENING)

    assert refused.value.code == "site_in_reports"
    renamed = sites.change_site(actor=acme.initiator, site=paris, name="Paris Nord", country="FRA", now=OPENING)
    assert renamed.name == "Paris Nord"


def test_only_reporters_of_the_firm_record_anything(
    acme: Party, borealis: Party, regulator: Regulator, paris: Site
) -> None:
    for stranger in (acme.viewer, acme.trader, borealis.initiator, regulator.senior):
        with pytest.raises(Forbidden):
            sites.open_site(
                actor=stranger,
                organisation=acme.organisation,
                name="Lyon",
                country="FRA",
                opened_on=TODAY,
                now=OPENING,
            )
        with pytest.raises(Forbidden):
            sites.record_pue(actor=stranger, site=paris, year=YEAR, value=Decimal("1.2"), now=OPENING)


# PUE ------------------------------------------------------------------------------------------------------------------


def test_a_figure_counts_as_recorded_once_it_is_proven(acme: Party, paris: Site) -> None:
    def record(value: str, proof: tuple[str, bytes] | None = None) -> tuple[Decimal, bool]:
        sites.record_pue(actor=acme.initiator, site=paris, year=YEAR, value=Decimal(value), proof=proof, now=OPENING)
        return sites.pue(paris, YEAR)

    assert sites.pue(paris, YEAR) == (Decimal("1.5"), False)
    assert record("1.2") == (Decimal("1.5"), False)
    assert record("1.8") == (Decimal("1.8"), False)
    assert record("1.214", ("energy.csv", BILL)) == (Decimal("1.214"), True)
    assert record("1.25", ("energy.csv", BILL)) == (Decimal("1.25"), True)
    assert sites.pue(paris, YEAR - 1) == (Decimal("1.5"), False)
    assert sites.pues([paris.pk], YEAR) == {paris.pk: (Decimal("1.25"), True)}
    assert EvidenceFile.objects.count() == 1
    assert [record.value for record in measuring.newest_pues([paris.pk])] == [Decimal("1.25")]


IMPOSSIBLE_FIGURES = [
    (YEAR, "1.019", "pue_implausible"),
    (YEAR, "3.001", "pue_implausible"),
    (YEAR, "NaN", "pue_implausible"),
    (YEAR, "Infinity", "pue_implausible"),
    (YEAR, "1.2345", "pue_too_precise"),
    (YEAR - 2, "1.2", "year_without_site"),
    (YEAR + 1, "1.2", "year_without_site"),
]


def test_figures_that_cannot_be_are_refused(acme: Party, paris: Site) -> None:
    def record(year: int, value: str) -> None:
        sites.record_pue(actor=acme.initiator, site=paris, year=year, value=Decimal(value), now=OPENING)

    tried = [{"year": year, "value": value} for year, value, _ in IMPOSSIBLE_FIGURES]
    assert codes(record, tried) == [code for *_, code in IMPOSSIBLE_FIGURES]
    assert not SitePue.objects.exists()


def test_files_that_prove_nothing_leave_nothing_behind(acme: Party, paris: Site) -> None:
    def record(content: bytes) -> None:
        sites.record_pue(
            actor=acme.initiator, site=paris, year=YEAR, value=Decimal("1.2"), proof=("bill.csv", content), now=OPENING
        )

    contents = (b"", b"<html><script>alert(1)</script>", b"MZ\x90\x00", BILL * 250_000)
    assert codes(record, [{"content": content} for content in contents]) == [
        "empty_file",
        "file_type_refused",
        "file_type_refused",
        "file_too_large",
    ]
    assert not EvidenceFile.objects.exists()
    assert not SitePue.objects.exists()


def test_records_of_a_year_only_grow(acme: Party, paris: Site) -> None:
    sites.record_pue(actor=acme.initiator, site=paris, year=YEAR, value=Decimal("1.2"), now=OPENING)

    with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic():
        SitePue.objects.update(value=Decimal("1.1"))


# Systems --------------------------------------------------------------------------------------------------------------


def test_a_tier_is_raised_by_proof_and_lowered_with_a_reason(acme: Party, cluster: System) -> None:
    proof = systems.record_proof(
        actor=acme.initiator, system=cluster, tier=4, name="quote.json", content=b'{"quote": 1}', now=OPENING
    )
    cluster.refresh_from_db()
    raised = cluster.tier
    lowered = systems.lower_tier(actor=acme.initiator, system=cluster, tier=2, reason="The meter failed.", now=OPENING)

    assert (raised, proof.file.name, lowered.tier) == (4, "quote.json", 2)
    assert SystemEvidence.objects.count() == 2
    for tier, reason, code in ((2, "No.", "tier_not_lower"), (1, " ", "reason_missing"), (9, "No.", "tier_unknown")):
        with pytest.raises(Refused) as refused:
            systems.lower_tier(actor=acme.initiator, system=cluster, tier=tier, reason=reason, now=OPENING)
        assert refused.value.code == code


IMPOSSIBLE_SYSTEMS: list[tuple[dict[str, Any], str]] = [
    ({"tier": 2}, "tier_not_proven"),
    ({"tier": 6}, "tier_unknown"),
    ({"devices": 0}, "devices_out_of_range"),
    ({"devices": 10_000_001}, "devices_out_of_range"),
    ({"watts_per_device": Decimal(0)}, "watts_out_of_range"),
    ({"watts_per_device": Decimal("700.001")}, "watts_out_of_range"),
    ({"watts_per_device": Decimal("NaN")}, "watts_out_of_range"),
    ({"peak_flop_per_second": Decimal("1E+22")}, "peak_out_of_range"),
    ({"hardware": ""}, "name_missing"),
    ({"number_format": "x" * 21}, "words_unreadable"),
    ({"name": "Cluster"}, "name_taken"),
    ({"opened_on": date(YEAR - 1, 4, 30)}, "opening_day_implausible"),
]


def test_systems_that_cannot_be_are_refused(acme: Party, cluster: System, paris: Site) -> None:
    def open_system(**change: Any) -> None:
        values = {
            "name": "Edge",
            "hardware": "L4",
            "devices": 8,
            "watts_per_device": Decimal(72),
            "opened_on": TODAY,
            **change,
        }
        systems.open_system(actor=acme.initiator, site=paris, now=OPENING, **values)

    assert codes(open_system, [change for change, _ in IMPOSSIBLE_SYSTEMS]) == [code for _, code in IMPOSSIBLE_SYSTEMS]
    assert System.objects.count() == 1


def test_machines_are_added_to_a_system_until_it_is_closed(acme: Party, cluster: System) -> None:
    def change(devices: int) -> System:
        return systems.change_system(
            actor=acme.initiator,
            system=cluster,
            hardware="H100 SXM",
            devices=devices,
            watts_per_device=Decimal(700),
            meter=cluster.meter,
            now=OPENING,
        )

    assert change(1024).devices == 1024
    event = AuditEvent.objects.filter(action="registry.system.changed").get()
    assert (event.details["before"]["devices"], event.details["after"]["devices"]) == ("512", "1024")
    with pytest.raises(Refused, match="Give the last day"):
        systems.close_system(actor=acme.initiator, system=cluster, closed_on=TODAY + timedelta(days=1), now=OPENING)
    assert systems.close_system(actor=acme.initiator, system=cluster, closed_on=TODAY, now=OPENING).closed_on == TODAY
    with pytest.raises(Refused, match="was closed"):
        change(512)


# Models and workloads -------------------------------------------------------------------------------------------------


def register(acme: Party, name: str, architecture: str = "dense", **facts: Any) -> AiModel:
    return ai_models.register_model(
        actor=acme.initiator,
        organisation=acme.organisation,
        name=name,
        architecture=architecture,
        now=OPENING,
        **facts,
    )


def test_models_know_how_many_parameters_a_token_uses(acme: Party) -> None:
    dense = register(acme, "Base", parameters=Decimal(70_000_000_000))
    sparse = register(acme, "Sparse", "moe", parameters=Decimal(10**12), active_parameters=Decimal(32 * 10**9))

    assert (dense.active_parameters, sparse.active_parameters) == (Decimal(70 * 10**9), Decimal(32 * 10**9))


IMPOSSIBLE_MODELS: list[tuple[str, dict[str, Any], str]] = [
    ("rnn", {}, "architecture_unknown"),
    ("dense", {"parameters": Decimal(0)}, "parameters_out_of_range"),
    ("dense", {"parameters": Decimal("1.5")}, "parameters_out_of_range"),
    ("dense", {"parameters": Decimal("NaN")}, "parameters_out_of_range"),
    ("dense", {"parameters": Decimal("1E+18")}, "parameters_out_of_range"),
    ("dense", {"parameters": Decimal(10), "active_parameters": Decimal(5)}, "active_parameters_differ"),
    ("moe", {"parameters": Decimal(10)}, "active_parameters_missing"),
    ("moe", {"parameters": Decimal(10), "active_parameters": Decimal(11)}, "active_parameters_beyond_all"),
    ("other", {"task_class": "x" * 41}, "words_unreadable"),
]


def test_models_that_cannot_be_are_refused(acme: Party) -> None:
    tried = [{"name": "Base", "architecture": kind, **facts} for kind, facts, _ in IMPOSSIBLE_MODELS]

    assert codes(partial(register, acme), tried) == [code for *_, code in IMPOSSIBLE_MODELS]
    assert not AiModel.objects.exists()


def test_no_model_descends_from_itself_or_from_another_firms(acme: Party, borealis: Party) -> None:
    base = register(acme, "Base")
    student = register(acme, "Student", upstream=base)
    foreign = ai_models.register_model(
        actor=borealis.initiator, organisation=borealis.organisation, name="Lab", architecture="other", now=OPENING
    )

    for upstream, code in ((student, "upstream_circle"), (base, "upstream_circle"), (foreign, "upstream_unknown")):
        with pytest.raises(Refused) as refused:
            ai_models.change_model(
                actor=acme.initiator, model=base, name="Base", architecture="dense", upstream=upstream, now=OPENING
            )
        assert refused.value.code == code


IMPOSSIBLE_WORKLOADS: list[tuple[dict[str, Any], str]] = [
    ({"name": "Base model"}, "name_taken"),
    ({"name": ""}, "name_missing"),
    ({"kind": "batch"}, "kind_unknown"),
    ({"activity": "sleeping"}, "activity_unknown"),
    ({"kind": "stream"}, "stream_serves"),
]


def test_workloads_that_cannot_be_are_refused(acme: Party, cluster: System) -> None:
    def open_workload(**change: Any) -> None:
        values = {"name": "Another", "kind": "run", "activity": "training", **change}
        workloads.open_workload(actor=acme.initiator, system=cluster, now=OPENING, **values)

    tried = [change for change, _ in IMPOSSIBLE_WORKLOADS]
    assert codes(open_workload, tried) == [code for _, code in IMPOSSIBLE_WORKLOADS]
    assert Workload.objects.count() == 1


def test_a_run_ends_once_and_on_a_day_that_has_come(acme: Party, cluster: System) -> None:
    run = Workload.objects.get()

    with pytest.raises(Refused, match="Give the last day"):
        workloads.end_workload(actor=acme.initiator, workload=run, ended_on=date(YEAR - 1, 4, 1), now=OPENING)
    assert workloads.end_workload(actor=acme.initiator, workload=run, ended_on=TODAY, now=OPENING).ended_on == TODAY
    with pytest.raises(Refused, match="ended on"):
        workloads.end_workload(actor=acme.initiator, workload=run, ended_on=TODAY, now=OPENING)


def test_nothing_that_reports_rest_on_is_deleted(acme: Party, cluster: System) -> None:
    register(acme, "Base")

    for model in (Site, System, AiModel, Workload):
        with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic():
            model._default_manager.all()._raw_delete("default")
