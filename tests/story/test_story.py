"""The demo's story, told twice through a real worker: a whole period, and the same trades for the same seed."""

import io
import subprocess
from random import Random

import pytest
from django.core.management import call_command

from accounts.models import Organisation
from demo import epilogue, scenario
from demo.cast import PARTIES
from demo.strategies import View, decide
from demo.tables import Teller
from exchange.models import ClosingStep, Market, Order, Trade
from registry import selectors
from registry.models import Period

Print = list[tuple[str, int, int, int, int, str]]


def tell(seed: int) -> str:
    out = io.StringIO()
    scenario.tell(Teller(out), data="none", seed=seed)
    epilogue.tell(Teller(out))
    return out.getvalue()


def trades() -> Print:
    return list(
        Trade.objects.order_by("market__code", "sequence", "ordinal").values_list(
            "market__code", "sequence", "ordinal", "price", "lots", "buyer__organisation__name"
        )
    )


@pytest.mark.timeout(400)
@pytest.mark.django_db(transaction=True)
def test_a_whole_period_is_told_twice_the_same(worker: "subprocess.Popen[bytes]") -> None:
    text = tell(seed=7)

    assert scenario.told()
    period = Period.objects.get(scheme__code="ai-flop", year=2025)
    letters = {row.operator.organisation.name: row for row in selectors.compliance_table(period)}
    assert period.status == "closed"
    assert Organisation.objects.count() == 15
    assert Order.objects.count() >= 300
    assert letters["Fennel & Rook"].deadline_status == "C"
    assert (letters["Redshank Systems"].deadline_status, letters["Redshank Systems"].present_status) == ("B", "A")
    assert [row.deadline_status for row in letters.values()].count("A") >= 1
    assert selectors.where_every_permit_is(period).adds_up
    assert ClosingStep.objects.filter(closing__period=period).count() == 9
    assert Market.objects.get(code="ai-flop-2026").phase == "continuous"
    assert _money_of_labs(period) > 0, "an efficient lab earns money"
    for party in PARTIES:
        assert party.name in text

    verified = io.StringIO()
    call_command("verify", stdout=verified)
    assert " 0 broken" in verified.getvalue()

    first = trades()
    call_command("flush", interactive=False, verbosity=0)
    tell(seed=7)
    assert first and trades() == first, "the same seed gives the same trades, whatever the worker's timing"


def _money_of_labs(period: Period) -> int:
    best = 0
    for batch in Market.objects.get(period=period).batches.all():
        for net in batch.nets.filter(account__owner__kind="lab", asset=period.scheme.currency):
            best = max(best, net.net)
    return best


def test_another_seed_makes_other_choices() -> None:
    view = View(
        day=3, days=10, last_price=80, best_bid=78, best_ask=82, spare=-500, cash_lots=10_000, own_bid_lots=0,
        own_ask_lots=0, lowest=70, highest=90,
    )  # fmt: skip

    choices = {str(decide("firm", view, Random(seed))) for seed in range(20)}

    assert len(choices) > 3
    assert decide("firm", view, Random(1)) == decide("firm", view, Random(1))
