"""Drafts: files, typed lines and meters come together in one draft, and filing it makes a version."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import openpyxl
import pytest
from django.db import connection, transaction

from common.errors import Forbidden, Refused
from registry.models import Draft, DraftLine, EvidenceFile, Period, Report, ReportFile, System, Upload
from registry.services import operators
from registry.services.drafting import drafts, evidence, filing, reading, uploads
from registry.services.monitoring import sites
from registry.services.reports import LineInput
from registry.serving_invariants import INVARIANTS
from tests import cast
from tests.cast import Clock, Party, Regulator
from tests.registry.gridded import AVERAGE, intensity_file, load

HEADER = (
    "timestamp,project_name,run_id,duration,emissions,cpu_power,gpu_power,ram_power,cpu_energy,gpu_energy,ram_energy,"
    "energy_consumed,country_iso_code,codecarbon_version,tracking_mode,on_cloud,pue"
)
Send = Callable[..., Upload]


def run(number: int, energy: str = "2.0", country: str = "FRA", duration: str = "3600") -> str:
    """Return one run that drew its energy evenly over an hour."""
    watts = Decimal(energy) * 1000
    return (
        f"2026-05-01T10:00:00,otter,{number:08d}-0000-4000-8000-000000000000,{duration},0.112078,{watts},0,0,"
        f"{energy},0,0,{energy},{country},3.3.2,machine,N,1.0"
    )


def csv(*rows: str) -> bytes:
    """Return a CodeCarbon file."""
    return "\n".join([HEADER, *rows, ""]).encode()


@pytest.fixture
def carbon_period(regulator: Regulator, period: Period, acme: Party, clock: Clock) -> Period:
    """An open period of a CO2e scheme in which Acme takes part; its year is over."""
    scheme = cast.co2e_scheme(regulator)
    operators.enrol(
        actor=regulator.desk,
        scheme=scheme,
        organisation=acme.organisation,
        cohort="large",
        first_year=cast.YEAR,
        now=cast.OPENING,
    )
    capped = cast.capped(regulator, cast.period_of(regulator, scheme))
    clock.move_to(cast.REPORTING)
    return capped


@pytest.fixture
def draft(acme: Party, carbon_period: Period, clock: Clock) -> Draft:
    """The draft that Acme opened."""
    operator = carbon_period.scheme.operators.get(organisation=acme.organisation)
    return drafts.open_draft(actor=acme.initiator, operator=operator, period=carbon_period, now=clock.now())


@pytest.fixture
def send(draft: Draft, acme: Party, clock: Clock) -> Send:
    """Let Acme's initiator send a file, and read it as the worker does."""

    def send(content: bytes, name: str = "emissions.csv", **changes: object) -> Upload:
        arguments = {
            "actor": acme.initiator,
            "draft": draft,
            "name": name,
            "file": io.BytesIO(content),
            "options": {"activity": "inference"},
            "now": clock.now(),
        }
        upload = uploads.receive(**(arguments | changes))  # type: ignore[arg-type]
        reading.read_upload(upload.pk)
        upload.refresh_from_db()
        return upload

    return send


def file(draft: Draft, by: Party, clock: Clock, boundary: str = "one cluster") -> Report:
    return drafts.file_draft(actor=by.initiator, draft=draft, boundary=boundary, now=clock.now())


class TestUploads:
    """All of a file counts, or nothing of it."""

    def test_a_file_becomes_lines_and_the_draft_a_report(
        self, send: Send, draft: Draft, acme: Party, clock: Clock
    ) -> None:
        upload = send(csv(run(1), run(2, "3.0")))
        assert (upload.status, upload.format, upload.rows, upload.position) == (
            "read",
            "codecarbon",
            2,
            upload.file.size,
        )

        report = file(draft, acme, clock)

        assert (report.energy_kwh, report.evidence, report.version) == (Decimal(5), upload.file, 1)
        lines = list(report.lines.order_by("number"))
        assert [(line.number, line.source_line, line.file) for line in lines] == [
            (1, 2, upload.file),
            (2, 3, upload.file),
        ]
        assert not DraftLine.objects.exists()
        assert filing.content_hash(report) == report.content_sha256
        assert [kept.file for kept in ReportFile.objects.filter(report=report)] == [upload.file]
        assert file(draft, acme, clock) == report, "filing twice is filing once"

    def test_every_error_of_a_long_file_is_listed_and_no_row_stays(
        self, send: Send, draft: Draft, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "STEP_BYTES", 700)
        monkeypatch.setattr(reading, "PART_BYTES", 200)
        rows = [run(number) for number in range(1, 20)]
        rows[3], rows[17] = run(4, country="France"), run(18, duration="0")

        upload = send(csv(*rows))

        assert (upload.status, upload.error_count) == ("refused", 2)
        assert [(error["line"], error["column"]) for error in upload.errors] == [
            (5, "country_iso_code"),
            (19, "duration"),
        ]
        assert not DraftLine.objects.exists()

    def test_a_row_that_another_file_brought_is_named_with_its_place(self, send: Send, draft: Draft) -> None:
        send(csv(run(1), run(2)), name="may.csv")

        upload = send(csv(run(3), run(2), run(3)), name="june.csv")

        assert upload.status == "refused"
        assert [(error["line"], error["code"]) for error in upload.errors] == [
            (3, "duplicate_run"),
            (4, "duplicate_run"),
        ]
        assert (
            "line 3 of may.csv" in upload.errors[0]["sentence"] and "line 2 of june.csv" in upload.errors[1]["sentence"]
        )
        assert DraftLine.objects.filter(draft=draft).count() == 2

    def test_a_draft_with_a_refused_file_is_not_filed_until_it_is_removed(
        self, send: Send, draft: Draft, acme: Party, clock: Clock
    ) -> None:
        send(csv(run(1)))
        bad = send(csv(run(2, country="France")))

        with pytest.raises(Refused) as refused:
            file(draft, acme, clock)
        assert refused.value.code == "upload_refused"

        uploads.remove(actor=acme.initiator, upload=bad, now=clock.now())
        assert file(draft, acme, clock).energy_kwh == 2

    def test_lines_that_are_still_being_read_do_not_count(
        self, send: Send, draft: Draft, acme: Party, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "STEP_BYTES", 700)
        monkeypatch.setattr(reading.read_upload, "__kwdefaults__", {"seconds": 0})

        upload = send(csv(*(run(number) for number in range(1, 20))))

        assert upload.status == "reading" and 0 < upload.rows_read < 19
        assert filing.totals(draft)["energy_kwh"] == 0 and DraftLine.objects.exists()
        with pytest.raises(Refused) as refused:
            file(draft, acme, clock)
        assert refused.value.code == "upload_unread"
        while reading.read_upload(upload.pk):
            pass
        assert filing.totals(draft)["energy_kwh"] == 38

    def test_the_same_file_again_is_the_upload_of_before(self, send: Send) -> None:
        assert send(csv(run(1))) == send(csv(run(1)), name="again.csv")

    def test_flags_of_one_kind_are_listed_and_then_counted(self, send: Send) -> None:
        upload = send(csv(*(run(number, country="XXX") for number in range(1, 31))))

        unknown = [flag for flag in upload.flags if flag["code"] == "country_unknown"]
        assert len(unknown) == 21 and unknown[-1]["more"] == 10

    @pytest.mark.parametrize(
        ("content", "changes", "code"),
        [
            (b"", {}, "empty_file"),
            (b"MZ\x90\x00", {}, "file_type_refused"),
            (b"<html><script>", {}, "file_type_refused"),
            (b"PK\x03\x04 nothing", {}, "archive_refused"),
            (b"a,b\n1,2\n", {}, "format_not_recognised"),
            (csv(run(1)), {"options": {}}, "activity_missing"),
            (csv(run(1)), {"options": {"activity": "mining"}}, "activity_unknown"),
            (csv(run(1)), {"format": "epoch"}, "metric_not_measured"),
            (csv(run(1)), {"format": "nothing"}, "format_unknown"),
        ],
    )
    def test_what_cannot_be_read_is_refused_before_anything_is_stored(
        self, send: Send, content: bytes, changes: dict[str, object], code: str
    ) -> None:
        with pytest.raises(Refused) as refused:
            send(content, **changes)

        assert refused.value.code == code
        assert not EvidenceFile.objects.exists() and not Upload.objects.exists()

    def test_a_spreadsheet_that_inflates_too_far_is_refused_before_it_is_unpacked(
        self, send: Send, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """156 kB that would become 53 MB: nobody opens it as a spreadsheet, and nothing of it is kept."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as book:
            book.writestr("xl/workbook.xml", "<workbook/>")
            book.writestr("xl/worksheets/sheet1.xml", "<row><c><v>1</v></c></row>" * 2_040_000)
        assert len(content.getvalue()) < 160_000
        opened: list[object] = []
        monkeypatch.setattr(openpyxl, "load_workbook", lambda *args, **options: opened.append(args))
        monkeypatch.setattr(zipfile.ZipFile, "open", lambda *args, **options: opened.append(args))

        for changes in ({}, {"format": "template"}):
            with pytest.raises(Refused) as refused:
                send(content.getvalue(), "figures.xlsx", **changes)
            assert refused.value.code == "inflates_too_far"

        assert not opened
        assert not EvidenceFile.objects.exists() and not Upload.objects.exists()

    def test_only_reporters_of_the_operator_send(self, send: Send, borealis: Party, acme: Party) -> None:
        for stranger in (borealis.initiator, acme.viewer):
            with pytest.raises(Forbidden):
                send(csv(run(1)), actor=stranger)


class TestOtherLines:
    """Typed lines and meters beside the files."""

    def test_typed_lines_replace_the_typed_lines(self, send: Send, draft: Draft, acme: Party, clock: Clock) -> None:
        send(csv(run(1)))
        for energy in (Decimal(7), Decimal(1)):
            drafts.type_lines(
                actor=acme.initiator,
                draft=draft,
                lines=[LineInput("Otter", "training", energy_kwh=energy, country="FRA")],
                now=clock.now(),
            )

        report = file(draft, acme, clock)

        assert [(line.method, line.energy_kwh) for line in report.lines.order_by("number")] == [
            ("codecarbon", Decimal(2)),
            ("declared", Decimal(1)),
        ]

    def test_a_source_takes_only_its_own_lines_and_never_anothers_key(
        self, send: Send, draft: Draft, clock: Clock
    ) -> None:
        send(csv(run(1)))
        taken = DraftLine.objects.get().key

        def line(key: str) -> DraftLine:
            return DraftLine(key=key, label="meter", activity="inference", method="meter", energy_kwh=1)

        with transaction.atomic():
            drafts.put_lines(draft, [line("meter:1"), line("meter:2")], prefix="meter:", now=clock.now())
            drafts.put_lines(draft, [line("meter:2")], prefix="meter:", now=clock.now())
        with pytest.raises(Refused) as refused, transaction.atomic():
            drafts.put_lines(draft, [line(taken)], prefix=taken, now=clock.now())

        assert refused.value.code == "duplicate_line"
        assert sorted(DraftLine.objects.values_list("key", flat=True)) == sorted([taken, "meter:2"])

    def test_a_draft_without_lines_or_boundary_is_not_filed(
        self, send: Send, draft: Draft, acme: Party, clock: Clock
    ) -> None:
        with pytest.raises(Refused) as empty:
            file(draft, acme, clock)
        send(csv(run(1)))
        with pytest.raises(Refused) as unbounded:
            file(draft, acme, clock, boundary=" ")

        assert (empty.value.code, unbounded.value.code) == ("no_lines", "boundary_missing")

    def test_further_files_are_kept_with_the_report(self, send: Send, draft: Draft, acme: Party, clock: Clock) -> None:
        send(csv(run(1)))
        drafts.attach(
            actor=acme.initiator,
            draft=draft,
            name="bill.pdf",
            file=io.BytesIO(b"%PDF-1.7 bill"),
            purpose="Electricity bill of May",
            now=clock.now(),
        )

        report = file(draft, acme, clock)

        kept = report.files.get(file__name="bill.pdf")
        assert (kept.purpose, evidence.read_all(kept.file)) == ("Electricity bill of May", b"%PDF-1.7 bill")
        assert filing.content_hash(report) == report.content_sha256

    def test_filing_what_is_in_force_already_is_refused(
        self, send: Send, draft: Draft, acme: Party, clock: Clock
    ) -> None:
        send(csv(run(1)))
        first = file(draft, acme, clock)
        again = drafts.open_draft(actor=acme.initiator, operator=draft.operator, period=draft.period, now=clock.now())
        send(csv(run(1)), draft=again)

        with pytest.raises(Refused) as refused:
            file(again, acme, clock)

        assert refused.value.code == "content_unchanged"
        send(csv(run(2)), draft=again)
        assert file(again, acme, clock).version == 2
        first.refresh_from_db()
        assert first.status == "corrected"


def test_a_file_of_several_parts_comes_back_as_it_was(acme: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "CHUNK", 10)
    content = bytes(range(65, 91)) * 3

    with transaction.atomic():
        kept = evidence.keep(
            organisation=acme.organisation,
            actor=acme.initiator,
            name="../x/log.txt",
            file=io.BytesIO(content),
            at=cast.OPENING,
        )
        again = evidence.keep_bytes(
            organisation=acme.organisation, actor=acme.initiator, name="b", content=content, at=cast.OPENING
        )

    assert (kept, kept.name, kept.chunks.count()) == (again, "log.txt", 8)
    assert evidence.read_all(kept) == content
    assert b"".join(evidence.read(kept, since=25)) == content[25:]


def test_a_file_that_is_too_large_is_refused_while_it_streams_and_leaves_nothing(acme: Party) -> None:
    with pytest.raises(Refused) as refused, transaction.atomic():
        evidence.keep(
            organisation=acme.organisation,
            actor=acme.initiator,
            name="log.txt",
            file=io.BytesIO(b"x" * 100),
            at=cast.OPENING,
            max_bytes=99,
        )

    assert refused.value.code == "file_too_large"
    assert not EvidenceFile.objects.exists()


def test_energy_of_computers_takes_the_sites_pue_once_and_energy_of_a_site_never(
    send: Send, cluster: System, acme: Party
) -> None:
    sites.record_pue(
        actor=acme.initiator,
        site=cluster.site,
        year=cast.YEAR,
        value=Decimal("1.2"),
        proof=("meter.csv", b"facility;it\n120;100\n"),
        now=cast.OPENING,
    )
    table = b"label,activity,energy_kwh,it_energy_kwh,zone\nsite,training,10,,FRA\ncomputers,training,,10,FRA\n"

    upload = send(table, "table.csv", options={}, workload=cluster.workloads.get())
    unknown = send(table.replace(b"site,", b"hall,"), "other.csv", options={})

    lines = {line.label: line for line in DraftLine.objects.filter(upload=upload)}
    assert {name: line.energy_kwh for name, line in lines.items()} == {"site": 10, "computers": 12}
    assert lines["computers"].tier == 3 and lines["site"].workload == cluster.workloads.get()
    assert [flag["code"] for flag in upload.flags] == ["pue_applied"]
    assert (unknown.status, unknown.errors[0]["code"]) == ("refused", "row_twice"), "the same row counts once"


def test_a_line_with_its_hours_counts_with_the_intensity_of_each_hour(
    send: Send, draft: Draft, regulator: Regulator
) -> None:
    load(regulator, intensity_file("CISO", ["100", "300"]))
    rows = "label,activity,energy_kwh,zone,started_at,ended_at\n" + "".join(
        f"{name},inference,2,{zone},{start},2026-01-01T02:00:00Z\n"
        for name, zone, start in (
            ("both hours", "CISO", "2026-01-01T00:00:00Z"),
            ("a quarter", "CISO", "2026-01-01T00:40:00Z"),
            ("elsewhere", "FRA", "2026-01-01T00:00:00Z"),
        )
    )

    upload = send(rows.encode(), "hours.csv", options={})

    assert upload.status == "read", upload.errors
    grams = dict(DraftLine.objects.filter(upload=upload).values_list("label", "co2e_g"))
    assert grams == {"both hours": 400, "a quarter": 500, "elsewhere": Decimal("112.078")}
    hourly = DraftLine.objects.get(label="both hours")
    assert hourly.factor_g_per_kwh is None and hourly.factor_source == "hourly: CISO, us-2026 v1: 0 of 2 hours filled"


def test_a_line_by_its_hours_is_worked_out_again_from_what_it_names(
    send: Send, draft: Draft, regulator: Regulator, acme: Party, clock: Clock
) -> None:
    load(regulator, intensity_file("CISO", ["100", "", "300"]))
    row = "both,inference,2,CISO,2026-01-01T00:00:00Z,2026-01-01T02:00:00Z\n"
    upload = send(b"label,activity,energy_kwh,zone,started_at,ended_at\n" + row.encode(), "hours.csv", options={})
    made = DraftLine.objects.get(upload=upload)
    assert made.co2e_g == 400 and made.factor_source == "hourly: CISO, us-2026 v1: 1 of 2 hours filled"
    (by_hours,) = (one for one in INVARIANTS if "counts by its hours" in one.name)
    report = drafts.file_draft(actor=acme.initiator, draft=draft, boundary="full stack", now=clock.now())
    load(regulator, intensity_file("CISO", ["1", "2", "3"]), said=replace(AVERAGE, note="Wrong."), now=clock.now())

    assert by_hours.check(None) == (1, None), "a later version changes nothing"

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE registry_reportline DISABLE TRIGGER USER")
        cursor.execute("UPDATE registry_reportline SET co2e_g = co2e_g + 1 WHERE report_id = %s", [report.pk])
        cursor.execute("ALTER TABLE registry_reportline ENABLE TRIGGER USER")
    assert by_hours.check(None)[1] is not None
