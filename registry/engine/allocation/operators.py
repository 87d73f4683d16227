"""What the registry knows about one operator when it allocates: verified figures, standing, and conditions met."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from registry.engine.benchmarks import Observation
from registry.engine.rounding import Exact, exact


def _empty() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class OperatorData:
    """One operator's verified figures, in the base units of the scheme (FLOP, or t CO2e) and in units of output.

    `leakage_class` names the row of the leakage and assistance tables; a table of assistance factors may also name the
    operator itself or its cohort. `use_by_product_and_year` serves benchmarks that are taken from the population.
    `output_used` is the output an earlier run counted for a product in a year of allocation, from that run's published
    inputs; a true-up compares with it. `delivered` are permits given for the same year before, `debt` permits owed.
    """

    operator: str
    cohort: str = ""
    leakage_class: str = ""
    use_by_year: Mapping[int, Exact | None] = field(default_factory=_empty)
    use_by_product_and_year: Mapping[str, Mapping[int, Exact]] = field(default_factory=_empty)
    output_by_product_and_year: Mapping[str, Mapping[int, Exact]] = field(default_factory=_empty)
    output_used: Mapping[str, Mapping[int, Exact]] = field(default_factory=_empty)
    historical_activity: Mapping[str, Exact] = field(default_factory=_empty)
    own_j_per_flop: Exact | None = None
    proven_need: int = 0
    first_day: date | None = None
    last_day: date | None = None
    conditions_met: frozenset[str] = frozenset()
    applied_at: datetime | None = None
    applied_permits: int = 0
    delivered: int = 0
    debt: int = 0

    def began_after(self, year: int) -> bool:
        """Say whether the operator first worked after a year, so that a missing figure of that year is no gap."""
        return self.first_day is not None and self.first_day.year > year

    def closed_before(self, year: int) -> bool:
        """Say whether the operator had stopped before a year began."""
        return self.last_day is not None and self.last_day.year < year

    def output(self, product: str, year: int) -> Exact | None:
        """Return the verified output of a product in a year, or nothing where there is none."""
        return self.output_by_product_and_year.get(product, {}).get(year)

    def observation(self, product: str, year: int, by_energy: bool) -> Observation | None:
        """Return the operator's place in the population of a benchmark, or nothing where a figure is missing.

        By energy the use is the verified energy per FLOP times the output in FLOP, in joules.
        """
        output = self.output(product, year)
        if output is None or exact(output) == 0:
            return None
        if by_energy:
            own = self.own_j_per_flop
            return None if own is None else Observation(self.operator, exact(own) * exact(output), output)
        use = self.use_by_product_and_year.get(product, {}).get(year)
        return None if use is None else Observation(self.operator, use, output)
