"""Operators: enrolment opens the one account, instructions are the operator's own, exclusions are the desk's."""

from collections.abc import Callable

import pytest
from django.db import ProgrammingError, connection, transaction

from accounts.models import AuditEvent
from accounts.services import organisations
from common.errors import Forbidden, Refused
from registry.ledger.models import LedgerAccount
from registry.models import Operator, Scheme
from registry.services import operators
from tests import cast
from tests.cast import Party, Regulator


@pytest.fixture
def dunlin(regulator: Regulator) -> Party:
    """A firm that nobody has enrolled yet."""
    return cast.party(regulator, "Dunlin", "firm")


@pytest.fixture
def enrol(regulator: Regulator, scheme: Scheme, dunlin: Party) -> Callable[..., Operator]:
    """Let the desk enrol Dunlin, with changes."""

    def enrol(**changes: object) -> Operator:
        arguments = {
            "actor": regulator.desk,
            "scheme": scheme,
            "organisation": dunlin.organisation,
            "cohort": "small",
            "first_year": cast.YEAR,
            "now": cast.OPENING,
        }
        return operators.enrol(**(arguments | changes))  # type: ignore[arg-type]

    return enrol


class TestEnrolment:
    """An organisation takes part in each scheme once, with one account for all of them."""

    def test_enrolling_opens_an_account(self, enrol: Callable[..., Operator], dunlin: Party) -> None:
        operator = enrol()

        account = LedgerAccount.objects.get(owner=dunlin.organisation)
        assert (operator.account, account.kind, account.label) == (account, "holding", "Dunlin")
        assert AuditEvent.objects.get(action="registry.operator.enrolled").subject_id == str(operator.pk)

    def test_a_second_scheme_uses_the_same_account(self, enrol: Callable[..., Operator], regulator: Regulator) -> None:
        first = enrol()

        second = enrol(scheme=cast.co2e_scheme(regulator))

        assert first.account == second.account

    def test_nobody_is_enrolled_twice(self, enrol: Callable[..., Operator]) -> None:
        enrol()

        with pytest.raises(Refused) as refused:
            enrol()

        assert refused.value.code == "operator_exists"

    @pytest.mark.parametrize(
        ("change", "code"),
        [({"cohort": "giant"}, "cohort_unknown"), ({"first_year": 1999}, "year_out_of_range")],
    )
    def test_odd_terms_are_refused(self, enrol: Callable[..., Operator], change: dict[str, object], code: str) -> None:
        with pytest.raises(Refused) as refused:
            enrol(**change)

        assert refused.value.code == code
        assert not LedgerAccount.objects.filter(kind="holding").exists()

    def test_verifiers_do_not_operate(self, enrol: Callable[..., Operator], verity: Party) -> None:
        with pytest.raises(Refused) as refused:
            enrol(organisation=verity.organisation)

        assert refused.value.code == "organisation_cannot_operate"

    def test_a_suspended_firm_is_not_enrolled(
        self, enrol: Callable[..., Operator], regulator: Regulator, dunlin: Party
    ) -> None:
        organisations.change_status(
            actor=regulator.senior,
            organisation=dunlin.organisation,
            status="suspended",
            reason="Unclear owners.",
            now=cast.OPENING,
        )

        with pytest.raises(Refused) as refused:
            enrol()

        assert refused.value.code == "organisation_not_active"

    def test_only_the_desk_enrols(self, enrol: Callable[..., Operator], dunlin: Party) -> None:
        with pytest.raises(Forbidden):
            enrol(actor=dunlin.approver)

    @pytest.mark.parametrize(
        "change", ["UPDATE registry_operator SET first_year = 2040", "DELETE FROM registry_operator"]
    )
    def test_who_takes_part_since_when_never_changes(self, enrol: Callable[..., Operator], change: str) -> None:
        enrol()

        with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


class TestStandingInstruction:
    """Whether the registry surrenders by itself is the operator's own choice."""

    def test_it_is_set_and_taken_back(self, acme: Party) -> None:
        assert acme.operator is not None

        on = operators.set_standing_surrender(actor=acme.approver, operator=acme.operator, on=True, now=cast.OPENING)
        assert on.surrenders_automatically
        off = operators.set_standing_surrender(actor=acme.initiator, operator=acme.operator, on=False, now=cast.OPENING)
        assert not off.surrenders_automatically

        assert AuditEvent.objects.filter(action="registry.operator.standing_surrender_set").count() == 2

    def test_setting_it_again_changes_nothing(self, acme: Party) -> None:
        assert acme.operator is not None

        operators.set_standing_surrender(actor=acme.approver, operator=acme.operator, on=False, now=cast.OPENING)

        assert not AuditEvent.objects.filter(action="registry.operator.standing_surrender_set").exists()

    def test_others_do_not_instruct(self, acme: Party, borealis: Party, regulator: Regulator) -> None:
        assert acme.operator is not None

        for stranger in (acme.trader, acme.viewer, borealis.approver, regulator.senior):
            with pytest.raises(Forbidden):
                operators.set_standing_surrender(actor=stranger, operator=acme.operator, on=True, now=cast.OPENING)


class TestExclusion:
    """A year without use can be excused before its letter is out."""

    @pytest.fixture
    def exclude(self, regulator: Regulator, acme: Party) -> Callable[..., Operator]:
        """Let the desk exclude a year of Acme's."""

        def exclude(year: int = cast.YEAR, **changes: object) -> Operator:
            arguments = {
                "actor": regulator.desk,
                "operator": acme.operator,
                "year": year,
                "reason": "Mothballed.",
                "now": cast.REPORTING,
            }
            return operators.exclude_year(**(arguments | changes))  # type: ignore[arg-type]

        return exclude

    def test_the_year_is_kept_with_its_reason(self, exclude: Callable[..., Operator]) -> None:
        assert exclude().excluded_years == [cast.YEAR]

        event = AuditEvent.objects.get(action="registry.operator.year_excluded")
        assert (event.details["year"], event.details["reason"]) == (cast.YEAR, "Mothballed.")

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"reason": " "}, "reason_missing"),
            ({"year": cast.YEAR - 1}, "year_before_first"),
            ({"year": cast.YEAR + 2}, "future_year_excluded"),
        ],
    )
    def test_odd_exclusions_are_refused(
        self, exclude: Callable[..., Operator], change: dict[str, object], code: str
    ) -> None:
        with pytest.raises(Refused) as refused:
            exclude(**change)

        assert refused.value.code == code

    def test_a_year_is_excluded_once(self, exclude: Callable[..., Operator]) -> None:
        exclude()

        with pytest.raises(Refused) as refused:
            exclude()

        assert refused.value.code == "year_excluded_already"

    def test_firms_do_not_excuse_themselves(self, exclude: Callable[..., Operator], acme: Party) -> None:
        with pytest.raises(Forbidden):
            exclude(actor=acme.approver)
