"""A world with something on every page: trades, resting orders, reports, proposals, a second scheme."""

from dataclasses import dataclass
from functools import cached_property
from uuid import uuid4

import pytest

from accounts.models import Approval, User
from exchange.models import Market, Order
from exchange.services import markets, matching, orders
from registry.ledger.models import LedgerAccount
from registry.models import AllocationRun, Case, MonitoringPlan, Period, Report, System
from registry.services import caps, cases, operators, reports, surrenders, transfers
from registry.services.reports import LineInput
from tests.cast import (
    LARGE_TRANSFER,
    OPENING,
    PERMIT_FLOP,
    REPORTING,
    Clock,
    Party,
    Regulator,
    capped,
    co2e_scheme,
    engage,
    judge,
    operator,
    party,
    period_of,
    tell_the_opening,
)
from tests.registry.monitored import open_cluster, open_paris, submitted
from tests.snapshots import Ready

COLUMNS = (
    "timestamp,project_name,run_id,duration,emissions,cpu_power,gpu_power,ram_power,cpu_energy,gpu_energy,ram_energy,"
    "energy_consumed,country_iso_code,codecarbon_version,tracking_mode,on_cloud"
)


def codecarbon_file(*rows: tuple[str, str, str]) -> bytes:
    """Return a CodeCarbon file with one row of 15 seconds for each (project, energy in kWh, country)."""
    lines = [
        f"2026-06-01T12:00:{number:02d},{project},{uuid4()},15,0.0001,10,0,0,{energy},0,0,{energy},{country},3.3.2,machine,N"
        for number, (project, energy, country) in enumerate(rows)
    ]
    return "\n".join([COLUMNS, *lines, ""]).encode()


@dataclass
class World:
    """Who is there, and one of everything by name."""

    people: dict[str, User]
    acme: Party
    borealis: Party
    cobalt: Party
    regulator: Regulator
    period: Period
    pilot: Period
    draft: Period
    market: Market
    resting: Order
    verified: Report
    submitted: Report
    measured: Report
    approval: Approval
    run: AllocationRun

    @cached_property
    def case(self) -> Case:
        """A case that Acme opened about its verified report."""
        return cases.open_correction(
            actor=self.acme.initiator,
            operator=self.acme.operator,  # type: ignore[arg-type]
            period=self.period,
            grounds="Counted twice.",
            now=REPORTING,
        )

    @cached_property
    def cluster(self) -> System:
        """A cluster of Acme's behind a meter, at its site in Paris."""
        return open_cluster(self.acme, open_paris(self.acme))

    @cached_property
    def plan(self) -> MonitoringPlan:
        """Acme's monitoring plan, which waits for the desk."""
        return submitted(self.acme, self.cluster)

    @property
    def account(self) -> LedgerAccount:
        """Acme's account."""
        return self.acme.account


def place(party: Party, market: Market, side: str, lots: int, ticks: int) -> Order:
    """Place an order of a party."""
    return orders.place_order(
        actor=party.trader,
        organisation=party.organisation,
        market=market,
        side=side,
        price=ticks,
        quantity=lots,
        time_in_force="gtc",
        key=uuid4(),
        now=OPENING,
    )


def open_market(regulator: Regulator, period: Period) -> Market:
    """Open the market of a period: lots of 10 permits, a tick of 5 cents."""
    market = markets.open_market(
        actor=regulator.desk,
        period=period,
        tick_minor=5,
        lot=10,
        collar_bps=2_000,
        max_order_lots=1_000,
        now=OPENING,
    )
    return markets.change_phase(
        actor=regulator.monitor, market=market, phase="continuous", reason="The first day.", now=OPENING
    )


def tell_the_world() -> Ready:
    """Tell the opening, and then a world around it that ends at REPORTING."""
    ready = tell_the_opening()
    regulator, scheme = ready["regulator"], ready["scheme"]
    party_of = {
        "cobalt": operator(regulator, scheme, "Cobalt", "firm", "small"),
        "verity": party(regulator, "Verity", "verifier"),
        "auditor": party(regulator, "Chamber of Audit", "auditor"),
    }
    told: Ready = {name: ready[name] for name in ("regulator", "acme", "borealis", "period")}
    clock = Clock(OPENING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exchange.services.waking.wake", lambda market: None)
        world = build_world(**told | party_of, clock=clock)
    clock.stop()
    return {**ready, **party_of, "world": world}


def build_world(
    regulator: Regulator,
    acme: Party,
    borealis: Party,
    cobalt: Party,
    verity: Party,
    auditor: Party,
    period: Period,
    clock: Clock,
) -> World:
    """Trade, file and verify reports, surrender a part, leave proposals to decide."""
    assert acme.operator is not None and borealis.operator is not None
    market = open_market(regulator, period)
    for ticks in (498, 499, 500):
        place(acme, market, "sell", 4, ticks)
    resting = place(acme, market, "sell", 10, 510)
    place(borealis, market, "buy", 9, 500)
    place(borealis, market, "buy", 5, 490)
    matching.drain(market.pk)
    market.refresh_from_db()
    resting.refresh_from_db()
    outcome = transfers.transfer(
        actor=acme.initiator,
        organisation=acme.organisation,
        to_number=borealis.account.number,
        asset=period.permit,
        quantity=LARGE_TRANSFER,
        key=uuid4(),
        now=OPENING,
        note="sale of a unit",
    )
    assert outcome.approval is not None
    draft = period_of(regulator, period.scheme, 2027)
    caps.propose_cap(actor=regulator.desk, period=draft, quantity=9_000, now=OPENING)
    pilot_scheme = co2e_scheme(regulator)
    pilot = capped(regulator, period_of(regulator, pilot_scheme), 5_000)
    pilot_operator = operators.enrol(
        actor=regulator.desk,
        scheme=pilot_scheme,
        organisation=acme.organisation,
        cohort="large",
        first_year=2026,
        now=OPENING,
    )
    now = clock.move_to(REPORTING)
    line = LineInput(label="base model", activity="training", flop=25 * PERMIT_FLOP)
    verified = reports.submit_lines(
        actor=acme.initiator, operator=acme.operator, period=period, lines=[line], boundary="full stack", now=now
    )
    judge(verity, verified, now=now)
    submitted = reports.submit_lines(
        actor=borealis.initiator,
        operator=borealis.operator,
        period=period,
        lines=[line],
        boundary="training only",
        now=now,
    )
    measured = reports.submit_codecarbon(
        actor=acme.initiator,
        operator=pilot_operator,
        period=pilot,
        name="emissions.csv",
        content=codecarbon_file(("train", "0.0000416667", "FRA"), ("serve", "0.0000416667", "DEU")),
        boundary="full stack",
        activity="training",
        now=now,
    )
    engage(verity, borealis.operator, period, now)
    engage(verity, pilot_operator, pilot, now)
    surrenders.surrender(actor=acme.initiator, operator=acme.operator, period=period, quantity=10, key=uuid4(), now=now)
    people = {
        "acme viewer": acme.viewer,
        "acme initiator": acme.initiator,
        "acme approver": acme.approver,
        "acme trader": acme.trader,
        "borealis viewer": borealis.viewer,
        "verifier": verity.verifier,
        "desk officer": regulator.desk,
        "senior officer": regulator.senior,
        "market monitor": regulator.monitor,
        "auditor": auditor.auditor,
    }
    return World(
        people=people,
        acme=acme,
        borealis=borealis,
        cobalt=cobalt,
        regulator=regulator,
        period=period,
        pilot=pilot,
        draft=draft,
        market=market,
        resting=resting,
        verified=Report.objects.get(pk=verified.pk),
        submitted=submitted,
        measured=measured,
        approval=outcome.approval,
        run=AllocationRun.objects.get(period=period),
    )
