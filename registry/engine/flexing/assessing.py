"""A claim judged as a whole: its figures, where they can be computed, and every check."""

from dataclasses import dataclass

from registry.engine.flexing import checks
from registry.engine.flexing.avoided import Avoided, Rebound, avoided, rebound
from registry.engine.flexing.checks import Check
from registry.engine.flexing.facts import Facts


@dataclass(frozen=True)
class Assessment:
    """What comes out of the facts; the figures are missing where the records do not allow any."""

    figures: Avoided | None
    checks: tuple[Check, ...]
    rebound: Rebound

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.holds)


def assess(facts: Facts) -> Assessment:
    """Judge a claim by its facts. The same facts always give the same figures and checks."""
    first = tuple(checks.records(facts))
    kept = tuple(checks.promises(facts))
    if not all(check.holds for check in first):
        return Assessment(None, first + kept, rebound(facts))
    figures = avoided(facts)
    return Assessment(figures, (*first, *kept, checks.result(figures.avoided_ug)), rebound(facts))
