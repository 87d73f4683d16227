"""Admitting and blocking people, and founding the regulator on a new installation."""

import io
from collections.abc import Callable
from datetime import datetime

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import AuditEvent, Organisation, User
from accounts.permissions import is_senior_officer
from accounts.services import people
from common.errors import Forbidden, Refused
from tests.accounts.conftest import Office


def test_an_admitted_person_has_no_password_yet(regulator: Office, now: datetime) -> None:
    nora = people.admit_person(actor=regulator["senior"], email="Nora@Example.org", name=" Nora  New ", now=now)

    assert (nora.email, nora.name, nora.has_usable_password()) == ("nora@example.org", "Nora New", False)
    assert AuditEvent.objects.filter(action="accounts.person.admitted", subject_id=str(nora.pk)).count() == 1


@pytest.mark.parametrize(
    ("email", "name", "code"),
    [
        ("nora", "Nora", "email_malformed"),
        ("nora@example.org", " ", "person_name_missing"),
        ("SAM@example.org", "Sam", "email_taken"),
    ],
)
def test_a_person_is_refused_with_a_reason(regulator: Office, now: datetime, email: str, name: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        people.admit_person(actor=regulator["senior"], email=email, name=name, now=now)

    assert refused.value.code == code


def test_only_a_senior_officer_admits_and_blocks(regulator: Office, acme: Office, now: datetime) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: people.admit_person(actor=regulator["desk"], email="n@example.org", name="N", now=now),
        lambda: people.change_access(
            actor=acme["approver"], user=acme["initiator"], may_log_in=False, reason="Spite.", now=now
        ),
    ]

    for attempt in attempts:
        with pytest.raises(Forbidden):
            attempt()


def test_a_blocked_person_is_out_at_once_and_can_come_back(regulator: Office, acme: Office, now: datetime) -> None:
    browser = Client()
    browser.force_login(acme["initiator"])
    assert browser.get("/home/").status_code == 200

    people.change_access(
        actor=regulator["senior"], user=acme["initiator"], may_log_in=False, reason="Lost phone.", now=now
    )
    assert browser.get("/home/").status_code == 302

    people.change_access(actor=regulator["senior"], user=acme["initiator"], may_log_in=True, reason="Found.", now=now)
    browser.force_login(acme["initiator"])
    assert browser.get("/home/").status_code == 200


def test_nobody_blocks_themselves_or_without_a_reason(regulator: Office, acme: Office, now: datetime) -> None:
    for user, reason, code in (
        (regulator["senior"], "Holiday.", "not_yourself"),
        (acme["initiator"], " ", "reason_missing"),
    ):
        with pytest.raises(Refused) as refused:
            people.change_access(actor=regulator["senior"], user=user, may_log_in=False, reason=reason, now=now)
        assert refused.value.code == code


def establish(monkeypatch: pytest.MonkeyPatch, password: str, email: str = "first@regulator.example") -> str:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    call_command("establish_regulator", organisation="The Office", email=email, name="Fay First", stdout=out)
    return out.getvalue()


def test_a_new_installation_is_founded_from_the_command_line(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = establish(monkeypatch, "seven quiet turbines")

    officer = User.objects.get()
    assert "The Office is established" in text
    assert is_senior_officer(officer) and officer.check_password("seven quiet turbines")


@pytest.mark.parametrize(("password", "email"), [("short", "first@regulator.example"), ("seven quiet turbines", "fay")])
def test_a_founding_that_fails_leaves_nothing(
    db: None, monkeypatch: pytest.MonkeyPatch, password: str, email: str
) -> None:
    with pytest.raises(CommandError):
        establish(monkeypatch, password, email)

    assert not User.objects.exists() and not Organisation.objects.exists()


def test_a_second_regulator_is_not_founded(regulator: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="already established"):
        establish(monkeypatch, "seven quiet turbines")
