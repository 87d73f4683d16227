"""Cases, sanctions, debts and estimates on pages: opened and paid by an operator, decided by two officers."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Approval
from registry.models import Case, DebtEntry, Report, Sanction
from registry.standing import records
from tests.cast import PERMIT_FLOP, REPORTING
from tests.pages.world import World

AsPerson = Callable[[str], Client]


def approved(as_person: AsPerson) -> Approval:
    """Let the senior officer approve the newest proposal on its page."""
    newest = Approval.objects.order_by("-proposed_at", "-pk").filter(status="proposed", organisation__kind="regulator")
    approval = newest[:1].get()
    as_person("senior officer").post(reverse("approval-approve", args=[approval.pk]))
    approval.refresh_from_db()
    return approval


def test_an_operator_opens_a_correction_and_two_officers_decide_it(world: World, as_person: AsPerson) -> None:
    sent = {"key": str(uuid4()), "about": "report", "grounds": "We counted one run twice.", "figure": ""}

    opened = as_person("acme initiator").post(reverse("case-new", args=[world.period.code]), sent, follow=True)

    case = Case.objects.get()
    assert "The case is open." in opened.content.decode()
    assert "We counted one run twice." in as_person("auditor").get(reverse("case", args=[case.pk])).content.decode()
    decision = {
        "key": str(uuid4()),
        "outcome": "upheld",
        "decision": "Shown by the logs.",
        "figure": str(20 * PERMIT_FLOP),
        "remedy": "credit",
    }
    as_person("desk officer").post(reverse("case-decide", args=[case.pk]), decision)
    assert Case.objects.get().status == "open"

    assert approved(as_person).status == "executed"

    assert Case.objects.get().status == "upheld"
    assert "Shown by the logs." in as_person("acme viewer").get(reverse("case", args=[case.pk])).content.decode()
    assert records(world.period, operator=world.acme.operator)[0].owed == 20


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"about": "report", "grounds": ""}, "This field is required"),
        ({"about": "allocation", "grounds": "Too little."}, "Say how many free permits"),
        ({"about": "sanction", "grounds": "Unfair."}, "There is no sanction of yours"),
        ({"about": "report", "grounds": "Wrong.", "figure": "1e3"}, "Enter a number with digits"),
    ],
)
def test_a_bad_case_comes_back_with_what_is_wrong(
    sent: dict[str, str], sentence: str, world: World, as_person: AsPerson
) -> None:
    address = reverse("case-new", args=[world.period.code])

    answer = as_person("acme initiator").post(address, {"key": str(uuid4())} | sent)

    assert (answer.status_code, sentence in answer.content.decode()) == (422, True)
    assert not Case.objects.exists()


def test_a_sanction_is_paid_by_its_operator_and_waived_by_two_officers(world: World, as_person: AsPerson) -> None:
    assert world.acme.operator is not None and world.cobalt.operator is not None
    mine, other = (
        Sanction.objects.create(
            operator=operator, period=world.period, shortfall=1, amount_minor=1_000, imposed_at=REPORTING
        )
        for operator in (world.acme.operator, world.cobalt.operator)
    )

    assert "Pay" in as_person("acme trader").get(reverse("sanctions")).content.decode()
    as_person("acme trader").post(reverse("sanction-pay", args=[mine.pk]))
    as_person("desk officer").post(
        reverse("sanction-waive", args=[other.pk]), {"key": str(uuid4()), "reason": "A flood."}
    )
    approved(as_person)

    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.status, other.status) == ("paid", "waived")
    hidden = as_person("acme trader").post(reverse("sanction-pay", args=[other.pk]))
    assert hidden.status_code == 404


def test_a_debt_is_paid_on_its_page(world: World, as_person: AsPerson) -> None:
    assert world.acme.operator is not None
    DebtEntry.objects.create(
        operator=world.acme.operator, period=world.period, kind="true_up", quantity=12, reference="x", at=REPORTING
    )
    balance = world.account.balances.get(asset=world.period.permit)
    address = reverse("debt", args=[world.period.code])
    assert "12" in as_person("acme viewer").get(address).content.decode()

    sent = {"key": str(uuid4()), "permits": str(balance.pk), "quantity": "12"}
    for _ in range(2):
        as_person("acme trader").post(address, sent)

    assert sum(DebtEntry.objects.values_list("quantity", flat=True)) == 0
    assert DebtEntry.objects.count() == 2


def test_estimates_of_all_missing_reports_are_proposed_at_once(
    world: World, as_person: AsPerson, clock: object
) -> None:
    address = reverse("estimates", args=[world.period.code])
    page = as_person("desk officer").get(address).content.decode()
    assert "Borealis" in page and "The meters or the unverified report" in page and "Nothing is known." in page

    as_person("desk officer").post(address, {"key": str(uuid4())})

    proposal = Approval.objects.get(act="registry.set_estimates")
    assert [one["basis"] for one in proposal.parameters["estimates"]] == ["metered"]
    assert not Report.objects.filter(kind="estimate").exists()


def test_the_ladder_of_an_operator_is_shown_to_those_who_oversee(world: World, as_person: AsPerson) -> None:
    assert world.acme.operator is not None
    address = reverse("operator-enforcement", args=[world.acme.operator.pk])

    page = as_person("auditor").get(address)

    assert page.status_code == 200
    assert "No step is planned" in page.content.decode()
    assert as_person("acme trader").get(address).status_code == 403
