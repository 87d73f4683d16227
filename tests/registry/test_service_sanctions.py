"""Sanctions: money by index or price, permits, waivers; paid from the account or by bank; and who may do what."""

from decimal import Decimal
from typing import Any

import pytest

from common.errors import Refused
from registry.engine.policy import SanctionMode, SanctionRule
from registry.models import Period, Sanction
from registry.services import sanctions
from tests import cast
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken, holds, operator, refused


def short(stage: Stage, party: Party, owed: int = 100, given: int = 60) -> Sanction:
    """Let an operator miss permits at the deadline, and return what it costs."""
    stage.report(party, owed)
    stage.give(party, given)
    stage.close()
    return Sanction.objects.get(operator=party.operator)


def priced(stage: Stage, price: str) -> None:
    """Let two officers record the average price of the year."""
    stage.approve(
        sanctions.propose_reference_price(
            actor=stage.regulator.desk,
            period=stage.period,
            price=price,
            source="Index of the energy exchange",
            now=stage.clock.now(),
        )
    )


class TestPriceMultiple:
    """Korea's three times the average price under a cap, New Zealand's fraction for small foresters."""

    @pytest.mark.parametrize(
        ("rule", "price", "amount_minor"),
        [
            (SanctionRule(mode=SanctionMode.PRICE_MULT, multiple=Decimal(3)), "20.50", 40 * 6_150),
            (SanctionRule(mode=SanctionMode.PRICE_MULT, multiple=Decimal(3), cap_minor=5_000), "20.50", 40 * 5_000),
            (
                SanctionRule(
                    mode=SanctionMode.PRICE_MULT, multiple=Decimal(3), cohort_multiple={"large": Decimal("0.25")}
                ),
                "20.50",
                20_500,
            ),
        ],
        ids=["multiple [NZ-3X]", "cap [KR-ACT]", "cohort [NZ-FOR]"],
    )
    def test_the_rate_follows_from_the_recorded_price(
        self, stage: Stage, govern: Ruling, acme: Party, rule: SanctionRule, price: str, amount_minor: int
    ) -> None:
        govern(sanction=rule)
        priced(stage, price)

        sanction = short(stage, acme)

        assert sanction.amount_minor == amount_minor
        assert {
            "step": "average_price_minor",
            "value": "2050",
            "source": "Index of the energy exchange",
        } in sanction.steps
        assert broken() == []

    def test_without_a_price_the_closing_waits(self, stage: Stage, govern: Ruling, acme: Party) -> None:
        govern(sanction=SanctionRule(mode=SanctionMode.PRICE_MULT, multiple=Decimal(3)))
        stage.report(acme, 100)

        with pytest.raises(Refused) as waiting:
            stage.close()

        assert waiting.value.code == "reference_price_missing"
        assert not Sanction.objects.exists()


class TestEndings:
    """A sanction is paid, or waived, and never both."""

    def test_the_operator_pays_from_its_account_and_once(self, stage: Stage, acme: Party) -> None:
        sanction = short(stage, acme)
        currency = stage.period.scheme.currency
        had = holds(acme.account, currency)

        for _ in range(2):
            sanctions.pay(actor=acme.trader, sanction=sanction, now=stage.clock.now())

        sanction.refresh_from_db()
        assert (sanction.status, sanction.journal is not None) == ("paid", True)
        assert holds(acme.account, currency) == had - 400_000
        assert holds(f"sanctions:{currency.code}", currency) == 400_000
        assert stage.standing(acme).shortfall == 40  # the permits stay owed

    def test_strangers_and_empty_accounts_do_not_pay(self, stage: Stage, acme: Party, borealis: Party) -> None:
        sanction = short(stage, acme)

        with pytest.raises(Refused) as stranger:
            sanctions.pay(actor=borealis.trader, sanction=sanction, now=stage.clock.now())

        assert stranger.value.code == "not_permitted"
        assert Sanction.objects.get().status == "due"

    def test_two_officers_record_what_came_by_bank_and_a_line_counts_once(
        self, stage: Stage, acme: Party, borealis: Party
    ) -> None:
        stage.report(borealis, 10)
        sanction = short(stage, acme)
        other = Sanction.objects.create(
            operator=operator(borealis),
            period=stage.period,
            shortfall=1,
            amount_minor=10,
            kind="target",
            imposed_at=stage.clock.now(),
        )
        asked: dict[str, Any] = {"actor": stage.regulator.desk, "reference": "line 7", "now": stage.clock.now()}

        stage.approve(sanctions.propose_payment(sanction=sanction, **asked))

        sanction.refresh_from_db()
        assert sanction.status == "paid"
        with pytest.raises(Refused) as repeated:
            sanctions.propose_payment(sanction=other, **asked)
        assert repeated.value.code == "cash_recorded_already"

    def test_a_waiver_has_a_reason_and_known_factors(self, stage: Stage, acme: Party) -> None:
        sanction = short(stage, acme)
        asked: dict[str, Any] = {"actor": stage.regulator.desk, "sanction": sanction, "now": stage.clock.now()}
        with pytest.raises(Refused) as no_reason:
            sanctions.propose_waiver(reason=" ", **asked)
        with pytest.raises(Refused) as no_factor:
            sanctions.propose_waiver(reason="A flood.", factors={"weather": "bad"}, **asked)

        stage.approve(
            sanctions.propose_waiver(reason="A flood.", factors={"force_majeure": "The site stood in water."}, **asked)
        )

        sanction.refresh_from_db()
        assert (sanction.status, sanction.reason) == ("waived", "A flood.")
        assert (no_reason.value.code, no_factor.value.code) == ("reason_missing", "factor_unknown")
        with pytest.raises(Refused):
            sanctions.pay(actor=acme.trader, sanction=sanction, now=stage.clock.now())

    def test_what_was_paid_meanwhile_is_not_waived(self, stage: Stage, acme: Party) -> None:
        sanction = short(stage, acme)
        waiver = sanctions.propose_waiver(
            actor=stage.regulator.desk, sanction=sanction, reason="Mild.", now=stage.clock.now()
        )
        sanctions.pay(actor=acme.trader, sanction=sanction, now=stage.clock.now())

        with pytest.raises(Refused) as late:
            refused(waiver, stage.regulator, stage.clock.now())

        assert late.value.code == "sanction_not_paid_to_waived"


def test_the_first_shortfall_is_waived_where_the_rules_say_so(stage: Stage, govern: Ruling, acme: Party) -> None:
    govern(sanction=SanctionRule(rate_minor=Decimal(10_000), first_time_waiver=True))
    sanction = short(stage, acme)
    assert (sanction.status, sanction.amount_minor, stage.standing(acme).shortfall) == ("waived", 0, 40)

    following: Period = stage.next_year()
    stage.report(acme, 10, at=cast.REPORTING.replace(year=2028), of=following)
    stage.close(following)

    second = Sanction.objects.get(operator=acme.operator, period=following)
    assert (second.status, second.amount_minor) == ("due", 100_000)
    assert broken() == []


def test_without_making_good_the_payment_ends_the_shortfall(stage: Stage, govern: Ruling, acme: Party) -> None:
    govern(sanction=SanctionRule(rate_minor=Decimal(10_000), make_good=False))
    sanction = short(stage, acme)
    assert (stage.standing(acme).shortfall, stage.letters(acme)) == (40, ["B"])

    sanctions.pay(actor=acme.trader, sanction=sanction, now=stage.clock.now())

    assert (stage.standing(acme).shortfall, stage.letters(acme)) == (0, ["B", "A"])
    assert broken() == []
