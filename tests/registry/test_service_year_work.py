"""How the registry's events of the year are done: what is noted, who is reminded, and what expires."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from accounts.models import Task
from registry.engine.policy import Policy, PricePath, StabilityReserve, SupplyRule, TimeRule
from registry.ledger import services as ledger
from registry.ledger.models import Balance
from registry.models import DueWork, Period, Scheme
from registry.services import due, rules, year
from tests.cast import ACME_PERMITS, BOREALIS_PERMITS, CAP, OPENING, Clock, Party, Regulator
from tests.registry.stories.told import give, owe


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give every scheme other rules: rule(supply=...)."""
    founding = rules.policy_at

    def rule(**parts: object) -> None:
        def policy_at(scheme: Scheme, on: date, known_at: datetime | None = None) -> Policy:
            return replace(founding(scheme, on, known_at), **parts)  # type: ignore[arg-type]

        monkeypatch.setattr(rules, "policy_at", policy_at)

    return rule


def done(period: Period, key: str, clock: Clock) -> dict[str, object]:
    """Let the clock come to an event, let it be done, and return its figures."""
    work = DueWork.objects.get(key=f"{period.code}:{key}")
    due.run_due(now=clock.move_to(work.due_at))
    work.refresh_from_db()
    assert work.status == "done", work.result
    return dict(work.result)


def reminders(kind: str) -> dict[str, str]:
    """Return the open reminders of a kind by organisation."""
    open_tasks = Task.objects.filter(kind=kind, status="unclaimed")
    return dict(open_tasks.values_list("organisation__name", "title"))


def test_the_rule_book_and_the_floor_of_the_year_are_noted(
    draft_period: Period, rule: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RGGI's floor of 9.00 rises by seven per cent a year, rounded to the cent each year (rule R5)."""
    rule(supply=SupplyRule(floor=PricePath(2024, Decimal("9.00"), Decimal("0.07"))))
    monkeypatch.setattr(rules, "rules_version", lambda scheme, on: "ab" * 32)
    year.plan_again(actor=None, period=draft_period, now=OPENING)

    due.run_due(now=OPENING)

    results = dict(DueWork.objects.filter(status="done").values_list("kind", "result"))
    assert results["parameters_final"] == {"rules_sha256": "ab" * 32}
    assert results["floor_price"] == {"floor": "10.30"}  # 9.00, 9.63, 10.3041


def test_a_floor_that_no_path_gives_is_a_failure_with_its_reason(
    draft_period: Period, rule: Callable[..., None]
) -> None:
    rule(supply=SupplyRule(floor=PricePath(2030, Decimal("9.00"))))
    year.plan_again(actor=None, period=draft_period, now=OPENING)

    due.run_due(now=OPENING)

    work = DueWork.objects.get(kind="floor_price")
    assert work.status == "failed"
    assert "2026" in work.result["failure"]


def test_operators_without_a_report_are_reminded_until_it_comes(
    period: Period, acme: Party, borealis: Party, verity: Party, clock: Clock
) -> None:
    owe(acme, verity, period, 100, clock)

    assert done(period, "self_report", clock) == {"operators_reminded": 1}
    assert reminders("year_report") == {"Borealis": f"File the report for {period}"}

    owe(borealis, verity, period, 10, clock)
    assert reminders("year_report") == {}


def test_the_desk_is_told_who_has_to_be_estimated(period: Period, acme: Party, verity: Party, clock: Clock) -> None:
    owe(acme, verity, period, 100, clock)

    assert done(period, "verified_report", clock)["overdue"] == 1
    assert "Estimate 1 operators" in reminders("estimates")["Office for Compute Permits"]


def test_whoever_still_owes_is_told_how_much(
    period: Period, acme: Party, borealis: Party, verity: Party, clock: Clock
) -> None:
    owe(acme, verity, period, 1_000, clock)
    owe(borealis, verity, period, 50, clock)
    give(borealis, period, 50, clock)

    assert done(period, "surrender_notice:30", clock) == {"operators_reminded": 1, "permits_missing": 1_000}
    assert reminders("year_surrender") == {"Acme": f"Surrender 1,000 permits for {period}"}

    give(acme, period, 999, clock)
    assert "Acme" in reminders("year_surrender")

    give(acme, period, 1, clock)
    assert reminders("year_surrender") == {}


def test_permits_expire_after_their_owners_were_told(
    period: Period, acme: Party, borealis: Party, verity: Party, clock: Clock, rule: Callable[..., None]
) -> None:
    """Permits of 2026 count until the end of 2027. Acme has surrendered 1,000, and 10 of Borealis are held."""
    rule(time=TimeRule(expires_after=1))
    year.plan_again(actor=None, period=period, now=OPENING)
    owe(acme, verity, period, 1_000, clock)
    give(acme, period, 1_000, clock)
    ledger.hold(
        account=borealis.account.pk,
        asset=period.permit_id,
        quantity=10,
        purpose="order",
        reference="held",
        now=clock.now(),
    )

    told = done(period, "expiry_notice:60", clock)
    expired = done(period, "expiry", clock)

    left = ACME_PERMITS - 1_000 + BOREALIS_PERMITS
    assert told == {"owners_reminded": 2, "permits": left}
    titles = Task.objects.filter(kind="year_expiry", organisation=acme.organisation).values_list("title", flat=True)
    assert sorted(title.split(": ")[0].split(" in ")[1] for title in titles) == ["30 days", "60 days", "7 days"]
    assert expired == {"expired": CAP - 1_000 - 10, "accounts": 3, "held_or_frozen": 10}
    lies = dict(Balance.objects.filter(asset=period.permit_id, balance__gt=0).values_list("account__kind", "balance"))
    assert lies == {"surrender": 1_000, "cancellation": CAP - 1_010, "holding": 10}
    assert clock.now() == datetime(2027, 12, 31, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "result"),
    [("true_up", {"settlement": "none"}), ("indicator", {"reserve": "none"}), ("reserve_sale", {"reminded": True})],
)
def test_the_desk_is_asked_for_what_two_officers_do_and_for_nothing_that_the_rules_do_not_have(
    regulator: Regulator, period: Period, clock: Clock, kind: str, result: dict[str, object]
) -> None:
    plan(period, kind)

    assert done(period, kind, clock) == result
    assert list(reminders(f"year_{kind}")) == ([regulator.organisation.name] if "reminded" in result else [])


def test_an_indicator_without_figures_asks_the_desk_for_each_of_them(
    regulator: Regulator, period: Period, acme: Party, clock: Clock, rule: Callable[..., None]
) -> None:
    rule(supply=SupplyRule(msr=StabilityReserve(upper=5_000, lower=1_000, intake=Decimal("0.24"), release=500)))
    plan(period, "indicator")

    assert done(period, "indicator", clock) == {
        "missing": ["next_period_not_open", "use_not_verified"],
        "reminded": True,
    }
    (task,) = Task.objects.filter(kind="year_indicator")
    assert task.link == f"/desk/periods/{period.code}/stability/"
    assert "Publish the next period's cap first" in task.title


def plan(period: Period, kind: str) -> None:
    """Put an event into the calendar that founding terms do not have."""
    DueWork.objects.create(
        key=f"{period.code}:{kind}", kind=kind, scheme=period.scheme, period=period, due_at=period.report_due
    )
