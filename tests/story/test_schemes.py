"""Two periods of each shipped scheme, told through the services: the registry comes to what was worked by hand."""

import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Organisation, User
from accounts.services import organisations
from common.errors import Refused
from demo import people, schemes, two_periods
from demo.cast import PARTIES, REGULATOR
from demo.management.commands import story
from demo.schemes import outcome, report
from demo.schemes.books import AI_ALLOWANCE, BOOKS, EU_LIKE, RGGI_LIKE
from demo.schemes.compare import differences
from demo.schemes.worked import Tables
from demo.tables import Teller
from registry.engine import runs as engine_runs
from registry.ledger.models import Balance
from registry.models import DueWork, PublishedRun, Sanction, Scheme, Transaction
from registry.services import debts, founding, rules
from tests.cast import Regulator, flop_scheme

NOW = datetime(2023, 8, 7, 9, tzinfo=UTC)


def tell(name: str) -> str:
    """Let the command tell a scheme, and return what it printed."""
    out = io.StringIO()
    call_command("story", scheme=name, stdout=out)
    return out.getvalue()


def tampered(name: str, heading: str, column: str) -> Tables:
    """Return the tables worked by hand with one figure one too high."""
    tables = {title: [dict(row) for row in rows] for title, rows in schemes.by_hand(name).items()}
    figure = tables[heading][-1][column]
    assert isinstance(figure, Decimal)
    tables[heading][-1][column] = figure + 1
    return tables


@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", schemes.NAMES)
def test_two_periods_come_to_what_was_worked_by_hand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tell(name)

    scheme = Scheme.objects.select_related("currency").get(code=name)
    by_hand = schemes.by_hand(name)
    assert differences(by_hand, outcome.tables(scheme)) == []
    assert text.count(f"✓ {report.AS_WORKED}") == len(by_hand)
    assert "✗" not in text
    assert " 0 broken" in text
    assert rules.export(scheme) == schemes.rule_document(name), "one import founded it, and nothing else was set"
    assert two_periods.told(name)
    published = [run.document for run in PublishedRun.objects.all()]
    assert {document["kind"] for document in published} >= {"allocation", "sale", "status"}
    assert [line for document in published for line in engine_runs.differences(document)] == []
    assert not DueWork.objects.filter(scheme=scheme, status="failed").exists()
    assert not Transaction.objects.filter(status__in=["proposed", "delayed", "awaiting_receiver", "failed"]).exists()
    assert {*Sanction.objects.values_list("status", flat=True)} == {"paid"}
    assert all(debts.owed(operator) == 0 for operator in scheme.operators.all())
    assert not Balance.objects.exclude(held=0).exists()

    for player in BOOKS[name].players:
        assert f"initiator@{player.short}.example" in text

    moves = Transaction.objects.count()
    other = tampered(name, "Banked", "of all vintages after 2025")
    monkeypatch.setattr(schemes, "by_hand", lambda _: other)
    with pytest.raises(CommandError, match="of all vintages after 2025"):
        tell(name)
    assert "founded by one document" in text
    assert Transaction.objects.count() == moves, "what was told is only printed, and compared again"


@pytest.mark.django_db(transaction=True)
def test_an_interrupted_telling_is_not_told_over(regulator: Regulator) -> None:
    flop_scheme(regulator, code="eu-like")

    with pytest.raises(CommandError, match="--fresh"):
        tell("eu-like")


def test_an_unknown_scheme_lists_the_four() -> None:
    with pytest.raises(CommandError) as refused:
        call_command("story", scheme="atlantis")

    for name in schemes.NAMES:
        assert name in str(refused.value)


@pytest.mark.django_db(transaction=True)
def test_stories_share_the_regulator_and_do_not_meet_otherwise() -> None:
    first = two_periods.admit(EU_LIKE, NOW)
    second = two_periods.admit(AI_ALLOWANCE, NOW)
    again = two_periods.admit(EU_LIKE, NOW)

    shared = set(first.organisations) & set(second.organisations)
    assert shared == {REGULATOR, "Verity Assurance", "Public Audit Chamber"}
    assert {name: one.pk for name, one in again.organisations.items()} == {
        name: one.pk for name, one in first.organisations.items()
    }
    assert first.desk == second.desk != first.senior == second.senior
    assert User.objects.get(email="initiator@aurora.example").check_password("a permit for every flop")
    assert Organisation.objects.filter(kind="regulator").count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_demos_people_stay_out_of_another_regulators_registry() -> None:
    officer = User.objects.create_user("officer@else.example", name="Olga Officer")
    organisations.establish_regulator(name="Another Office", officer=officer, now=NOW)

    with pytest.raises(Refused) as refused:
        two_periods.admit(RGGI_LIKE, NOW)

    assert refused.value.code == "not_the_demos_registry"


@pytest.mark.django_db(transaction=True)
def test_the_story_with_markets_is_told_beside_schemes_but_not_over_itself() -> None:
    assert not story._is_not_ours()

    cast = two_periods.admit(EU_LIKE, NOW)
    assert story._is_not_ours(), "organisations without any told scheme are somebody else's, or interrupted"

    found_eu_like(cast)
    assert not story._is_not_ours()

    organisations.open_organisation(actor=cast.senior, name=PARTIES[0].name, kind="firm", now=NOW)
    assert story._is_not_ours(), "the story with markets was begun and not finished"


def found_eu_like(cast: people.Cast) -> None:
    """Found a shipped scheme, as the first act of its story does."""
    document = schemes.rule_document("eu-like")
    cast.approve(founding.import_scheme(actor=cast.desk, document=document, now=NOW), NOW)


def test_a_story_that_leaves_something_undone_fails_and_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    told = two_periods.TwoPeriods(Teller(io.StringIO()), EU_LIKE)
    instant = datetime(2024, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(two_periods.TwoPeriods, "_next_due", lambda self, until: instant)
    monkeypatch.setattr(two_periods.TwoPeriods, "_do_what_is_due", lambda self, now: None)

    with pytest.raises(AssertionError, match="is not done"):
        told._pass_time(instant)
