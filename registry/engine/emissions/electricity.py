"""Emissions of electricity: location-based by a yearly factor, market-based by the hour, and the intensity of a mix.

Location-based emissions are the obligation. Market-based ones are shown beside them and never owed. Hour by hour with
gaps filled is the work of `registry.engine.grid`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from registry.engine.emissions.energy import SiteEnergy
from registry.engine.emissions.steps import CalculationStep
from registry.engine.factors import WORLD, FactorTable
from registry.engine.rounding import EXACT_DECIMALS, Exact, exact, exact_sum

MIX_G_PER_KWH = {
    "biomass": Decimal(230),
    "coal": Decimal(820),
    "gas": Decimal(490),
    "hydro": Decimal(24),
    "nuclear": Decimal(12),
    "oil": Decimal(650),
    "solar": Decimal(41),
    "wind": Decimal(11),
}
"""Life-cycle medians by fuel: IPCC, Fifth Assessment Report, working group III, annex III."""

CODECARBON_MIX_G_PER_KWH = {
    "coal": Decimal(995),
    "gas": Decimal(743),
    "geothermal": Decimal(38),
    "hydro": Decimal(26),
    "nuclear": Decimal(29),
    "oil": Decimal(816),
    "solar": Decimal(48),
    "wind": Decimal(26),
}
"""The factors by fuel in CodeCarbon's documentation, to follow its figures; the registry's own are `MIX_G_PER_KWH`."""

KG_PER_POUND = Decimal("0.45359237")
FOSSIL_G_PER_KWH = MIX_G_PER_KWH["coal"]
"""Used for an hour whose residual mix nobody published: the dirtiest fuel, so that silence does not pay."""

MATERIAL_DIFFERENCE = Decimal("0.01")
"""Claimed and recomputed emissions that differ by more than one per cent are shown side by side."""


@dataclass(frozen=True)
class Emissions:
    """Recomputed emissions with the factor they rest on; `default_factor` says that the country was not known."""

    grams: Decimal
    table_version: str
    zone: str
    default_factor: bool
    steps: tuple[CalculationStep, ...]

    @property
    def kilograms(self) -> Decimal:
        """The emissions in kg CO2e."""
        return EXACT_DECIMALS.scaleb(self.grams, -3)

    @property
    def tonnes(self) -> Decimal:
        """The emissions in t CO2e, the base unit of a carbon scheme; only the obligation rounds them."""
        return EXACT_DECIMALS.scaleb(self.grams, -6)


@dataclass(frozen=True)
class MarketHour:
    """One hour in one zone: energy used, certificates of generation in that hour and zone, and what the rest emits.

    `residual_g_per_kwh` is None where no residual mix is published. `contract_g_per_kwh` is what certified energy
    emits, zero for wind and sun.
    """

    kwh: Decimal
    certified_kwh: Decimal
    residual_g_per_kwh: Decimal | None
    contract_g_per_kwh: Decimal = Decimal(0)


@dataclass(frozen=True)
class MarketEmissions:
    """Market-based emissions by hourly matching, with annual matching of the same hours as a comparison.

    The shares are of the energy used: `cfe_score` matched hour by hour, `annual_share` over the whole time. Both are
    None where nothing was used. `without_residual` counts the hours that took the fossil factor.
    """

    grams: Fraction
    cfe_score: Fraction | None
    annual_grams: Fraction
    annual_share: Fraction | None
    without_residual: int
    steps: tuple[CalculationStep, ...]


def emissions(energy: SiteEnergy, country_iso3: str, table: FactorTable) -> Emissions:
    """Recompute location-based emissions with the registry's own factor; an unknown country gets the default."""
    factor = table.factor(country_iso3)
    grams = EXACT_DECIMALS.multiply(energy.kwh, factor.g_per_kwh)
    return Emissions(
        grams=grams,
        table_version=table.version,
        zone=factor.zone,
        default_factor=factor.zone == WORLD,
        steps=(
            CalculationStep("site energy", energy.kwh, "kWh"),
            CalculationStep(f"{factor.zone} {factor.year}", factor.g_per_kwh, "g CO2e/kWh"),
            CalculationStep("site energy x factor", grams, "g CO2e"),
        ),
    )


def market_based(hours: Sequence[MarketHour]) -> MarketEmissions:
    """Return m = sum of max(0, E - G) x R + min(E, G) x contract factor, matched hour by hour and unrounded.

    Certificates above an hour's use are lost: they cannot make another hour clean. Annual matching, which lets them,
    prices what is unmatched at the energy-weighted mean of R. Negative figures are our own mistake.
    Source: GHG Protocol scope 2 guidance with the hourly matching of its 2025 consultation.
    """
    assert all(hour.kwh >= 0 and hour.certified_kwh >= 0 for hour in hours), "energy is never negative"
    residuals = [exact(FOSSIL_G_PER_KWH if h.residual_g_per_kwh is None else h.residual_g_per_kwh) for h in hours]
    used = exact_sum(hour.kwh for hour in hours)
    certified = exact_sum(hour.certified_kwh for hour in hours)
    matched = [exact(min(hour.kwh, hour.certified_kwh)) for hour in hours]
    contractual = exact_sum(share * exact(hour.contract_g_per_kwh) for share, hour in zip(matched, hours, strict=True))
    unmatched_grams = exact_sum(
        (exact(hour.kwh) - share) * residual for hour, share, residual in zip(hours, matched, residuals, strict=True)
    )
    bought = exact_sum(exact(h.certified_kwh) * exact(h.contract_g_per_kwh) for h in hours)
    annual_matched = min(used, certified)
    weighted = exact_sum(exact(hour.kwh) * residual for hour, residual in zip(hours, residuals, strict=True))
    annual = (used - annual_matched) * weighted / used if used else exact(0)
    annual += annual_matched * bought / certified if certified else 0
    return MarketEmissions(
        grams=unmatched_grams + contractual,
        cfe_score=exact_sum(matched) / used if used else None,
        annual_grams=annual,
        annual_share=annual_matched / used if used else None,
        without_residual=sum(hour.residual_g_per_kwh is None for hour in hours),
        steps=(
            CalculationStep("energy used", used, "kWh"),
            CalculationStep("certified in the same hours", exact_sum(matched), "kWh"),
            CalculationStep("not certified x residual mix", unmatched_grams, "g CO2e"),
            CalculationStep("certified x contract factor", contractual, "g CO2e"),
            CalculationStep("comparison: annual matching", annual, "g CO2e"),
        ),
    )


def mix_intensity(shares: Mapping[str, Decimal], factors: Mapping[str, Decimal]) -> Decimal:
    """Return the intensity of a fuel mix: the sum of share x factor, in the unit of the factors.

    A fuel without a factor is a KeyError: check the names of what people typed first.
    """
    total = Decimal(0)
    for fuel in sorted(shares):
        total = EXACT_DECIMALS.add(total, EXACT_DECIMALS.multiply(shares[fuel], factors[fuel]))
    return total


def g_per_kwh_from_pounds(pounds_per_mwh: Decimal) -> Decimal:
    """Return g/kWh for lb/MWh, the unit of United States statistics: x 0.45359237, exactly."""
    return EXACT_DECIMALS.multiply(pounds_per_mwh, KG_PER_POUND)


def differs_materially(claimed: Exact, recomputed: Exact) -> bool:
    """Say whether a claimed figure is more than one per cent away from ours."""
    return abs(exact(claimed) - exact(recomputed)) > exact(MATERIAL_DIFFERENCE) * exact(recomputed)


def pue_left_out(energy: SiteEnergy, claimed_kg: Decimal, kg_per_kwh: Decimal, pue: Decimal) -> bool:
    """Say whether claimed emissions fit their energy only without its PUE, as in the figures 1287 MWh and 502 t."""
    whole = exact(energy.kwh) * exact(kg_per_kwh)
    return differs_materially(claimed_kg, whole) and not differs_materially(claimed_kg, whole / exact(pue))
