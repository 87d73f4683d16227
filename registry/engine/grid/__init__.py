"""Emissions hour by hour: what a zone's grid emitted in each hour, times what a stream drew in it.

Everything is whole numbers: intensities in millionths of a gram per kWh, energy in billionths of a watt-hour (10^-12
kWh), so that a year of twenty streams is added up in milliseconds and to the last digit. Hours are UTC and named by
their beginning. What is missing is filled by stated, conservative rules, and every filled hour says so.
"""

from registry.engine.grid.comparison import HourlyResult, hourly_result
from registry.engine.grid.energy import EnergySeries, fill_energy, spread
from registry.engine.grid.hours import HOUR, first_hour, hour_at, hour_number, ranges
from registry.engine.grid.intensities import (
    COUNTRY_UPLIFT,
    LONGEST_NEIGHBOURED,
    Fill,
    IntensitySeries,
    fill_intensities,
)
from registry.engine.grid.profiles import Profile, by_hour_of_day, by_month
from registry.engine.grid.units import micro_grams, micro_grams_text, pico_kwh

__all__ = [
    "COUNTRY_UPLIFT",
    "HOUR",
    "LONGEST_NEIGHBOURED",
    "EnergySeries",
    "Fill",
    "HourlyResult",
    "IntensitySeries",
    "Profile",
    "by_hour_of_day",
    "by_month",
    "fill_energy",
    "fill_intensities",
    "first_hour",
    "hour_at",
    "hour_number",
    "hourly_result",
    "micro_grams",
    "micro_grams_text",
    "pico_kwh",
    "ranges",
    "spread",
]
