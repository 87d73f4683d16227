"""Surrendering: which permits count, when they were received, and that one key is one surrender."""

import threading
import uuid
from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import connection, transaction

from accounts.models import AuditEvent
from common import clock as one_clock
from common.errors import Forbidden, Refused
from registry.ledger import services as ledger
from registry.ledger.models import Balance, Transfer
from registry.models import Period, Surrender
from registry.services import central, estimates, operators, receipts, surrenders
from registry.standing import records
from tests import cast
from tests.cast import MICROSECOND, Clock, Party, Regulator


@pytest.fixture
def give(acme: Party, period: Period, clock: Clock) -> Callable[..., Surrender]:
    """Let Acme's initiator surrender for the period."""

    def surrender(quantity: int = 100, **changes: object) -> Surrender:
        arguments: dict[str, object] = {
            "actor": acme.initiator,
            "operator": acme.operator,
            "period": period,
            "quantity": quantity,
            "key": uuid.uuid4(),
            "now": clock.now(),
        }
        return surrenders.surrender(**(arguments | changes))  # type: ignore[arg-type]

    return surrender


def test_surrendered_permits_move_into_the_periods_surrender_account(
    give: Callable[..., Surrender], acme: Party, period: Period, clock: Clock
) -> None:
    receipt = give(300)

    moved = Transfer.objects.get(journal=receipt.journal)
    assert (moved.debit.account, moved.credit.account, moved.amount) == (
        acme.account,
        central.account(period, "surrender"),
        300,
    )
    assert (receipt.quantity, receipt.received_at, receipt.surrendered_by) == (300, clock.now(), acme.initiator)


@pytest.mark.parametrize("role", ["initiator", "approver", "trader"])
def test_every_representative_may_surrender(give: Callable[..., Surrender], acme: Party, role: str) -> None:
    assert give(1, actor=getattr(acme, role)).quantity == 1


def test_viewers_and_strangers_may_not(
    give: Callable[..., Surrender], acme: Party, borealis: Party, regulator: Regulator
) -> None:
    for stranger in (acme.viewer, borealis.initiator, regulator.senior):
        with pytest.raises(Forbidden) as refused:
            give(1, actor=stranger)
        assert refused.value.code == "not_permitted"


def test_a_surrender_leaves_one_event(give: Callable[..., Surrender]) -> None:
    receipt = give()

    events = AuditEvent.objects.filter(subject_type="registry.surrender")
    assert [(e.action, e.subject_id, e.details["quantity"]) for e in events] == [
        ("registry.surrender.received", str(receipt.pk), 100)
    ]


def test_the_same_key_again_is_the_same_surrender(give: Callable[..., Surrender], acme: Party) -> None:
    key = uuid.uuid4()

    first, second = give(100, key=key), give(100, key=key)

    assert first == second
    assert Balance.objects.get(account=acme.account, asset__kind="permit").balance == cast.ACME_PERMITS - 100


def test_the_same_key_for_something_else_is_refused(give: Callable[..., Surrender]) -> None:
    key = uuid.uuid4()
    give(100, key=key)

    with pytest.raises(Refused) as refused:
        give(101, key=key)

    assert refused.value.code == "key_reused"


def test_two_operators_may_happen_to_use_one_key(give: Callable[..., Surrender], borealis: Party) -> None:
    key = uuid.uuid4()

    assert give(100, key=key) != give(100, key=key, actor=borealis.initiator, operator=borealis.operator)


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        (0, "quantity_out_of_range"),
        (-5, "quantity_out_of_range"),
        (10**15 + 1, "quantity_out_of_range"),
        ("1.5", "quantity_not_whole"),
        (cast.ACME_PERMITS + 1, "insufficient_available"),
    ],
)
def test_a_quantity_that_is_not_there_changes_nothing(
    give: Callable[..., Surrender], acme: Party, quantity: object, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        give(quantity)

    assert refused.value.code == code
    assert not Surrender.objects.exists()
    assert Balance.objects.get(account=acme.account, asset__kind="permit").balance == cast.ACME_PERMITS


def test_held_permits_cannot_be_surrendered(give: Callable[..., Surrender], acme: Party, period: Period) -> None:
    with transaction.atomic():
        ledger.hold(
            account=acme.account.pk,
            asset=period.permit_id,
            quantity=cast.ACME_PERMITS,
            purpose="orders",
            reference="1",
            now=cast.OPENING,
        )

    with pytest.raises(Refused) as refused:
        give(1)

    assert refused.value.code == "insufficient_available"


class TestVintages:
    """Banked permits of earlier years count; later years, other schemes and money do not."""

    @pytest.fixture
    def next_period(self, regulator: Regulator, period: Period, acme: Party) -> Period:
        """The following year, of which Acme has permits too."""
        following = cast.capped(regulator, cast.period_of(regulator, period.scheme, cast.YEAR + 1))
        assert acme.operator is not None
        cast.allocate(regulator, following, {acme.operator: 50})
        return following

    def test_an_earlier_vintage_counts_for_a_later_year(
        self, give: Callable[..., Surrender], period: Period, next_period: Period
    ) -> None:
        receipt = give(60, period=next_period, asset=period.permit)

        assert Transfer.objects.get(journal=receipt.journal).asset_id == period.permit_id

    def test_a_later_vintage_does_not_count(self, give: Callable[..., Surrender], next_period: Period) -> None:
        with pytest.raises(Refused) as refused:
            give(10, asset=next_period.permit)

        assert refused.value.code == "vintage_not_usable"

    def test_neither_money_nor_another_schemes_permits_count(
        self, give: Callable[..., Surrender], regulator: Regulator, period: Period
    ) -> None:
        other = cast.capped(regulator, cast.period_of(regulator, cast.co2e_scheme(regulator)))

        for asset in (period.scheme.currency, other.permit):
            with pytest.raises(Refused) as refused:
                give(10, asset=asset)
            assert refused.value.code == "vintage_not_usable"

    def test_a_period_of_another_scheme_is_refused(self, give: Callable[..., Surrender], regulator: Regulator) -> None:
        other = cast.capped(regulator, cast.period_of(regulator, cast.co2e_scheme(regulator)))

        with pytest.raises(Refused) as refused:
            give(10, period=other)

        assert refused.value.code == "period_of_another_scheme"

    def test_nothing_is_owed_for_a_draft(
        self, give: Callable[..., Surrender], regulator: Regulator, period: Period
    ) -> None:
        draft = cast.period_of(regulator, period.scheme, cast.YEAR + 1)

        with pytest.raises(Refused) as refused:
            give(10, period=draft)

        assert refused.value.code == "period_not_open"


class TestTheDeadline:
    """One microsecond decides, by the instant of receipt."""

    @pytest.mark.parametrize(
        ("moved_by", "in_time"), [(-MICROSECOND, True), (0 * MICROSECOND, False), (MICROSECOND, False)]
    )
    def test_the_receipt_instant_decides(
        self,
        give: Callable[..., Surrender],
        acme: Party,
        period: Period,
        clock: Clock,
        moved_by: object,
        in_time: bool,
    ) -> None:
        clock.move_to(period.surrender_due + moved_by)  # type: ignore[operator]

        give(100, now=cast.OPENING)  # what the sender believes the time to be does not matter

        (standing,) = records(period, before=period.surrender_due, operator=acme.operator)
        assert standing.surrendered == (100 if in_time else 0)

    def test_a_late_surrender_makes_good(
        self, give: Callable[..., Surrender], acme: Party, period: Period, clock: Clock
    ) -> None:
        clock.move_to(period.surrender_due)

        give(100)

        (standing,) = records(period, operator=acme.operator)
        assert standing.surrendered == 100


@pytest.mark.django_db(transaction=True)
class TestWaitingReceipts:
    """Two real connections meet at the period's row."""

    def test_a_closing_waits_for_a_receipt_under_way_and_counts_it(self, acme: Party, period: Period) -> None:
        due, seen = period.surrender_due, []
        received, closed = threading.Event(), threading.Event()

        def close() -> None:
            received.wait(10)
            with one_clock.simulate(due), transaction.atomic():
                receipts.lock_for_closing(period.pk)
                closed.set()
                seen.extend(records(period, before=due, operator=acme.operator))
            connection.close()

        closing = threading.Thread(target=close)
        closing.start()
        with one_clock.simulate(due - MICROSECOND), transaction.atomic():
            receipts.receive(period.pk)
            received.set()
            assert not closed.wait(0.5), "the closing must wait for the receipt"
            key = uuid.uuid4()
            _post_within(acme, period, key, due - MICROSECOND)
        closing.join(10)

        assert [standing.surrendered for standing in seen] == [100]

    def test_a_receipt_that_waited_for_the_closing_is_late(self, acme: Party, period: Period) -> None:
        """The sender began before the deadline; the receipt's instant is read after the wait, by the database."""
        started, released = threading.Event(), []

        def give() -> None:
            started.set()
            with transaction.atomic():
                _, instant = receipts.receive(period.pk)
                released.append(instant)
            connection.close()

        sender = threading.Thread(target=give)
        with transaction.atomic():
            receipts.lock_for_closing(period.pk)
            sender.start()
            started.wait(10)
            sender.join(0.3)
            locked_until = one_clock.receipt_instant()
        sender.join(10)

        assert released[0] > locked_until

    def test_an_ordinary_update_would_not_have_waited(self, period: Period) -> None:
        """Why the closing takes the row FOR UPDATE: without it a receipt under way goes unseen."""
        passed = threading.Event()

        def update() -> None:
            with transaction.atomic():
                Period.objects.filter(pk=period.pk).update(status="closing")
                passed.set()
            connection.close()

        other = threading.Thread(target=update)
        with transaction.atomic():
            receipts.receive(period.pk)
            other.start()
            other.join(10)
            assert passed.is_set()

    def test_one_key_sent_twice_at_once_is_one_surrender(self, acme: Party, period: Period) -> None:
        key, answers = uuid.uuid4(), []

        def give() -> None:
            with one_clock.simulate(cast.OPENING):
                answers.append(
                    surrenders.surrender(
                        actor=acme.initiator,
                        operator=acme.operator,  # type: ignore[arg-type]
                        period=period,
                        quantity=100,
                        key=key,
                        now=cast.OPENING,
                    ).pk
                )
            connection.close()

        both = [threading.Thread(target=give) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join(20)

        assert len(answers) == 2
        assert len(set(answers)) == 1 == Surrender.objects.count()


def _post_within(acme: Party, period: Period, key: uuid.UUID, received_at: datetime) -> None:
    """Do what the service does after it took the period's lock."""
    assert acme.operator is not None
    operator = operators.locked(acme.operator)
    surrenders._post(operator, period, {period.permit_id: 100}, key, received_at, acme.initiator, received_at)


class TestStandingInstruction:
    """The registry surrenders for those who asked for it, as far as they have permits."""

    @pytest.fixture
    def owes(self, regulator: Regulator, acme: Party, period: Period, clock: Clock) -> Callable[[int], None]:
        """Let Acme owe a number of permits, by the regulator's estimate, and ask for automatic surrender."""

        def owe(permits: int) -> None:
            assert acme.operator is not None
            clock.move_to(cast.LATE_FOR_REPORTS)
            estimates.estimate_report(
                actor=regulator.desk,
                operator=acme.operator,
                period=period,
                flop=permits * cast.PERMIT_FLOP,
                reason="No report.",
                now=clock.now(),
            )
            operators.set_standing_surrender(actor=acme.approver, operator=acme.operator, on=True, now=clock.now())

        return owe

    def test_what_is_owed_is_surrendered_once(self, owes: Callable[[int], None], period: Period, clock: Clock) -> None:
        owes(150)

        with transaction.atomic():
            first = surrenders.surrender_standing(period, clock.now())
            again = surrenders.surrender_standing(period, clock.now())

        assert (first, again) == ({"operators": 1, "permits": 150}, {"operators": 0, "permits": 0})
        receipt = Surrender.objects.get()
        assert (receipt.quantity, receipt.surrendered_by) == (150, None)

    def test_an_operator_gives_what_it_has(self, owes: Callable[[int], None], period: Period, clock: Clock) -> None:
        owes(cast.ACME_PERMITS + 77)

        with transaction.atomic():
            given = surrenders.surrender_standing(period, clock.now())

        assert given == {"operators": 1, "permits": cast.ACME_PERMITS}

    def test_nobody_else_is_touched(self, period: Period, borealis: Party, clock: Clock) -> None:
        with transaction.atomic():
            given = surrenders.surrender_standing(period, clock.now())

        assert given == {"operators": 0, "permits": 0}

    def test_the_oldest_permits_go_first(
        self, owes: Callable[[int], None], regulator: Regulator, acme: Party, period: Period, clock: Clock
    ) -> None:
        owes(100)
        following = cast.capped(regulator, cast.period_of(regulator, period.scheme, cast.YEAR + 1))
        assert acme.operator is not None
        cast.allocate(regulator, following, {acme.operator: 50})

        with transaction.atomic():
            surrenders.surrender_standing(following, clock.now())

        assert list(Transfer.objects.filter(journal__kind="surrender").values_list("asset_id", "amount")) == [
            (period.permit_id, 100)
        ]
