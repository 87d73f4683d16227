"""Two periods of one shipped scheme, told through the services only, in simulated time.

The scheme is founded by its rule document. From then on two things make something happen: people, on the days that
`demo.schemes.books` names, and the registry's own clock, which does between those days whatever its calendar has due,
as the scheduler would: transfers that waited, closings, letters, sanctions, enforcement, banking.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db.models import Min, QuerySet

from accounts.models import Approval, User
from accounts.services import approvals
from common import clock
from common.errors import Refused
from common.idempotency import derive_key
from common.quantities import format_money
from demo import people, schemes
from demo.cast import AUDITOR, PEOPLE, REGULATOR, VERIFIER, Person
from demo.people import Cast, executed
from demo.schemes.books import BOOKS, Book, Deal, Player, Year
from demo.tables import Teller
from demo.verifying import Verifier
from registry.engine.factors import BUILT_IN
from registry.importers.allocation_table import COLUMNS
from registry.ledger import selectors as ledger
from registry.models import AllocationRun, DueWork, Enforcement, Operator, Period, Report, Sanction, Scheme, Transaction
from registry.selectors import usable_permits
from registry.services import (
    allocation,
    allocation_data,
    caps,
    cases,
    cash,
    central,
    debts,
    due,
    enforcement,
    founding,
    operators,
    regimes,
    reports,
    reserves,
    sales,
    sanctions,
    surrenders,
    transactions,
    transfers,
)
from registry.services.rules import policy_at
from registry.services.schemes import open_period_by_rules
from registry.services.transactions import trust
from registry.standing import records

FOUNDED_ON = date(2023, 8, 7)
OPENED, PUBLISHED = (9, 4), (12, 18)
"""Month and day of the year before on which a period is opened, and its cap published."""

BETWEEN_DEALS = timedelta(minutes=10)

COUNTRY = "USA"
"""Where the operators of the CO2e schemes say their energy is used; any country would do."""

Act = Callable[[datetime], None]


def told(name: str) -> bool:
    """Say whether both periods of a scheme stand in this database, closed."""
    return Period.objects.filter(scheme__code=name, year=BOOKS[name].years[-1].year, status="closed").exists()


def begun(name: str) -> bool:
    """Say whether the scheme is there at all."""
    return Scheme.objects.filter(code=name).exists()


def tell(teller: Teller, name: str) -> None:
    """Tell both periods of a scheme, from its rule document to its last letter."""
    TwoPeriods(teller, BOOKS[schemes.require_known(name)]).tell()


def at(day: date) -> datetime:
    """Return the instant at which people act on a day: 09:00 UTC."""
    return datetime(day.year, day.month, day.day, 9, tzinfo=UTC)


@dataclass
class TwoPeriods:
    """One telling. Between two acts of people the registry's clock does what has become due."""

    teller: Teller
    book: Book
    operators: dict[str, Operator] = field(default_factory=dict)
    """By the operator's name."""
    cast: Cast = field(default_factory=lambda: Cast({}, {}))

    def tell(self) -> None:
        """Let everybody act on their days, and time pass in between."""
        self._act(at(FOUNDED_ON), self._found)
        for day, act in self._agenda():
            self._pass_time(at(day))
            self._act(at(day), act)
        last = self._period(self.book.years[-1])
        self._pass_time(DueWork.objects.get(period=last, kind="publication", status="planned").due_at)
        self._require_all_done()

    def _agenda(self) -> list[tuple[date, Act]]:
        """Return what people do on which day, of both periods, in the order of the days."""
        agenda: list[tuple[date, Act]] = []
        for year in self.book.years:
            days = year.days
            steps: tuple[tuple[date, Callable[[Year, datetime], None]], ...] = (
                (date(year.year - 1, *OPENED), self._open),
                (date(year.year - 1, *PUBLISHED), self._publish_cap),
                (days.allocate, self._allocate),
                (days.sell, self._sell),
                (days.deal, self._deal),
                (days.report, self._report),
                (days.verify, self._verify),
                (days.reserve, self._move_reserve),
                (days.surrender, self._surrender),
                (days.deal_late, self._deal_late),
                (days.make_good, self._make_good),
            )
            agenda += [(day, lambda now, step=step, year=year: step(year, now)) for day, step in steps]  # type: ignore[misc]
        return sorted(agenda, key=lambda item: item[0])

    def _act(self, now: datetime, act: Act) -> None:
        with clock.simulate(now):
            act(now)

    # Time -------------------------------------------------------------------------------------------------------------

    def _pass_time(self, until: datetime) -> None:
        """Let the registry do what becomes due until then, each thing at its own instant."""
        last = None
        while (instant := self._next_due(until)) is not None:
            assert instant != last, f"something is due at {instant} and is not done"
            self._act(instant, self._do_what_is_due)
            last = instant

    def _next_due(self, until: datetime) -> datetime | None:
        """Return the next instant at which something of this scheme is due."""
        waiting: tuple[tuple[QuerySet[Any], str], ...] = (
            (DueWork.objects.filter(scheme=self._scheme, status="planned"), "due_at"),
            (Enforcement.objects.filter(period__scheme=self._scheme, status="planned"), "due_at"),
            (Transaction.objects.filter(asset__period__scheme=self._scheme, status="delayed"), "execute_after"),
        )
        instants = [query.aggregate(first=Min(instant))["first"] for query, instant in waiting]
        return min((instant for instant in instants if instant is not None and instant <= until), default=None)

    def _do_what_is_due(self, now: datetime) -> None:
        """Do what the scheduler does every minute."""
        trust.activate_due(now=now)
        transactions.execute_due(now=now)
        due.run_due(now=now, scheme=self._scheme)
        enforcement.run_due(now=now)
        cases.run_due(now=now)

    def _require_all_done(self) -> None:
        """Refuse a telling in which something that was due was not done."""
        failed = DueWork.objects.filter(scheme=self._scheme, status="failed").order_by("due_at").first()
        if failed is not None:
            raise Refused("due_work_failed", f"{failed.key} failed: {failed.result.get('failure')}")

    # Founding ---------------------------------------------------------------------------------------------------------

    def _found(self, now: datetime) -> None:
        """Let everybody in, found the scheme by its document with two officers, and enrol the operators."""
        self.cast = admit(self.book, now)
        document = schemes.rule_document(self.book.name)
        self._by_two(founding.import_scheme(actor=self.cast.desk, document=document, now=now), now)
        for player in self.book.players:
            self.operators[player.name] = operators.enrol(
                actor=self.cast.desk,
                scheme=self._scheme,
                organisation=self.cast.organisations[player.name],
                cohort=player.cohort,
                first_year=self.book.years[0].year,
                now=now,
            )
        self._say(now, f"{self._scheme.name} founded by one document of {len(document['rules'])} rules.")

    def _open(self, year: Year, now: datetime) -> None:
        """Open the period with the days of the rules' calendar."""
        period = open_period_by_rules(actor=self.cast.desk, scheme=self._scheme, year=year.year, now=now)
        last_days = [(instant - timedelta(seconds=1)).astimezone(period.scheme.tz) for instant in _deadlines(period)]
        reports_by, permits_by = (f"{day:%-d %B %Y}" for day in last_days)
        self._say(now, f"{period} prepared: reports are due by {reports_by}, permits by {permits_by}.")

    def _publish_cap(self, year: Year, now: datetime) -> None:
        """Publish the cap that the rules give the year."""
        period = self._period(year)
        self._by_two(caps.propose_cap_by_rules(actor=self.cast.desk, period=period, now=now), now)
        self._say(now, f"Cap of {year.year}: {period.caps.get().quantity:,} permits.")

    # The year ---------------------------------------------------------------------------------------------------------

    def _allocate(self, year: Year, now: datetime) -> None:
        """Upload the verified figures, then divide the cap by the rules."""
        for player in self.book.players:
            if player.cohort == "academic":
                regimes.check_cohort(
                    actor=self.cast.desk,
                    operator=self.operators[player.name],
                    year=year.year,
                    holds=True,
                    reason="A university's laboratory by its charter.",
                    now=now,
                )
        if year.figures:
            allocation_data.upload_table(
                actor=self.cast.desk,
                scheme=self._scheme,
                name=f"figures-for-{year.year}.csv",
                content=self._table_of_figures(year),
                now=now,
            )
        run = allocation.draft_by_rules(actor=self.cast.desk, period=self._period(year), now=now)
        self._by_two(allocation.propose_run(actor=self.cast.desk, run=run, now=now), now)
        run = AllocationRun.objects.get(pk=run.pk)
        given = run.free + run.set_aside
        self._say(now, f"Allocation of {year.year}: {given:,} to operators, {run.auction:,} to auction.")

    def _table_of_figures(self, year: Year) -> bytes:
        """Write the figures of a year as the file that a desk uploads."""
        page = io.StringIO(newline="")
        writer = csv.DictWriter(page, COLUMNS, restval="")
        writer.writeheader()
        for figure in year.figures:
            row = {
                "operator": self.operators[figure.operator].account.number,
                "year": figure.year,
                "product": self.book.product if figure.output is not None else None,
                "output": _plain(figure.output),
                "use": _plain(figure.use),
                "own_j_per_flop": _plain(figure.own),
                "leakage_class": self.book.player(figure.operator).leakage_class,
                "proven_need": figure.need,
            }
            writer.writerow({column: value for column, value in row.items() if value is not None})
        return page.getvalue().encode()

    def _sell(self, year: Year, now: datetime) -> None:
        """Sell permits from the auction account by sealed bids, each covered by money at the registry's bank."""
        period = self._period(year)
        account = central.account(period, central.AUCTION)
        offered = ledger.available(account.pk, period.permit_id) if year.offered is None else year.offered
        if not offered:
            return
        for bid in year.bids:
            self._deposit(bid.operator, int(bid.price * 100) * bid.quantity, f"sale-{year.year}", now)
        bids = [(self.operators[bid.operator].account.number, bid.price, bid.quantity) for bid in year.bids]
        approval = sales.propose_sale(actor=self.cast.desk, period=period, offered=offered, bids=bids, now=now)
        self._by_two(approval, now)
        self._say(now, approval.summary)

    def _move_reserve(self, year: Year, now: datetime) -> None:
        """Work out the flow of the stability reserve after a year, where the rules have one and a next period is."""
        period = self._period(year)
        if policy_at(self._scheme, period.starts_on).supply.msr is None or year is self.book.years[-1]:
            return
        approval = reserves.propose_stability(actor=self.cast.desk, period=period, now=now)
        self._by_two(approval, now)
        self._say(now, approval.summary)

    def _deal(self, year: Year, now: datetime) -> None:
        """Let operators transfer permits to each other, and show one transfer that the rules refuse."""
        if self.book.refused_deal is not None and year is self.book.years[0]:
            deal, code = self.book.refused_deal
            try:
                self._transfer(year, deal, now)
            except Refused as refusal:
                assert refusal.code == code, refusal
                self._say(now, f"Refused, {deal.quantity:,} from {deal.seller} to {deal.buyer}: {refusal.sentence}")
            else:
                raise AssertionError(f"{deal} was not refused")
        self._transfer_all(year, [deal for deal in year.deals if not deal.is_late], now)

    def _deal_late(self, year: Year, now: datetime) -> None:
        """Let those who miss permits after the deadline buy them."""
        self._transfer_all(year, [deal for deal in year.deals if deal.is_late], now)

    def _transfer_all(self, year: Year, deals: Sequence[Deal], now: datetime) -> None:
        """Let one transfer after the other be proposed, some minutes apart."""
        for number, deal in enumerate(deals):
            later = now + number * BETWEEN_DEALS
            self._act(later, lambda instant, deal=deal: self._transfer(year, deal, instant))  # type: ignore[misc]

    def _transfer(self, year: Year, deal: Deal, now: datetime) -> None:
        """Propose a transfer; the sender's second person and the receiver do their part where they are asked."""
        made = transfers.transfer(
            actor=self._person("initiator", deal.seller),
            organisation=self.operators[deal.seller].organisation,
            to_number=self.operators[deal.buyer].account.number,
            asset=self._period(year).permit,
            quantity=deal.quantity,
            price_minor=int(deal.price * 100),
            agreement=f"Sale at {deal.price}",
            key=derive_key("two-periods", self.book.name, deal.seller, deal.buyer, now.isoformat()),
            now=now,
        )
        assert made.transaction is not None
        if made.approval is not None:
            executed(
                approvals.approve(actor=self._person("approver", deal.seller), approval_id=made.approval.pk, now=now)
            )
        row = Transaction.objects.get(pk=made.transaction.pk)
        how = "at once"
        if row.status == "awaiting_receiver":
            transactions.accept(actor=self._person("initiator", deal.buyer), transaction_id=row.pk, now=now)
            how = "accepted by the receiver"
        elif row.status == "delayed":
            assert row.execute_after is not None
            how = f"carried out on {row.execute_after:%Y-%m-%d %H:%M} UTC"
        self._say(now, f"{deal.seller} sends {deal.quantity:,} to {deal.buyer} at {deal.price}, {how}.")

    # Reports and surrender --------------------------------------------------------------------------------------------

    def _report(self, year: Year, now: datetime) -> None:
        """Let every operator report what it used."""
        for name, used in year.use.items():
            reports.submit_lines(
                actor=self._person("initiator", name),
                operator=self.operators[name],
                period=self._period(year),
                lines=[self._line(used)],
                boundary="All inference of the year",
                now=now,
            )

    def _line(self, permits: int) -> reports.LineInput:
        """Return a report line that comes to a number of permits: FLOP, or the energy whose emissions are so many."""
        units = permits * self._scheme.unit_size
        if self._scheme.metric == Scheme.Metric.FLOP:
            return reports.LineInput("Inference", "inference", flop=units)
        per_kwh = BUILT_IN.factor(COUNTRY).g_per_kwh
        return reports.LineInput("Inference", "inference", energy_kwh=units / per_kwh, country=COUNTRY)

    def _verify(self, year: Year, now: datetime) -> None:
        """Let the operators appoint the verifier, who checks every report."""
        verifier = Verifier(
            self.cast.organisations[VERIFIER],
            lead=self.cast.users["verifier@verity.example"],
            reviewer=self.cast.users["reviewer@verity.example"],
        )
        verifier.prepare(self._scheme, self.cast.desk, now)
        found = Report.objects.filter(period=self._period(year), status="submitted")
        for report in found.select_related("operator__organisation", "operator__scheme", "period__scheme").order_by(
            "operator__account_id"
        ):
            reporter = self._person("initiator", report.operator.organisation.name)
            verifier.appointed_by(reporter, report.operator, report.period, now)
            verifier.verify([report], now)
        self._say(now, f"Reports of {year.year} verified: {sum(year.use.values()):,} permits are owed.")

    def _surrender(self, year: Year, now: datetime) -> None:
        """Let every operator surrender what it owes as far as it has it, and record a price the rules may ask for."""
        for name in year.use:
            self._give_up(year, name, now)
        if year.year in self.book.reference_price:
            price, source = self.book.reference_price[year.year]
            self._by_two(
                sanctions.propose_reference_price(
                    actor=self.cast.desk, period=self._period(year), price=str(price), source=source, now=now
                ),
                now,
            )

    def _give_up(self, year: Year, name: str, now: datetime, *, any_vintage: bool = False) -> int:
        """Surrender what an operator still owes, its oldest permits first, and return how many."""
        operator, period = self.operators[name], self._period(year)
        (standing,) = records(period, operator=operator)
        usable = period if not any_vintage else self._scheme.periods.order_by("-year")[0]
        missing = standing.shortfall
        for balance in usable_permits(operator, usable).select_related("asset"):
            quantity = min(missing, balance.available)
            if quantity > 0:
                surrenders.surrender(
                    actor=self._person("initiator", name),
                    operator=operator,
                    period=period,
                    quantity=quantity,
                    asset=balance.asset,
                    key=derive_key("two-periods", period.code, name, balance.asset_id, now.isoformat()),
                    now=now,
                )
                missing -= quantity
        return standing.shortfall - missing

    def _make_good(self, year: Year, now: datetime) -> None:
        """Let those who were short surrender late, and pay what the shortfall costs."""
        period = self._period(year)
        imposed = Sanction.objects.filter(period=period).select_related("operator__organisation")
        for sanction in imposed.order_by("operator__account_id"):
            name = sanction.operator.organisation.name
            in_permits = sanction.mode == "PERMITS"
            late = self._give_up(year, name, now, any_vintage=in_permits)
            more = self._pay_debt(name, now) if in_permits else 0
            if sanction.amount_minor:
                self._deposit(name, sanction.amount_minor, f"sanction-{year.year}", now)
                sanctions.pay(actor=self._person("initiator", name), sanction=sanction, now=now)
            cost = f"{more:,} permits more" if in_permits else f"{format_money(sanction.amount_minor)} in money"
            self._say(now, f"{name} surrenders {late:,} late and pays {cost}.")

    def _pay_debt(self, name: str, now: datetime) -> int:
        """Pay what is owed in permits beside the obligations, the oldest first, and return how many."""
        operator = self.operators[name]
        owed = missing = debts.owed(operator)
        for period in self._scheme.periods.order_by("year"):
            balance = usable_permits(operator, period).filter(asset=period.permit).first()
            quantity = min(missing, balance.available if balance else 0)
            if quantity > 0:
                debts.pay(
                    actor=self._person("initiator", name),
                    operator=operator,
                    period=period,
                    quantity=quantity,
                    key=derive_key("two-periods-debt", period.code, name, now.isoformat()),
                    now=now,
                )
                missing -= quantity
        return owed - missing

    # Parts ------------------------------------------------------------------------------------------------------------

    @cached_property
    def _scheme(self) -> Scheme:
        return Scheme.objects.select_related("currency").get(code=self.book.name)

    def _period(self, year: Year) -> Period:
        return Period.objects.select_related("scheme", "permit").get(scheme__code=self.book.name, year=year.year)

    def _person(self, role: str, name: str) -> User:
        """Return who has a role at an operator."""
        return self.cast.users[_email(role, self.book.player(name))]

    def _by_two(self, approval: Approval, now: datetime) -> None:
        """Let the senior officer approve what the desk proposed."""
        self.cast.approve(approval, now)

    def _deposit(self, name: str, amount_minor: int, reference: str, now: datetime) -> None:
        """Record money that an operator sent to the registry's bank."""
        operator = self.operators[name]
        self._by_two(
            cash.propose_deposit(
                actor=self.cast.desk,
                account=operator.account,
                currency=self._scheme.currency,
                amount_minor=amount_minor,
                reference=f"{self.book.name} {operator.account.number} {reference}",
                now=now,
            ),
            now,
        )

    def _say(self, now: datetime, what: str) -> None:
        self.teller.line(f"{now:%Y-%m-%d}  {what}")


def _deadlines(period: Period) -> tuple[datetime, datetime]:
    return period.report_due, period.surrender_due


def admit(book: Book, now: datetime) -> Cast:
    """Let everybody of a scheme's story in: the regulator's people, the verifier, the auditor, and the operators'."""
    offices = {VERIFIER: "verifier", AUDITOR: "auditor"}
    officers = [person for person in PEOPLE if person.organisation in {REGULATOR, *offices}]
    kinds = offices | {player.name: player.kind for player in book.players}
    return people.admit([*officers, *representatives(book)], kinds, now)


def representatives(book: Book) -> list[Person]:
    """Return the people who act for the operators of a scheme: one in each role."""
    return [
        Person(_email(role, player), f"{first} {player.short.title()}", player.name, role)
        for player in book.players
        for role, first in (("initiator", "Ines"), ("approver", "Ari"), ("trader", "Toni"))
    ]


def _email(role: str, player: Player) -> str:
    return f"{role}@{player.short}.example"


def _plain(figure: Decimal | None) -> str | None:
    """Write a figure without an exponent, as the file wants it."""
    return None if figure is None else f"{figure:f}"
