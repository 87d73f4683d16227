"""What importers read becomes lines of a draft: PUE once, then the registry's own factors, then the kept digits.

Energy of computers takes the PUE of its workload's site and year; energy of a site never does. Emissions follow from
the hours of a line where its moments and its zone's hourly series are known, and from its country's factor otherwise.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import partial
from itertools import count, islice, repeat
from typing import TypeAlias

from common.database import assert_in_transaction
from common.quantities import MAX_FLOP
from registry.engine.emissions import ItEnergy, differs_materially
from registry.engine.factors import BUILT_IN, WORLD, FactorTable
from registry.engine.grid import IntensitySeries
from registry.engine.monitoring import DEFAULT_PUE
from registry.engine.rounding import EXACT_DECIMALS
from registry.importers.fast import Amounts, FastRows, Sort
from registry.importers.lines import ImportedLine
from registry.importers.table import Flag, RowError
from registry.models import Draft, DraftLine, FactorSet, ReportLine, Upload, Workload
from registry.services.grid import intensities, spans
from registry.services.monitoring import sites
from registry.services.versions import RowsRefused

KWH_PLACES, GRAM_PLACES = 12, 6
"""How finely energy and emissions are kept; finer digits of a measurement are rounded half-up, line by line."""
MOST_KWH, MOST_GRAMS = Decimal(10**17), Decimal(10**23)
SHOWN_FLAGS = 20
"""Flags of one kind that are listed one by one; the next one counts the rest."""

_HALF_UP = Context(prec=250, rounding=ROUND_HALF_UP)
_KWH, _GRAM = Decimal(1).scaleb(-KWH_PLACES), Decimal(1).scaleb(-GRAM_PLACES)


def kept_kwh(figure: Decimal) -> Decimal:
    """Round energy half-up to the digits that are kept."""
    return figure.quantize(_KWH, context=_HALF_UP)


def kept_grams(figure: Decimal) -> Decimal:
    """Round emissions half-up to the digits that are kept."""
    return figure.quantize(_GRAM, context=_HALF_UP)


@dataclass(frozen=True)
class ZoneFactor:
    """What a kilowatt-hour counts for in one zone, and where the figure is from."""

    g_per_kwh: Decimal
    source: str
    is_default: bool


@dataclass
class Flags:
    """Flags of a file of any length: the first of each kind in full, and then their number."""

    listed: list[dict[str, object]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def restored(cls, stored: Iterable[Mapping[str, object]]) -> "Flags":
        """Go on with the flags of an upload that was interrupted."""
        flags = cls()
        for flag in stored:
            code = str(flag["code"])
            more = flag.get("more", 0)
            assert isinstance(more, int)
            flags.counts[code] = flags.counts.get(code, 0) + (more or 1)
            if not more:
                flags.listed.append(dict(flag))
        return flags

    def wants(self, code: str) -> bool:
        """Say whether a flag of this kind would still be listed in full; count it if not."""
        if self.counts.get(code, 0) < SHOWN_FLAGS:
            return True
        self.counts[code] += 1
        return False

    def add(self, flag: Flag) -> None:
        """Take a flag."""
        self.counts[flag.code] = self.counts.get(flag.code, 0) + 1
        if self.counts[flag.code] <= SHOWN_FLAGS:
            self.listed.append({"line": flag.line, "column": flag.column, "code": flag.code, "sentence": flag.sentence})

    def stored(self) -> list[dict[str, object]]:
        """Return them as they are kept."""
        last: dict[object, dict[str, object]] = {flag["code"]: flag for flag in self.listed}
        return self.listed + [
            {
                "line": last[code]["line"],
                "column": last[code]["column"],
                "code": code,
                "sentence": f"{count - SHOWN_FLAGS:,} more of these.",
                "more": count - SHOWN_FLAGS,
            }
            for code, count in self.counts.items()
            if count > SHOWN_FLAGS
        ]


class Unanswered(Exception):
    """A question to the database came up while its connection was busy."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__()
        self.ask = ask


class Valuation:
    """Turns imported lines into lines of one draft: what the source does not say comes from the workload or the form.

    It reads factors, PUE and hourly series once, so that a file of any length costs a few queries.
    """

    def __init__(
        self,
        draft: Draft,
        *,
        at: datetime,
        workload: Workload | None = None,
        activity: str = "",
        factors: FactorTable = BUILT_IN,
        upload: Upload | None = None,
    ) -> None:
        self.draft = draft
        self.upload = upload
        self.may_ask = True
        self.at = at
        self.workload = workload
        self.activity = workload.activity if workload else activity
        self.factors = factors
        self.tier = workload.system.tier if workload else None
        self.zone = workload.system.site.zone if workload else ""
        self._zones: dict[str, ZoneFactor] = {}
        self._pue: dict[int, tuple[Decimal, bool]] = {}
        self._hourly: dict[str, bool] = {}
        self._series: dict[tuple[str, int], tuple[IntensitySeries, list[FactorSet]] | None] = {}

    def factor(self, zone: str) -> ZoneFactor:
        """Return the yearly factor of a zone: that of the country, or the world's average."""
        if zone not in self._zones:
            factor = self.factors.factor(zone)
            source = f"{self.factors.version}: {factor.zone} {factor.year}"[:120]
            self._zones[zone] = ZoneFactor(factor.g_per_kwh, source, factor.zone == WORLD)
        return self._zones[zone]

    def pue(self, year: int) -> tuple[Decimal, bool]:
        """Return the PUE of the workload's site in a year; without a workload it is the conservative default."""
        if year not in self._pue:
            self._require_asking(lambda: self.pue(year))
            self._pue[year] = sites.pue(self.workload.system.site, year) if self.workload else (DEFAULT_PUE, False)
        return self._pue[year]

    def has_hours(self, zone: str) -> bool:
        """Say whether obligations use hourly figures of a zone."""
        if zone not in self._hourly:
            self._require_asking(lambda: self.has_hours(zone))
            self._hourly[zone] = zone in intensities.zones_with_hours(self.at)
        return self._hourly[zone]

    def _require_asking(self, ask: Callable[[], object]) -> None:
        if not self.may_ask:
            raise Unanswered(ask)

    def draft_lines(self, lines: Iterable[ImportedLine], flags: Flags, errors: list[RowError]) -> Iterator[DraftLine]:
        """Yield the draft's lines; a line that lacks its activity adds an error instead."""
        for line in lines:
            made = self.draft_line(line, flags, errors)
            if made is not None:
                yield made

    def draft_line(self, line: ImportedLine, flags: Flags, errors: list[RowError]) -> DraftLine | None:
        """Value one line."""
        activity = line.activity or self.activity
        if activity not in ReportLine.Activity.values:
            sentence = "The file does not say what was done: choose the activity beside the file."
            errors.append(RowError(line.line, "activity", "activity_missing", sentence))
            return None
        zone = line.zone or self.zone
        made = DraftLine(
            draft=self.draft,
            upload=self.upload,
            key=line.key,
            source_line=line.line,
            label=line.label[:200],
            activity=activity,
            method=line.method,
            workload=self.workload,
            tier=self._tier(line, flags),
            zone=zone,
            started_at=line.started_at,
            ended_at=line.ended_at,
            requests=line.requests,
            tokens=line.tokens,
            flop=Decimal(line.flop),
            claimed_co2e_g=None if line.claimed_co2e_g is None else kept_grams(line.claimed_co2e_g),
        )
        if line.energy is not None:
            kwh = self._site_kwh(line, flags)
            made.energy_kwh = kept_kwh(kwh)
            self._emit(made, kwh, line, flags)
        if made.energy_kwh >= MOST_KWH or made.co2e_g >= MOST_GRAMS or not 0 <= line.flop < MAX_FLOP:
            sentence = "This figure is larger than anything that can be kept: check its unit."
            errors.append(RowError(line.line, "energy", "number_out_of_range", sentence))
            return None
        return made

    def differing(self, rows: FastRows) -> list[int] | None:
        """Return which plain rows claim other emissions than ours; nothing where a country has no factor."""
        if not rows.is_compared:
            return []
        zones = {sort: self.factor(sort.zone) for sort in set(rows.sorts)}
        if any(zone.is_default for zone in zones.values()):
            return None
        per_kwh = {sort: float(zone.g_per_kwh) / float(rows.claimed_unit_g) for sort, zone in zones.items()}
        found = []
        for place, (kwh, sort, claimed) in enumerate(zip(rows.kwh, rows.sorts, rows.claimed, strict=True)):
            if claimed is None:
                continue
            estimated = float(kwh) * per_kwh[sort]
            gap = abs(float(claimed) - estimated)
            if gap > 0.0101 * estimated:
                found.append(place)
            elif gap >= 0.0099 * estimated:
                grams = EXACT_DECIMALS.multiply(kwh, zones[sort].g_per_kwh)
                if differs_materially(EXACT_DECIMALS.multiply(claimed, rows.claimed_unit_g), grams):
                    found.append(place)
        return found

    def spelled(self, rows: FastRows) -> str | None:
        """Value plain rows and spell them as COPY takes them: exactly what `draft_line` would make of each."""
        spellings = {sort: self._spelling(sort) for sort in set(rows.sorts)}
        head = f"{self.draft.pk}\t{copied(self.upload.pk if self.upload else None)}\t"
        quantized, times, unit = Decimal.quantize, _HALF_UP.multiply, rows.claimed_unit_g
        amounts = repeat(_NO_AMOUNTS) if rows.amounts is None else map(_amounts, rows.amounts)
        made = []
        for line, key, label, sort, amount, kwh, claimed in zip(
            count(rows.first_line), rows.keys, rows.labels, rows.sorts, amounts, rows.kwh, rows.claimed
        ):  # fmt: skip
            spelling = spellings[sort]
            if spelling is None:
                return None
            if "\\" in label or "\t" in label:
                label = copied(label)
            if spelling.per_kwh is None:
                figures = "0\t0"
            else:
                at_site = kwh if spelling.pue is None else EXACT_DECIMALS.multiply(kwh, spelling.pue)
                energy = quantized(at_site, _KWH, None, _HALF_UP)
                grams = quantized(times(at_site, spelling.per_kwh), _GRAM, None, _HALF_UP)
                figures = f"{energy:f}\t{grams:f}"
            own = "\\N" if claimed is None else f"{quantized(times(claimed, unit), _GRAM, None, _HALF_UP):f}"
            made.append(f"{head}{key}\t{line}\t{label}{spelling.middle}{amount}\t{figures}\t{own}{spelling.tail}")
        return "".join(made)

    def add_flags(self, rows: FastRows, flags: Flags) -> None:
        """Add the flags that valuing plain rows gives."""
        spellings = {sort: self._spelling(sort) for sort in set(rows.sorts)}
        if not any(spelling and spelling.flags for spelling in spellings.values()):
            return
        for line, sort, kwh in zip(count(rows.first_line), rows.sorts, rows.kwh):
            spelling = spellings[sort]
            for column, code, sentence in spelling.flags if spelling else ():
                if (kwh or code != "country_unknown") and flags.wants(code):
                    flags.add(Flag(line, column, code, sentence))

    def _spelling(self, sort: Sort) -> "_Spelling | None":
        """Return what all rows of a sort have in common; nothing where each row has to be valued by itself."""
        activity, zone = sort.activity or self.activity, sort.zone or self.zone
        if activity not in ReportLine.Activity.values:
            return None
        tier = self.tier if sort.tier is None else sort.tier
        if tier is not None and self.tier is not None and tier > self.tier:
            return None
        figures = (activity, sort.method, self.workload.pk if self.workload else None, tier, zone)
        moments = (sort.started_at, sort.ended_at)
        middle = "".join(f"\t{copied(one)}" for one in (*figures, *moments)) + "\t"
        if not sort.energy:
            return _Spelling(middle, None, None, "\t\\N\t\n", ())
        if sort.started_at and sort.ended_at and self.has_hours(zone):
            return None
        pue, flags = None, []
        if sort.energy == "computers":
            year = sort.started_at.year if sort.started_at else self.draft.period.year
            pue, is_proven = self.pue(year)
            flags += _pue_flags(year, pue, is_proven)
        factor = self.factor(zone)
        if factor.is_default:
            flags.append(_unknown_zone(zone))
        tail = f"\t{factor.g_per_kwh:f}\t{copied(factor.source)}\n"
        return _Spelling(middle, pue, factor.g_per_kwh, tail, tuple(flags))

    def _tier(self, line: ImportedLine, flags: Flags) -> int | None:
        """Return how a line was measured: a file cannot claim more than its workload's system was registered with."""
        if line.tier is None or self.tier is None:
            return self.tier if line.tier is None else line.tier
        if line.tier > self.tier:
            sentence = f"The file claims tier {line.tier}; the workload's system measures at tier {self.tier}."
            flags.add(Flag(line.line, "tier", "tier_above_system", sentence))
        return min(line.tier, self.tier)

    def _site_kwh(self, line: ImportedLine, flags: Flags) -> Decimal:
        """Return what the site drew: PUE is applied to energy of computers, once, and to nothing else."""
        assert line.energy is not None
        if not isinstance(line.energy, ItEnergy):
            return line.energy.kwh
        year = line.started_at.year if line.started_at else self.draft.period.year
        pue, is_proven = self.pue(year)
        for seen in _pue_flags(year, pue, is_proven):
            flags.add(Flag(line.line, *seen))
        return EXACT_DECIMALS.multiply(line.energy.kwh, pue)

    def _emit(self, made: DraftLine, kwh: Decimal, line: ImportedLine, flags: Flags) -> None:
        """Work out emissions hour by hour where that is possible, by the country's yearly factor otherwise."""
        if made.started_at and made.ended_at and self.has_hours(made.zone):
            span = spans.span(made.zone, made.started_at, made.ended_at, partial(self._year, made.zone))
            if span is not None:
                made.co2e_g, made.factor_source = span.grams(made.energy_kwh), span.source
                return
        factor = self.factor(made.zone)
        made.co2e_g = kept_grams(EXACT_DECIMALS.multiply(kwh, factor.g_per_kwh))
        made.factor_g_per_kwh, made.factor_source = factor.g_per_kwh, factor.source
        if factor.is_default and kwh:
            flags.add(Flag(line.line, *_unknown_zone(made.zone)))

    def _year(self, zone: str, year: int) -> tuple[IntensitySeries, list[FactorSet]] | None:
        """Return the hours of a year with the sets they are of."""
        if (zone, year) not in self._series:
            self._require_asking(lambda: self._year(zone, year))
            self._series[zone, year] = spans.year_series(zone, year, at=self.at)
        return self._series[zone, year]


@dataclass(frozen=True)
class _Spelling:
    """What rows of one sort have in common once they are valued, as COPY takes it before and after their figures."""

    middle: str
    pue: Decimal | None
    per_kwh: Decimal | None
    tail: str
    flags: "tuple[_Seen, ...]"


_Seen: TypeAlias = tuple[str, str, str]
"""A flag without its line: column, code and sentence."""


def _pue_flags(year: int, pue: Decimal, is_proven: bool) -> list[_Seen]:
    found = [("energy", "pue_applied", f"Energy of the computers was multiplied with the PUE {pue}.")]
    if not is_proven:
        sentence = f"No proven PUE for {year}: {pue} was used. Give the upload a workload whose site has one."
        found.append(("energy", "pue_unproven", sentence))
    return found


def _unknown_zone(zone: str) -> _Seen:
    return "zone", "country_unknown", f"No factor for {zone or 'an unknown country'}: the world average was used."


COPIED = (
    "draft_id", "upload_id", "key", "source_line", "label", "activity", "method", "workload_id", "tier", "zone",
    "started_at", "ended_at", "requests", "tokens", "flop", "energy_kwh", "co2e_g", "claimed_co2e_g",
    "factor_g_per_kwh", "factor_source",
)  # fmt: skip
"""The columns of a draft's line in the order in which COPY writes them."""


_NO_AMOUNTS = "\\N\t\\N\t0"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def copied(value: object) -> str:
    """Spell one value as COPY's text format has it."""
    match value:
        case None:
            return "\\N"
        case str():
            return value.translate(_ESCAPES)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
    return str(value)


def _amounts(amounts: Amounts) -> str:
    requests, tokens, flop = amounts
    return f"{copied(requests)}\t{copied(tokens)}\t{flop}"


def put(lines: Iterable[ImportedLine], valuation: Valuation, flags: Flags) -> None:
    """Write imported lines into a draft in the caller's transaction, all of them or none."""
    assert_in_transaction()
    errors: list[RowError] = []
    for batch in batched(valuation.draft_lines(lines, flags, errors), 5_000):
        DraftLine.objects.bulk_create(batch)
    if errors:
        raise RowsRefused(errors)


def batched(lines: Iterable[DraftLine], size: int) -> Iterator[list[DraftLine]]:
    """Yield the lines in lists, so that a stream of any length is written in steps."""
    rest = iter(lines)
    while batch := list(islice(rest, size)):
        yield batch
