"""What two periods came to, read from the registry alone, in the same tables as were worked by hand.

Which tables and columns there are follows from the scheme's rules: a scheme with a stability reserve has one of them,
a scheme with a price floor another. Nothing is taken from `books` or `worked.md`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from demo.schemes.worked import Cell, Row, Tables
from registry.engine import limits, reserve
from registry.engine.policy import BankingMode, Policy, SanctionMode
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact, exact_decimal, floor_permits
from registry.ledger.models import Transfer
from registry.ledger.selectors import balance_at, balance_of
from registry.models import (
    AllocationFigure,
    AllocationLine,
    AllocationRun,
    ComplianceRecord,
    Period,
    PublishedRun,
    Sanction,
    Scheme,
    Surrender,
    Transaction,
)
from registry.services import allocation_data, caps, central
from registry.services.rules import policy_at
from registry.standing import records

MOMENT = timedelta(microseconds=1)

WORDS = {3: "three", 4: "four"}
"""How the documents name a multiple of permits."""


def tables(scheme: Scheme) -> Tables:
    """Return every table of a scheme's two periods."""
    return _Outcome(scheme).tables()


class _Outcome:
    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self.periods = list(scheme.periods.select_related("scheme__currency", "permit").order_by("year"))
        self.policies = {period.year: policy_at(scheme, period.starts_on) for period in self.periods}
        self.operators = list(scheme.operators.select_related("organisation", "account").order_by("account_id"))
        self.names = {operator.pk: operator.organisation.name for operator in self.operators}
        self.by_account = {operator.account_id: operator.organisation.name for operator in self.operators}
        self.by_number = {operator.account.number: operator.organisation.name for operator in self.operators}
        self.money = scheme.currency.code.upper()

    def tables(self) -> Tables:
        told: defaultdict[str, list[Row]] = defaultdict(list)
        for heading, row in self._rows():
            told[heading].append(row)
        return dict(told)

    def _rows(self) -> Iterator[tuple[str, Row]]:
        for period in self.periods:
            policy = self.policies[period.year]
            yield "Cap", self._cap(period, policy)
            yield from self._prices(period, policy)
            yield from self._free(period, policy)
            yield from self._sold(period, policy)
            yield from self._transfers(period)
            yield from self._compliance(period, policy)
        yield from self._stability()
        yield from self._banked()

    # Supply -----------------------------------------------------------------------------------------------------------

    def _cap(self, period: Period, policy: Policy) -> Row:
        cap, run = period.caps.order_by("-version")[0].quantity, self._run(period)
        row: dict[str, Cell] = {"year": _n(period.year)}
        if policy.cap.one_off:
            step = caps.cap_by_rules(period)
            assert step is not None, f"the rules give {period} no cap"
            row |= {"cut": _n(step.reduction), "one-off": _n(step.one_offs), "scope": _n(step.scope_changes)}
        row["cap"] = _n(cap)
        if policy.alloc.cap_factor:
            row["cap factor"] = policy.alloc.cap_factor[period.year]
        if policy.supply.ccr:
            row |= {"containment reserve": _n(self._put_into(period, central.CONTAINMENT))}
            row |= {"to auction": _n(run.auction)}
        return row

    def _prices(self, period: Period, policy: Policy) -> Iterator[tuple[str, Row]]:
        supply, row = policy.supply, dict[str, Cell]({"year": _n(period.year)})
        floor = f"floor, {self.money}"
        if supply.ceiling is not None and supply.floor is not None and policy.limits.holding is not None:
            row[floor] = _price(reserve.price_in(supply.floor, period.year))
            row[f"ceiling, {self.money}"] = _price(reserve.price_in(supply.ceiling.path, period.year))
            cap = period.caps.order_by("-version")[0].quantity
            row["holding limit"] = _n(limits.holding_limit(policy.limits.holding, cap))
            yield "Prices", row
        elif supply.ccr and supply.floor is not None:
            row[floor] = _price(reserve.price_in(supply.floor, period.year))
            for name, tier in zip(("first", "second"), supply.ccr, strict=True):
                row[f"{name} trigger, {self.money}"] = _price(reserve.price_in(tier.trigger, period.year))
            yield "Prices", row

    def _free(self, period: Period, policy: Policy) -> Iterator[tuple[str, Row]]:
        run = self._run(period)
        lines = {line.operator_id: line for line in run.lines.exclude(method=allocation_data.SET_ASIDE)}
        figures = {
            figure.operator_id: figure
            for figure in allocation_data.latest_figures(self.scheme)
            for method in policy.alloc.methods
            if (figure.product, figure.year) == (method.product, period.year - method.lag)
        }
        for operator in self.operators:
            line = lines.get(operator.pk)
            if line is None:
                continue
            row: dict[str, Cell] = {"year": _n(period.year), "operator": self.names[operator.pk]}
            if policy.alloc.benchmarks and policy.alloc.benchmarks[0].method == "TOP_PCT":
                yield "Benchmark", row | _intensity(figures[operator.pk])
            yield "Free permits", row | self._claim(line, figures[operator.pk], policy) | {"free": _n(line.quantity)}
        for line in run.lines.filter(method=allocation_data.SET_ASIDE).order_by("operator__account_id"):
            yield (
                "Academic set-aside",
                {
                    "year": _n(period.year),
                    "pool": _n(self._put_into(period, central.SET_ASIDE)),
                    "operator": self.names[line.operator_id],
                    "need": _n(line.claim),
                    "set aside": _n(line.quantity),
                },
            )

    def _claim(self, line: AllocationLine, figure: AllocationFigure, policy: Policy) -> dict[str, Cell]:
        if self.scheme.metric == Scheme.Metric.FLOP:
            assert figure.output is not None and figure.own_j_per_flop is not None
            return {
                "O": exact_decimal(exact(figure.output) / 10**24),
                "E": exact_decimal(exact(figure.own_j_per_flop) * 10**12),
                "C": policy.alloc.assistance[figure.leakage_class],
                "claim": _n(line.claim),
            }
        if policy.alloc.true_up:
            assert figure.output is not None
            claimed = sum((exact(claim["claimed_permits"]) for claim in line.figures["claims"]), Fraction(0))
            initial = floor_permits(claimed).permits
            return {
                "output": _exact(figure.output),
                "initial": _n(initial),
                "true-up": _n(line.quantity - initial),
            }
        return {"claim": _n(line.claim)}

    def _sold(self, period: Period, policy: Policy) -> Iterator[tuple[str, Row]]:
        auction = central.account(period, central.AUCTION)
        won: dict[str, int] = {}
        sources = [f"{purpose}:{period.code}" for purpose in (central.AUCTION, central.CONTAINMENT)]
        moved = Transfer.objects.filter(
            debit__account__reference__in=sources, asset=period.permit_id, credit__account__in=self.by_account
        )
        for buyer, permits in moved.values_list("credit__account_id", "amount"):
            won[self.by_account[buyer]] = won.get(self.by_account[buyer], 0) + permits
        released = self._released(period)
        for document in self._documents(period, "sale"):
            result = document["result"]
            bids = {self.by_number[bid["bidder"]]: bid for bid in document["inputs"]["bids"]}
            for name in (operator.organisation.name for operator in self.operators):
                if name not in bids:
                    continue
                row: dict[str, Cell] = {"year": _n(period.year), "operator": name}
                if policy.supply.floor is None:
                    yield "Sold at auction", row | {"permits": _n(won.get(name, 0))}
                    continue
                row[f"bid, {self.money}"] = Decimal(bids[name]["price"])
                if policy.supply.ccr:
                    row["wanted"] = Decimal(bids[name]["asked"])
                row |= {"permits": _n(won.get(name, 0)), f"price, {self.money}": Decimal(result["price"])}
                yield "Sales", row
            if policy.supply.ccr:
                yield (
                    "Containment reserve",
                    {
                        "year": _n(period.year),
                        "offered": Decimal(document["inputs"]["offered"]),
                        "released": _n(released),
                        "sold": _n(sum(won.values())),
                        f"price without, {self.money}": Decimal(result["price_without_reserves"]),
                        f"price, {self.money}": Decimal(result["price"]),
                    },
                )
        if policy.supply.ccr:
            return
        account: dict[str, Cell] = {"year": _n(period.year), "to auction": _n(self._run(period).auction)}
        if policy.supply.msr is not None:
            account["to the stability reserve"] = _n(self._put_into(period, central.STABILITY))
        left = balance_of(auction.pk, period.permit_id)
        yield "Auction account", account | {"sold": _n(sum(won.values())), "left": _n(left)}

    def _stability(self) -> Iterator[tuple[str, Row]]:
        for period in self.periods:
            for document in self._documents(period, "stability"):
                result = document["result"]
                months = {month["month"]: Decimal(month["permits"]) for month in result["months"]}
                yield (
                    "Stability reserve",
                    {
                        "indicator of": _n(document["year"]),
                        "circulation": Decimal(result["circulation"]),
                        "intake": Decimal(result["intake"]),
                        "September 2025": months["2025-09"],
                        "January 2026": months["2026-01"],
                    },
                )

    def _transfers(self, period: Period) -> Iterator[tuple[str, Row]]:
        made = Transaction.objects.filter(kind="transfer", status="completed", asset=period.permit_id)
        for one in made.order_by("proposed_at", "journal_id"):
            assert one.price_minor is not None
            yield (
                "Transfers",
                {
                    "year": _n(period.year),
                    "from": self.by_account[one.sender_id],
                    "to": self.by_account[one.receiver_id],
                    "permits": _n(one.quantity),
                    f"price, {self.money}": _money(one.price_minor),
                },
            )

    # Compliance -------------------------------------------------------------------------------------------------------

    def _compliance(self, period: Period, policy: Policy) -> Iterator[tuple[str, Row]]:
        at_deadline = {one.operator.pk: one for one in records(period, before=period.surrender_due)}
        letters: defaultdict[Any, dict[str, str]] = defaultdict(dict)
        for letter in ComplianceRecord.objects.filter(period=period).order_by("id"):
            letters[letter.operator_id].setdefault("first", letter.status)
            letters[letter.operator_id]["last"] = letter.status
        costs = {sanction.operator_id: sanction for sanction in Sanction.objects.filter(period=period)}
        for operator in self.operators:
            standing, cost = at_deadline[operator.pk], costs.get(operator.pk)
            row: dict[str, Cell] = {
                "year": _n(period.year),
                "operator": self.names[operator.pk],
                "owed": _n(standing.owed_for_the_year),
                "in time": _n(standing.owed_for_the_year - standing.shortfall_of_the_year),
                "letter": letters[operator.pk].get("first", "none"),
                "letter since": letters[operator.pk].get("last", "none"),
            }
            if policy.sanction.mode is SanctionMode.PERMITS:
                word = WORDS[int(policy.sanction.multiple)]
                row[f"{word} for one"] = _n(cost.shortfall + cost.permits if cost else 0)
            else:
                row[f"sanction, {self.money}"] = _money(cost.amount_minor if cost else 0)
            yield "Compliance", row

    def _banked(self) -> Iterator[tuple[str, Row]]:
        first, second = self.periods
        given_up = Surrender.objects.filter(period=second).order_by("received_at").values_list("received_at", flat=True)
        before = given_up[0] - MOMENT
        lapsed: defaultdict[int, int] = defaultdict(int)
        cancelled = Transfer.objects.filter(journal__reference=f"banking:{first.code}")
        for account, permits in cancelled.values_list("debit__account_id", "amount"):
            lapsed[account] += permits
        for operator in self.operators:
            account = operator.account_id
            row: dict[str, Cell] = {"operator": self.names[operator.pk]}
            if self.policies[first.year].time.banking.mode is not BankingMode.UNLIMITED:
                unused = balance_at(account, first.permit_id, first.surrender_due - MOMENT)
                row |= {f"unused after {first.year}": _n(unused), "lapsed": _n(lapsed[account])}
            vintage = balance_at(account, first.permit_id, before)
            row[f"of vintage {first.year} before {second.year} is surrendered"] = _n(vintage)
            held = sum(balance_of(account, period.permit_id) for period in self.periods)
            row[f"of all vintages after {second.year}"] = _n(held)
            yield "Banked", row

    # Parts ------------------------------------------------------------------------------------------------------------

    def _run(self, period: Period) -> AllocationRun:
        return AllocationRun.objects.get(period=period, status="executed", stage="INITIAL")

    def _documents(self, period: Period, kind: str) -> Iterator[Mapping[str, Any]]:
        """Return the published documents of one kind that are about a period."""
        runs = PublishedRun.objects.filter(period=period, document__kind=kind).order_by("number")
        for run in runs:
            yield run.document

    def _put_into(self, period: Period, purpose: str) -> int:
        """Return how many permits of a period were put into one of its central accounts."""
        reference = f"{purpose}:{period.code}"
        moved = Transfer.objects.filter(credit__account__reference=reference, asset=period.permit_id)
        return sum(moved.values_list("amount", flat=True))

    def _released(self, period: Period) -> int:
        """Return how many permits left the containment reserve for sale."""
        reference = f"{central.CONTAINMENT}:{period.code}"
        moved = Transfer.objects.filter(debit__account__reference=reference, asset=period.permit_id)
        return sum(moved.values_list("amount", flat=True))


def _intensity(figure: AllocationFigure) -> dict[str, Cell]:
    assert figure.output is not None and figure.use is not None
    return {
        "output": _exact(figure.output),
        "use": _exact(figure.use),
        "intensity": exact_decimal(Fraction(figure.use) / Fraction(figure.output)),
    }


def _n(figure: int) -> Decimal:
    return Decimal(figure)


def _exact(figure: Decimal) -> Decimal:
    return exact_decimal(figure)


def _money(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-2)


def _price(price: Decimal | Refusal) -> Decimal:
    assert isinstance(price, Decimal), price
    return price
