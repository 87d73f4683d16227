"""Calculation steps: every calculator lists the figures it went through, so that a stranger can follow them."""

from dataclasses import dataclass

from registry.engine.rounding import Exact


@dataclass(frozen=True)
class CalculationStep:
    """One figure on the way to a result. It is exact, except in functions named `estimated_`, where it is a float."""

    name: str
    value: Exact | float
    unit: str
