"""Calculators of energy: from ratings and hours, and from counters; the PUE counts once."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from registry.engine import published
from registry.engine.emissions import (
    CalculationStep,
    ItEnergy,
    SiteEnergy,
    at_site,
    device_hours_energy,
    nvml_energy,
    rapl_energy,
    rapl_total,
)
from registry.engine.refusals import Refusal
from registry.engine.rounding import coefficient
from registry.services.calculators.compute import DEVICE_HOURS
from registry.services.calculators.parts import (
    PUE,
    Calculator,
    Example,
    Figure,
    Input,
    InputRefused,
    Kind,
    Outcome,
    Said,
    check,
    choice,
    positive,
    share,
    whole,
)

GROUP = "Energy"
KWH_PLACES = 12
"""Joules have endless digits in kWh: a report keeps twelve places, rounded half up."""

WATTS = positive("watts", "Power of one device", "W", most=Decimal(10**6))


def _energy(site: SiteEnergy, it_kwh: Decimal, steps: tuple[CalculationStep, ...] = ()) -> Outcome:
    return Outcome((Figure("At the site", site.kwh, "kWh"), Figure("Computers", it_kwh, "kWh")), (*steps, *site.steps))


def _ratings(said: Said, now: datetime) -> Outcome:
    computers = device_hours_energy(said.decimal("device_hours"), said.decimal("watts"), said.decimal("utilisation"))
    return _energy(at_site(computers, said.decimal("pue")), computers.kwh)


def _counter(said: Said, now: datetime) -> Outcome:
    readings = [int(str(row[0])) for row in said.rows("readings")]
    counts_mj = said.text("counter") == "accelerator"
    check(
        counts_mj or said.has("range"), "range", "range_missing", "A processor's counter wraps: say at which reading."
    )
    counted = nvml_energy(readings) if counts_mj else rapl_energy(readings, said.whole("range"))
    if isinstance(counted, Refusal):
        raise InputRefused("readings", counted.code, counted.sentence)
    kwh = coefficient(counted.kwh, KWH_PLACES)
    notes = (
        ("The driver was loaded anew: what was drawn since the reading before is lost, so this is a lower bound.",)
        if counts_mj and counted.restarts
        else ()
    )
    found = _energy(at_site(ItEnergy(kwh), said.decimal("pue")), kwh, counted.steps)
    return replace(found, notes=notes)


def _host(said: Said, now: datetime) -> Outcome:
    joules: dict[str, Decimal] = {}
    for name, counted in said.rows("domains"):
        check(name not in joules, "domains", "domain_twice", f"{name} stands there twice: add its parts up first.")
        joules[str(name)] = Decimal(str(counted))
    found = rapl_total(joules)
    kwh = coefficient(found.joules / 3_600_000, KWH_PLACES)
    left_out = sorted(set(joules) - set(found.domains))
    notes = (f"Left out, because they are parts of what was counted: {', '.join(left_out)}.",) if left_out else ()
    return replace(_energy(at_site(ItEnergy(kwh), said.decimal("pue")), kwh, found.steps), notes=notes)


CALCULATORS = (
    Calculator(
        "device-energy",
        GROUP,
        "Energy from device hours",
        "kWh of devices from their power and hours; without evidence, at full power.",
        "E = device hours x W x utilisation / 1000 x PUE",
        "By definition; the PUE after ISO/IEC 30134-2",
        (
            DEVICE_HOURS,
            WATTS,
            share("utilisation", "Share of the power", help="1 without evidence of less.", default="1"),
            PUE,
        ),
        _ratings,
        tuple(
            Example(
                f"{run.model}, {run.organisation} {run.year}",
                {
                    "device_hours": f"{run.device_hours:f}",
                    "watts": f"{run.watts:f}",
                    "utilisation": "1",
                    "pue": f"{run.pue:f}",
                },
                f"Published: {run.energy_kwh / 1000:f} MWh ({run.source}).",
            )
            for run in published.RUNS
            if run.energy_kwh and "net of" not in run.model
        ),
    ),
    Calculator(
        "counter-energy",
        GROUP,
        "Energy from a counter",
        "kWh between the first and last reading of a device's own counter.",
        "E = sum of the differences; an accelerator begins again at zero, a processor wraps at its range",
        "NVIDIA Management Library; Linux power capping framework",
        (
            choice(
                "counter",
                "Counter",
                [("accelerator", "Accelerator, in mJ (NVML, DCGM)"), ("processor", "Processor, in uJ (RAPL)")],
            ),
            Input(
                "readings",
                "Readings",
                help="One a line, the oldest first.",
                kind=Kind.ROWS,
                columns=(whole("reading", "a reading", least=0),),
                most_rows=2000,
            ),
            whole("range", "The processor's counter wraps at", "uJ", required=False, help="max_energy_range_uj"),
            replace(PUE, default="1.5"),
        ),
        _counter,
        (
            Example(
                "An accelerator whose driver was loaded anew",
                {
                    "counter": "accelerator",
                    "readings": "5000000\n8600000\n1200000\n3600000",
                    "pue": "1.5",
                },
            ),
            Example(
                "A processor whose counter wrapped",
                {
                    "counter": "processor",
                    "readings": "262000000000\n43856",
                    "range": "262143328850",
                    "pue": "1.5",
                },
            ),
        ),
    ),
    Calculator(
        "host-energy",
        GROUP,
        "Energy of a host from its domains",
        "Joules of processors and memory; a part is never added to its whole.",
        "psys alone where it is there; else packages + memory; a core only without its package",
        "Linux power capping framework",
        (
            Input(
                "domains",
                "Domains and joules",
                help="One a line, as in package-0 60.",
                kind=Kind.ROWS,
                columns=(
                    Input("domain", "a domain", kind=Kind.TEXT),
                    Input("joules", "its joules", most=Decimal(10**18)),
                ),
            ),
            PUE,
        ),
        _host,
        (
            Example(
                "One socket",
                {"domains": "package-0 60000\ncore-0 40000\ndram-0 10000", "pue": "1.1"},
            ),
        ),
    ),
)
