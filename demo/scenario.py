"""The story: one whole compliance period of two schemes, told only through the services.

A regulator caps the compute of 2025 and a small CO2e pilot, gives permits to nine firms and three labs, and sets them
free to trade. Reports come in and are verified, one never comes. The market ends in a call auction, everything is
settled, permits are surrendered, and each operator gets its letter. Then the next period opens, so that whoever logs
in finds a market that runs.

The clock is passed in, and every choice follows from the seed: two runs with one seed give the same trades.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from django.db.models import F, Sum

from accounts.models import Approval, Organisation, User
from accounts.services import approvals
from common import clock
from common.errors import Refused
from common.idempotency import derive_key
from demo import inputs as story_inputs
from demo import mrv, people
from demo.cast import AUDITOR, PARTIES, PEOPLE, VERIFIER, Party
from demo.inputs import Activity, Figures
from demo.strategies import Intention, View, decide
from demo.tables import Teller
from demo.verifying import Verifier
from exchange import selectors as exchange_selectors
from exchange.models import Market, Order, Position, Trade
from exchange.services import closing, markets, matching, orders
from registry.engine.allocation import (
    AiAllowanceClaim,
    AllocationInputs,
    Claim,
    GrandfatheringClaim,
    Metric,
    SetAsideNeed,
)
from registry.engine.benchmarks import Benchmark, Observation, share_of_mean_benchmark
from registry.ledger.models import Balance
from registry.models import AllocationRun, Operator, Period, Report, Scheme
from registry.services import allocation, caps, cash, estimates, operators, reports, schemes, surrenders

SEED = 2025
BELL_PATIENCE_S = 60
"""How long the story waits for the worker before it says that none is running."""

FLOP_PER_PERMIT = Decimal(10**18)
GRAMS_PER_TONNE = 1_000_000
PILOT_GRAMS_PER_PERMIT = Decimal("0.0001")
"""The pilot's permit covers a tenth of a milligram, because the measured runs are real and short."""


def told() -> bool:
    """Say whether the story stands in this database."""
    return (
        Period.objects.filter(scheme__code="ai-flop", year=2026).exists()
        and Market.objects.filter(code="ai-flop-2026").exists()
    )


@dataclass
class Story:
    """The people, organisations and markets of one telling."""

    teller: Teller
    figures: Figures
    seed: int
    users: dict[str, User] = field(default_factory=dict)
    organisations: dict[str, Organisation] = field(default_factory=dict)
    operators: dict[tuple[str, str], Operator] = field(default_factory=dict)
    """By scheme code and party."""

    def person(self, email: str) -> User:
        """Return the user with this log-in."""
        return self.users[email]

    @property
    def desk(self) -> User:
        """The officer who proposes."""
        return self.person("desk@regulator.example")

    @property
    def verifier(self) -> Verifier:
        """The verifier of every report, with the two people who work on them."""
        return Verifier(
            self.organisations[VERIFIER],
            lead=self.person("verifier@verity.example"),
            reviewer=self.person("reviewer@verity.example"),
        )

    def firm(self, party: Party) -> mrv.Firm:
        """Return a party with the people who report for it."""
        return mrv.Firm(
            self.organisations[party.name],
            self.person(f"initiator@{party.short}.example"),
            self.person(f"approver@{party.short}.example"),
        )

    @property
    def senior(self) -> User:
        """The officer who approves."""
        return self.person("senior@regulator.example")

    def decide_together(self, propose: Callable[[User], Approval], now: datetime) -> Approval:
        """Let the desk propose and a senior officer approve, and insist that it was done."""
        approval = approvals.approve(actor=self.senior, approval_id=propose(self.desk).pk, now=now)
        assert approval.status == "executed", f"{approval.summary}: {approval.failure}"
        return approval


def tell(teller: Teller, *, data: str | None = None, seed: int = SEED) -> None:
    """Tell the whole story into an empty database."""
    story = Story(teller, story_inputs.gather(story_inputs.data_folder(data)), seed)
    teller.line(f"Figures: {story.figures.source}.")

    _people(story, _at(2024, 11, 4))
    flop, pilot = _schemes(story, _at(2024, 11, 18))
    flop_period, pilot_period = _periods_and_caps(story, flop, pilot, _at(2024, 12, 2))
    _cash(story, _at(2025, 2, 3))
    measured = _measure(story, _at(2025, 2, 10))
    _allocate_flop(story, flop_period, {party.short: _use(story, party) for party in PARTIES}, _at(2025, 2, 24))
    _allocate_pilot(story, pilot_period, _at(2025, 2, 25))
    flop_market, pilot_market = (_open_market(story, period, _at(2025, 3, 3)) for period in (flop_period, pilot_period))
    teller.chapter("Trading through the worker")
    _trade(story, flop_market, first=_at(2025, 3, 10), days=24, every=timedelta(days=10))
    _trade(story, pilot_market, first=_at(2025, 3, 11), days=10, every=timedelta(days=21))
    next_period = _open_period(story, flop, 2026, _at(2025, 12, 1))
    _publish_cap(story, next_period, flop_period.caps.get().quantity * 98 // 100, _at(2025, 12, 1))
    _report(story, flop_period, pilot_period, measured, _at(2026, 2, 9))
    _estimate(story, flop_period, _at(2026, 4, 7))
    _allocate_flop(story, next_period, _verified(story, flop_period), _at(2026, 4, 20))
    _trade(story, flop_market, first=_at(2026, 8, 3), days=6, every=timedelta(days=7))
    _green(story, next_period, measured)
    _final_call(story, flop_market, _at(2026, 9, 21))
    next_market = _open_market(story, next_period, _at(2026, 5, 4))
    _close(story, [flop_period, pilot_period], _at(2026, 9, 23))
    _trade(story, next_market, first=_at(2026, 9, 24), days=6, every=timedelta(days=1))
    _surrender(story, flop_period, pilot_period, _at(2026, 9, 28))
    _close(story, [flop_period, pilot_period], _at(2026, 10, 1, 6))
    _cure_late(story, flop_period, _at(2026, 10, 5))
    _trade(story, next_market, first=_at(2026, 10, 7), days=8, every=timedelta(days=4))


def _at(year: int, month: int, day: int, hour: int = 9) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


# Setting up -----------------------------------------------------------------------------------------------------------


def _people(story: Story, now: datetime) -> None:
    story.teller.line("Admitting 15 organisations and their people ...")
    kinds = {VERIFIER: "verifier", AUDITOR: "auditor", **{party.name: party.kind for party in PARTIES}}
    cast = people.admit(PEOPLE, kinds, now)
    story.users, story.organisations = dict(cast.users), dict(cast.organisations)


def _schemes(story: Story, now: datetime) -> tuple[Scheme, Scheme]:
    flop = schemes.create_scheme(
        actor=story.senior, code="ai-flop", name="AI Compute Allowances", metric="flop", unit_size=FLOP_PER_PERMIT,
        currency="eur", zone="Europe/Brussels", large_transfer=1_000_000, sanction_minor=250, now=now,
    )  # fmt: skip
    pilot = schemes.create_scheme(
        actor=story.senior, code="ai-co2e", name="AI Emissions Pilot", metric="co2e", unit_size=PILOT_GRAMS_PER_PERMIT,
        currency="eur", zone="Europe/Brussels", large_transfer=1_000_000, sanction_minor=10_000, now=now,
    )  # fmt: skip
    for party in PARTIES:
        for scheme in (flop, pilot) if party.pilot_file else (flop,):
            story.operators[scheme.code, party.short] = operators.enrol(
                actor=story.desk,
                scheme=scheme,
                organisation=story.organisations[party.name],
                cohort=party.cohort,
                first_year=2025,
                now=now,
            )
    return flop, pilot


def _periods_and_caps(story: Story, flop: Scheme, pilot: Scheme, now: datetime) -> tuple[Period, Period]:
    story.teller.chapter("The cap")
    compute = sum((_use(story, party) for party in PARTIES), Decimal(0))
    flop_cap = int(compute / FLOP_PER_PERMIT * Decimal("1.05"))
    pilot_cap = int(
        sum((story.figures.pilot_base(p.short) for p in _pilot_parties()), Decimal(0)) / PILOT_GRAMS_PER_PERMIT
    )
    made = []
    for scheme, quantity in ((flop, flop_cap), (pilot, pilot_cap)):
        period = _open_period(story, scheme, 2025, now)
        _publish_cap(story, period, quantity, now)
        made.append(period)
    story.teller.table(
        ["scheme", "period", "one permit covers", "cap, permits"],
        [
            [flop.name, "2025", "10^18 FLOP", flop_cap],
            [pilot.name, "2025", f"{PILOT_GRAMS_PER_PERMIT * 1000:f} mg CO2e", pilot_cap],
        ],
    )
    return made[0], made[1]


def _open_period(story: Story, scheme: Scheme, year: int, now: datetime) -> Period:
    return schemes.open_period(
        actor=story.desk,
        scheme=scheme,
        year=year,
        starts_on=date(year, 1, 1),
        ends_on=date(year, 12, 31),
        report_due_on=date(year + 1, 3, 31),
        surrender_due_on=date(year + 1, 9, 30),
        now=now,
    )


def _publish_cap(story: Story, period: Period, quantity: int, now: datetime) -> None:
    story.decide_together(lambda desk: caps.propose_cap(actor=desk, period=period, quantity=quantity, now=now), now)
    period.refresh_from_db()


def _cash(story: Story, now: datetime) -> None:
    flop = Scheme.objects.get(code="ai-flop")
    for party in PARTIES:
        story.decide_together(
            lambda desk, party=party: cash.propose_deposit(  # type: ignore[misc]
                actor=desk,
                account=story.operators["ai-flop", party.short].account,
                currency=flop.currency,
                amount_minor=party.cash_minor,
                reference=f"bank-{party.short}-1",
                now=now,
            ),
            now,
        )


# Allocation -----------------------------------------------------------------------------------------------------------


def _use(story: Story, party: Party) -> Decimal:
    return sum((activity.flop for activity in story.figures.compute[party.short]), Decimal(0))


def _allocate_flop(story: Story, period: Period, output: Mapping[str, Decimal], now: datetime) -> None:
    """AI allowances by A = O x B x C, with the benchmark taken from the operators' own figures."""
    story.teller.chapter(f"Free permits for {period.year}: A = O x B x C")
    parties = [party for party in PARTIES if party.short in output]
    benchmark = share_of_mean_benchmark(
        [Observation(p.short, output[p.short] * p.joules_per_flop, output[p.short]) for p in parties], Decimal("1.00")
    )
    assert isinstance(benchmark, Benchmark)
    keys = {party.short: story.operators["ai-flop", party.short].account.number for party in parties}
    cap = period.caps.get().quantity
    claims: tuple[Claim, ...] = tuple(
        AiAllowanceClaim(
            operator=keys[party.short],
            product="training",
            output_flop=output[party.short],
            benchmark_j_per_flop=benchmark.value,
            assistance_factor=Decimal(party.assistance),
            own_j_per_flop=party.joules_per_flop,
        )
        for party in parties
    )
    needs = tuple(
        SetAsideNeed(keys[party.short], "academic", int(output[party.short] / FLOP_PER_PERMIT * Decimal("0.20")))
        for party in parties
        if party.kind == "lab"
    )
    run = _allocation(
        story,
        period,
        AllocationInputs(
            scheme=period.scheme.code,
            period=period.code,
            metric=Metric.FLOP,
            permit_size=allocation.permit_size(period.scheme),
            cap=cap,
            free_pool=cap * 95 // 100,
            set_aside_pool=cap // 100,
            claims=claims,
            set_aside_needs=needs,
        ),
        now,
    )
    given = _given(run)
    expected = {party.short: int(output[party.short] / FLOP_PER_PERMIT) for party in parties}
    story.teller.table(
        ["operator", "cohort", "pJ/FLOP", "expected use", "free permits", "surplus or need"],
        [
            [
                party.name,
                party.cohort,
                f"{party.joules_per_flop * 10**12:.2f}",
                expected[party.short],
                given[keys[party.short]],
                given[keys[party.short]] - expected[party.short],
            ]
            for party in parties
        ],
    )


def _allocate_pilot(story: Story, period: Period, now: datetime) -> None:
    """Grandfathering on the base-year files, which older clients measured."""
    keys = {party.short: story.operators["ai-co2e", party.short].account.number for party in _pilot_parties()}
    cap = period.caps.get().quantity
    claims: tuple[Claim, ...] = tuple(
        GrandfatheringClaim(
            operator=keys[party.short],
            product="measured runs",
            use_by_year={2024: story.figures.pilot_base(party.short) / GRAMS_PER_TONNE},
            share=Decimal("0.95"),
        )
        for party in _pilot_parties()
    )
    _allocation(
        story,
        period,
        AllocationInputs(
            scheme="ai-co2e",
            period=period.code,
            metric=Metric.CO2E,
            permit_size=allocation.permit_size(period.scheme),
            cap=cap,
            free_pool=cap * 97 // 100,
            set_aside_pool=0,
            claims=claims,
        ),
        now,
    )


def _allocation(story: Story, period: Period, frozen: AllocationInputs, now: datetime) -> AllocationRun:
    run = allocation.draft_run(actor=story.desk, period=period, inputs=frozen, now=now)
    story.decide_together(lambda desk: allocation.propose_run(actor=desk, run=run, now=now), now)
    return run


def _given(run: AllocationRun) -> dict[str, int]:
    """Permits by account number, all methods together."""
    given: dict[str, int] = {}
    for line in run.lines.select_related("operator__account"):
        number = line.operator.account.number
        given[number] = given.get(number, 0) + line.quantity
    return given


def _verified(story: Story, period: Period) -> dict[str, Decimal]:
    """What was verified for a period, by party. Whoever did not report gets no free permits for the next."""
    names = {party.name: party.short for party in PARTIES}
    found = Report.objects.filter(period=period, status="verified").select_related("operator__organisation")
    return {names[report.operator.organisation.name]: report.flop for report in found}


def _pilot_parties() -> list[Party]:
    return [party for party in PARTIES if party.pilot_file]


# Trading --------------------------------------------------------------------------------------------------------------


def _open_market(story: Story, period: Period, now: datetime) -> Market:
    is_flop = period.scheme.metric == "flop"
    market = markets.open_market(
        actor=story.senior,
        period=period,
        tick_minor=1,
        lot=10_000 if is_flop else 1,
        collar_bps=1_500,
        max_order_lots=5_000,
        now=now,
    )
    return markets.change_phase(
        actor=story.person("monitor@regulator.example"),
        market=market,
        phase="continuous",
        reason="The market opens as its calendar says.",
        now=now,
    )


def _trade(story: Story, market: Market, *, first: datetime, days: int, every: timedelta) -> None:
    """Let every party trade twice a day by its habit; each half-day, all decide on the same state of the market."""
    parties = [party for party in PARTIES if (market.period.scheme.code, party.short) in story.operators]
    began, entered, traded = time.monotonic(), _order_count(market), Trade.objects.filter(market=market).count()
    for day in range(days):
        _cancel_what_rests(story, market, first + day * every)
        for half in range(2):
            now = first + day * every + timedelta(hours=1 + 3 * half)
            state = _state(story, market, parties, day, days)
            for number, party in enumerate(parties):
                chance = Random(f"{story.seed}:{market.code}:{now.isoformat()}:{party.short}")  # noqa: S311
                for intention in decide(_habit(party), state[party.short], chance):
                    _enter(story, market, party, intention, now + timedelta(seconds=30 * number))
            _wait_for_the_worker(market)
    entered, traded = _order_count(market) - entered, Trade.objects.filter(market=market).count() - traded
    market.refresh_from_db()
    story.teller.line(
        f"{market.code}: {days} days, {entered} orders, {traded} trades, last price "
        f"{market.price_minor(market.last_price or 0) / 100:.2f} EUR ({time.monotonic() - began:.1f} s)"
    )


def _habit(party: Party) -> str:
    if party.kind == "lab":
        return "lab"
    return "quoter" if party.short == "castellan" else "firm"


def _state(story: Story, market: Market, parties: Sequence[Party], day: int, days: int) -> dict[str, View]:
    """What each party sees: the public book, and its own position."""
    market.refresh_from_db()
    last = market.last_price
    depth = exchange_selectors.book(market, levels=1)
    best_bid = depth.bids[0].price if depth.bids else None
    best_ask = depth.asks[0].price if depth.asks else None
    scheme = market.period.scheme
    accounts = {party.short: story.operators[scheme.code, party.short].account_id for party in parties}
    balances = {
        (balance.account_id, balance.asset_id): balance
        for balance in Balance.objects.filter(
            account__in=accounts.values(), asset__in=[market.period.permit_id, scheme.currency_id]
        )
    }
    positions = {position.account_id: position for position in Position.objects.filter(market=market)}
    own_bids = dict(
        Order.objects.filter(market=market, side="buy", status__in=["new", "partially_filled"])
        .order_by()
        .values("position__account_id")
        .annotate(open_lots=Sum(F("quantity") - F("filled") - F("canceled")))
        .values_list("position__account_id", "open_lots")
    )
    worst_price = (last or 100) * 2
    views = {}
    for party in parties:
        account = accounts[party.short]
        permits, money = balances.get((account, market.period.permit_id)), balances.get((account, scheme.currency_id))
        position = positions.get(account)
        unsettled = position.bought_lots - position.sold_lots if position else 0
        views[party.short] = View(
            day=day,
            days=days,
            last_price=last,
            best_bid=best_bid,
            best_ask=best_ask,
            spare=((permits.balance if permits else 0) - _need(story, market, party)) // market.lot + unsettled,
            cash_lots=(money.available if money else 0) // (worst_price * market.lot_tick_minor),
            own_bid_lots=own_bids.get(account, 0),
            own_ask_lots=position.open_ask_lots if position else 0,
            lowest=1 if last is None else last - last * market.collar_bps // 10_000 + 1,
            highest=10_000 if last is None else last + last * market.collar_bps // 10_000 - 1,
        )
    return views


def _need(story: Story, market: Market, party: Party) -> int:
    """Permits the party expects to owe, as it knows its own use, and one more for the rounding."""
    if market.period.scheme.metric == "flop":
        return int(_use(story, party) / FLOP_PER_PERMIT) + 1
    return int(story.figures.pilot_use(party.short) / PILOT_GRAMS_PER_PERMIT) + 1


def _enter(story: Story, market: Market, party: Party, intention: Intention, now: datetime) -> Order:
    return orders.place_order(
        actor=story.person(f"trader@{party.short}.example"),
        organisation=story.organisations[party.name],
        market=market,
        side=intention.side,
        price=intention.price,
        quantity=min(intention.lots, market.max_order_lots),
        time_in_force=intention.time_in_force,
        key=derive_key("story", story.seed, market.code, party.short, now.isoformat(), intention.side),
        now=now,
    )


def _cancel_what_rests(story: Story, market: Market, now: datetime) -> None:
    resting = Order.objects.filter(market=market, status__in=["new", "partially_filled"]).order_by("sequence")
    by_name = {party.name: party for party in PARTIES}
    for order in resting.select_related("organisation"):
        party = by_name[order.organisation.name]
        orders.cancel_order(
            actor=story.person(f"trader@{party.short}.example"),
            organisation=order.organisation,
            order_id=order.public_id,
            key=derive_key("story-cancel", story.seed, market.code, order.key, now.isoformat()),
            now=now,
        )
    _wait_for_the_worker(market)


def _wait_for_the_worker(market: Market) -> None:
    """Wait until the worker has done every command; say so when there seems to be none."""
    began = rung = time.monotonic()
    while exchange_selectors.commands_waiting(market):
        now = time.monotonic()
        if now - began > BELL_PATIENCE_S:
            raise Refused("no_worker", "No Celery worker answers. Start one, or use `python3 manage.py demo`.")
        if now - rung > 1:  # no scheduler sweeps while the story is told, and a bell may be lost
            rung = now
            matching.sweep()
        time.sleep(0.005)


def _order_count(market: Market) -> int:
    return Order.objects.filter(market=market).count()


def _final_call(story: Story, market: Market, now: datetime) -> None:
    """The last chance: a call in which buyers bid what they can and sellers offer what they have left."""
    market = markets.change_phase(
        actor=story.person("monitor@regulator.example"),
        market=market,
        phase="call",
        reason="The final call before settlement.",
        now=now,
    )
    _cancel_what_rests(story, market, now)
    parties = list(PARTIES)
    for party, view in zip(parties, _state(story, market, parties, 0, 1).values(), strict=True):
        if view.spare < 0:
            _enter(story, market, party, Intention("buy", view.highest, min(-view.spare, max(1, view.cash_lots))), now)
        elif view.spare > 0:
            _enter(story, market, party, Intention("sell", view.lowest, view.spare), now)
    _wait_for_the_worker(market)


# Reports --------------------------------------------------------------------------------------------------------------


def _measure(story: Story, now: datetime) -> mrv.Sites:
    """Quayside says where and how it measures, and the desk approves its plan."""
    story.teller.chapter("From a meter to a permit")
    party = _mrv_party()
    operators_of = {scheme: story.operators[scheme, party.short] for scheme in ("ai-flop", "ai-co2e")}
    country = "FRA" if party.short in story.figures.pilot else story.figures.pilot_activities[party.short][0].country
    with clock.simulate(now):
        measured = story.firm(party).measure_with(country, operators_of, now)
        mrv.plan(story.teller, story.firm(party), measured, story.desk, now)
    return measured


def _mrv_party() -> Party:
    return next(party for party in PARTIES if party.short == "quayside")


def _green(story: Story, period: Period, measured: mrv.Sites) -> None:
    """Quayside serves a day in two tiers and begins its next draft; firms save energy and get stars for it."""
    story.teller.chapter("Green inference and efficiency")
    party = _mrv_party()
    firm, verifier = story.firm(party), story.verifier
    mrv.serve(story.teller, firm, measured, verifier, story.decide_together, period, date(2026, 7, 14))
    firms = {one.name: story.firm(one) for one in PARTIES if one.name in mrv.MEASURES}
    mrv.label(story.teller, firms, period.scheme, verifier, story.desk, _at(2026, 7, 20))
    mrv.draft_next(story.teller, firm, measured, period, _use(story, party), _at(2026, 9, 1))


def _report(story: Story, flop: Period, pilot: Period, measured: mrv.Sites, now: datetime) -> None:
    """Operators appoint a verifier and report what they used; Verity checks each report and signs its opinion."""
    story.teller.chapter("Reports and verification")
    for period in (flop, pilot):
        story.verifier.prepare(period.scheme, story.desk, now)
    received = []
    with clock.simulate(now):
        for party in PARTIES:
            if party.habit == "never reports":
                continue
            _appoint(story, flop, party, now)
            received.append(_report_compute(story, flop, party, now))
            if party.pilot_file:
                _appoint(story, pilot, party, now)
                if party == _mrv_party():
                    asked = mrv.report(story.teller, story.firm(party), measured, pilot, _file_of(story, party), now)
                    received.append(asked)
                else:
                    received.append(_report_energy(story, pilot, party, now))
    judged_at = now + timedelta(days=21)
    with clock.simulate(judged_at):
        mrv.question(story.teller, story.firm(_mrv_party()), story.verifier, asked, judged_at)
        story.verifier.verify(received, judged_at)
    story.teller.line(f"{len(received)} reports received and verified; 1 operator did not report.")


def _appoint(story: Story, period: Period, party: Party, now: datetime) -> None:
    """Let a party appoint the verifier for a period."""
    reporter = story.person(f"initiator@{party.short}.example")
    story.verifier.appointed_by(reporter, story.operators[period.scheme.code, party.short], period, now)


def _report_compute(story: Story, period: Period, party: Party, now: datetime) -> Report:
    figures = story.figures
    filing: dict[str, Any] = {
        "actor": story.person(f"initiator@{party.short}.example"),
        "operator": story.operators["ai-flop", party.short],
        "period": period,
        "boundary": "Training of published models; all accelerators, failed runs left out",
        "now": now,
    }
    if party.short in figures.compute_files:
        return reports.submit_epoch(
            **filing,
            name=f"epoch-{party.short}.csv",
            content=figures.compute_files[party.short],
            organisation=party.source,
            year=story_inputs.EPOCH_YEAR,
        )
    return reports.submit_lines(
        **filing, lines=[_line(activity, "training") for activity in figures.compute[party.short]]
    )


def _report_energy(story: Story, period: Period, party: Party, now: datetime) -> Report:
    figures = story.figures
    filing: dict[str, Any] = {
        "actor": story.person(f"initiator@{party.short}.example"),
        "operator": story.operators["ai-co2e", party.short],
        "period": period,
        "boundary": "One server: processor and memory, by CodeCarbon",
        "now": now,
    }
    if party.short in figures.pilot:
        return reports.submit_codecarbon(
            **filing, name=Path(party.pilot_file).name, content=figures.pilot[party.short], activity="inference"
        )
    return reports.submit_lines(
        **filing, lines=[_line(activity, "inference") for activity in figures.pilot_activities[party.short]]
    )


def _file_of(story: Story, party: Party) -> tuple[str, bytes]:
    """The genuine CodeCarbon file of a party; without it, the published figures in our own table."""
    if party.short in story.figures.pilot:
        return Path(party.pilot_file).name, story.figures.pilot[party.short]
    rows = [
        f'"{one.label}",inference,{one.energy_kwh:f},{one.country}'
        for one in story.figures.pilot_activities[party.short]
    ]
    return "activities.csv", "\n".join(["label,activity,energy_kwh,zone", *rows]).encode()


def _line(activity: Activity, kind: str) -> reports.LineInput:
    return reports.LineInput(activity.label, kind, activity.flop, activity.energy_kwh, activity.country)


def _estimate(story: Story, period: Period, now: datetime) -> None:
    """The regulator estimates what nobody reported, conservatively, and it becomes what is owed."""
    silent = next(party for party in PARTIES if party.habit == "never reports")
    with clock.simulate(now):
        estimates.estimate_report(
            actor=story.desk,
            operator=story.operators["ai-flop", silent.short],
            period=period,
            flop=_use(story, silent) * Decimal("1.10"),
            reason="No report by the deadline: published compute of the year with ten per cent added.",
            now=now,
        )


# The end of the period ------------------------------------------------------------------------------------------------


def _close(story: Story, periods: Sequence[Period], now: datetime) -> None:
    """Take every step of the closing that is due by then: those of the market first, the letters after the deadline."""
    for period in periods:
        with clock.simulate(now):
            closing.close_period(actor=story.senior, period=period, now=now)


def _surrender(story: Story, flop: Period, pilot: Period, now: datetime) -> None:
    """Everybody surrenders what they owe as far as they hold it; Redshank forgets the last part."""
    for period in (flop, pilot):
        for party in PARTIES:
            operator = story.operators.get((period.scheme.code, party.short))
            if operator is None:
                continue
            owed = operator.obligations.filter(period=period).order_by("-version").first()
            held = Balance.objects.filter(account=operator.account, asset=period.permit).first()
            quantity = min(owed.quantity if owed else 0, held.available if held else 0)
            if party.habit == "surrenders the last part late":
                quantity = quantity * 6 // 10
            _surrender_now(story, party, operator, period, quantity, now)


def _cure_late(story: Story, period: Period, now: datetime) -> None:
    late = next(party for party in PARTIES if party.habit == "surrenders the last part late")
    operator = story.operators["ai-flop", late.short]
    owed = operator.obligations.filter(period=period).order_by("-version")[0].quantity
    given = sum(operator.surrenders.filter(period=period).values_list("quantity", flat=True))
    _surrender_now(story, late, operator, period, owed - given, now)


def _surrender_now(
    story: Story, party: Party, operator: Operator, period: Period, quantity: int, now: datetime
) -> None:
    if quantity <= 0:
        return
    with clock.simulate(now):
        surrenders.surrender(
            actor=story.person(f"initiator@{party.short}.example"),
            operator=operator,
            period=period,
            quantity=quantity,
            key=derive_key("story-surrender", story.seed, period.code, party.short, now.isoformat()),
            now=now,
        )
