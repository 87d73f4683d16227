"""Filing reports: measured files, published figures and typed lines, all or nothing, each version kept."""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import transaction

from accounts.models import AuditEvent
from common.errors import Forbidden, Refused
from registry.engine.factors import BUILT_IN
from registry.models import Draft, EvidenceFile, Period, Report, ReportLine
from registry.services import operators, reports
from registry.services.drafting import evidence as files
from registry.services.reports import LineInput, RowsRefused
from tests import cast
from tests.cast import Clock, Party, Regulator

File = Callable[..., Report]
TRAINING = LineInput("Otter 7B", "training", flop=3 * 10**20, energy_kwh=Decimal("12.5"), country="FRA")

CODECARBON_HEADER = (
    "timestamp,project_name,run_id,duration,emissions,cpu_power,gpu_power,ram_power,cpu_energy,gpu_energy,ram_energy,"
    "energy_consumed,country_iso_code,codecarbon_version,tracking_mode,on_cloud,pue"
)


def codecarbon_file(*rows: str) -> bytes:
    """Return a CodeCarbon file with these rows."""
    return "\n".join([CODECARBON_HEADER, *rows, ""]).encode()


def run(number: int, energy: str = "2.0", country: str = "FRA", emissions: str = "0.5") -> str:
    """Return one run of an hour that drew its energy evenly."""
    watts = Decimal(energy) * 1000
    return (
        f"2026-05-0{number}T10:00:00,otter,0000000{number}-0000-4000-8000-000000000000,3600,{emissions},{watts},0,0,"
        f"{energy},0,0,{energy},{country},3.3.2,machine,N,1.0"
    )


@pytest.fixture
def type_lines(acme: Party, period: Period, clock: Clock) -> File:
    """Let Acme's initiator file typed lines."""
    clock.move_to(cast.REPORTING)

    def file(*lines: LineInput, **changes: object) -> Report:
        arguments = {
            "actor": acme.initiator,
            "operator": acme.operator,
            "period": period,
            "lines": lines or (TRAINING,),
            "boundary": "full stack",
            "now": clock.now(),
        }
        return reports.submit_lines(**(arguments | changes))  # type: ignore[arg-type]

    return file


@pytest.fixture
def carbon_period(regulator: Regulator, period: Period, acme: Party) -> Period:
    """An open period of a CO2e scheme in which Acme takes part too."""
    scheme = cast.co2e_scheme(regulator)
    operators.enrol(
        actor=regulator.desk,
        scheme=scheme,
        organisation=acme.organisation,
        cohort="large",
        first_year=cast.YEAR,
        now=cast.OPENING,
    )
    return cast.capped(regulator, cast.period_of(regulator, scheme))


@pytest.fixture
def send_file(acme: Party, carbon_period: Period, clock: Clock) -> File:
    """Let Acme's initiator file what CodeCarbon measured."""
    clock.move_to(cast.REPORTING)

    def file(content: bytes, **changes: object) -> Report:
        arguments = {
            "actor": acme.initiator,
            "operator": carbon_period.scheme.operators.get(organisation=acme.organisation),
            "period": carbon_period,
            "name": "emissions.csv",
            "content": content,
            "boundary": "one server",
            "activity": "inference",
            "now": clock.now(),
        }
        return reports.submit_codecarbon(**(arguments | changes))  # type: ignore[arg-type]

    return file


class TestTypedLines:
    """Published and declared figures."""

    def test_totals_come_from_the_lines(self, type_lines: File, clock: Clock, acme: Party) -> None:
        report = type_lines(TRAINING, LineInput("Serving", "inference", flop=10**18))

        assert (report.version, report.status, report.kind) == (1, "submitted", "operator")
        assert (int(report.flop), report.energy_kwh) == (3 * 10**20 + 10**18, Decimal("12.5"))
        assert (report.received_at, report.submitted_by) == (clock.now(), acme.initiator)
        assert AuditEvent.objects.get(action="registry.report.submitted").subject_id == str(report.pk)

    def test_emissions_follow_from_our_own_factor_not_from_the_claim(self, type_lines: File) -> None:
        report = type_lines(
            LineInput("Otter", "training", energy_kwh=Decimal(100), country="FRA", claimed_co2e_g=Decimal(1))
        )

        line = report.lines.get()
        factor = BUILT_IN.factor("FRA")
        assert (line.factor_g_per_kwh, line.co2e_g, line.claimed_co2e_g) == (
            factor.g_per_kwh,
            100 * factor.g_per_kwh,
            Decimal(1),
        )
        assert line.factor_source == f"{BUILT_IN.version}: FRA {factor.year}"

    def test_an_unknown_country_is_flagged_and_gets_the_worlds_average(self, type_lines: File) -> None:
        report = type_lines(LineInput("Otter", "training", energy_kwh=Decimal(1), country="XXX"))

        assert [flag["code"] for flag in report.flags] == ["country_unknown"]
        assert report.co2e_g == BUILT_IN.default.g_per_kwh

    @pytest.mark.parametrize(
        ("line", "column", "code"),
        [
            (LineInput(" ", "training"), "label", "missing_value"),
            (LineInput("x" * 201, "training"), "label", "missing_value"),
            (LineInput("Otter", "mining"), "activity", "activity_unknown"),
            (LineInput("Otter", "training", flop=-1), "flop", "number_out_of_range"),
            (LineInput("Otter", "training", flop=10**36), "flop", "number_out_of_range"),
            (LineInput("Otter", "training", flop=Decimal("NaN")), "flop", "number_out_of_range"),
            (LineInput("Otter", "training", flop=Decimal("1.5")), "flop", "not_whole"),
            (LineInput("Otter", "training", energy_kwh=Decimal("Infinity")), "energy_kwh", "number_out_of_range"),
            (LineInput("Otter", "training", energy_kwh=Decimal(-1)), "energy_kwh", "number_out_of_range"),
            (LineInput("Otter", "training", country="France"), "country", "not_a_country"),
            (
                LineInput("Otter", "training", claimed_co2e_g=Decimal(-1)),
                "claimed_co2e_g",
                "number_out_of_range",
            ),
        ],
    )
    def test_every_wrong_cell_is_named(self, type_lines: File, line: LineInput, column: str, code: str) -> None:
        with pytest.raises(RowsRefused) as refused:
            type_lines(TRAINING, line)

        assert [(e.line, e.column, e.code) for e in refused.value.errors] == [(2, column, code)]
        assert refused.value.code == "rows_refused"
        assert not Report.objects.exists()

    def test_all_wrong_lines_are_named_at_once(self, type_lines: File) -> None:
        with pytest.raises(RowsRefused) as refused:
            type_lines(LineInput("", "training"), TRAINING, LineInput("Otter", "mining", flop=-1))

        assert [(e.line, e.column) for e in refused.value.errors] == [(1, "label"), (3, "activity"), (3, "flop")]

    def test_a_report_has_lines(self, type_lines: File) -> None:
        with pytest.raises(RowsRefused) as refused:
            type_lines(lines=())

        assert [error.code for error in refused.value.errors] == ["no_lines"]

    def test_a_year_without_use_is_reported_as_zero(self, type_lines: File) -> None:
        assert type_lines(LineInput("Nothing ran", "training")).flop == 0


class TestCodeCarbon:
    """Measured energy, recomputed emissions, and the file itself as evidence."""

    def test_the_files_energy_counts_and_its_emissions_do_not(self, send_file: File) -> None:
        content = codecarbon_file(run(1, "2.0"), run(2, "3.0"))

        report = send_file(content)

        factor = BUILT_IN.factor("FRA").g_per_kwh
        assert (report.energy_kwh, report.co2e_g) == (Decimal(5), 5 * factor)
        assert [line.claimed_co2e_g for line in report.lines.order_by("number")] == [500, 500]
        assert {flag["code"] for flag in report.flags} == {"reported_emissions_differ"}

    def test_the_file_is_kept_as_it_came(self, send_file: File, acme: Party, clock: Clock) -> None:
        content = codecarbon_file(run(1))

        evidence = send_file(content).evidence

        assert evidence is not None
        assert files.read_all(evidence) == content
        assert evidence.sha256 == hashlib.sha256(content).hexdigest()
        assert (evidence.size, evidence.received_from, evidence.received_at) == (
            len(content),
            acme.initiator,
            clock.now(),
        )

    def test_a_bad_file_is_refused_with_every_error_and_nothing_is_stored(self, send_file: File) -> None:
        content = codecarbon_file(run(1, energy="2.0").replace(",3600,", ",0,"), run(2, country="France"), run(3))

        with pytest.raises(RowsRefused) as refused:
            send_file(content)

        assert [(e.line, e.column) for e in refused.value.errors] == [(2, "duration"), (3, "country_iso_code")]
        assert not Report.objects.exists()
        assert not EvidenceFile.objects.exists()

    def test_a_scheme_that_counts_flop_learns_nothing_from_it(
        self, send_file: File, acme: Party, period: Period
    ) -> None:
        with pytest.raises(Refused) as refused:
            send_file(codecarbon_file(run(1)), operator=acme.operator, period=period)

        assert refused.value.code == "metric_not_measured"

    def test_an_unknown_activity_is_refused(self, send_file: File) -> None:
        with pytest.raises(Refused) as refused:
            send_file(codecarbon_file(run(1)), activity="mining")

        assert refused.value.code == "activity_unknown"

    @pytest.mark.parametrize("version", ["v2.3.5", "v2.8.4", "v3.0.0", "v3.1.0", "v3.3.2"])
    @pytest.mark.parametrize("name", ["emissions.csv", "emissions_pue_1.5.csv"])
    def test_genuine_files_of_every_version_are_taken(
        self, send_file: File, shared_data: Path, version: str, name: str
    ) -> None:
        content = (shared_data / "codecarbon" / version / name).read_bytes()

        report = send_file(content)

        assert report.energy_kwh == sum(line.energy_kwh for line in report.lines.all()) > 0
        for line in report.lines.all():
            assert line.factor_g_per_kwh is not None
            assert abs(line.co2e_g - line.energy_kwh * line.factor_g_per_kwh) <= Decimal("0.000001")


class TestEpoch:
    """Training compute of one organisation in one year, from the published file."""

    HEADER = "Model,Organization,Publication date,Training compute (FLOP)"

    @pytest.fixture
    def send_models(self, acme: Party, period: Period, clock: Clock) -> File:
        """Let Acme file the models of Otter Labs of 2025."""
        clock.move_to(cast.REPORTING)

        def file(*rows: str, **changes: object) -> Report:
            arguments = {
                "actor": acme.initiator,
                "operator": acme.operator,
                "period": period,
                "name": "models.csv",
                "content": "\n".join([self.HEADER, *rows, ""]).encode(),
                "organisation": "Otter Labs",
                "year": 2025,
                "boundary": "training",
                "now": clock.now(),
            }
            return reports.submit_epoch(**(arguments | changes))  # type: ignore[arg-type]

        return file

    def test_only_that_organisation_and_year_count(self, send_models: File) -> None:
        report = send_models(
            "Otter 1,Otter Labs,2025-02-01,3e24",
            'Otter 2,"Otter Labs,Heron",2025-03-01,5e24',
            "Otter 0,Otter Labs,2024-12-31,1e24",
            "Heron 1,Heron,2025-01-01,9e24",
        )

        assert report.flop == 3 * 10**24 + 5 * 10**24 // 2
        assert list(report.lines.order_by("number").values_list("number", "source_line", "label", "method")) == [
            (1, 2, "Otter 1", "epoch"),
            (2, 3, "Otter 2", "epoch"),
        ]

    def test_a_file_without_such_models_is_refused(self, send_models: File) -> None:
        with pytest.raises(Refused) as refused:
            send_models("Heron 1,Heron,2025-01-01,9e24")

        assert refused.value.code == "no_lines"

    def test_a_bad_file_is_refused_with_its_lines(self, send_models: File) -> None:
        with pytest.raises(RowsRefused) as refused:
            send_models("Otter 1,Otter Labs,2025-02-01,lots", "Otter 1,Otter Labs,yesterday,3e24")

        assert {error.line for error in refused.value.errors} == {2, 3}

    def test_a_scheme_that_counts_emissions_learns_nothing_from_it(
        self, send_models: File, carbon_period: Period, acme: Party
    ) -> None:
        with pytest.raises(Refused) as refused:
            send_models(
                "Otter 1,Otter Labs,2025-02-01,3e24",
                operator=carbon_period.scheme.operators.get(organisation=acme.organisation),
                period=carbon_period,
            )

        assert refused.value.code == "metric_not_measured"

    def test_the_genuine_file_is_taken(self, send_models: File, shared_data: Path) -> None:
        content = (shared_data / "epoch" / "notable_ai_models_2025-12-02.csv").read_bytes()

        report = send_models(content=content, organisation="Meta AI", year=2024)

        assert report.flop > 10**25
        assert report.evidence is not None


class TestVersions:
    """What was received stays; a correction is a new version."""

    def test_the_same_content_again_is_the_first_report(self, type_lines: File) -> None:
        first = type_lines()

        assert type_lines() == first
        assert AuditEvent.objects.filter(action="registry.report.submitted").count() == 1
        assert list(Draft.objects.values_list("status", "report")) == [("filed", first.pk)]

    def test_other_content_is_the_next_version(self, type_lines: File) -> None:
        first = type_lines()

        second = type_lines(LineInput("Otter 7B", "training", flop=1))

        assert (first.version, second.version) == (1, 2)
        first.refresh_from_db()
        assert first.status == "corrected"

    def test_going_back_to_earlier_content_is_a_version_too(self, type_lines: File) -> None:
        type_lines()
        type_lines(LineInput("Otter 7B", "training", flop=1))

        assert type_lines().version == 3

    def test_one_file_in_two_reports_is_kept_once(self, send_file: File) -> None:
        content = codecarbon_file(run(1))

        first, second = send_file(content), send_file(content, boundary="two servers")

        assert (first.evidence, second.version) == (second.evidence, 2)
        assert EvidenceFile.objects.count() == 1

    def test_a_verified_report_cannot_be_corrected_once_the_closing_began(
        self, type_lines: File, verity: Party, period: Period, clock: Clock
    ) -> None:
        cast.judge(verity, type_lines(), now=clock.now())
        correction = type_lines(LineInput("Otter 7B", "training", flop=1))
        with transaction.atomic():
            Period.objects.filter(pk=period.pk).update(status="closing")

        with pytest.raises(Refused) as filing:
            type_lines(LineInput("Otter 7B", "training", flop=2))
        with pytest.raises(Refused) as verifying:
            cast.judge(verity, correction, now=clock.now())

        assert filing.value.code == verifying.value.code == "period_closed"

    def test_a_report_that_never_came_may_still_come(self, type_lines: File, period: Period) -> None:
        Period.objects.filter(pk=period.pk).update(status="closing")

        assert type_lines().version == 1


class TestWhoAndWhat:
    """Who may file, and for what."""

    def test_only_the_operators_own_people_file(
        self, type_lines: File, acme: Party, borealis: Party, regulator: Regulator, verity: Party
    ) -> None:
        for stranger in (acme.viewer, acme.trader, borealis.initiator, regulator.desk, verity.verifier):
            with pytest.raises(Forbidden):
                type_lines(actor=stranger)

    def test_a_draft_period_takes_no_report(self, type_lines: File, regulator: Regulator, period: Period) -> None:
        draft = cast.period_of(regulator, period.scheme, cast.YEAR + 1)

        with pytest.raises(Refused) as refused:
            type_lines(period=draft)

        assert refused.value.code == "period_not_open"

    def test_another_schemes_period_takes_no_report(self, type_lines: File, carbon_period: Period) -> None:
        with pytest.raises(Refused) as refused:
            type_lines(period=carbon_period)

        assert refused.value.code == "period_of_another_scheme"

    def test_nobody_reports_for_a_year_before_the_first_or_an_excluded_one(
        self, type_lines: File, regulator: Regulator, acme: Party, period: Period
    ) -> None:
        newcomer = cast.operator(regulator, period.scheme, "Dunlin", "firm", "small", first_year=cast.YEAR + 1)
        assert acme.operator is not None
        operators.exclude_year(
            actor=regulator.desk, operator=acme.operator, year=cast.YEAR, reason="Idle.", now=cast.REPORTING
        )

        for actor, operator in ((newcomer.initiator, newcomer.operator), (acme.initiator, acme.operator)):
            with pytest.raises(Refused) as refused:
                type_lines(actor=actor, operator=operator)
            assert refused.value.code == "operator_not_liable"

    def test_the_boundary_is_said(self, type_lines: File) -> None:
        with pytest.raises(Refused) as refused:
            type_lines(boundary="  ")

        assert refused.value.code == "boundary_missing"


class TestReturn:
    """A report that is not good enough goes back with a reason."""

    @pytest.mark.parametrize("who", ["verifier", "desk"])
    def test_a_verifier_or_an_officer_returns_it(
        self, type_lines: File, verity: Party, regulator: Regulator, who: str
    ) -> None:
        actor = verity.verifier if who == "verifier" else regulator.desk
        filed = type_lines()
        cast.engage(verity, filed.operator, filed.period, cast.REPORTING)

        returned = reports.return_report(
            actor=actor, report=filed, reason="Where is the second site?", now=cast.REPORTING
        )

        assert (returned.status, returned.return_reason) == ("returned", "Where is the second site?")
        assert AuditEvent.objects.filter(action="registry.report.returned").count() == 1

    def test_the_same_content_does_not_come_back_as_new(self, type_lines: File, regulator: Regulator) -> None:
        first = type_lines()
        reports.return_report(actor=regulator.desk, report=first, reason="Incomplete.", now=cast.REPORTING)

        assert type_lines() == first

    def test_it_needs_a_reason_and_happens_once(self, type_lines: File, regulator: Regulator) -> None:
        report = type_lines()

        with pytest.raises(Refused) as silent:
            reports.return_report(actor=regulator.desk, report=report, reason=" ", now=cast.REPORTING)
        reports.return_report(actor=regulator.desk, report=report, reason="No.", now=cast.REPORTING)
        with pytest.raises(Refused) as again:
            reports.return_report(actor=regulator.desk, report=report, reason="No.", now=cast.REPORTING)

        assert (silent.value.code, again.value.code) == ("reason_missing", "report_not_returned_to_returned")

    def test_the_operator_does_not_return_its_own(self, type_lines: File, acme: Party) -> None:
        with pytest.raises(Forbidden):
            reports.return_report(actor=acme.approver, report=type_lines(), reason="Oops.", now=cast.REPORTING)


def test_lines_know_where_they_come_from(type_lines: File) -> None:
    type_lines()

    assert ReportLine.objects.get().method == "declared"
