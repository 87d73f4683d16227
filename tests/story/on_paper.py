"""The two periods of a scheme worked by the engine alone: rule document and inputs in, the tables out, no database.

It is the obvious twin of `demo.two_periods`: holdings are a dictionary, and everything happens in the order of the
calendar. A rule document that says something else than the hand-worked tables fails here within a second.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from demo import schemes
from demo.schemes.books import YEARS, Book, Deal, Figure, Year
from demo.schemes.worked import Cell, Row
from registry.engine import allocation, banking, cap, indicators, limits, parameters, reserve, runs, sanctions
from registry.engine.banking import UnitClass
from registry.engine.policy import BankingMode, Policy, SanctionMode
from registry.engine.refusals import Refusal

PERMIT = "permit"


def tables(book: Book) -> dict[str, list[Row]]:
    """Return the tables of two periods, as the engine works them."""
    return _Paper(book).tables()


@dataclass
class _Paper:
    book: Book
    told: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    held: dict[str, dict[int, int]] = field(default_factory=dict)
    """By operator and vintage."""
    caps: dict[int, int] = field(default_factory=dict)
    auction: dict[int, int] = field(default_factory=dict)
    results: dict[int, allocation.AllocationResult] = field(default_factory=dict)
    inputs: dict[int, allocation.AllocationInputs] = field(default_factory=dict)
    intake: int = 0

    def tables(self) -> dict[str, list[Row]]:
        book = self.book
        self.held = {player.name: defaultdict(int) for player in book.players}
        first, second = book.years
        self._issue(first)
        self._sell(first)
        self._deals(first, late=False)
        self._issue(second)
        self._stability(second)
        self._sell(second)
        self._deals(second, late=False)
        compliance = {first.year: self._surrender(first)}
        unused = {name: held[first.year] for name, held in self.held.items()}
        lapsed = self._bank(first)
        self._deals(first, late=True)
        self._make_good(first, compliance[first.year])
        before = {name: held[first.year] for name, held in self.held.items()}
        compliance[second.year] = self._surrender(second)
        self._bank(second)
        self._make_good(second, compliance[second.year])
        self._tell_compliance(compliance)
        for player in book.players:
            row: dict[str, Cell] = {"operator": player.name}
            if self._policy(first.year).time.banking.mode is not BankingMode.UNLIMITED:
                row |= {"unused after 2024": _n(unused[player.name]), "lapsed": _n(lapsed[player.name])}
            row["of vintage 2024 before 2025 is surrendered"] = _n(before[player.name])
            row["of all vintages after 2025"] = _n(sum(self.held[player.name].values()))
            self.told["Banked"].append(row)
        return dict(self.told)

    def _policy(self, year: int) -> Policy:
        read = parameters.read_document(schemes.rule_document(self.book.name))
        assert not isinstance(read, tuple), read
        policy = parameters.policy_on(read.terms, read.entries, date(year, 1, 1))
        assert not isinstance(policy, tuple), policy
        return policy

    # Issue and allocation ---------------------------------------------------------------------------------------------

    def _issue(self, year: Year) -> None:
        policy = self._policy(year.year)
        (step,) = cap.cap_path(policy.cap, year.year, year.year)
        assert not isinstance(step, Refusal), step
        self.caps[year.year] = step.permits
        kept = sum(reserve.tier_quantity(tier, step.permits) for tier in policy.supply.ccr)
        data = self._data(year.year)
        inputs = allocation.inputs_from_rules(
            policy,
            period=f"{self.book.name}-{year.year}",
            year=year.year,
            cap=step.permits,
            operators=data,
            reserves=(allocation.Reserve("containment", kept),) if kept else (),
        )
        assert isinstance(inputs, allocation.AllocationInputs), inputs
        result = allocation.allocate(inputs)
        assert not result.refusals, result.refusals
        self.inputs[year.year], self.results[year.year] = inputs, result
        self.auction[year.year] = result.auction_permits
        for award in result.awards:
            self.held[award.operator][year.year] += award.permits
        self._tell_issue(year, policy, step, kept)

    def _tell_issue(self, year: Year, policy: Policy, step: cap.CapYear, kept: int) -> None:
        row: dict[str, Cell] = {"year": _n(year.year)}
        if policy.cap.one_off:
            row |= {"cut": _n(step.reduction), "one-off": _n(step.one_offs), "scope": _n(step.scope_changes)}
        row["cap"] = _n(step.permits)
        if policy.alloc.cap_factor:
            row["cap factor"] = policy.alloc.cap_factor[year.year]
        if kept:
            row |= {"containment reserve": _n(kept), "to auction": _n(self.auction[year.year])}
        self.told["Cap"].append(row)
        self._tell_prices(year.year, policy)
        result = self.results[year.year]
        for player in self.book.players:
            award = next((one for one in result.awards if one.operator == player.name), None)
            if award is None:
                continue
            claims = [line.claimed_permits for line in result.lines if line.operator == player.name]
            claim = sum(claims, Fraction(0))
            figure = self._figure(player.name, year)
            free: dict[str, Cell] = {"year": _n(year.year), "operator": player.name}
            if policy.unit.metric == "flop":
                assert figure.output is not None and figure.own is not None
                free |= {
                    "O": figure.output / Decimal("1e24"),
                    "E": figure.own / Decimal("1e-12"),
                    "C": policy.alloc.assistance[player.leakage_class],
                    "claim": _n(claim.numerator // claim.denominator),
                }
            elif policy.alloc.true_up:
                assert figure.output is not None
                initial = claim.numerator // claim.denominator
                free |= {
                    "output": figure.output,
                    "initial": _n(initial),
                    "true-up": _n(award.free_permits - initial),
                }
            else:
                assert figure.output is not None and figure.use is not None
                self.told["Benchmark"].append(
                    {
                        "year": _n(year.year),
                        "operator": player.name,
                        "output": figure.output,
                        "use": figure.use,
                        "intensity": figure.use / figure.output,
                    }
                )
                free["claim"] = _n(claim.numerator // claim.denominator)
            free["free"] = _n(award.free_permits)
            self.told["Free permits"].append(free)
            if award.set_aside_need:
                self.told["Academic set-aside"].append(
                    {
                        "year": _n(year.year),
                        "pool": _n(self.inputs[year.year].set_aside_pool),
                        "operator": player.name,
                        "need": _n(award.set_aside_need),
                        "set aside": _n(award.set_aside_permits),
                    }
                )

    def _tell_prices(self, year: int, policy: Policy) -> None:
        supply = policy.supply
        row: dict[str, Cell] = {"year": _n(year)}
        if supply.ceiling is not None and supply.floor is not None and policy.limits.holding is not None:
            row["floor, USD"] = _price(reserve.price_in(supply.floor, year))
            row["ceiling, USD"] = _price(reserve.price_in(supply.ceiling.path, year))
            row["holding limit"] = _n(limits.holding_limit(policy.limits.holding, self.caps[year]))
        elif supply.ccr and supply.floor is not None:
            row["floor, USD"] = _price(reserve.price_in(supply.floor, year))
            for name, tier in zip(("first", "second"), supply.ccr, strict=True):
                row[f"{name} trigger, USD"] = _price(reserve.price_in(tier.trigger, year))
        else:
            return
        self.told["Prices"].append(row)

    def _figure(self, operator: str, year: Year) -> Figure:
        return next(figure for figure in year.figures if figure.operator == operator and figure.output is not None)

    def _data(self, year: int) -> list[allocation.OperatorData]:
        """Return every figure known by a year's allocation, as `OperatorData`."""
        known = [figure for each in self.book.years if each.year <= year for figure in each.figures]
        used: dict[str, dict[str, dict[int, Any]]] = {}
        for earlier, inputs in self.inputs.items():
            for operator, products in allocation.outputs_used(inputs).items():
                for product, output in products.items():
                    used.setdefault(operator, {}).setdefault(product, {})[earlier] = output
        product = self.book.product
        found = []
        for player in self.book.players:
            mine = [figure for figure in known if figure.operator == player.name]
            outputs = {one.year: one.output for one in mine if one.output is not None}
            owns = [one.own for one in mine if one.own is not None]
            found.append(
                allocation.OperatorData(
                    operator=player.name,
                    cohort=player.cohort,
                    leakage_class=player.leakage_class,
                    use_by_product_and_year={product: {one.year: one.use for one in mine if one.use is not None}},
                    output_by_product_and_year={product: outputs} if outputs else {},
                    output_used=used.get(player.name, {}),
                    own_j_per_flop=owns[-1] if owns else None,
                    proven_need=sum(one.need or 0 for one in mine if one.year == year),
                )
            )
        return found

    # Reserves, sales and transfers ------------------------------------------------------------------------------------

    def _stability(self, year: Year) -> None:
        """Take in what the indicator of the year before says, from this year's auctions."""
        rule = self._policy(year.year).supply.msr
        if rule is None:
            return
        before = year.year - 1
        use = sum(self.book.years[0].use.values())
        circulation = indicators.circulation(
            minted=self.caps[before], imported=0, verified_use=use, cancelled=0, reserve=0
        )
        flow = reserve.stability_flow(rule, circulation, 0, auction_volume=self.auction[year.year])
        assert isinstance(flow, reserve.StabilityFlow)
        months = reserve.monthly_flows(rule, flow.intake, year.year)
        assert not isinstance(months, Refusal), months
        by_month = {(one.year, one.month): one.permits for one in months}
        self.told["Stability reserve"].append(
            {
                "indicator of": _n(before),
                "circulation": _n(circulation),
                "intake": _n(flow.intake),
                "September 2025": _n(by_month[2025, 9]),
                "January 2026": _n(by_month[2026, 1]),
            }
        )
        self.intake = flow.intake

    def _sell(self, year: Year) -> None:
        policy = self._policy(year.year)
        limit = limits.purchase_limit(policy.limits, "bidder", year.offered or 0)
        assert limit is None or all(bid.quantity <= limit for bid in year.bids), limit
        available = self.auction[year.year] - self.intake
        offered = available if year.offered is None else year.offered
        nothing: Mapping[str, Any] = {"sold": "0", "released": "0", "awards": []}
        result = self._sale(year, offered) if offered else nothing
        sold, released = int(result["sold"]), int(result["released"])
        won = {award["bidder"]: int(award["permits"]) for award in result["awards"]}
        for bid in year.bids:
            self.held[bid.operator][year.year] += won[bid.operator]
            row: dict[str, Cell] = {"year": _n(year.year), "operator": bid.operator}
            if policy.supply.floor is None:
                self.told["Sold at auction"].append(row | {"permits": _n(won[bid.operator])})
                continue
            row[f"bid, {policy.currency.upper()}"] = bid.price
            if policy.supply.ccr:
                row["wanted"] = _n(bid.quantity)
            row |= {"permits": _n(won[bid.operator]), f"price, {policy.currency.upper()}": Decimal(result["price"])}
            self.told["Sales"].append(row)
        if policy.supply.ccr:
            self.told["Containment reserve"].append(
                {
                    "year": _n(year.year),
                    "offered": _n(offered),
                    "released": _n(released),
                    "sold": _n(sold),
                    "price without, USD": Decimal(result["price_without_reserves"]),
                    "price, USD": Decimal(result["price"]),
                }
            )
            return
        account: dict[str, Cell] = {"year": _n(year.year), "to auction": _n(self.auction[year.year])}
        if policy.supply.msr is not None:
            account["to the stability reserve"] = _n(self.intake)
        self.told["Auction account"].append(account | {"sold": _n(sold), "left": _n(available - sold)})

    def _sale(self, year: Year, offered: int) -> Mapping[str, Any]:
        document = runs.run_document(
            kind="sale",
            scheme=self.book.name,
            period=f"{self.book.name}-{year.year}",
            year=year.year,
            on=date(year.year, 1, 1),
            rules=schemes.rule_document(self.book.name),
            inputs={
                "cap": str(self.caps[year.year]),
                "offered": str(offered),
                "bids": [
                    {"bidder": bid.operator, "price": str(bid.price), "quantity": str(bid.quantity)}
                    for bid in year.bids
                ],
            },
        )
        result: Mapping[str, Any] = document["result"]
        assert "refusals" not in result, result
        return result

    def _deals(self, year: Year, *, late: bool) -> None:
        for deal in year.deals:
            if deal.is_late is late:
                self._deal(year.year, deal)

    def _deal(self, year: int, deal: Deal) -> None:
        assert self.held[deal.seller][year] >= deal.quantity, deal
        self.held[deal.seller][year] -= deal.quantity
        self.held[deal.buyer][year] += deal.quantity
        currency = self._policy(year).currency.upper()
        self.told["Transfers"].append(
            {
                "year": _n(year),
                "from": deal.seller,
                "to": deal.buyer,
                "permits": _n(deal.quantity),
                f"price, {currency}": deal.price,
            }
        )
        self.told["Transfers"].sort(key=lambda row: row["year"])

    # Compliance -------------------------------------------------------------------------------------------------------

    def _surrender(self, year: Year) -> dict[str, dict[str, Any]]:
        found = {}
        for player in self.book.players:
            given = self._take(player.name, year.year, year.use[player.name], for_sanction=False)
            found[player.name] = {"owed": year.use[player.name], "in time": given, "later": 0, "sanction": None}
        return found

    def _take(self, operator: str, year: int, owed: int, *, for_sanction: bool) -> int:
        holdings = {UnitClass(PERMIT, vintage): permits for vintage, permits in self.held[operator].items()}
        taken = banking.retire(holdings, owed, year=year, order=(PERMIT,), for_sanction=for_sanction)
        for unit, permits in taken.units:
            assert unit.vintage is not None
            self.held[operator][unit.vintage] -= permits
        return taken.retired

    def _make_good(self, year: Year, compliance: dict[str, dict[str, Any]]) -> None:
        policy = self._policy(year.year)
        for name, one in compliance.items():
            short = one["owed"] - one["in time"]
            if not short:
                continue
            price = self.book.reference_price.get(year.year)
            cost = sanctions.sanction(
                policy.sanction,
                short=short,
                year=year.year,
                average_price_minor=None if price is None else price[0] * 100,
                cohorts=(self.book.player(name).cohort,),
            )
            assert isinstance(cost, sanctions.Sanction), cost
            one["sanction"] = cost
            in_permits = policy.sanction.mode is SanctionMode.PERMITS
            assert self._take(name, year.year, cost.permits_owed, for_sanction=in_permits) == cost.permits_owed
            one["later"] = short

    def _tell_compliance(self, found: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
        for year, by_operator in found.items():
            rule = self._policy(year).sanction
            for name, one in by_operator.items():
                cost = one["sanction"]
                row: dict[str, Cell] = {
                    "year": _n(year),
                    "operator": name,
                    "owed": _n(one["owed"]),
                    "in time": _n(one["in time"]),
                    "letter": "A" if one["in time"] == one["owed"] else "B",
                    "letter since": "A" if one["in time"] + one["later"] == one["owed"] else "B",
                }
                if rule.mode is SanctionMode.PERMITS:
                    word = {3: "three", 4: "four"}[int(rule.multiple)]
                    row[f"{word} for one"] = _n(cost.permits_owed if cost else 0)
                else:
                    row["sanction, EUR"] = Decimal(cost.cash_minor if cost else 0) / 100
                self.told["Compliance"].append(row)

    def _bank(self, year: Year) -> dict[str, int]:
        rule, lapsed = self._policy(year.year).time.banking, {}
        for player in self.book.players:
            given = [
                award.permits
                for each, result in self.results.items()
                if each <= year.year
                for award in result.awards
                if award.operator == player.name
            ]
            average = Fraction(sum(given), len([each for each in YEARS if each <= year.year]))
            limit = banking.banking_limit(rule, average_yearly_allocation=average)
            unused = sum(permits for vintage, permits in self.held[player.name].items() if vintage <= year.year)
            over = banking.carry_over(unused, limit, deduct_excess=rule.deduct_excess).lapsed
            lapsed[player.name] = over
            for vintage in sorted(self.held[player.name]):
                part = min(over, self.held[player.name][vintage])
                self.held[player.name][vintage] -= part
                over -= part
        return lapsed


def _n(figure: int) -> Decimal:
    return Decimal(figure)


def _price(price: Decimal | Refusal) -> Decimal:
    assert isinstance(price, Decimal), price
    return price
