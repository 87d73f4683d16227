"""Published runs: letters at the deadline, what the public sees of them, and the cap that the rules give."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from common.errors import Refused, Unknown
from registry.engine import runs as engine
from registry.engine.canonical import sha256
from registry.models import ComplianceRecord, Period, PublishedRun, Scheme
from registry.services import caps, compliance, rules, runs
from tests import cast
from tests.cast import Clock, Regulator


def test_letters_are_published_with_their_facts_and_shown_when_names_are(period: Period, clock: Clock) -> None:
    now = clock.move_to(period.surrender_due + cast.SECOND)
    with transaction.atomic():
        compliance.begin_closing(period, now)
        compliance.record_deadline_status(period, now)
        compliance.record_deadline_status(period, now)

    run = PublishedRun.objects.get(kind="status")
    letters = {line["operator"]: line["status"] for line in run.document["result"]["lines"]}
    official = ComplianceRecord.objects.filter(occasion="deadline").values_list("operator__account__number", "status")
    assert letters == dict(official)
    assert engine.differences(run.document) == []
    assert sha256(run.document) == run.sha256
    with pytest.raises(Unknown):
        runs.public_run(run.pk, now)

    with transaction.atomic():
        compliance.publish(period, now)
    assert run in runs.public(now)
    later = now + timedelta(days=30)
    Period.objects.filter(pk=period.pk).update(names_public_at=later)
    assert run not in runs.public(now)
    assert run in runs.public(later)


def test_a_run_is_kept_as_it_was_published(period: Period, django_assert_num_queries: Any) -> None:
    run = PublishedRun.objects.get(kind="allocation")

    with pytest.raises(Exception, match="Cannot update or delete"), transaction.atomic():
        PublishedRun.objects.filter(pk=run.pk).update(sha256="0" * 64)
    with django_assert_num_queries(1):
        assert [each.period.code for each in runs.public(cast.OPENING)] == [period.code]


def test_the_cap_is_the_one_that_the_rules_give(regulator: Regulator, scheme: Scheme, draft_period: Period) -> None:
    with pytest.raises(Refused, match="no cap"):
        caps.propose_cap_by_rules(actor=regulator.desk, period=draft_period, now=cast.OPENING)
    entry = {
        "name": "cap.table",
        "value": {str(cast.YEAR): "12345"},
        "valid_from": f"{cast.YEAR}-01-01",
        "valid_to": None,
        "source": "Order 1",
    }
    change = rules.propose_change(
        actor=regulator.desk,
        scheme=scheme,
        title="A cap",
        entries=[entry],
        reason_code="correction",
        now=cast.OPENING,
    )
    regulator.approve(change)

    with pytest.raises(Refused) as refused:
        caps.propose_cap(actor=regulator.desk, period=draft_period, quantity=12_346, now=cast.OPENING)
    assert refused.value.code == "cap_differs_from_rules"
    regulator.approve(caps.propose_cap_by_rules(actor=regulator.desk, period=draft_period, now=cast.OPENING))
    draft_period.refresh_from_db()
    assert (draft_period.status, draft_period.caps.get().quantity) == ("open", 12_345)
