"""The regulator's desk on the page: proposing a cap, allocation, estimates, the phase of a market, the closing."""

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import Approval
from registry.models import AllocationRun, Report
from tests.cast import LATE_FOR_REPORTS, Clock
from tests.pages.world import World

AsPerson = Callable[[str], Client]


def document(inputs: object) -> SimpleUploadedFile:
    """Return an inputs document as a browser sends it."""
    content = inputs if isinstance(inputs, bytes) else json.dumps(inputs).encode()
    return SimpleUploadedFile("inputs.json", content, "application/json")


def test_an_officer_proposes_a_cap_and_another_publishes_it(world: World, as_person: AsPerson) -> None:
    sent = {"key": str(uuid4()), "quantity": "8000"}

    proposed = as_person("desk officer").post(reverse("propose-cap", args=[world.draft.code]), sent, follow=True)
    approval = Approval.objects.get(act="registry.publish_cap", parameters__quantity=8000)
    as_person("senior officer").post(reverse("approval-approve", args=[approval.pk]))

    world.draft.refresh_from_db()
    assert "The cap was proposed." in proposed.content.decode()
    assert world.draft.status == "open"


@pytest.mark.parametrize("quantity", ["", "0", "-1", "1e6", "9" * 20])
def test_a_bad_cap_comes_back(quantity: str, world: World, as_person: AsPerson) -> None:
    before = Approval.objects.count()

    answer = as_person("desk officer").post(
        reverse("propose-cap", args=[world.draft.code]), {"key": str(uuid4()), "quantity": quantity}
    )

    assert (answer.status_code, Approval.objects.count()) == (422, before)


@pytest.mark.parametrize("person", ["market monitor", "auditor", "acme approver"])
def test_nobody_else_proposes_a_cap(person: str, world: World, as_person: AsPerson) -> None:
    answer = as_person(person).post(
        reverse("propose-cap", args=[world.draft.code]), {"key": str(uuid4()), "quantity": "8000"}
    )

    assert answer.status_code == 403


def test_a_run_is_worked_out_from_a_document_and_proposed(world: World, as_person: AsPerson) -> None:
    client = as_person("desk officer")
    inputs = json.loads(client.get(reverse("run-inputs", args=[world.run.pk])).content)

    drafted = client.post(
        reverse("allocation-new", args=[world.period.code]),
        {"key": str(uuid4()), "document": document(inputs)},
        follow=True,
    )
    run = AllocationRun.objects.exclude(pk=world.run.pk).get()
    proposed = client.post(reverse("allocation-propose", args=[run.pk]))

    assert "The run was worked out." in drafted.content.decode()
    assert (run.status, run.inputs_sha256) == ("draft", world.run.inputs_sha256)
    assert proposed.status_code == 422  # the period was allocated already, and the page says so
    assert "allocated already" in proposed.content.decode()


@pytest.mark.parametrize(
    "inputs",
    [b"", b"not json", b"[]", b"{}", b'{"format": "other"}', b"\xff\xfe", b"[" * 100_000, b'{"format": null}'],
    ids=["empty", "text", "list", "nothing", "other", "bytes", "deep", "null"],
)
def test_a_document_that_is_none_is_refused_and_never_a_500(inputs: bytes, world: World, as_person: AsPerson) -> None:
    answer = as_person("desk officer").post(
        reverse("allocation-new", args=[world.period.code]), {"key": str(uuid4()), "document": document(inputs)}
    )

    assert answer.status_code == 422
    assert AllocationRun.objects.count() == 1


def test_a_draft_is_discarded(world: World, as_person: AsPerson) -> None:
    client = as_person("desk officer")
    inputs = json.loads(client.get(reverse("run-inputs", args=[world.run.pk])).content)
    client.post(
        reverse("allocation-new", args=[world.period.code]), {"key": str(uuid4()), "document": document(inputs)}
    )
    run = AllocationRun.objects.exclude(pk=world.run.pk).get()

    client.post(reverse("allocation-discard", args=[run.pk]))

    run.refresh_from_db()
    assert run.status == "discarded"


def test_a_missing_report_is_estimated_once_it_is_overdue(world: World, as_person: AsPerson, clock: Clock) -> None:
    assert world.cobalt.operator is not None
    client = as_person("desk officer")
    address = reverse("estimate", args=[world.period.code, world.cobalt.operator.pk])
    sent = {"key": str(uuid4()), "quantity": "3000000000000000000", "reason": "The meters of the year."}

    too_early = client.post(address, sent)
    clock.move_to(LATE_FOR_REPORTS)
    overdue = client.get(reverse("desk-period", args=[world.period.code])).content.decode()
    done = client.post(address, sent, follow=True)

    assert too_early.status_code == 422
    assert address in overdue and "Overdue" in overdue
    assert "The estimate is what the operator owes" in done.content.decode()
    assert Report.objects.get(operator=world.cobalt.operator).status == "determined"


def test_a_market_is_halted_with_a_reason_and_resumed(world: World, as_person: AsPerson) -> None:
    client, address = as_person("market monitor"), reverse("desk-market", args=[world.market.code])

    without = client.post(address, {"key": str(uuid4()), "phase": "halted", "reason": " "})
    halted = client.post(address, {"key": str(uuid4()), "phase": "halted", "reason": "A strange price."}, follow=True)
    resumed = client.post(address, {"key": str(uuid4()), "phase": "continuous", "reason": "It was right."})

    world.market.refresh_from_db()
    assert without.status_code == 422
    assert "A strange price." in halted.content.decode()
    assert (resumed.status_code, world.market.phase) == (302, "continuous")


@pytest.mark.parametrize(
    ("person", "status"), [("desk officer", 403), ("auditor", 403), ("acme trader", 403), ("senior officer", 302)]
)
def test_only_who_watches_the_market_steers_it(person: str, status: int, world: World, as_person: AsPerson) -> None:
    answer = as_person(person).post(
        reverse("desk-market", args=[world.market.code]), {"key": str(uuid4()), "phase": "halted", "reason": "Test."}
    )

    assert answer.status_code == status


def test_a_closing_takes_the_steps_that_are_due_and_shows_them(world: World, as_person: AsPerson, clock: Clock) -> None:
    client, address = as_person("senior officer"), reverse("close-period", args=[world.period.code])

    closing = client.post(address, follow=True).content.decode()
    clock.move_to(world.period.surrender_due + timedelta(hours=1))
    as_person("senior officer").post(address)
    closed = client.get(reverse("closing", args=[world.period.code])).content.decode()

    world.period.refresh_from_db()
    assert "4 of 9 steps done" in closing  # reports are not due yet
    assert "9 of 9 steps done" in closed
    assert world.period.status == "closed"


def test_a_closing_that_may_not_begin_says_why(world: World, as_person: AsPerson, clock: Clock) -> None:
    clock.move_to(clock.now().replace(year=2026))

    early = as_person("senior officer").post(reverse("close-period", args=[world.period.code]))
    other = as_person("desk officer").post(reverse("close-period", args=[world.period.code]))

    assert early.status_code == 422 and "Close it after that" in early.content.decode()
    assert other.status_code == 403
