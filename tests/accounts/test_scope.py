"""Tenant scope: what each kind of person may see, by session and by token, decided in one place."""

from datetime import timedelta

import pytest

from accounts.models import ApiToken, Approval, Organisation, User
from accounts.selectors import Scope, approvals_in_scope, organisation_in_scope, organisations_of, roles_in, scope_of
from accounts.services import approvals, organisations
from common.errors import Unknown
from registry.models import Operator, Scheme
from registry.services import caps, operators
from tests import cast
from tests.cast import Regulator

NAMES = ["desk", "senior", "monitor", "auditor", "acme", "borealis", "verity", "nobody"]
OVERSEERS = {"desk", "senior", "monitor", "auditor"}
TENANTS = ["acme", "borealis", "verity"]


class World:
    """One person of each kind with their organisation, made through the services."""

    def __init__(self) -> None:
        senior = cast.person("Sena")
        office = organisations.establish_regulator(name="Office", officer=senior, now=cast.OPENING)
        desk, monitor = cast.person("Desmond"), cast.person("Mona")
        self.regulator = Regulator(office, desk=desk, senior=senior, monitor=monitor)
        for user, role in ((desk, "desk_officer"), (monitor, "market_monitor")):
            organisations.grant_role(actor=senior, user=user, organisation=office, role=role, now=cast.OPENING)
        self.organisations: dict[str, Organisation] = {"desk": office, "senior": office, "monitor": office}
        self.people: dict[str, User] = {"desk": desk, "senior": senior, "monitor": monitor}
        for name, kind, role in (
            ("acme", "firm", "viewer"),
            ("borealis", "lab", "approver"),
            ("verity", "verifier", "verifier"),
            ("auditor", "auditor", "auditor"),
        ):
            party = cast.party(self.regulator, name.title(), kind)
            self.organisations[name], self.people[name] = party.organisation, party.users[role]
        self.people["nobody"] = cast.person("Nemo")

    def token(self, name: str, scope: str = "read") -> ApiToken:
        """Make a token for a person's own organisation."""
        token: ApiToken
        token, _ = ApiToken.objects.create(
            user=self.people[name], organisation=self.organisations[name], name="script", scope=scope,
            expiry=timedelta(days=1),
        )  # fmt: skip
        return token


@pytest.fixture
def world(db: None) -> World:
    """The whole cast."""
    return World()


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("name", NAMES)
def test_who_sees_whom(world: World, name: str, tenant: str) -> None:
    scope = scope_of(world.people[name])

    assert scope.covers(world.organisations[tenant].pk) == (name in OVERSEERS or name == tenant)
    assert scope.everything == (name in OVERSEERS)


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "nobody"])
def test_a_token_sees_what_its_organisation_sees(world: World, name: str, tenant: str) -> None:
    scope = scope_of(world.people[name], world.token(name))

    assert scope.covers(world.organisations[tenant].pk) == (name in OVERSEERS or name == tenant)


def test_a_token_narrows_a_person_who_sees_more(world: World) -> None:
    """An officer who also works for Acme sees with Acme's token what Acme sees, and no more."""
    officer = world.people["desk"]
    organisations.grant_role(
        actor=world.people["senior"],
        user=officer,
        organisation=world.organisations["acme"],
        role="viewer",
        now=cast.OPENING,
    )
    token, _ = ApiToken.objects.create(user=officer, organisation=world.organisations["acme"], name="script")

    scope = scope_of(officer, token)

    assert (scope.everything, scope.organisation_ids) == (False, frozenset({world.organisations["acme"].pk}))


def test_a_token_ends_with_the_role_behind_it(world: World) -> None:
    token = world.token("acme")
    organisations.end_role(
        actor=world.people["senior"], membership=world.people["acme"].memberships.get(), now=cast.OPENING
    )

    assert not scope_of(world.people["acme"], token).covers(world.organisations["acme"].pk)
    assert not scope_of(world.people["acme"]).covers(world.organisations["acme"].pk)


@pytest.mark.parametrize(("status", "may_read"), [("active", True), ("suspended", True), ("closed", False)])
def test_members_of_a_suspended_organisation_still_read(world: World, status: str, may_read: bool) -> None:
    acme = world.organisations["acme"]
    if status != "active":
        organisations.change_status(
            actor=world.people["senior"], organisation=acme, status=status, reason="Inquiry.", now=cast.OPENING
        )

    assert (acme in organisations_of(world.people["acme"])) == may_read


def test_the_unseen_and_the_unknown_look_the_same(world: World) -> None:
    scope = scope_of(world.people["acme"])

    for hidden in (world.organisations["borealis"].pk, cast.key()):
        with pytest.raises(Unknown) as refused:
            organisation_in_scope(scope, hidden)
        assert refused.value.code == "organisation_unknown"
    assert organisation_in_scope(scope, world.organisations["acme"].pk) == world.organisations["acme"]


def test_lists_are_narrowed_by_the_path_to_the_organisation(world: World) -> None:
    scheme = cast.flop_scheme(world.regulator)
    for name in ("acme", "borealis"):
        operators.enrol(
            actor=world.people["desk"],
            scheme=scheme,
            organisation=world.organisations[name],
            cohort="small",
            first_year=cast.YEAR,
            now=cast.OPENING,
        )

    def seen(name: str) -> set[str]:
        rows = scope_of(world.people[name]).filter(Operator.objects.all(), "organisation")
        return {operator.organisation.name for operator in rows}

    assert {name: seen(name) for name in ("acme", "verity", "auditor")} == {
        "acme": {"Acme"},
        "verity": set(),
        "auditor": {"Acme", "Borealis"},
    }
    nothing = Scope(everything=False, organisation_ids=frozenset())
    assert not nothing.filter(Scheme.objects.all(), "operators__organisation").exists()


def test_proposals_are_seen_by_their_organisation_and_by_overseers(world: World) -> None:
    scheme = cast.flop_scheme(world.regulator)
    caps.propose_cap(
        actor=world.people["desk"], period=cast.period_of(world.regulator, scheme), quantity=10, now=cast.OPENING
    )

    def sees(name: str) -> int:
        return approvals_in_scope(scope_of(world.people[name])).count()

    assert {name: sees(name) for name in NAMES} == {name: int(name in OVERSEERS) for name in NAMES}
    assert Approval.objects.count() == 1


def test_only_a_second_person_in_the_right_office_may_decide(world: World) -> None:
    scheme = cast.flop_scheme(world.regulator)
    proposal = caps.propose_cap(
        actor=world.people["desk"], period=cast.period_of(world.regulator, scheme), quantity=10, now=cast.OPENING
    )

    assert {name for name in NAMES if approvals.may_decide(world.people[name], proposal)} == {"senior"}


def test_roles_are_those_that_live(world: World) -> None:
    borealis, person = world.organisations["borealis"], world.people["borealis"]
    assert roles_in(person, borealis) == {"approver"}

    organisations.end_role(actor=world.people["senior"], membership=person.memberships.get(), now=cast.OPENING)

    assert roles_in(person, borealis) == frozenset()
