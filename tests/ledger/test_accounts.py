"""Accounts: numbers that catch typing mistakes, the life of an account, and how much may be issued."""

import itertools

import pytest
from django.db import DatabaseError, connection, transaction

from common.errors import Refused
from registry.ledger import services as ledger
from registry.ledger.models import ACCOUNT, Balance, LedgerAccount, account_number
from registry.ledger.models.account import is_account_number
from tests.ledger.cast import NOON, Cast

# worked by hand: 98 - (17 27 type serial 00) mod 97, H being 17 and R 27
NUMBERS = [
    ("holding", 1, "HR-100-0000001-70"),
    ("holding", 42, "HR-100-0000042-44"),
    ("issuance", 1, "HR-200-0000001-65"),
    ("surrender", 9_999_999, "HR-300-9999999-32"),
    ("fees", 12_345_678, "HR-510-12345678-22"),
]


@pytest.mark.parametrize(("kind", "serial", "number"), NUMBERS)
def test_account_numbers_carry_check_digits(kind: str, serial: int, number: str) -> None:
    assert account_number(kind, serial) == number
    assert is_account_number(number)


def test_every_single_wrong_digit_and_every_swap_of_neighbours_is_caught() -> None:
    right = account_number("holding", 1_204_567)
    digits = [place for place, letter in enumerate(right) if letter.isdigit()]
    wrong = {
        right[:place] + digit + right[place + 1 :]
        for place in digits
        for digit in "0123456789"
        if right[place] != digit
    }
    for left, after in itertools.pairwise(digits):
        swapped = list(right)
        swapped[left], swapped[after] = swapped[after], swapped[left]
        wrong.add("".join(swapped))
    wrong.discard(right)

    assert [number for number in wrong if is_account_number(number)] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HR-100-0000042",
        "hr-100-0000042-44",
        "HR-999-0000042-44",
        "HR-100-42-44",
        "HR-100-0000042-4४",
        "HR-100--42-44",
    ],
)
def test_what_is_not_an_account_number_is_told_apart(text: str) -> None:
    assert not is_account_number(text)


def test_accounts_get_their_numbers_when_they_are_opened(cast: Cast) -> None:
    accounts = LedgerAccount.objects.all()

    assert all(account.number == account_number(account.kind, account.pk) for account in accounts)


def test_a_business_name_belongs_to_one_account(cast: Cast) -> None:
    with pytest.raises(Refused) as refusal, transaction.atomic():
        ledger.open_account(kind="issuance", reference="mint", label="Another", contra=True, now=NOON)

    assert refusal.value.code == "account_exists"


def test_an_asset_code_belongs_to_one_asset(cast: Cast) -> None:
    with pytest.raises(Refused) as refusal, transaction.atomic():
        ledger.create_asset(code="ai-2030", kind="permit", name="Again", now=NOON)

    assert refusal.value.code == "asset_exists"


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(ACCOUNT.states, 2)))
def test_an_account_moves_only_as_its_table_says_even_by_raw_sql(cast: Cast, before: str, after: str) -> None:
    with connection.cursor() as cursor:
        if before != "open":
            cursor.execute("UPDATE ledger_account SET status = %s WHERE id = %s", [before, cast.lab.pk])

        try:
            with transaction.atomic():
                cursor.execute("UPDATE ledger_account SET status = %s WHERE id = %s", [after, cast.lab.pk])
            is_allowed = True
        except DatabaseError:
            is_allowed = False

    assert is_allowed == ACCOUNT.allows(before, after)


def test_freezing_reaches_every_balance_the_account_has_or_will_have(cast: Cast) -> None:
    cast.move(cast.acme, cast.lab, 1)
    with transaction.atomic():
        ledger.freeze_account(account_id=cast.lab.pk)
        ledger.open_balances([(cast.lab.pk, cast.euro.pk)])

    assert set(Balance.objects.filter(account=cast.lab).values_list("status", flat=True)) == {"frozen"}
    for debit, credit in ((cast.acme, cast.lab), (cast.lab, cast.acme)):
        with pytest.raises(Refused) as refusal:
            cast.move(debit, credit, 1)
        assert refusal.value.code == "account_frozen"

    with transaction.atomic():
        ledger.unfreeze_account(account_id=cast.lab.pk)
    cast.move(cast.lab, cast.acme, 1)
    assert cast.position(cast.lab) == (0, 0)


def test_only_an_empty_account_can_be_closed(cast: Cast) -> None:
    with pytest.raises(Refused) as refusal, transaction.atomic():
        ledger.close_account(account_id=cast.acme.pk)
    cast.move(cast.acme, cast.birch, 1_000)
    with transaction.atomic():
        closed = ledger.close_account(account_id=cast.acme.pk)
    with pytest.raises(Refused) as reopening, transaction.atomic():
        ledger.unfreeze_account(account_id=cast.acme.pk)

    assert refusal.value.code == "account_not_empty"
    assert closed.status == "closed"
    assert reopening.value.code == "account_not_closed_to_open"


def test_no_more_is_issued_than_the_limit_and_the_limit_never_falls_below_what_is_issued(cast: Cast) -> None:
    def limit(account: LedgerAccount, quantity: int | None) -> None:
        with transaction.atomic():
            ledger.set_issue_limit(account_id=account.pk, asset_id=cast.permit.pk, limit=quantity)

    limit(cast.mint, 1_001)
    cast.move(cast.mint, cast.acme, 1)
    refused = []
    for attempt in (
        lambda: cast.move(cast.mint, cast.acme, 1),
        lambda: cast.post(*[cast.posting(cast.mint, cast.acme, 1)] * 1, cast.posting(cast.mint, cast.birch, 1)),
        lambda: limit(cast.mint, 1_000),
        lambda: limit(cast.acme, 5_000),
        lambda: limit(LedgerAccount(pk=999_999), 5),
    ):
        with pytest.raises(Refused) as refusal:
            attempt()
        refused.append(refusal.value.code)
    limit(cast.mint, None)
    cast.move(cast.mint, cast.acme, 1)

    assert refused == ["cap_exceeded", "cap_exceeded", "cap_exceeded", "limit_needs_contra", "account_unknown"]
    assert cast.position(cast.mint) == (-1_002, 0)
