"""Freezes: one officer stops, two let go; frozen numbers stay and everything around them moves."""

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from accounts.models import AuditEvent
from accounts.services import approvals
from common.errors import Forbidden, Refused
from exchange.models import Market, Order
from exchange.services import accounts as withdrawal
from exchange.services import matching, orders, settlement
from registry.grades import freeze_of, frozen_quantity, is_frozen, is_serial_frozen
from registry.ledger import services as ledger
from registry.ledger.models import Asset, Balance, SerialBlock
from registry.ledger.services.serials import derive_serial_blocks
from registry.models import Freeze, Period, Scheme, SerialFreeze
from registry.services import accounts, freezes, surrenders
from tests import cast
from tests.cast import ACME_PERMITS, OPENING, Party, Regulator
from tests.pages import world
from tests.registry.holding import fresh, lies, send, set_grade


@pytest.fixture
def market(regulator: Regulator, period: Period, monkeypatch: pytest.MonkeyPatch) -> Market:
    """A market that trades, in lots of 10 permits."""
    monkeypatch.setattr("exchange.services.waking.wake", lambda market: None)
    return world.open_market(regulator, period)


def place(party: Party, market: Market, side: str, ticks: int, lots: int) -> Order:
    return world.place(party, market, side, lots, ticks)


def freeze_serials(regulator: Regulator, permit: Asset, first: int, last: int) -> SerialFreeze:
    return freezes.freeze_serials(
        actor=regulator.desk, asset=permit, first=first, last=last, reason="Reported as stolen.", now=OPENING
    )


def first_number(party: Party, permit: Asset) -> int:
    derive_serial_blocks()
    return SerialBlock.objects.filter(balance__account=party.account, asset=permit, until=None).earliest("first").first


class TestAccounts:
    """Any officer of the desk freezes an account at once."""

    def test_nothing_leaves_or_enters_a_frozen_account(
        self, regulator: Regulator, acme: Party, borealis: Party, permit: Asset
    ) -> None:
        freezes.freeze_account(actor=regulator.desk, account=acme.account, reason="Theft reported.", now=OPENING)

        for sender, receiver in ((acme, borealis), (borealis, acme)):
            with pytest.raises(Refused):
                send(sender, receiver.account, permit, 1)

        assert fresh(acme.account) == "frozen"
        assert lies(acme.account, permit) == (ACME_PERMITS, 0)

    def test_holders_auditors_and_monitors_freeze_nothing(
        self, regulator: Regulator, acme: Party, auditor: Party
    ) -> None:
        for person in (acme.approver, auditor.auditor, regulator.monitor):
            with pytest.raises(Forbidden):
                freezes.freeze_account(actor=person, account=acme.account, reason="Theft.", now=OPENING)


class TestSchemes:
    """Everything but surrender stands still."""

    def test_a_scheme_is_frozen_and_let_go_by_two(self, regulator: Regulator, scheme: Scheme) -> None:
        freeze = freezes.freeze_scheme(actor=regulator.desk, scheme=scheme, reason="Theft.", now=OPENING)
        assert freeze_of(scheme) == freeze

        proposal = freezes.propose_lifting(actor=regulator.desk, freeze=freeze, reason="Found.", now=OPENING)
        assert is_frozen(scheme)
        regulator.approve(proposal)

        freeze.refresh_from_db()
        assert not is_frozen(scheme)
        assert (freeze.lifted_by, freeze.lifted_at) == (regulator.senior, OPENING)
        assert {event.action for event in AuditEvent.objects.filter(action__startswith="registry.freeze")} == {
            "registry.freeze.made",
            "registry.freeze.lifted",
        }

    def test_a_freeze_of_everything_stops_every_scheme(self, regulator: Regulator, scheme: Scheme) -> None:
        other = cast.co2e_scheme(regulator)

        freezes.freeze_scheme(actor=regulator.desk, scheme=None, reason="Theft.", now=OPENING)

        assert (is_frozen(scheme), is_frozen(other)) == (True, True)

    def test_surrender_goes_on(self, regulator: Regulator, acme: Party, period: Period) -> None:
        assert acme.operator is not None
        freezes.freeze_scheme(actor=regulator.desk, scheme=period.scheme, reason="Theft.", now=OPENING)

        surrenders.surrender(
            actor=acme.initiator, operator=acme.operator, period=period, quantity=5, key=cast.key(), now=OPENING
        )

        assert lies(acme.account, period.permit) == (ACME_PERMITS - 5, 0)

    @pytest.mark.parametrize("whole", [True, False])
    def test_one_freeze_at_a_time(self, regulator: Regulator, scheme: Scheme, whole: bool) -> None:
        stopped = None if whole else scheme
        freezes.freeze_scheme(actor=regulator.desk, scheme=stopped, reason="Theft.", now=OPENING)

        with pytest.raises(Refused) as refused:
            freezes.freeze_scheme(actor=regulator.desk, scheme=stopped, reason="Again.", now=OPENING)
        with pytest.raises(IntegrityError), transaction.atomic():
            Freeze.objects.create(scheme=stopped, reason="Again.", frozen_by=regulator.desk, frozen_at=OPENING)

        assert refused.value.code == "frozen_already"

    def test_a_reason_is_public_and_stays_as_it_was(self, regulator: Regulator, scheme: Scheme) -> None:
        with pytest.raises(Refused) as refused:
            freezes.freeze_scheme(actor=regulator.desk, scheme=scheme, reason=" ", now=OPENING)
        freezes.freeze_scheme(actor=regulator.desk, scheme=scheme, reason="Theft.", now=OPENING)

        assert refused.value.code == "reason_missing"
        with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic():
            Freeze.objects.update(reason="Nothing happened.")

    def test_a_freeze_is_lifted_once(self, regulator: Regulator, scheme: Scheme) -> None:
        freeze = freezes.freeze_scheme(actor=regulator.desk, scheme=scheme, reason="Theft.", now=OPENING)
        regulator.approve(freezes.propose_lifting(actor=regulator.desk, freeze=freeze, reason="Ok.", now=OPENING))

        with pytest.raises(Refused) as refused:
            freezes.propose_lifting(actor=regulator.desk, freeze=freeze, reason="Ok.", now=OPENING)

        assert refused.value.code == "freeze_lifted_already"


class TestOrderEntry:
    """A restricted account and a frozen scheme place no new order; cancelling stays possible."""

    @pytest.mark.parametrize(
        ("grade", "reason"),
        [
            ("restricted", "account_restricted"),
            ("receive_only", "account_restricted"),
            ("suspended", "account_restricted"),
            ("frozen", "account_frozen"),
        ],
    )
    def test_no_order_enters_from_an_account_that_is_not_open(
        self, regulator: Regulator, acme: Party, market: Market, grade: str, reason: str
    ) -> None:
        resting = place(acme, market, "sell", 500, 1)
        set_grade(regulator, acme.account, grade)

        order = place(acme, market, "sell", 501, 1)
        orders.cancel_order(
            actor=acme.trader, order_id=resting.pk, organisation=acme.organisation, key=cast.key(), now=OPENING
        )
        matching.drain(market.pk)

        assert (order.status, order.reason) == ("rejected", reason)
        assert Order.objects.get(pk=resting.pk).status == "canceled"

    def test_orders_that_rest_are_withdrawn_once(
        self, regulator: Regulator, acme: Party, borealis: Party, market: Market
    ) -> None:
        stopped = [place(acme, market, "sell", ticks, 1) for ticks in (500, 510)]
        kept = place(borealis, market, "buy", 400, 1)
        matching.drain(market.pk)
        set_grade(regulator, acme.account, "suspended")

        asked = [withdrawal.withdraw_stopped_orders(now=OPENING) for _ in range(2)]
        matching.drain(market.pk)

        assert asked == [2, 0]
        assert [Order.objects.get(pk=order.pk).status for order in (*stopped, kept)] == ["canceled", "canceled", "new"]
        assert withdrawal.withdraw_stopped_orders(now=OPENING) == 0
        assert lies(acme.account, market.period.permit) == (ACME_PERMITS, 0)

    def test_a_reopened_account_trades_again(self, regulator: Regulator, acme: Party, market: Market) -> None:
        set_grade(regulator, acme.account, "suspended")
        set_grade(regulator, acme.account, "open")

        assert place(acme, market, "sell", 500, 1).reason == ""

    @pytest.mark.parametrize("whole", [True, False])
    def test_no_order_enters_a_frozen_scheme(
        self, regulator: Regulator, acme: Party, market: Market, whole: bool
    ) -> None:
        freeze = freezes.freeze_scheme(
            actor=regulator.desk,
            scheme=None if whole else market.period.scheme,
            reason="Theft.",
            now=OPENING,
        )
        refused = place(acme, market, "sell", 500, 1)
        regulator.approve(freezes.propose_lifting(actor=regulator.desk, freeze=freeze, reason="Ok.", now=OPENING))

        accepted = place(acme, market, "sell", 500, 1)

        assert [refused.reason, accepted.reason] == ["scheme_frozen", ""]

    def test_a_freeze_of_another_scheme_stops_nothing_here(
        self, regulator: Regulator, acme: Party, market: Market
    ) -> None:
        freezes.freeze_scheme(actor=regulator.desk, scheme=cast.co2e_scheme(regulator), reason="Theft.", now=OPENING)

        assert place(acme, market, "sell", 500, 1).reason == ""

    def test_trades_of_a_frozen_scheme_are_settled_when_it_is_let_go(
        self, regulator: Regulator, acme: Party, borealis: Party, market: Market
    ) -> None:
        place(acme, market, "sell", 500, 1)
        place(borealis, market, "buy", 500, 1)
        matching.drain(market.pk)
        freeze = freezes.freeze_scheme(actor=regulator.desk, scheme=market.period.scheme, reason="Theft.", now=OPENING)

        with pytest.raises(Refused) as refused:
            settlement.settle_market(actor=regulator.desk, market=market, now=OPENING)
        regulator.approve(freezes.propose_lifting(actor=regulator.desk, freeze=freeze, reason="Ok.", now=OPENING))

        assert refused.value.code == "scheme_frozen"
        assert settlement.settle_market(actor=regulator.desk, market=market, now=OPENING) is not None

    def test_a_trade_struck_before_a_freeze_is_settled_and_stays_in_the_frozen_account(
        self, regulator: Regulator, acme: Party, borealis: Party, market: Market
    ) -> None:
        place(acme, market, "sell", 500, 1)
        place(borealis, market, "buy", 500, 1)
        matching.drain(market.pk)
        freezes.freeze_account(actor=regulator.desk, account=acme.account, reason="Theft reported.", now=OPENING)

        batch = settlement.settle_market(actor=regulator.desk, market=market, now=OPENING)

        assert batch is not None
        assert lies(acme.account, market.period.permit) == (ACME_PERMITS - 10, 0)
        assert fresh(acme.account) == "frozen"
        with pytest.raises(Refused):
            send(acme, borealis.account, market.period.permit, 1)

    def test_an_account_whose_books_are_in_doubt_settles_nothing(
        self, regulator: Regulator, acme: Party, borealis: Party, market: Market
    ) -> None:
        place(acme, market, "sell", 500, 1)
        place(borealis, market, "buy", 500, 1)
        matching.drain(market.pk)
        with transaction.atomic():
            ledger.freeze_account(account_id=acme.account.pk)

        with pytest.raises(Refused) as refused:
            settlement.settle_market(actor=regulator.desk, market=market, now=OPENING)

        assert refused.value.code == "account_frozen"


class TestSerials:
    """Frozen numbers stay where they are, and cannot be sold either."""

    def test_exactly_the_frozen_part_stays(
        self, regulator: Regulator, acme: Party, borealis: Party, permit: Asset
    ) -> None:
        first = first_number(acme, permit)
        freeze = freeze_serials(regulator, permit, first, first + 99)

        with pytest.raises(Refused):
            send(acme, borealis.account, permit, 999)  # below what needs a second person, within what is there
            for _ in range(4):
                send(acme, borealis.account, permit, 999)

        assert frozen_quantity(acme.account.pk, permit.pk) == 100
        assert lies(acme.account, permit)[1] == 100
        assert is_serial_frozen(permit, first + 99) and not is_serial_frozen(permit, first + 100)
        assert freeze.lifted_at is None
        assert lies(acme.account, permit)[0] >= 100

    def test_what_is_frozen_cannot_be_sold(
        self, regulator: Regulator, acme: Party, market: Market, permit: Asset
    ) -> None:
        first = first_number(acme, permit)
        freeze_serials(regulator, permit, first, first + 999)

        too_much = place(acme, market, "sell", 500, 301)
        the_rest = place(acme, market, "sell", 500, 300)

        assert [too_much.reason, the_rest.reason] == ["insufficient_available", ""]

    def test_two_officers_let_numbers_go(
        self, regulator: Regulator, acme: Party, borealis: Party, permit: Asset
    ) -> None:
        first = first_number(acme, permit)
        freeze = freeze_serials(regulator, permit, first, first + ACME_PERMITS - 1)
        with pytest.raises(Refused):
            send(acme, borealis.account, permit, 1)

        regulator.approve(
            freezes.propose_serial_lifting(actor=regulator.desk, freeze=freeze, reason="Found.", now=OPENING)
        )
        send(acme, borealis.account, permit, 1)

        assert not is_serial_frozen(permit, first)
        assert lies(acme.account, permit) == (ACME_PERMITS - 1, 0)

    def test_where_they_back_orders_the_whole_account_is_frozen(
        self, regulator: Regulator, acme: Party, market: Market, permit: Asset
    ) -> None:
        resting = place(acme, market, "sell", 500, ACME_PERMITS // 10)
        first = first_number(acme, permit)

        freeze_serials(regulator, permit, first, first + 9)
        assert fresh(acme.account) == "frozen"
        reopening = accounts.propose_reopening(
            actor=regulator.desk, account=acme.account, grade="open", reason="Clear.", now=OPENING
        )
        failed = approvals.approve(actor=regulator.senior, approval_id=reopening.pk, now=OPENING)
        orders.cancel_order(
            actor=acme.trader, order_id=resting.pk, organisation=acme.organisation, key=cast.key(), now=OPENING
        )
        matching.drain(market.pk)
        regulator.approve(
            accounts.propose_reopening(
                actor=regulator.desk, account=acme.account, grade="open", reason="Clear.", now=OPENING
            )
        )

        assert (failed.status, failed.failure_code) == ("failed", "frozen_serials_not_held")
        assert fresh(acme.account) == "open"
        assert Balance.objects.get(account=acme.account, asset=permit).held == 10

    @pytest.mark.parametrize(
        ("first", "last", "code"), [(5, 4, "serials_out_of_order"), (1, 10**9, "serials_not_issued")]
    )
    def test_odd_ranges_are_refused(
        self, regulator: Regulator, permit: Asset, first: int, last: int, code: str
    ) -> None:
        with pytest.raises(Refused) as refused:
            freeze_serials(regulator, permit, first, last)

        assert refused.value.code == code
        assert not SerialFreeze.objects.exists()

    def test_money_has_no_numbers(self, regulator: Regulator, scheme: Scheme) -> None:
        with pytest.raises(Refused) as refused:
            freeze_serials(regulator, scheme.currency, 1, 2)

        assert refused.value.code == "asset_without_serials"

    def test_only_the_desk_freezes_numbers(self, acme: Party, auditor: Party, permit: Asset) -> None:
        for person in (acme.approver, auditor.auditor):
            with pytest.raises(Forbidden):
                freezes.freeze_serials(actor=person, asset=permit, first=1, last=2, reason="Mine.", now=OPENING)
