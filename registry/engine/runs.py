"""Published runs: one document with the rules, the inputs and the result, from which a stranger gets the same result.

    {"format": "headroom.run/1", "kind": ..., "scheme": ..., "period": ..., "year": ...,
     "rules": {"version": ..., "on": ..., "document": ...}, "inputs": {...}, "result": {...}}

Every quantity is exact text. `rules.document` is the whole rule book as `registry.engine.parameters` writes it, or null
where a scheme has its founding terms only; `rules.version` is its hash. Kinds:

| kind | what it works out | by |
|---|---|---|
| `allocation` | who gets how many permits of the cap | `registry.engine.allocation.allocate` |
| `stability` | what the quantity reserve takes in, releases and invalidates, by month | `registry.engine.reserve` |
| `sale` | a sale by sealed bids with its containment tiers or withholding | `registry.engine.reserve` |
| `status` | every operator's letter, what it owed and what was missing | `registry.engine.compliance` |
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from registry.engine import allocation, compliance, indicators, parameters, reserve
from registry.engine.policy import Policy
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact_text

FORMAT = "headroom.run/1"

Document = dict[str, Any]
Figures = Mapping[str, Any]


class Unusable(ValueError):
    """A document that is no run, or whose rules or inputs cannot be read."""


def run_document(
    *,
    kind: str,
    scheme: str,
    period: str,
    year: int,
    on: date,
    rules: Mapping[str, Any] | None,
    inputs: Mapping[str, Any],
) -> Document:
    """Return the document of a run with its result worked out; the rules are those that hold on the day `on`."""
    document: Document = {
        "format": FORMAT,
        "kind": kind,
        "scheme": scheme,
        "period": period,
        "year": year,
        "rules": {
            "version": "" if rules is None else parameters.sha256(rules),
            "on": on.isoformat(),
            "document": rules,
        },
        "inputs": dict(inputs),
    }
    return document | {"result": recompute(document)}


def recompute(document: Mapping[str, Any]) -> Document:
    """Work the result of a run out again, from its rules and inputs alone; the result it came with is not looked at."""
    try:
        if document["format"] != FORMAT:
            raise Unusable(f"The format is {document['format']!r}, not {FORMAT}.")
        work = KINDS[document["kind"]]
        return work(document)
    except Unusable:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise Unusable(f"This is no complete run: {error!r}.") from error


def differences(document: Mapping[str, Any]) -> list[str]:
    """List where a published document is not what its own rules and inputs give; empty where all agrees."""
    again = recompute(document)
    found = [] if document["rules"]["version"] == rules_version(document) else ["rules: the version is another"]
    return found + list(_differing("result", document["result"], again))


def rules_version(document: Mapping[str, Any]) -> str:
    """Return the hash of the rule book inside a document; empty where it has none."""
    rules = document["rules"]["document"]
    return "" if rules is None else parameters.sha256(rules)


def _policy(document: Figures) -> Policy:
    """Read the rule book that the document carries, as it holds on the day of the run."""
    rules = document["rules"]
    book = parameters.read_document(rules["document"])
    if isinstance(book, tuple):
        raise Unusable(" ".join(refusal.sentence for refusal in book))
    policy = parameters.policy_on(book.terms, book.entries, date.fromisoformat(rules["on"]))
    if isinstance(policy, tuple):
        raise Unusable(" ".join(refusal.sentence for refusal in policy))
    return policy


def _allocation(document: Figures) -> Document:
    return allocation.result_document(allocation.allocate(allocation.inputs_from_document(document["inputs"])))


def _stability(document: Figures) -> Document:
    """The flow of the quantity reserve from the permits in circulation, spread over its months."""
    rule = _policy(document).supply.msr
    if rule is None:
        return _refused(Refusal("no_stability_reserve", "The rules of that day have no stability reserve."))
    inputs = {name: int(text) for name, text in document["inputs"].items()}
    circulation = indicators.circulation(
        minted=inputs["minted"],
        imported=inputs["imported"],
        verified_use=inputs["verified_use"],
        cancelled=inputs["cancelled"],
        reserve=inputs["reserve"],
    )
    flow = reserve.stability_flow(rule, circulation, inputs["reserve"], auction_volume=inputs["auction_volume"])
    if isinstance(flow, Refusal):
        return _refused(flow)
    months = reserve.monthly_flows(rule, flow.intake + flow.release, date.fromisoformat(document["rules"]["on"]).year)
    if isinstance(months, Refusal):
        return _refused(months)
    return {
        "circulation": str(circulation),
        "reason": flow.reason.value,
        "wanted": str(flow.wanted),
        "intake": str(flow.intake),
        "release": str(flow.release),
        "invalidated": str(flow.invalidated),
        "holdings_after": str(flow.holdings_after),
        "months": [
            {"month": f"{each.year}-{each.month:02d}", "permits": str(each.permits)} for each in months if each.permits
        ],
    }


def _sale(document: Figures) -> Document:
    """A uniform-price sale: containment tiers above their triggers, withholding below its own, else the plain price.

    Awards go to the highest bids; equal prices share what is left in the order of their bids' names, so that anybody
    who has the bids gets the same awards. `stock` is what each tier has left after earlier sales of the year, and
    `withheld_before` what they withheld; without them the tiers are full and nothing was withheld. Winners in
    `defaulted` did not pay: what they won goes to the next best bids at the same price, or stays unsold (late case 14).
    """
    inputs, supply = document["inputs"], _policy(document).supply
    year, cap, offered = document["year"], int(inputs["cap"]), int(inputs["offered"])
    named = [(bid["bidder"], Decimal(bid["price"]), int(bid["quantity"])) for bid in inputs["bids"]]
    bids = [reserve.Bid(price, quantity) for _, price, quantity in named]
    floor = None if supply.floor is None else reserve.price_in(supply.floor, year)
    if isinstance(floor, Refusal):
        return _refused(floor)
    without = reserve.clear(bids, offered, floor)
    released, withheld, final, tiers = 0, 0, without, []
    stock = [int(left) for left in inputs["stock"]] if "stock" in inputs else None
    contained = reserve.containment(
        supply.ccr, year=year, cap=cap, offered=offered, bids=bids, floor=floor, available=stock
    )
    if isinstance(contained, tuple):
        return _refused(*contained)
    released, final = contained.released, contained.final
    tiers = [
        {"trigger": exact_text(tier.trigger), "available": str(tier.available), "released": str(tier.released)}
        for tier in contained.tiers
    ]
    if supply.ecr is not None and not released:
        kept = reserve.withholding(
            supply.ecr,
            year=year,
            cap=cap,
            offered=offered,
            bids=bids,
            floor=floor,
            withheld_before=int(inputs.get("withheld_before", "0")),
        )
        if isinstance(kept, tuple):
            return _refused(*kept)
        withheld, final = kept.withheld, kept.final
    defaulted = frozenset(inputs.get("defaulted", ()))
    awards = _awards(named, final, defaulted)
    sold = sum(int(award["permits"]) for award in awards)
    result = {
        "floor": None if floor is None else exact_text(floor),
        "price_without_reserves": None if without.price is None else exact_text(without.price),
        "price": None if final.price is None else exact_text(final.price),
        "offered": str(offered),
        "released": str(released),
        "withheld": str(withheld),
        "sold": str(sold),
        "unsold": str(offered + released - withheld - sold),
        "tiers": tiers,
        "awards": awards,
    }
    if defaulted:
        lost = [award for award in _awards(named, final, frozenset()) if award["bidder"] in defaulted]
        result["defaulted"] = lost
    return result


def _awards(
    named: list[tuple[str, Decimal, int]], final: reserve.Cleared, defaulted: frozenset[str]
) -> list[dict[str, str]]:
    left, awards = final.sold, []
    for bidder, price, quantity in sorted(named, key=lambda bid: (-bid[1], bid[0], -bid[2])):
        if bidder in defaulted:
            continue
        won = min(left, quantity) if final.price is not None and price >= final.price else 0
        left -= won
        if won:
            awards.append({"bidder": bidder, "bid": exact_text(price), "permits": str(won)})
    return awards


def _status(document: Figures) -> Document:
    """The letter of every operator from the figures of its years."""
    lines = []
    for operator in document["inputs"]["operators"]:
        record = compliance.ComplianceRecord(
            year=operator["year"],
            first_year=operator["first_year"],
            last_year=operator["last_year"],
            verified={int(year): int(permits) for year, permits in operator["verified"].items()},
            estimated={int(year): int(permits) for year, permits in operator["estimated"].items()},
            surrendered=int(operator["surrendered"]),
            excluded=frozenset(operator["excluded"]),
        )
        decided = compliance.compliance(record)
        lines.append(
            {
                "operator": operator["operator"],
                "status": decided.ordinary.value,
                "owed": str(decided.owed),
                "surrendered": operator["surrendered"],
                "shortfall": str(decided.shortfall),
                "surplus": str(decided.surplus),
                "refusals": [refusal.code for refusal in decided.refusals],
            }
        )
    return {"lines": lines}


KINDS: Mapping[str, Callable[[Figures], Document]] = {
    "allocation": _allocation,
    "stability": _stability,
    "sale": _sale,
    "status": _status,
}
"""What works out which kind of run."""


def _refused(*refusals: Refusal) -> Document:
    return {"refusals": [{"code": refusal.code, "sentence": refusal.sentence} for refusal in refusals]}


def _differing(where: str, published: Any, again: Any) -> list[str]:
    """Name every place where two results differ."""
    if isinstance(published, Mapping) and isinstance(again, Mapping):
        names = sorted({*published, *again})
        return [line for name in names for line in _differing(f"{where}.{name}", published.get(name), again.get(name))]
    if isinstance(published, list) and isinstance(again, list) and len(published) == len(again):
        return [
            line
            for place, (one, other) in enumerate(zip(published, again, strict=True))
            for line in _differing(f"{where}[{place}]", one, other)
        ]
    return [] if published == again else [f"{where}: published {published!r}, recomputed {again!r}"]
