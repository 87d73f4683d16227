"""Calculators for everybody: one table of them, from which the pages, REST and the guide come."""

from registry.services.calculators import compute, emissions, energy, estimated, judging
from registry.services.calculators.parts import Calculator

CALCULATORS: dict[str, Calculator] = {
    one.name: one
    for one in (
        *compute.CALCULATORS,
        *energy.CALCULATORS,
        *emissions.CALCULATORS,
        *estimated.CALCULATORS,
        *judging.CALCULATORS,
    )
}
"""By name, in the order in which they are listed."""
