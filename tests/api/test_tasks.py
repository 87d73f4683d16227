"""Tasks over REST: each organisation reads its own, and every proposal is one."""

from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import Task
from registry.ledger.models import Asset
from registry.services import transfers
from tests.api.asking import refused
from tests.cast import LARGE_TRANSFER, OPENING, Party, key


def test_a_proposal_is_a_task_that_only_its_organisation_reads(
    acme_reads: APIClient, borealis_reads: APIClient, acme: Party, borealis: Party, permit: Asset
) -> None:
    outcome = transfers.transfer(
        actor=acme.initiator,
        organisation=acme.organisation,
        to_number=borealis.account.number,
        asset=permit,
        quantity=LARGE_TRANSFER,
        key=key(),
        now=OPENING,
    )
    assert outcome.approval is not None
    task = Task.objects.get(approval=outcome.approval)

    mine = acme_reads.get(reverse("task-list"), {"status": "unclaimed"}).json()["results"]
    one = acme_reads.get(reverse("task-detail", args=[task.pk]))

    assert [(row["id"], row["approval"]) for row in mine] == [(str(task.pk), str(outcome.approval.pk))]
    assert one.json()["title"] == outcome.approval.summary
    assert borealis_reads.get(reverse("task-list")).json()["results"] == []
    assert borealis_reads.get(reverse("task-detail", args=[task.pk])).status_code == 404
    refused(acme_reads.get(reverse("task-list"), {"status": "lost"}), 400, "parameter_invalid")
