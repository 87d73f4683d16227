"""A small cast for the accounts tests: a regulator with three officers, and a firm with two people."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from accounts.models import Organisation, User
from accounts.services import organisations

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Office:
    """An organisation and its people by role."""

    organisation: Organisation
    people: dict[str, User]

    def __getitem__(self, role: str) -> User:
        return self.people[role]


@pytest.fixture
def now() -> datetime:
    """The instant at which every act of these tests happens."""
    return NOW


@pytest.fixture
def make_user(db: None) -> Callable[[str], User]:
    """Make a person by first name."""
    return lambda name: User.objects.create_user(f"{name}@example.org", name=name.title())


@pytest.fixture
def regulator(make_user: Callable[[str], User]) -> Office:
    """Sam and Sol are senior officers, Dana works the desk."""
    sam, sol, dana = make_user("sam"), make_user("sol"), make_user("dana")
    organisation = organisations.establish_regulator(name="The Office", officer=sam, now=NOW)
    organisations.grant_role(actor=sam, user=sol, organisation=organisation, role="senior_officer", now=NOW)
    organisations.grant_role(actor=sam, user=dana, organisation=organisation, role="desk_officer", now=NOW)
    return Office(organisation, {"senior": sam, "second": sol, "desk": dana})


@pytest.fixture
def acme(regulator: Office, make_user: Callable[[str], User]) -> Office:
    """Ines initiates for Acme and Ari approves."""
    ines, ari = make_user("ines"), make_user("ari")
    organisation = organisations.open_organisation(actor=regulator["senior"], name="Acme", kind="firm", now=NOW)
    for user, role in ((ines, "initiator"), (ari, "approver")):
        organisations.grant_role(actor=regulator["senior"], user=user, organisation=organisation, role=role, now=NOW)
    return Office(organisation, {"initiator": ines, "approver": ari})
