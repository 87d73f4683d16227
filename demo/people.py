"""Letting people into the demo: those who are there already are reused, so that several stories share one registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import make_password

from accounts.models import Approval, Organisation, User
from accounts.services import approvals, organisations
from common.errors import require
from demo.cast import PASSWORD, REGULATOR, Person

SENIOR, DESK = "senior@regulator.example", "desk@regulator.example"
"""The officer who approves, and the one who proposes."""


@dataclass(frozen=True)
class Cast:
    """Everybody who acts in a story, by log-in and by name."""

    users: Mapping[str, User]
    organisations: Mapping[str, Organisation]

    @property
    def desk(self) -> User:
        """The officer who proposes."""
        return self.users[DESK]

    @property
    def senior(self) -> User:
        """The officer who approves."""
        return self.users[SENIOR]

    def approve(self, approval: Approval, now: datetime) -> Approval:
        """Let the senior officer approve what the desk proposed, and insist that it was done."""
        return executed(approvals.approve(actor=self.senior, approval_id=approval.pk, now=now))


def executed(approval: Approval) -> Approval:
    """Insist that what was approved was done."""
    assert approval.status == "executed", f"{approval.summary}: {approval.failure}"
    return approval


def admit(people: Sequence[Person], kinds: Mapping[str, str], now: datetime) -> Cast:
    """Let people and organisations in, and give everybody their role. `kinds` says the kind of each organisation.

    The regulator of the demo is established first where there is none.
    """
    by_email = {person.email: person for person in people}
    present = set(User.objects.filter(email__in=by_email).values_list("email", flat=True))
    fresh = [email for email in by_email if email not in present]
    for email in fresh:
        User.objects.create_user(email, name=by_email[email].name)
    # hashing is slow on purpose, and all demo log-ins share one password
    User.objects.filter(email__in=fresh).update(password=make_password(PASSWORD))
    users = {user.email: user for user in User.objects.filter(email__in=by_email)}
    found = {REGULATOR: _regulator(users[SENIOR], now)}
    for name, kind in kinds.items():
        found[name] = Organisation.objects.filter(name=name).first() or organisations.open_organisation(
            actor=users[SENIOR], name=name, kind=kind, now=now
        )
    for person in people:
        organisations.grant_role(
            actor=users[SENIOR],
            user=users[person.email],
            organisation=found[person.organisation],
            role=person.role,
            now=now,
        )
    return Cast(users, found)


def _regulator(officer: User, now: datetime) -> Organisation:
    regulator = Organisation.objects.filter(kind=Organisation.Kind.REGULATOR).first()
    require(
        regulator is None or regulator.name == REGULATOR,
        "not_the_demos_registry",
        f"The regulator of this registry is not {REGULATOR}: the demo's stories are for an empty registry or its own.",
    )
    return regulator or organisations.establish_regulator(name=REGULATOR, officer=officer, now=now)
