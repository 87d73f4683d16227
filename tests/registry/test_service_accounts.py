"""Accounts: two officers open them, a senior officer changes their grade, and holders set their own rules with two."""

from itertools import product

import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction

from accounts.models import Approval, AuditEvent
from accounts.services import approvals, organisations
from common.errors import Forbidden, Refused, SeveralRefusals
from registry.grades import accounts_of, grade_of, operator_account, terms_of
from registry.ledger import services as ledger
from registry.ledger.models import LedgerAccount
from registry.models import GRADE, AccountTerms
from registry.services import accounts, identity
from tests import cast
from tests.cast import OPENING, Party, Regulator
from tests.registry.holding import fresh, opened, set_grade


class TestOpening:
    """The desk proposes, a senior officer approves, and each kind has its conditions."""

    @pytest.mark.parametrize("kind", ["holding", "trading", "delivery"])
    def test_a_holder_gets_further_accounts(self, regulator: Regulator, acme: Party, kind: str) -> None:
        account = opened(regulator, acme.organisation, kind)

        assert (account.kind, account.owner, account.status, account.reference) == (
            kind,
            acme.organisation,
            "open",
            None,
        )
        assert AccountTerms.objects.get(account=account).grade == "open"
        assert AuditEvent.objects.get(action="registry.account.opened").subject_id == str(account.pk)

    @pytest.mark.parametrize("kind", ["compliance", "consignment"])
    def test_an_operator_has_one_of_its_own(self, regulator: Regulator, acme: Party, kind: str) -> None:
        assert acme.operator is not None
        account = opened(regulator, acme.organisation, kind, acme.operator)

        with pytest.raises(Refused) as refused:
            opened(regulator, acme.organisation, kind, acme.operator)

        assert refused.value.code == "too_many_accounts"
        assert operator_account(acme.operator, kind) == account
        assert list(accounts_of(acme.operator)) == [account]

    def test_a_trading_account_needs_no_operator(self, regulator: Regulator) -> None:
        trader = cast.party(regulator, "Tern Trading", "firm")

        assert opened(regulator, trader.organisation, "trading").kind == "trading"

    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            ("holding", "operator_missing"),
            ("compliance", "operator_missing"),
            ("bank", "account_kind_unknown"),
            ("surrender", "account_kind_unknown"),
        ],
    )
    def test_a_trader_has_no_accounts_of_operators_or_of_the_scheme(
        self, regulator: Regulator, kind: str, code: str
    ) -> None:
        trader = cast.party(regulator, "Tern Trading", "firm")

        with pytest.raises(Refused) as refused:
            opened(regulator, trader.organisation, kind)

        assert refused.value.code == code

    def test_another_operators_name_opens_nothing(self, regulator: Regulator, acme: Party, borealis: Party) -> None:
        with pytest.raises(Refused) as refused:
            opened(regulator, acme.organisation, "compliance", borealis.operator)

        assert refused.value.code == "operator_missing"

    def test_everything_wrong_is_listed_at_once(self, regulator: Regulator, verity: Party) -> None:
        organisations.change_status(
            actor=regulator.senior, organisation=verity.organisation, status="suspended", reason="Late.", now=OPENING
        )
        verity.organisation.refresh_from_db()

        with pytest.raises(SeveralRefusals) as refused:
            accounts.propose_opening(
                actor=regulator.desk,
                holder=verity.organisation,
                kind="trading",
                label=" ",
                terms={"transfer_limit": -1, "colour": "red", "outside_list": 1},
                now=OPENING,
            )

        assert sorted(refusal.code for refusal in refused.value.refusals) == [
            "account_label_missing",
            "holder_cannot_hold",
            "holder_not_active",
            "term_not_yes_or_no",
            "term_unknown",
            "transfer_limit_out_of_range",
        ]

    def test_a_document_that_was_asked_for_comes_first(self, regulator: Regulator, acme: Party) -> None:
        identity.request_document(
            actor=regulator.desk,
            organisation=acme.organisation,
            kind="register_extract",
            due_on=OPENING.date(),
            now=OPENING,
        )

        with pytest.raises(Refused) as refused:
            opened(regulator, acme.organisation, "trading")

        assert refused.value.code == "identity_outstanding"

    def test_only_the_desk_proposes_and_only_another_senior_officer_approves(
        self, regulator: Regulator, acme: Party
    ) -> None:
        with pytest.raises(Forbidden):
            accounts.propose_opening(
                actor=acme.approver, holder=acme.organisation, kind="trading", label="Acme", now=OPENING
            )
        own = accounts.propose_opening(
            actor=regulator.senior, holder=acme.organisation, kind="trading", label="Acme", now=OPENING
        )
        for person in (regulator.senior, regulator.desk, acme.approver):
            with pytest.raises(Refused):
                approvals.approve(actor=person, approval_id=own.pk, now=OPENING)

        assert Approval.objects.get(pk=own.pk).status == "proposed"


class TestGrades:
    """The table of grades, walked pair by pair, and what the ledger does with it."""

    def test_the_database_takes_the_moves_of_the_table_only(self, acme: Party) -> None:
        taken = set()
        for before, after in product(GRADE.states, GRADE.states):
            try:
                with transaction.atomic():
                    terms = AccountTerms.objects.create(account=acme.account, grade=before)
                    AccountTerms.objects.filter(pk=terms.pk).update(grade=after)
                    taken.add((before, after))
                    transaction.set_rollback(True)
            except DatabaseError:
                pass

        assert taken == {
            (before, after)
            for before, after in product(GRADE.states, GRADE.states)
            if before == after or GRADE.allows(before, after)
        }

    def test_a_senior_officer_moves_between_the_grades_one_chooses(self, regulator: Regulator, acme: Party) -> None:
        walk = ["restricted", "receive_only", "suspended", "restricted", "open", "suspended", "receive_only", "open"]

        assert [set_grade(regulator, acme.account, grade) for grade in walk] == walk
        with pytest.raises(Refused):
            set_grade(regulator, acme.account, "open")

    def test_an_account_without_terms_is_open(self, acme: Party) -> None:
        assert grade_of(acme.account) == "open"
        assert terms_of(acme.account).outside_list
        assert not AccountTerms.objects.exists()

    def test_a_frozen_account_is_frozen_in_the_ledger(self, regulator: Regulator, acme: Party) -> None:
        set_grade(regulator, acme.account, "frozen")

        assert LedgerAccount.objects.get(pk=acme.account.pk).status == "frozen"
        event = AuditEvent.objects.get(action="registry.account.grade_changed")
        assert (event.details["was"], event.details["grade"], event.details["reason"]) == (
            "open",
            "frozen",
            "Looked into.",
        )

    def test_two_officers_open_again_what_was_frozen(self, regulator: Regulator, acme: Party) -> None:
        set_grade(regulator, acme.account, "frozen")
        with pytest.raises(Refused) as alone:
            set_grade(regulator, acme.account, "open")

        regulator.approve(
            accounts.propose_reopening(
                actor=regulator.desk, account=acme.account, grade="restricted", reason="Cleared.", now=OPENING
            )
        )

        assert alone.value.code == "reopening_needs_two"
        assert fresh(acme.account) == "restricted"
        assert LedgerAccount.objects.get(pk=acme.account.pk).status == "open"

    def test_what_the_ledger_froze_by_itself_is_opened_by_two_as_well(self, regulator: Regulator, acme: Party) -> None:
        with transaction.atomic():
            ledger.freeze_account(account_id=acme.account.pk)

        regulator.approve(
            accounts.propose_reopening(
                actor=regulator.desk, account=acme.account, grade="open", reason="The books agree.", now=OPENING
            )
        )

        assert fresh(acme.account) == "open"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"reason": "  "}, "reason_missing"),
            ({"grade": "closed"}, "grade_unknown"),
            ({"grade": "transfer_pending"}, "grade_unknown"),
            ({"grade": "open"}, "account_grade_not_open_to_open"),
        ],
    )
    def test_odd_changes_are_refused(
        self, regulator: Regulator, acme: Party, change: dict[str, object], code: str
    ) -> None:
        arguments = {"grade": "restricted", "reason": "Late.", "now": OPENING}

        with pytest.raises(Refused) as refused:
            accounts.change_grade(
                actor=regulator.senior,
                account=acme.account,
                **(arguments | change),  # type: ignore[arg-type]
            )

        assert refused.value.code == code

    def test_nobody_but_a_senior_officer_changes_a_grade(
        self, regulator: Regulator, acme: Party, auditor: Party
    ) -> None:
        for person in (regulator.desk, regulator.monitor, auditor.auditor, *acme.users.values()):
            with pytest.raises(Forbidden):
                accounts.change_grade(actor=person, account=acme.account, grade="open", reason="For me.", now=OPENING)


class TestTerms:
    """The holder's rules are `transactions.terms`; here only what an account is opened with."""

    def test_an_account_is_opened_with_rules(self, regulator: Regulator, acme: Party) -> None:
        account = opened(regulator, acme.organisation, "trading", transfer_limit=50, outside_list=False)

        terms = terms_of(account)
        assert (terms.transfer_limit, terms.outside_list, terms.confirms_incoming) == (50, False, False)

    def test_terms_are_never_deleted(self, acme: Party, regulator: Regulator) -> None:
        set_grade(regulator, acme.account, "restricted")

        with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM registry_accountterms")
