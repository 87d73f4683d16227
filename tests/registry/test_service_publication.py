"""Publication: totals at once, names after the time to appeal, nobody under appeal, and removals that stay visible."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from common.errors import Refused
from registry import selectors
from registry.engine.policy import ComplianceRule, SanctionRule
from registry.models import PublishedRun
from registry.services import cases, publication, runs
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, operator


def page(client: Client, stage: Stage) -> str:
    """Read the public page of the period."""
    return client.get(reverse("transparency-period", args=[stage.period.code])).content.decode()


def named(stage: Stage) -> set[str]:
    """Return whose letters anybody may read."""
    letters = selectors.public_letters(stage.clock.now())
    return {letter.operator.organisation.name for letter in letters}


def test_founding_terms_name_everybody_at_once(stage: Stage, acme: Party, client: Client) -> None:
    stage.report(acme, 100)

    stage.close()

    assert named(stage) == {"Acme", "Borealis"}
    assert "Names follow" not in page(client, stage)


def test_rules_wait_for_the_end_of_appeals(stage: Stage, govern: Ruling, acme: Party, client: Client) -> None:
    govern(compliance=ComplianceRule(appeal_days=30))
    stage.report(acme, 100)
    stage.close()
    table = reverse("transparency-csv", args=[stage.period.code, "compliance"])

    assert (named(stage), client.get(table).status_code) == (set(), 404)
    assert "Names follow when the time to appeal is over" in page(client, stage)
    (overview,) = selectors.public_overview()
    assert overview.letters == {"B": 1, "C": 1}

    case = cases.open_appeal(
        actor=acme.initiator,
        operator=operator(acme),
        period=stage.period,
        subject="status",
        grounds="The registry was down.",
        now=stage.clock.now(),
    )
    stage.clock.move_to(stage.clock.now() + timedelta(days=30))
    assert named(stage) == {"Borealis"}
    assert not runs.public(stage.clock.now()).filter(kind="status").exists()
    assert b"Acme" not in client.get(table).content

    stage.decide(case, "dismissed")
    assert named(stage) == {"Acme", "Borealis"}
    assert runs.public(stage.clock.now()).filter(kind="status").exists()
    assert b"Acme" in client.get(table).content


def test_a_scheme_may_name_nobody(stage: Stage, govern: Ruling, acme: Party, client: Client) -> None:
    govern(sanction=SanctionRule(rate_minor=Decimal(100), publish=False))
    stage.close()

    stage.clock.move_to(stage.clock.now() + timedelta(days=3_000))

    assert named(stage) == set()
    assert "names are not published" in page(client, stage)


def test_a_letter_is_removed_by_two_officers_and_the_removal_stays_public(
    stage: Stage, acme: Party, client: Client
) -> None:
    stage.report(acme, 100)
    stage.close()
    asked: dict[str, Any] = {"actor": stage.regulator.desk, "operator": operator(acme), "period": stage.period}
    letters = PublishedRun.objects.get(kind="status", period=stage.period)
    file = reverse("run-file", args=[letters.pk])
    assert acme.account.number in client.get(file).content.decode()

    stage.approve(publication.propose_removal(reason="A court said so.", now=stage.clock.now(), **asked))

    assert named(stage) == {"Borealis"}
    assert "A court said so." in page(client, stage)
    assert client.get(file).status_code == 404  # the file has every letter under one hash
    assert letters not in runs.public(stage.clock.now())
    with pytest.raises(Refused) as again:
        publication.propose_removal(reason="Again.", now=stage.clock.now(), **asked)
    assert again.value.code == "letter_removed_already"
