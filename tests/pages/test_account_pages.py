"""Accounts, groups, identity documents and freezes, as people use them on pages."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Approval
from accounts.services import approvals
from registry.grades import terms_of
from registry.ledger.services.serials import derive_serial_blocks
from registry.models import Freeze, Group, GroupMember, IdentityDocument, LimitBreach, Operator, SerialFreeze
from registry.services import freezes, groups, identity
from tests.cast import REPORTING, operator
from tests.pages.world import World
from tests.registry.holding import fresh

AsPerson = Callable[[str], Client]
PDF = b"%PDF-1.7\n%%EOF\n"


def page(client: Client, name: str, *args: object) -> str:
    answer = client.get(reverse(name, args=args))
    assert answer.status_code == 200, answer
    return answer.content.decode()


class TestAccountPage:
    """The holder reads, sets its rules; the regulator acts."""

    def test_the_holder_sees_its_account_and_no_act_of_the_regulator(self, world: World, as_person: AsPerson) -> None:
        content = page(as_person("acme viewer"), "account", world.account.number)

        for text in (world.account.number, "Acme trader", "What lies in it", "Trusted accounts"):
            assert text in content
        for text in ("Freeze at once", "Change the grade", "Your rules", "Close the account"):
            assert text not in content

    def test_what_stands_against_a_closure_is_listed_for_the_desk(self, world: World, as_person: AsPerson) -> None:
        content = page(as_person("desk officer"), "account", world.account.number)

        for code in ("balance_left", "something_held", "orders_open", "trades_unsettled", "last_year_missing"):
            assert code in content
        assert "Change the grade" not in content  # that is for a senior officer

    def test_a_senior_officer_restricts_and_the_holder_reads_why(self, world: World, as_person: AsPerson) -> None:
        answer = as_person("senior officer").post(
            reverse("account-grade", args=[world.account.number]),
            {"grade-key": "", "grade-grade": "restricted", "grade-reason": "Report is late."},
        )
        assert answer.status_code == 422  # the key was missing, and the page brings a new one

        sent = {"grade-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f00", "grade-grade": "restricted"}
        as_person("senior officer").post(
            reverse("account-grade", args=[world.account.number]), sent | {"grade-reason": "Report is late."}
        )

        assert fresh(world.account) == "restricted"
        assert "Report is late." in page(as_person("acme viewer"), "account", world.account.number)

    def test_a_desk_officer_freezes_and_two_officers_reopen(self, world: World, as_person: AsPerson) -> None:
        desk = as_person("desk officer")
        desk.post(
            reverse("account-freeze", args=[world.account.number]),
            {"freeze-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f01", "freeze-reason": "Theft reported."},
        )
        assert fresh(world.account) == "frozen"

        answer = desk.post(
            reverse("account-reopening", args=[world.account.number]),
            {
                "reopening-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f02",
                "reopening-grade": "open",
                "reopening-reason": "Cleared.",
            },
        )
        proposal = Approval.objects.get(act="registry.reopen_account")
        as_person("senior officer").post(reverse("approval-approve", args=[proposal.pk]))

        assert answer["Location"] == reverse("approval", args=[proposal.pk])
        assert fresh(world.account) == "open"

    def test_a_refused_act_stands_beside_its_form(self, world: World, as_person: AsPerson) -> None:
        answer = as_person("desk officer").post(
            reverse("account-holder", args=[world.account.number]),
            {
                "holder-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f03",
                "holder-holder": str(world.borealis.organisation.pk),
                "holder-agreement": "Sale.",
            },
        )

        assert answer.status_code == 422
        assert "is an operator of" in answer.content.decode()

    def test_the_holder_sets_its_rules_with_two_people(self, world: World, as_person: AsPerson) -> None:
        as_person("acme initiator").post(
            reverse("account-rules", args=[world.account.number]),
            {
                "terms-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f04",
                "terms-outside_list": "on",
                "terms-transfer_limit": "2500",
            },
        )
        proposal = Approval.objects.get(act="registry.account_terms")
        approvals.approve(actor=world.acme.approver, approval_id=proposal.pk, now=REPORTING)

        assert terms_of(world.account).transfer_limit == 2_500
        assert "2,500" in page(as_person("acme viewer"), "account", world.account.number)

    def test_acts_of_officers_are_not_for_holders(self, world: World, as_person: AsPerson) -> None:
        for name in ("grade", "freeze", "reopening", "closure", "holder"):
            answer = as_person("acme approver").post(reverse(f"account-{name}", args=[world.account.number]), {})
            assert answer.status_code == 403, name
        assert fresh(world.account) == "open"

    def test_a_shutdown_is_recorded(self, world: World, as_person: AsPerson) -> None:
        as_person("desk officer").post(
            reverse("account-shutdown", args=[world.account.number, world.period.scheme.code]),
            {
                "shutdown-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f05",
                "shutdown-closed_on": "2026-12-31",
                "shutdown-reason": "The site is sold.",
            },
        )

        assert Operator.objects.get(pk=world.acme.operator.pk).last_year == 2026  # type: ignore[union-attr]

    def test_a_further_account_is_proposed(self, world: World, as_person: AsPerson) -> None:
        answer = as_person("desk officer").post(
            reverse("account-new"),
            {
                "key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f06",
                "holder": str(world.acme.organisation.pk),
                "kind": "trading",
                "label": "Desk in Paris",
            },
        )

        assert answer["Location"] == reverse("approval", args=[Approval.objects.get(act="registry.open_account").pk])


OVERSEERS = {"desk officer", "senior officer", "market monitor", "auditor"}
ACME = {"acme viewer", "acme initiator", "acme approver", "acme trader"}
OTHERS = {"borealis viewer", "verifier"}


def test_each_role_reads_what_is_its_own_and_nothing_else(world: World, as_person: AsPerson) -> None:
    document = identity.request_document(
        actor=world.regulator.desk,
        organisation=world.acme.organisation,
        kind="ownership",
        due_on=REPORTING.date(),
        now=REPORTING,
    )
    group = groups.create_group(actor=world.regulator.desk, name="Aurora", now=REPORTING)
    joined = groups.add_member(
        actor=world.regulator.desk, group=group, organisation=world.acme.organisation, reason="Merger.", now=REPORTING
    )
    freeze = freezes.freeze_scheme(
        actor=world.regulator.desk, scheme=world.period.scheme, reason="Theft.", now=REPORTING
    )
    everybody = OVERSEERS | ACME | OTHERS
    expected: dict[tuple[str, tuple[object, ...]], tuple[set[str], int]] = {
        ("accounts", ()): (everybody, 0),
        ("account", (world.account.number,)): (OVERSEERS | ACME, 404),
        ("account-new", ()): (OVERSEERS, 403),
        ("groups", ()): (everybody, 0),
        ("group", (group.pk,)): (OVERSEERS | ACME, 404),
        ("group-leave", (joined.pk,)): (OVERSEERS, 403),
        ("identity", ()): (everybody, 0),
        ("identity-document", (document.pk,)): (OVERSEERS | ACME, 404),
        ("identity-file", (document.pk,)): (set(), 404),
        ("desk-freezes", ()): (OVERSEERS, 403),
        ("freeze-lift", (freeze.pk,)): (OVERSEERS, 403),
        ("serials", ()): (OVERSEERS, 403),
        ("freezes", ()): (everybody | {"anyone"}, 0),
    }

    answers = {
        (name, who): as_person(who).get(reverse(name, args=args)).status_code
        for name, args in expected
        for who in everybody | {"anyone"}
    }

    assert answers == {
        (name, who): 200 if who in may else 302 if who == "anyone" else others
        for (name, _), (may, others) in expected.items()
        for who in everybody | {"anyone"}
    }


@pytest.mark.parametrize("name", ["accounts", "groups", "identity", "desk-freezes"])
def test_a_longer_list_asks_no_more(world: World, as_person: AsPerson, name: str) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse(name)).status_code == 200
        return len(queries)

    def more(number: int) -> None:
        firm = operator(world.regulator, world.period.scheme, f"Firm {number}", "firm", "small")
        group = groups.create_group(actor=world.regulator.desk, name=f"Group {number}", now=REPORTING)
        groups.add_member(
            actor=world.regulator.desk, group=group, organisation=firm.organisation, reason="Merger.", now=REPORTING
        )
        identity.request_document(
            actor=world.regulator.desk,
            organisation=firm.organisation,
            kind="ownership",
            due_on=REPORTING.date(),
            now=REPORTING,
        )
        freezes.freeze_serials(
            actor=world.regulator.desk,
            asset=world.period.permit,
            first=10 * number + 1,
            last=10 * number + 5,
            reason="Theft.",
            now=REPORTING,
        )

    client = as_person("desk officer")
    more(0)
    client.get(reverse(name))
    few = asked()
    for number in range(1, 4):
        more(number)

    assert asked() <= few


class TestAccountList:
    """Holders see theirs; the regulator searches."""

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"holder": "borea"}, {"borealis"}),
            ({"kind": "holding", "holder": "acme"}, {"acme"}),
            ({"grade": "restricted"}, set()),
            ({"grade": "open", "kind": "holding"}, {"acme", "borealis", "cobalt"}),
        ],
    )
    def test_search(self, world: World, as_person: AsPerson, asked: dict[str, str], found: set[str]) -> None:
        answer = as_person("auditor").get(reverse("accounts"), asked)

        content = answer.content.decode()
        assert {
            name for name in ("acme", "borealis", "cobalt") if getattr(world, name).account.number in content
        } == found

    def test_by_number(self, world: World, as_person: AsPerson) -> None:
        answer = as_person("desk officer").get(reverse("accounts"), {"number": world.account.number})

        assert [account.number for account, _ in answer.context["rows"]] == [world.account.number]

    def test_a_holder_sees_its_own(self, world: World, as_person: AsPerson) -> None:
        content = page(as_person("acme viewer"), "accounts")

        assert world.account.number in content and world.borealis.account.number not in content


class TestFreezes:
    """Everybody reads the notice; officers make and lift."""

    def test_frozen_numbers_are_public_at_once_and_found_by_number(self, world: World, as_person: AsPerson) -> None:
        derive_serial_blocks()
        as_person("desk officer").post(
            reverse("freeze-serials"),
            {
                "serials-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f07",
                "serials-asset": world.period.permit.pk,
                "serials-first": "1",
                "serials-last": "5",
                "serials-reason": "Reported as stolen.",
            },
        )
        anyone = as_person("anyone")
        permit = {"asset": world.period.permit.code}

        assert SerialFreeze.objects.get().last == 5
        assert "Reported as stolen." in page(anyone, "freezes")
        assert "may not move" in anyone.get(reverse("freezes"), permit | {"number": "5"}).content.decode()
        assert "is not frozen" in anyone.get(reverse("freezes"), permit | {"number": "6"}).content.decode()
        assert anyone.get(reverse("freezes"), permit | {"number": "six"}).status_code == 422

    def test_a_scheme_is_frozen_and_lifted_from_the_desk(self, world: World, as_person: AsPerson) -> None:
        desk = as_person("desk officer")
        desk.post(
            reverse("freeze-scheme"),
            {
                "scheme-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f08",
                "scheme-scheme": str(world.period.scheme.pk),
                "scheme-reason": "Permits were stolen.",
            },
        )
        freeze = Freeze.objects.get()
        assert "Permits were stolen." in page(as_person("anyone"), "freezes")

        desk.post(
            reverse("freeze-lift", args=[freeze.pk]),
            {"key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f09", "reason": "Found."},
        )
        proposal = Approval.objects.get(act="registry.lift_freeze")
        as_person("senior officer").post(reverse("approval-approve", args=[proposal.pk]))

        freeze.refresh_from_db()
        assert freeze.lifted_at is not None

    def test_the_path_of_a_permit_is_for_those_who_oversee(self, world: World, as_person: AsPerson) -> None:
        derive_serial_blocks()
        asked = {"asset": world.period.permit.code, "number": "1"}

        content = as_person("auditor").get(reverse("serials"), asked).content.decode()

        assert world.account.number in content or world.borealis.account.number in content
        assert as_person("acme approver").get(reverse("serials"), asked).status_code == 403


class TestGroups:
    """The desk joins organisations; members see their own group."""

    @pytest.fixture
    def group(self, world: World) -> Group:
        """A group to which Acme belongs."""
        group = groups.create_group(actor=world.regulator.desk, name="Aurora Holding", now=REPORTING)
        groups.add_member(
            actor=world.regulator.desk,
            group=group,
            organisation=world.acme.organisation,
            reason="Merger.",
            now=REPORTING,
        )
        return group

    def test_the_desk_makes_a_group_and_adds_a_member(self, world: World, as_person: AsPerson) -> None:
        desk = as_person("desk officer")
        desk.post(reverse("groups"), {"key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f10", "name": "Aurora"})
        group = Group.objects.get()
        desk.post(
            reverse("group", args=[group.pk]),
            {
                "key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f11",
                "organisation": str(world.acme.organisation.pk),
                "reason": "Merger.",
            },
        )

        member = GroupMember.objects.get()
        assert member.organisation == world.acme.organisation
        desk.post(
            reverse("group-leave", args=[member.pk]),
            {"key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f12", "reason": "Sold."},
        )
        member.refresh_from_db()
        assert member.until is not None

    def test_members_see_their_group_and_others_do_not(self, world: World, as_person: AsPerson, group: Group) -> None:
        assert "Aurora Holding" in page(as_person("acme viewer"), "group", group.pk)
        assert as_person("borealis viewer").get(reverse("group", args=[group.pk])).status_code == 404
        assert "Aurora Holding" not in page(as_person("borealis viewer"), "groups")

    def test_members_do_not_change_it(self, world: World, as_person: AsPerson, group: Group) -> None:
        answer = as_person("acme approver").post(
            reverse("groups"), {"key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f13", "name": "Ours"}
        )

        assert answer.status_code == 403

    def test_a_breach_is_looked_at_again(self, world: World, as_person: AsPerson, group: Group) -> None:
        breach = LimitBreach.objects.create(
            period=world.period,
            group=group,
            reason="Merger.",
            limit_quantity=10,
            counted=20,
            found_at=REPORTING,
            cure_by=REPORTING + timedelta(days=7),
        )
        assert "Look again" in page(as_person("desk officer"), "groups")

        as_person("desk officer").post(reverse("breach-settle", args=[breach.pk]))

        breach.refresh_from_db()
        assert breach.status == "cured"  # the scheme has no holding limit any more


class TestIdentity:
    """Both sides of the inbox."""

    @pytest.fixture
    def document(self, world: World) -> IdentityDocument:
        """What Acme is asked for."""
        return identity.request_document(
            actor=world.regulator.desk,
            organisation=world.acme.organisation,
            kind="register_extract",
            due_on=REPORTING.date(),
            now=REPORTING,
        )

    def test_a_document_goes_from_request_to_acceptance(
        self, world: World, as_person: AsPerson, document: IdentityDocument
    ) -> None:
        holder, desk = as_person("acme initiator"), as_person("desk officer")
        assert "To be sent in" in page(holder, "identity")
        holder.post(
            reverse("identity-submit", args=[document.pk]),
            {
                "upload-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f14",
                "upload-file": SimpleUploadedFile("extract.pdf", PDF, content_type="text/html"),
            },
        )
        file = desk.get(reverse("identity-file", args=[document.pk]))
        desk.post(
            reverse("identity-accept", args=[document.pk]),
            {"accept-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f15", "accept-expires_on": "2028-01-31"},
        )

        document.refresh_from_db()
        assert document.status == "accepted"
        assert file.getvalue() == PDF
        assert file["Content-Type"] == "application/octet-stream"
        assert file["Content-Disposition"] == 'attachment; filename="extract.pdf"'
        assert "31 January 2028" in page(holder, "identity-document", document.pk)

    def test_a_hostile_file_is_refused_beside_the_field(
        self, world: World, as_person: AsPerson, document: IdentityDocument
    ) -> None:
        answer = as_person("acme initiator").post(
            reverse("identity-submit", args=[document.pk]),
            {
                "upload-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f16",
                "upload-file": SimpleUploadedFile("extract.pdf", b"<script>alert(1)</script>"),
            },
        )

        assert answer.status_code == 422
        assert "Send a PDF, PNG or JPEG file." in answer.content.decode()

    def test_others_do_not_know_of_it(self, world: World, as_person: AsPerson, document: IdentityDocument) -> None:
        for name in ("identity-document", "identity-file"):
            assert as_person("borealis viewer").get(reverse(name, args=[document.pk])).status_code == 404

    def test_the_desk_asks_refuses_and_takes_back(self, world: World, as_person: AsPerson) -> None:
        desk = as_person("desk officer")
        answer = desk.post(
            reverse("identity"),
            {
                "key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f17",
                "organisation": str(world.acme.organisation.pk),
                "kind": "passport",
                "person": world.acme.viewer.email.upper(),
                "due_on": "2027-03-01",
            },
        )
        document = IdentityDocument.objects.get()
        assert answer["Location"] == reverse("identity-document", args=[document.pk])
        assert document.person == world.acme.viewer
        desk.post(
            reverse("identity-cancel", args=[document.pk]),
            {"cancel-key": "7c0e2b4e-7b1e-4f55-8d7c-0a5b7a9a9f18", "cancel-reason": "Not needed."},
        )

        document.refresh_from_db()
        assert document.status == "cancelled"
