"""BoAmps 0.1 reports (Boavizta, Data4Good; CodeCarbon exports them): one JSON report, a list of them, or one per line.

`powerConsumption` holds kWh despite its name. What CodeCarbon measured carries the client's PUE already, though the
format does not say which, so it is site energy and has the key that the run has in CodeCarbon's own file. Every other
method measures the computers: IT energy. The format's moments name no zone, so that they stay evidence.

A report with several measures does not say whether they are parts of the energy or several views of all of it. It is
refused until the option `measures` says `add` or `largest`.

| flag | what was seen |
|---|---|
| task_missing | no task block: the activity is not known (CodeCarbon's export leaves it out) |
| stage_unknown | a stage that is none of our activities, or several joined by a plus |
| country_unknown | the country is missing or not one we know by this name |
| pue_unknown | CodeCarbon's energy includes a PUE that the format does not state |
| several_measures | the report measures more than once: they were added, or the largest taken, as asked for |
| report_not_final | the publisher calls the report a draft |
| report_id_missing | no report id: the report is known by its content |
| signature_not_checked | the publisher's signature is kept, and nobody has checked it |
| power_implausible | more than a megawatt follows from energy and duration: watts may stand where kWh belong |
"""

from decimal import Decimal
from uuid import UUID

from registry.engine.canonical import canonical_json, sha256
from registry.engine.emissions import JOULES_PER_KWH, ItEnergy, SiteEnergy
from registry.engine.rounding import EXACT_DECIMALS, exact
from registry.importers.countries import country_iso3
from registry.importers.document import WHOLE_FILE, Place, read_documents, refused, until_too_many
from registry.importers.lines import ImportedFile, ImportedLine, measurement_key
from registry.importers.table import BadFile, Flag, Limits, RowError, sha256_hex

LIMITS = Limits(max_bytes=20_000_000, max_rows=50_000)
ACTIVITIES = {
    "training": "training",
    "finetuning": "fine_tuning",
    "fine-tuning": "fine_tuning",
    "inference": "inference",
    "evaluation": "evaluation",
}
MEASURES = ("", "add", "largest")
MOST_ENERGY_KWH = Decimal(10**12)
LONGEST_RUN_S = Decimal(10 * 366 * 86_400)
MOST_REQUESTS = 10**15
MEGAWATT = 1_000_000


def parse_boamps(content: bytes, *, measures: str = "", limits: Limits = LIMITS) -> ImportedFile | BadFile:
    """Read BoAmps reports, or refuse the file with every error in it."""
    assert measures in MEASURES
    documents = read_documents(content, limits=limits)
    if isinstance(documents, RowError):
        return refused(content, [documents])
    errors = documents.errors
    lines: list[ImportedLine] = []
    flags: list[Flag] = []
    first: dict[str, int] = {}
    for number, report in enumerate(until_too_many(documents.places, errors, limits), start=1):
        line = _report(report, measures, flags)
        if line is None:
            continue
        if line.key in first:
            report.at("header").at("reportId").refuse(
                "duplicate_report", f"Report {first[line.key]} of this file has the same id: keep one of the two."
            )
        first.setdefault(line.key, number)
        lines.append(line)
    if not lines and not errors:
        errors.append(RowError(1, WHOLE_FILE, "no_rows", "The list holds no report: nothing to read."))
    if errors:
        return refused(content, errors)
    return ImportedFile(sha256_hex(content), "boamps", "0.1", tuple(lines), tuple(flags))


def _report(report: Place, option: str, flags: list[Flag]) -> ImportedLine | None:
    """Read one report, or nothing where a field is wrong; every field is read first, so that every error is listed."""
    before = len(report.errors)
    if not report.is_group():
        return None
    header, task = report.group("header"), report.group("task")
    environment, infrastructure = report.group("environment"), report.group("infrastructure")
    publisher = header.group("publisher")
    report_id = header.text("reportId", longest=200)
    _version(header)
    stage, country = task.text("taskStage", longest=200), environment.text("country", longest=200)
    requests = task.whole("nbRequest", 0, MOST_REQUESTS)
    environment.decimal("powerSourceCarbonIntensity", Decimal(0), Decimal(5000))
    infrastructure.text("infraType")
    measured = [_measure(place) for place in report.items("measures", required=True)]
    kwh, duration_s, method = _together(report, measured, option)
    if len(report.errors) > before or kwh is None:
        return None

    is_codecarbon = method.casefold() == "codecarbon"
    for pointer, code, sentence in _seen(report, header, task, stage, country, report_id, len(measured), option):
        flags.append(Flag(report.line, f"{report.pointer}{pointer}", code, sentence))
    if is_codecarbon:
        sentence = "The energy includes the PUE that the client was given, which this format does not state."
        flags.append(Flag(report.line, f"{report.pointer}/measures", "pue_unknown", sentence))
    if duration_s and exact(kwh) * JOULES_PER_KWH > MEGAWATT * exact(duration_s):
        sentence = "More than a megawatt follows from energy and duration: the field holds kWh, despite its name."
        flags.append(Flag(report.line, f"{report.pointer}/measures", "power_implausible", sentence))
    return ImportedLine(
        line=report.line,
        key=_key(report, report_id, is_codecarbon),
        label=_label(report_id, task, publisher),
        method="boamps",
        energy=SiteEnergy(kwh) if is_codecarbon else ItEnergy(kwh),
        activity=ACTIVITIES.get(stage.casefold(), ""),
        zone=country_iso3(country),
        requests=requests or None,
        evidence=_evidence(report),
    )


def _version(header: Place) -> None:
    version = header.text("formatVersion")
    if version and version != "0.1":
        header.at("formatVersion").refuse(
            "version_unknown", f"Version {version[:20]} of BoAmps is not known here, 0.1 is: export it as 0.1."
        )


def _measure(place: Place) -> tuple[Decimal | None, Decimal | None, str]:
    """Return the energy, duration and method of one measure."""
    if not place.is_group():
        return None, None, ""
    method = place.text("measurementMethod", required=True)
    kwh = place.decimal("powerConsumption", Decimal(0), MOST_ENERGY_KWH, required=True)
    duration_s = place.positive("measurementDuration", LONGEST_RUN_S)
    for name in ("averageUtilizationCpu", "averageUtilizationGpu"):
        place.decimal(name, Decimal(0), Decimal(100))
    place.decimal("powerCalibrationMeasurement", Decimal(0), MOST_ENERGY_KWH)
    for name in ("version", "cpuTrackingMode", "gpuTrackingMode", "measurementDateTime", "unit"):
        place.text(name)
    return kwh, duration_s, method


def _together(
    report: Place, measured: list[tuple[Decimal | None, Decimal | None, str]], option: str
) -> tuple[Decimal | None, Decimal | None, str]:
    """Return the one energy of a report, its duration and method."""
    read = [(kwh, duration_s, method) for kwh, duration_s, method in measured if kwh is not None]
    if not read:
        return None, None, ""
    if len(measured) == 1:
        return read[0]
    if not option:
        report.at("measures").refuse(
            "several_measures",
            f"There are {len(measured)} measures, and the format does not say whether they are parts or views of the "
            "same energy: send one, or choose to add them or to take the largest.",
        )
        return None, None, ""
    methods = {method.casefold() for _, _, method in read}
    if len(methods) > 1 and "codecarbon" in methods and option == "add":
        report.at("measures").refuse(
            "kinds_mixed", "Energy with the PUE (codecarbon) and without it cannot be added: send the measures apart."
        )
        return None, None, ""
    if option == "largest":
        return max(read, key=lambda measure: measure[0])
    total = Decimal(0)
    for kwh, _, _ in read:
        total = EXACT_DECIMALS.add(total, kwh)
    return total, None, read[0][2]


def _seen(
    report: Place, header: Place, task: Place, stage: str, country: str, report_id: str, count: int, option: str
) -> list[tuple[str, str, str]]:
    """List what a verifier should look at in one report."""
    found = []
    if not task.value:
        found.append(("/task", "task_missing", "The report names no task: say what was done when you file it."))
    elif stage.casefold() not in ACTIVITIES:
        found.append(("/task/taskStage", "stage_unknown", f"{stage[:40] or 'No stage'} is none of our activities."))
    if not country_iso3(country):
        sentence = f"{country[:60] or 'No country'} is no country we know: the site's zone counts."
        found.append(("/environment/country", "country_unknown", sentence))
    if count > 1:
        how = "were added" if option == "add" else "are views of one energy: the largest counts"
        found.append(("/measures", "several_measures", f"{count} measures {how}, as asked for."))
    if header.text("reportStatus").casefold() == "draft":
        found.append(("/header/reportStatus", "report_not_final", "Its publisher calls this report a draft."))
    if not report_id:
        found.append(("/header/reportId", "report_id_missing", "It has no id: it is known by its content alone."))
    if report.at("$hash").has_value:
        found.append(("/$hash", "signature_not_checked", "Its signature is kept as evidence and was not checked."))
    return found


def _key(report: Place, report_id: str, is_codecarbon: bool) -> str:
    """Tell reports apart; what CodeCarbon measured has the key that the run has in CodeCarbon's own file."""
    if not report_id:
        return measurement_key("boamps", sha256(report.value)[:40])
    if is_codecarbon:
        try:
            return measurement_key("codecarbon", str(UUID(report_id)))
        except ValueError:
            pass
    return measurement_key("boamps", report_id)


def _label(report_id: str, task: Place, publisher: Place) -> str:
    models = [place.value for place in task.items("algorithms") if isinstance(place.value, dict)]
    model = next((str(one["foundationModelName"]) for one in models if one.get("foundationModelName")), "")
    parts = (publisher.text("projectName"), task.text("taskFamily"), model)
    return (" / ".join(filter(None, parts)) or f"BoAmps {report_id}".strip())[:200]


def _evidence(report: Place) -> dict[str, str]:
    """Keep what the report says, the publisher and its public key among it."""
    return {
        name: canonical_json(value).decode() if isinstance(value, dict | list) else str(value)
        for name, value in report.value.items()
    }
