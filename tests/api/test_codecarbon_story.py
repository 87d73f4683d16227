"""From a run that a real CodeCarbon client measures to the permits that its operator owes, by HTTP and nothing else.

Given are a scheme with an open period, an operator, and an accredited verifier. The year of use is that of the real
clock, by which the client measures; then our clock is moved to the next year, when reports are filed.
"""

import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.live_server_helper import LiveServer
from rest_framework.test import APIClient

from common import signing
from registry.engine.verification import CHECKLIST, CONFLICTS
from registry.models import Period, Scheme
from registry.services import schemes
from registry.services.verifying import keys
from tests import cast
from tests.api.world import Caller
from tests.cast import Clock, Party, Regulator
from tests.clients.environment import measure

THIS_YEAR = datetime.now(UTC).year
FRANCE_G_PER_KWH = Decimal("56.039")
PERMIT_G = Decimal("0.000001")


@pytest.fixture
def scheme(regulator: Regulator) -> Scheme:
    """A scheme whose permit covers a millionth of a gram of CO2e, so that seconds of work owe hundreds of permits."""
    return schemes.create_scheme(
        actor=regulator.desk,
        code="ai-co2e",
        name="AI emissions",
        metric="co2e",
        unit_size=PERMIT_G,
        currency="eur",
        zone="UTC",
        large_transfer=cast.LARGE_TRANSFER,
        sanction_minor=cast.SANCTION_MINOR,
        now=cast.OPENING,
    )


@pytest.fixture
def draft_period(regulator: Regulator, scheme: Scheme) -> Period:
    """The year in which the client really measures."""
    return cast.period_of(regulator, scheme, THIS_YEAR)


@pytest.mark.django_db(transaction=True)
def test_a_measured_run_ends_as_a_verified_obligation(
    live_server: LiveServer,
    caller: Caller,
    acme: Party,
    verity: Party,
    capped_period: Period,
    clock: Clock,
    tmp_path: Path,
) -> None:
    clock.move_to(datetime.now(UTC))
    cast.accredit(verity, capped_period.scheme, clock.now())
    browser = Client(headers={"host": live_server.url.removeprefix("http://")})
    browser.force_login(acme.initiator)

    configuration = set_up(browser, acme)
    browser.get(reverse("meters"))
    measured = measure(tmp_path, configuration + "measure_power_secs = 1\n", seconds=3)

    clock.move_to(datetime(THIS_YEAR + 1, 2, 1, 9, tzinfo=UTC))
    taken = browser.post(reverse("meters-take"), form("take", period=str(capped_period.pk)), follow=True)
    assert "1 runs are in the draft" in taken.content.decode(), taken.content.decode()
    filed = browser.post(
        reverse("draft-file-report", args=[capped_period.code]), form("filing", boundary="full stack"), follow=True
    )
    assert filed.status_code == 200, filed.content.decode()
    firm = caller(acme.initiator, acme.organisation, "write")
    report = firm.get("/api/v1/reports/").json()["results"][0]
    verify(caller, firm, verity, capped_period, report["id"])

    energy = Decimal(measured.row["energy_consumed"])
    owed = firm.get("/api/v1/obligations/").json()["results"]
    permits = int((energy * FRANCE_G_PER_KWH / PERMIT_G).to_integral_value(ROUND_HALF_UP))
    assert [(one["report"], one["quantity"]) for one in owed] == [(report["id"], str(permits))]
    assert permits > 100
    assert firm.get(f"/api/v1/reports/{report['id']}/").json()["status"] == "verified"


def set_up(browser: Client, acme: Party) -> str:
    """Make a project, an experiment and a token on the pages; return what the page says to copy."""
    operator = acme.organisation.operators.get()
    project = browser.post(reverse("meter-new"), form("project", name="Cluster", operator=str(operator.pk)))["Location"]
    made = browser.post(f"{project}experiments/", form("experiment", name="otter", activity="training", country="FRA"))
    page = browser.post(f"{project}tokens/", form("token", name="node 1", level="write", days="30")).content.decode()
    secret = re.search(r"hrm_[\w-]{43}", page)
    assert secret is not None, page
    copied = re.search(r"<pre.*?>(.*?)</pre>", browser.get(made["Location"]).content.decode(), re.DOTALL)
    assert copied is not None
    return unescape(copied.group(1)).replace("hrm_...", secret.group()).strip() + "\n"


def form(prefix: str, **typed: str) -> dict[str, str]:
    """Return what a browser sends for a form."""
    return {f"{prefix}-{name}": value for name, value in {"key": str(uuid4()), **typed}.items()}


def verify(caller: Caller, firm: APIClient, verity: Party, period: Period, report: str) -> None:
    """Appoint the verifier, look through the report, and state a positive opinion, signed with its own key."""
    lead = caller(verity.verifier, verity.organisation, "write")
    reviewer = caller(verity.reviewer, verity.organisation, "write")
    asked = post(firm, "appointments/", {"period": period.code, "verifier": str(verity.organisation.pk)})
    post(lead, f"appointments/{asked['id']}/accept/", {"conflicts": dict.fromkeys(CONFLICTS, False)})
    post(lead, f"reports/{report}/verification/", {})
    for item in CHECKLIST:
        who = reviewer if item == "independent_review" else lead
        post(who, f"reports/{report}/checklist/", {"item": item, "outcome": "done", "note": "Looked at."})
    private = signing.new_key()
    public = signing.to_text(signing.public_bytes(private))
    proof = signing.sign(private, keys.proof_text(verity.organisation).encode())
    key = post(lead, "signing-keys/", {"name": "Card", "public_key": public, "proof": proof})
    opinion = {"opinion": "positive", "findings": "", "key_id": key["key_id"]}
    unsigned = lead.get(f"/api/v1/reports/{report}/statement/unsigned/", opinion).content
    post(lead, f"reports/{report}/statement/", opinion | {"signature": signing.sign(private, unsigned)})


def post(client: APIClient, path: str, content: dict[str, Any]) -> Any:
    """Send an act that has to succeed."""
    answer = client.post(f"/api/v1/{path}", content, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code in {200, 201}, answer.content
    return answer.json()
