"""What a rule book comes to in the next years: caps, prices and reserve lines, before and after a change.

Each year is read by the rules that hold on its last day. Figures that a rule book does not give are left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from registry.engine import cap, reserve
from registry.engine.parameters.documents import Entry, Terms
from registry.engine.parameters.folding import folded
from registry.engine.policy import Policy, PricePath
from registry.engine.rounding import exact_text


@dataclass(frozen=True)
class OutlookRow:
    """One figure of one year, as exact text; None where the rule book does not give it."""

    year: int
    figure: str
    unit: str
    before: str | None
    after: str | None

    @property
    def differs(self) -> bool:
        """Whether the change moves this figure."""
        return self.before != self.after


def outlook(
    terms: Terms,
    before: Iterable[Entry],
    after: Iterable[Entry],
    years: range,
    founding: Mapping[str, Any] | None = None,
) -> tuple[OutlookRow, ...]:
    """Return every figure that either history of changes gives for the years, by figure and then by year."""
    old, new = tuple(before), tuple(after)
    found = []
    for year in years:
        day = date(year, 12, 31)
        was = _figures(folded(terms, old, day, founding)[0], year)
        will = _figures(folded(terms, new, day, founding)[0], year)
        found += [
            OutlookRow(year, figure, unit, was.get((figure, unit)), will.get((figure, unit)))
            for figure, unit in dict.fromkeys([*was, *will])
        ]
    order = {figure: place for place, figure in enumerate(dict.fromkeys(row.figure for row in found))}
    return tuple(sorted(found, key=lambda row: (order[row.figure], row.year)))


def _figures(policy: Policy, year: int) -> dict[tuple[str, str], str]:
    """Return the figures of one year as exact text by what they are and their unit."""
    found: dict[tuple[str, str], str] = {}
    permits = cap.caps_by_year(cap.cap_path(policy.cap, year, year)).get(year)
    if permits is not None:
        found["Cap", "permits"] = str(permits)
    for name, path in _paths(policy):
        price = reserve.price_in(path, year)
        if isinstance(price, Decimal):
            found[name, f"{policy.currency} per permit"] = exact_text(price)
    msr = policy.supply.msr
    if msr is not None:
        found["Stability reserve: upper line", "permits"] = str(msr.upper)
        if msr.mid is not None:
            found["Stability reserve: end of the buffer", "permits"] = str(msr.mid)
        found["Stability reserve: lower line", "permits"] = str(msr.lower)
        found["Stability reserve: intake", "share"] = exact_text(msr.intake)
        found["Stability reserve: release", "permits"] = str(msr.release)
    return found


def _paths(policy: Policy) -> list[tuple[str, PricePath]]:
    supply = policy.supply
    found = [] if supply.floor is None else [("Floor price", supply.floor)]
    if supply.ecr is not None:
        found.append(("Emissions containment trigger", supply.ecr.trigger))
    found += [(f"Cost containment trigger, tier {place}", tier.trigger) for place, tier in enumerate(supply.ccr, 1)]
    if supply.ceiling is not None:
        found.append(("Ceiling price", supply.ceiling.path))
    return found
