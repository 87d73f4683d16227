"""Four schemes of the world, each as one rule document with two periods worked by hand beside it.

| folder | after |
|---|---|
| `eu-like` | the EU's: a falling cap, benchmarks, a stability reserve, cash sanctions |
| `california-like` | California's: a budget table, true-ups, price floor and ceiling, four for one |
| `rggi-like` | RGGI's: everything auctioned, two containment tiers, three for one |
| `ai-allowance` | AI allowances in FLOP: A = O x B x C, an academic set-aside, limited banking |

`rules.json` founds the scheme by one import. `worked.md` holds what two periods have to come to, and `books.py` what
the operators do in them.
"""

import json
from pathlib import Path
from typing import Any

from common.errors import require
from demo.schemes.worked import Tables, read_tables

FOLDER = Path(__file__).resolve().parent
NAMES = ("eu-like", "california-like", "rggi-like", "ai-allowance")


def require_known(name: str) -> str:
    """Return the name of a scheme that is shipped, or refuse it with those that are."""
    require(name in NAMES, "scheme_unknown", f"There is no scheme {name!r}. Shipped are: {', '.join(NAMES)}.")
    return name


def rule_document(name: str) -> Any:
    """Return the rule document of a scheme, as one import takes it."""
    return json.loads((FOLDER / name / "rules.json").read_text(encoding="utf-8"))


def by_hand(name: str) -> Tables:
    """Return the tables of a scheme that were worked by hand."""
    return read_tables((FOLDER / name / "worked.md").read_text(encoding="utf-8"))
