"""Calculators of emissions: by the year and by the hour, by the place and by the market, and per unit of use."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from registry.engine import published
from registry.engine.emissions import (
    CODECARBON_MIX_G_PER_KWH,
    HOURS_PER_YEAR,
    MIX_G_PER_KWH,
    CalculationStep,
    MarketHour,
    SiteEnergy,
    embodied_grams,
    emissions,
    g_per_kwh_from_pounds,
    market_based,
    mix_intensity,
    sci_score,
)
from registry.engine.factors import BUILT_IN, WORLD_AVERAGE, Factor, FactorTable, factor_table
from registry.engine.grid import EnergySeries, hourly_result, pico_kwh
from registry.engine.rounding import Exact, exact
from registry.models import AnnualIntensity, FactorSet
from registry.services.calculators.parts import (
    Calculator,
    Example,
    Figure,
    Input,
    Kind,
    Outcome,
    Said,
    check,
    choice,
    per_cent,
    positive,
    whole,
)
from registry.services.grid import intensities

GROUP = "Emissions"
MOST_HOURS = 8784
GRID_PLACES = Decimal(1).scaleb(-12)

ENERGY = Input("kwh", "Energy at the site", "kWh", "With the PUE in it.")
COUNTRY = Input("country", "Country", help="Three letters, as in FRA.", kind=Kind.TEXT, required=False)
INTENSITY_HELP = "Of the place: no certificates, no offsets."


def _in(grams: Exact, label: str = "Emissions") -> tuple[Figure, Figure]:
    return Figure(label, exact(grams) / 10**6, "t CO2e"), Figure("In grams", grams, "g CO2e")


def _annual(said: Said, now: datetime) -> Outcome:
    own = said.maybe("factor")
    country = said.text("country").upper()
    check(own is not None or bool(country), "country", "place_missing", "Say the country, or a factor of your own.")
    if own is not None:
        table = factor_table("your own factor", "-", "-", [Factor("own", now.year, own)], WORLD_AVERAGE)
        found = emissions(SiteEnergy(said.decimal("kwh")), "own", table)
        return Outcome(
            _in(found.grams),
            (
                CalculationStep("site energy", said.decimal("kwh"), "kWh"),
                CalculationStep("your own factor", own, "g CO2e/kWh"),
                CalculationStep("site energy x factor", found.grams, "g CO2e"),
            ),
            ("The factor is your own: reports are computed with the registry's.",),
        )
    check(bool(re.fullmatch("[A-Z]{3}", country)), "country", "not_a_country", "Write three letters, as in FRA.")
    table = _yearly(country, said.whole("year") if said.has("year") else None, now)
    found = emissions(SiteEnergy(said.decimal("kwh")), country, table)
    notes = [f"Factor table {found.table_version}: {table.source}; licence {table.licence}."]
    if found.default_factor:
        notes.insert(0, f"No factor is known for {country}: this is the world average.")
    return Outcome(_in(found.grams), found.steps, tuple(notes))


def _yearly(country: str, year: int | None, now: datetime) -> FactorTable:
    """Return the table with a country's figure of a year, or of the latest: a loaded set before what came with us."""
    sets = [one for one in intensities.effective_sets(now) if one.resolution == FactorSet.Resolution.YEAR]
    rows = AnnualIntensity.objects.filter(factor_set__in=sets, zone=country).select_related("factor_set")
    known = {row.year: row for row in rows.order_by("year")}
    if known:
        wanted = max(known) if year is None else year
        years = ", ".join(map(str, known))
        check(wanted in known, "year", "year_unknown", f"Of {country} these years are known: {years}.")
        row = known[wanted]
        of = row.factor_set
        return factor_table(str(of), of.source, of.licence, [Factor(country, row.year, row.g_per_kwh)], WORLD_AVERAGE)
    there = BUILT_IN.factor(country).year
    check(year in (None, there), "year", "year_unknown", f"Of {country} this year is known: {there}.")
    return BUILT_IN


def _hourly(said: Said, now: datetime) -> Outcome:
    zone, country = said.text("zone").upper(), said.text("country").upper()
    fits = re.fullmatch(r"[A-Z0-9][A-Z0-9_-]{1,19}", zone) is not None
    check(fits, "zone", "not_a_zone", "Write a grid zone or country, as in CISO or FRA.")
    no_country = not country or re.fullmatch("[A-Z]{3}", country) is not None
    check(no_country, "country", "not_a_country", "Write three letters, as in FRA.")
    kwh = [Decimal(str(row[0])) for row in said.rows("kwh")]
    start = said.hour("start")
    for place, value in enumerate(kwh, start=1):
        fine = value == value.quantize(GRID_PLACES) and value < 10**15
        check(fine, "kwh", "energy_too_fine", f"Line {place}: at most twelve places, and less than 1e15 kWh.")
    end = start + timedelta(hours=len(kwh))
    series, sets = intensities.with_sets(zone, start, end, at=now, country=country)
    energy = EnergySeries(start, tuple(pico_kwh(value) for value in kwh))
    found = hourly_result(energy, series)
    over = found.annual_overstates_by
    figures = [*_in(found.grams), Figure("Effective factor", found.g_per_kwh, "g CO2e/kWh")]
    if over is not None:
        figures.append(Figure("The average of these hours would give", per_cent(1 + over), "% of it"))
    notes = [f"{count} of {found.hours} hours were filled: {fill.says}." for fill, count in found.fills]
    notes += [f"{one}: {one.source}; licence {one.licence}." for one in sets]
    if not sets:
        notes.append(f"No hours are loaded for {zone}: {BUILT_IN.version}, {BUILT_IN.source}.")
    return Outcome(
        tuple(figures),
        (
            CalculationStep("hours", found.hours, "h"),
            CalculationStep("energy", found.energy_kwh, "kWh"),
            CalculationStep("sum of hourly energy x intensity", found.grams, "g CO2e"),
            CalculationStep("with the average of the hours", found.annual_grams, "g CO2e"),
        ),
        tuple(notes),
    )


def _loaded_zones(now: datetime) -> Sequence[str]:
    return sorted(intensities.zones_with_hours(now))


def _market(said: Said, now: datetime) -> Outcome:
    hours = []
    for kwh, certified, residual, contract in said.rows("hours"):
        assert isinstance(kwh, Decimal), "columns of numbers"
        assert isinstance(certified, Decimal), "columns of numbers"
        hours.append(
            MarketHour(
                kwh,
                certified,
                residual if isinstance(residual, Decimal) else None,
                contract if isinstance(contract, Decimal) else Decimal(0),
            )
        )
    found = market_based(hours)
    notes = ["The obligation is location-based: this is shown beside it and never owed."]
    if found.without_residual:
        notes.append(f"{found.without_residual} hours without a residual mix count as coal, 820 g CO2e/kWh.")
    return Outcome(
        (
            *_in(found.grams, "Market-based emissions"),
            Figure("Clean in the same hour (CFE score)", per_cent(found.cfe_score), "%"),
            Figure("Matched over the year", per_cent(found.annual_share), "%"),
            Figure("With annual matching", found.annual_grams, "g CO2e"),
        ),
        found.steps,
        tuple(notes),
    )


FACTORS: Mapping[str, Mapping[str, Decimal]] = {"ipcc": MIX_G_PER_KWH, "codecarbon": CODECARBON_MIX_G_PER_KWH}


def _mix(said: Said, now: datetime) -> Outcome:
    factors = FACTORS[said.text("factors")]
    shares: dict[str, Decimal] = {}
    for fuel, part in said.rows("shares"):
        name = str(fuel).lower()
        check(name in factors, "shares", "fuel_unknown", f"Write one of {', '.join(sorted(factors))}, not {fuel}.")
        check(name not in shares, "shares", "fuel_twice", f"{fuel} stands there twice: add its shares up.")
        shares[name] = Decimal(str(part))
    total = sum(shares.values(), Decimal(0))
    check(total == 1, "shares", "shares_not_one", f"The shares add up to {total:f}: make them 1.")
    steps = tuple(CalculationStep(f"{fuel} x {factors[fuel]:f}", part, "") for fuel, part in sorted(shares.items()))
    return Outcome((Figure("Intensity", mix_intensity(shares, factors), "g CO2e/kWh"),), steps)


def _pounds(said: Said, now: datetime) -> Outcome:
    pounds = said.decimal("pounds")
    return Outcome(
        (Figure("Intensity", g_per_kwh_from_pounds(pounds), "g CO2e/kWh"),),
        (CalculationStep("in pounds", pounds, "lb/MWh"),),
    )


def _sci(said: Said, now: datetime) -> Outcome:
    reserved, there = said.decimal("reserved"), said.decimal("resources")
    check(reserved <= there, "reserved", "more_reserved_than_there_is", "Only a part of the resources can be reserved.")
    made = embodied_grams(
        said.decimal("made_g"), said.decimal("reserved_hours"), said.decimal("life_hours"), reserved, there
    )
    unit = said.text("unit") or "unit"
    found = sci_score(SiteEnergy(said.decimal("kwh")), said.decimal("intensity"), made, said.decimal("units"), unit)
    return Outcome(
        (Figure("Score", found.g_per_unit, f"g CO2e per {unit}"), Figure("Of the making", made, "g CO2e")),
        found.steps,
        ("The making of hardware is reported and never owed: its makers answer for it.",),
    )


CALCULATORS = (
    Calculator(
        "emissions",
        GROUP,
        "Emissions by the year",
        "Location-based emissions, as they are owed.",
        "g = kWh x g/kWh of the place",
        "GHG Protocol, scope 2 guidance (location-based)",
        (
            ENERGY,
            COUNTRY,
            whole("year", "Year", required=False, help="The latest that is known, unless told.", least=1990, most=2199),
            Input("factor", "Or a factor of your own", "g CO2e/kWh", required=False, most=Decimal(5000)),
        ),
        _annual,
        (
            Example("1,000 kWh in France", {"kwh": "1000", "country": "FRA"}),
            *(
                Example(
                    f"{run.model}, {run.organisation} {run.year}",
                    {"kwh": f"{run.energy_kwh:f}", "factor": f"{run.kg_per_kwh * 1000:f}"},
                    f"Published: {run.emissions_t:f} t ({run.source}).",
                )
                for run in published.RUNS
                if run.energy_kwh and run.emissions_t
            ),
        ),
    ),
    Calculator(
        "hourly-emissions",
        GROUP,
        "Emissions by the hour",
        "Location-based emissions with what the grid emitted in each hour.",
        "g = sum over hours of kWh x g/kWh of the hour; missing hours are filled by stated rules",
        "Hourly sets of the registry; GHG Protocol, scope 2 guidance",
        (
            Input("zone", "Grid zone", help="As in CISO.", kind=Kind.TEXT, offers=_loaded_zones),
            Input("start", "First hour (UTC)", help="As in 2022-07-01 00:00.", kind=Kind.HOUR),
            Input(
                "kwh",
                "Energy of each hour",
                "kWh",
                "One hour a line, from the first on.",
                kind=Kind.ROWS,
                columns=(Input("kwh", "kWh", most=Decimal(10**15)),),
                most_rows=MOST_HOURS,
            ),
            Input(
                "country",
                "Country",
                help="Whose yearly figure stands in where hours are missing, in three letters.",
                kind=Kind.TEXT,
                required=False,
            ),
        ),
        _hourly,
        (
            Example(
                "Six hours of a day in California",
                {
                    "zone": "CISO",
                    "start": "2022-07-01 18:00",
                    "kwh": "10\n10\n10\n10\n10\n10",
                    "country": "USA",
                },
            ),
        ),
    ),
    Calculator(
        "market-emissions",
        GROUP,
        "Market-based emissions and the share of clean energy",
        "Certificates matched hour by hour, with annual matching beside it.",
        "g = sum over hours of max(0, E - G) x R + min(E, G) x contract factor; CFE = sum of min(E, G) / sum of E",
        "GHG Protocol scope 2 guidance with the hourly matching of its 2025 consultation",
        (
            Input(
                "hours",
                "Hours",
                help="One a line: kWh used, kWh certified, g/kWh of the residual mix (- where nobody publishes one), "
                "g/kWh of the contract if not 0.",
                kind=Kind.ROWS,
                columns=(
                    Input("kwh", "kWh used", most=Decimal(10**15)),
                    Input("certified", "kWh certified", most=Decimal(10**15)),
                    Input("residual", "residual g/kWh", required=False, most=Decimal(5000)),
                    Input("contract", "contract g/kWh", required=False, most=Decimal(5000)),
                ),
                most_rows=MOST_HOURS,
            ),
        ),
        _market,
        (
            Example("A sunny morning", {"hours": "10 25 400\n10 10 400\n10 5 400\n10 0 400"}),
            Example(
                "Llama 3.1, Meta AI 2024",
                {"hours": "27510000 27510000 414"},
                f"Published: 0 t market-based, 11,390 t location-based ({published.MODEL_CARD}).",
            ),
        ),
    ),
    Calculator(
        "fuel-mix",
        GROUP,
        "Intensity of a fuel mix",
        "What a kilowatt-hour emits, from the shares of its fuels.",
        "g/kWh = sum of share x factor of the fuel",
        "IPCC AR5, working group III, annex III (medians); CodeCarbon's documentation",
        (
            choice("factors", "Factors", [("ipcc", "IPCC medians"), ("codecarbon", "CodeCarbon's")]),
            Input(
                "shares",
                "Shares",
                help="One fuel a line, as in coal 0.25. They add up to 1.",
                kind=Kind.ROWS,
                columns=(
                    Input("fuel", "a fuel", kind=Kind.TEXT),
                    Input("share", "its share", most=Decimal(1)),
                ),
            ),
        ),
        _mix,
        (
            Example(
                "The example of CodeCarbon's documentation",
                {"factors": "codecarbon", "shares": "coal 0.25\noil 0.35\ngas 0.26\nnuclear 0.14"},
                "Printed there as 731.59 kg/kWh, which is wrong by 1,000.",
            ),
            Example(
                "The same with the IPCC's", {"factors": "ipcc", "shares": "coal 0.25\noil 0.35\ngas 0.26\nnuclear 0.14"}
            ),
        ),
    ),
    Calculator(
        "american-factor",
        GROUP,
        "American units",
        "g/kWh from the lb/MWh of United States statistics.",
        "g/kWh = lb/MWh x 0.45359237",
        "The pound of 1959: 0.45359237 kg, exactly",
        (Input("pounds", "Intensity", "lb/MWh", most=Decimal(10**6)),),
        _pounds,
        (Example("1,000 lb/MWh", {"pounds": "1000"}),),
    ),
    Calculator(
        "sci",
        GROUP,
        "Software Carbon Intensity",
        "Emissions per unit of use, with the hardware's own share.",
        "SCI = (E x I + M) per R; M = total embodied x reserved time / life x share of the resources",
        "ISO/IEC 21031:2024; Green Software Foundation, SCI 1.1",
        (
            Input("kwh", "Energy at the site", "kWh", "With idle reserve and PUE."),
            Input("intensity", "Intensity", "g CO2e/kWh", INTENSITY_HELP, most=Decimal(5000)),
            Input("made_g", "Emissions of making the hardware", "g CO2e", default="0"),
            Input("reserved_hours", "Hours reserved", "h", default="0"),
            positive(
                "life_hours", "Life", "h", help=f"A year has {HOURS_PER_YEAR:,}.", default=str(4 * HOURS_PER_YEAR)
            ),
            Input("reserved", "Resources reserved", default="1", above=True),
            positive("resources", "Of how many", default="1"),
            positive("units", "Units of use"),
            Input("unit", "One unit", help="As in 1,000 requests.", kind=Kind.TEXT, required=False),
        ),
        _sci,
        (
            Example(
                "2 kWh for 5,000 requests on a server of a tonne",
                {
                    "kwh": "2",
                    "intensity": "400",
                    "made_g": "1000000",
                    "reserved_hours": "1",
                    "life_hours": "35040",
                    "reserved": "1",
                    "resources": "1",
                    "units": "5",
                    "unit": "1,000 requests",
                },
            ),
        ),
    ),
)
