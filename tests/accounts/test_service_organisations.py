"""Admitting organisations, giving and ending roles, suspending: who may, and what is refused."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import connection, transaction
from django.db.utils import InternalError, ProgrammingError

from accounts.models import ORGANISATION, AuditEvent, Membership, Organisation, User
from accounts.permissions import has_role, is_desk_officer, is_initiator, is_senior_officer, may_see_everything
from accounts.selectors import organisation_in_scope, scope_of
from accounts.services import organisations
from common.errors import Forbidden, Refused, Unknown
from tests.accounts.conftest import Office


def test_a_second_regulator_cannot_be_established(
    regulator: Office, make_user: Callable[[str], User], now: datetime
) -> None:
    with pytest.raises(Refused) as refused:
        organisations.establish_regulator(name="Another Office", officer=make_user("eve"), now=now)

    assert refused.value.code == "regulator_exists"


def test_only_a_senior_officer_admits_organisations(regulator: Office, now: datetime) -> None:
    with pytest.raises(Forbidden) as refused:
        organisations.open_organisation(actor=regulator["desk"], name="Acme", kind="firm", now=now)

    assert refused.value.code == "not_permitted"
    assert not Organisation.objects.filter(name="Acme").exists()


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("Acme", "bank", "organisation_kind_unknown"),
        ("   ", "firm", "organisation_name_missing"),
        ("x" * 201, "firm", "organisation_name_missing"),
        ("the office", "firm", "organisation_exists"),
    ],
)
def test_an_organisation_is_refused_with_a_reason(
    regulator: Office, now: datetime, name: str, kind: str, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        organisations.open_organisation(actor=regulator["senior"], name=name, kind=kind, now=now)

    assert refused.value.code == code


def test_a_role_belongs_to_its_kind_of_organisation(acme: Office, regulator: Office, now: datetime) -> None:
    with pytest.raises(Refused) as refused:
        organisations.grant_role(
            actor=regulator["senior"], user=acme["initiator"], organisation=acme.organisation, role="verifier", now=now
        )

    assert refused.value.code == "role_not_for_this_kind"


def test_a_role_given_twice_is_one_role_and_one_event(acme: Office, regulator: Office, now: datetime) -> None:
    for _ in range(2):
        organisations.grant_role(
            actor=regulator["senior"], user=acme["initiator"], organisation=acme.organisation, role="trader", now=now
        )

    assert Membership.objects.filter(user=acme["initiator"], role="trader").count() == 1
    assert AuditEvent.objects.filter(action="accounts.role.granted", details__role="trader").count() == 1


def test_ending_a_role_works_at_once_and_only_once(acme: Office, regulator: Office, now: datetime) -> None:
    membership = Membership.objects.get(user=acme["initiator"])

    organisations.end_role(actor=regulator["senior"], membership=membership, now=now)

    assert not is_initiator(acme["initiator"], acme.organisation)
    with pytest.raises(Refused) as refused:
        organisations.end_role(actor=regulator["senior"], membership=membership, now=now)
    assert refused.value.code == "role_already_ended"


def test_roles_rest_while_the_organisation_is_suspended(acme: Office, regulator: Office, now: datetime) -> None:
    organisations.change_status(
        actor=regulator["senior"], organisation=acme.organisation, status="suspended", reason="Missing papers.", now=now
    )
    acme.organisation.refresh_from_db()

    assert not has_role(acme["initiator"], acme.organisation, "initiator")

    organisations.change_status(
        actor=regulator["senior"], organisation=acme.organisation, status="active", reason="Papers came.", now=now
    )
    acme.organisation.refresh_from_db()
    assert has_role(acme["initiator"], acme.organisation, "initiator")


def test_a_status_change_needs_a_reason(acme: Office, regulator: Office, now: datetime) -> None:
    with pytest.raises(Refused) as refused:
        organisations.change_status(
            actor=regulator["senior"], organisation=acme.organisation, status="suspended", reason=" ", now=now
        )

    assert refused.value.code == "reason_missing"


def test_an_inactive_person_has_no_role(acme: Office) -> None:
    acme["initiator"].is_active = False

    assert not is_initiator(acme["initiator"], acme.organisation)


def test_regulators_roles_are_graded(regulator: Office) -> None:
    assert is_desk_officer(regulator["desk"])
    assert not is_senior_officer(regulator["desk"])
    assert is_senior_officer(regulator["senior"])


@pytest.mark.parametrize("before", ORGANISATION.states)
@pytest.mark.parametrize("after", ORGANISATION.states)
def test_every_pair_of_organisation_states(db: None, now: datetime, before: str, after: str) -> None:
    organisation = Organisation.objects.create(name="Walker", kind="firm", status=before, created_at=now)
    may_move = ORGANISATION.allows(before, after) or before == after

    try:
        with transaction.atomic():
            Organisation.objects.filter(pk=organisation.pk).update(status=after)
        moved = True
    except (InternalError, ProgrammingError):
        moved = False

    assert moved == may_move


def test_members_see_their_own_organisation_and_officers_see_all(acme: Office, regulator: Office) -> None:
    own = scope_of(acme["initiator"])

    assert own.organisation_ids == {acme.organisation.pk}
    assert not own.covers(regulator.organisation.pk)
    assert may_see_everything(regulator["desk"])
    assert scope_of(regulator["desk"]).covers(acme.organisation.pk)


def test_an_organisation_outside_the_scope_looks_unknown(acme: Office, regulator: Office) -> None:
    with pytest.raises(Unknown) as refused:
        organisation_in_scope(scope_of(acme["initiator"]), regulator.organisation.pk)

    assert refused.value.code == "organisation_unknown"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_auditevent SET action = 'x'",
        "DELETE FROM accounts_auditevent",
        "TRUNCATE accounts_auditevent",
    ],
)
def test_audit_events_only_grow(regulator: Office, sql: str) -> None:
    with pytest.raises((InternalError, ProgrammingError)), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for nothing that is still to be checked
        cursor.execute(sql)

    assert AuditEvent.objects.exists()
