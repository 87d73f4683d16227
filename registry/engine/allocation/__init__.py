"""Free allocation: who gets how many permits of a cap, by which method, with every figure on the way.

`allocate` divides one cap into free permits, an academic set-aside and the rest for auction. The three sum to the cap
exactly. Its inputs are one frozen value with a canonical document and a hash, so that a stranger who holds the
published document gets the same lines.

Units. Outputs and energy are exact. One permit is `permit_size` base units; the base unit is the FLOP in a `flop`
scheme and the tonne of CO2e in a `co2e` scheme.

The AI allowance A = O x B x C is an energy: O in FLOP, B in J per FLOP, C without unit, so A in joules. (A benchmark
"in watts per FLOP" has no meaning over a year.) An energy is neither a FLOP nor a tonne, so the permits that follow
from it depend on the metric of the scheme (docs/decisions/0003-ai-allowance-units.md says why):

- `flop`: the firm's usable compute F = A / E with its own verified E in J per FLOP, so permits = A / E / permit_size.
  Who needs less energy per FLOP than the benchmark gets more FLOP permits than it used, and can sell.
- `co2e`: the energy at the one intensity the regulator publishes for the scheme, so permits = kWh x g/kWh / 10^6 /
  permit_size. The firm's own grid does not enter: clean power shows as fewer tonnes owed, and in C.
"""

from registry.engine.allocation.assembly import Stage, inputs_from_rules, outputs_used
from registry.engine.allocation.claims import (
    HIGHEST_FACTOR,
    Adjustment,
    AiAllowanceClaim,
    Claim,
    GrandfatheringClaim,
    GrandfatheringMedianClaim,
    Method,
    Metric,
    OutputClaim,
    ProductBenchmarkClaim,
)
from registry.engine.allocation.delivery import (
    ClawBack,
    ContestedSplit,
    Delivery,
    Settlement,
    active_share,
    claw_back,
    deliver,
    pre_allocated,
    settle,
    split_contested,
    whole_true_up,
)
from registry.engine.allocation.division import (
    allocate,
    total_of_claims,
    warnings,
)
from registry.engine.allocation.documents import (
    INPUTS_FORMAT,
    INPUTS_FORMAT_2,
    inputs_document,
    inputs_from_document,
    inputs_hash,
    line_document,
    result_document,
)
from registry.engine.allocation.inputs import (
    AllocationInputs,
    Standing,
    TrueUp,
)
from registry.engine.allocation.lines import GRAMS_PER_TONNE, base_units
from registry.engine.allocation.notices import (
    Notice,
)
from registry.engine.allocation.operators import (
    OperatorData,
)
from registry.engine.allocation.pools import (
    Application,
    Leftover,
    NewEntrantPool,
    Reserve,
    SetAsideNeed,
    SetAsidePool,
    auction_volume,
    first_come_first_served,
    share_set_aside,
)
from registry.engine.allocation.results import (
    RESULT_FORMAT,
    RESULT_FORMAT_2,
    AllocationLine,
    AllocationResult,
    Award,
    Step,
)
from registry.engine.allocation.rulebook import (
    contradictions,
    rule_contradictions,
    rule_warnings,
)
from registry.engine.canonical import canonical_json

__all__ = [
    "GRAMS_PER_TONNE",
    "HIGHEST_FACTOR",
    "INPUTS_FORMAT",
    "INPUTS_FORMAT_2",
    "RESULT_FORMAT",
    "RESULT_FORMAT_2",
    "Adjustment",
    "AiAllowanceClaim",
    "AllocationInputs",
    "AllocationLine",
    "AllocationResult",
    "Application",
    "Award",
    "Claim",
    "ClawBack",
    "ContestedSplit",
    "Delivery",
    "GrandfatheringClaim",
    "GrandfatheringMedianClaim",
    "Leftover",
    "Method",
    "Metric",
    "NewEntrantPool",
    "Notice",
    "OperatorData",
    "OutputClaim",
    "ProductBenchmarkClaim",
    "Reserve",
    "SetAsideNeed",
    "SetAsidePool",
    "Settlement",
    "Stage",
    "Standing",
    "Step",
    "TrueUp",
    "active_share",
    "allocate",
    "auction_volume",
    "base_units",
    "canonical_json",
    "claw_back",
    "contradictions",
    "deliver",
    "first_come_first_served",
    "inputs_document",
    "inputs_from_document",
    "inputs_from_rules",
    "inputs_hash",
    "line_document",
    "outputs_used",
    "pre_allocated",
    "result_document",
    "rule_contradictions",
    "rule_warnings",
    "settle",
    "share_set_aside",
    "split_contested",
    "total_of_claims",
    "warnings",
    "whole_true_up",
]
