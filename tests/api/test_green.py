"""Two-tier inference over REST: from a forecast to a published claim, and a plan that anybody may ask for."""

from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from common import signing
from registry.engine.canonical import canonical_json
from registry.models import AvoidedClaim, FlexEvent, Forecast, Period
from tests.api.asking import field_codes, refused
from tests.api.world import Caller
from tests.cast import OPENING, Clock, Party, Regulator, engage, verifiers_key
from tests.registry import flexed
from tests.registry.flexed import CISO, DAY, DIRTY, MORNING_AFTER, NUMBER
from tests.registry.gridded import intensity_file, load

FORECAST = {"zone": "CISO", "day": DAY.isoformat(), "values": CISO, "source": "Grid operator"}


def test_a_claim_goes_over_rest_from_its_forecast_to_the_public_list(
    caller: Caller,
    acme: Party,
    borealis: Party,
    verity: Party,
    regulator: Regulator,
    capped_period: Period,
    clock: Clock,
) -> None:
    assert acme.operator is not None
    engage(verity, acme.operator, capped_period, OPENING)
    stream, tariff = flexed.stream_of(acme), flexed.tariff_of(acme)
    firm = caller(acme.initiator, acme.organisation, "write")
    verifier = caller(verity.verifier, verity.organisation, "write")
    stranger = caller(borealis.initiator, borealis.organisation, "write")
    anyone = APIClient()

    clock.move_to(flexed.EVENING_BEFORE)
    sent = [firm.post(reverse("forecast-list"), FORECAST) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [201, 201]
    assert sent[0].json() == sent[1].json() and Forecast.objects.count() == 1  # the same again is itself
    assert list(field_codes(firm.post(reverse("forecast-list"), FORECAST | {"values": CISO[:5]}))) == ["/values"]

    clock.move_to(MORNING_AFTER)
    refused(firm.post(reverse("forecast-list"), FORECAST | {"source": "Late"}), 422, "forecast_in_hindsight")
    load(regulator, intensity_file("CISO", CISO, first=NUMBER))
    flexed.deliver(acme, flexed.day_of_records(stream))
    events: dict[str, Any] = {
        "tariff": str(tariff.pk),
        "workload": str(stream.pk),
        "events": [{"hour": f"2026-03-03T{hour:02}:00:00Z", "point": "small", "requests": "20000"} for hour in DIRTY],
    }
    assert list(field_codes(stranger.post(reverse("flex-event-list"), events))) == ["/tariff"]
    assert firm.post(reverse("flex-event-list"), events).status_code == 201
    repeated = firm.post(reverse("flex-event-list"), events)
    assert repeated.status_code == 422 and FlexEvent.objects.count() == len(DIRTY)
    listed = firm.get(reverse("flex-event-list")).json()["results"]
    assert [row["forecast_g_per_kwh"] for row in reversed(listed)] == [CISO[hour].rstrip("0") for hour in DIRTY]

    body = {
        "tariff": str(tariff.pk),
        "workload": str(stream.pk),
        "starts_at": "2026-03-03T00:00:00Z",
        "ends_at": "2026-03-04T02:00:00Z",
        "subscribers": 1000,
    }
    short = firm.post(reverse("avoided-claim-list"), body)
    refused(short, 422, "hours_missing")
    assert "2026-03-04 00:00 to 02:00 UTC" in short.json()["detail"]
    drafted = firm.post(reverse("avoided-claim-list"), body | {"ends_at": "2026-03-04T00:00:00Z"})
    assert drafted.status_code == 201
    claim = drafted.json()
    assert (claim["avoided_g"], claim["status"], claim["serial"]) == ("7643.616", "draft", "")
    for other in (stranger, verifier):
        assert other.get(reverse("avoided-claim-detail", args=[claim["id"]])).status_code == 404
    assert firm.post(reverse("avoided-claim-submission", args=[claim["id"]])).json()["status"] == "submitted"
    refused(firm.post(reverse("avoided-claim-submission", args=[claim["id"]])), 422, "claim_not_submitted_to_submitted")

    key, private = verifiers_key(verity, MORNING_AFTER)
    document = verifier.get(reverse("avoided-claim-unsigned", args=[claim["id"]]), {"findings": "Recomputed."}).json()
    statement = {
        "findings": "Recomputed.",
        "key_id": key.key_id,
        "signature": signing.sign(private, canonical_json(document)),
    }
    wrong = verifier.post(
        reverse("avoided-claim-statement", args=[claim["id"]]), statement | {"findings": "Something else."}
    )
    refused(wrong, 422, "signature_invalid")
    signed = verifier.post(reverse("avoided-claim-statement", args=[claim["id"]]), statement)
    assert signed.json()["statement"]["document"] == document

    assert anyone.get(reverse("published-claim-list")).json()["results"] == []
    published = firm.post(reverse("avoided-claim-publication", args=[claim["id"]])).json()
    assert anyone.get(reverse("published-claim-detail", args=[published["serial"]])).json() == published
    assert firm.get(reverse("avoided-claim-inputs", args=[claim["id"]])).json() == AvoidedClaim.objects.get().inputs
    shown = anyone.get(reverse("tariff-list"), {"tier": "green", "in_force_on": "2026-03-03"}).json()["results"]
    assert [point["kwh_per_request"] for point in shown[0]["points"]] == ["0.00034", "0.0001"]

    refused(
        stranger.post(reverse("avoided-claim-withdrawal", args=[claim["id"]]), {"reason": "Mine."}), 404, "not_found"
    )
    withdrawn = firm.post(reverse("avoided-claim-withdrawal", args=[claim["id"]]), {"reason": "Metered anew."})
    assert withdrawn.json()["withdrawal_reason"] == "Metered anew."
    states = [row["status"] for row in anyone.get(reverse("published-claim-list")).json()["results"]]
    assert states == ["withdrawn"]


def test_a_plan_is_worked_out_for_anybody(regulator: Regulator) -> None:
    load(regulator, intensity_file("CISO", CISO * 3))
    anyone = APIClient()

    place = anyone.get(reverse("green-plan-places")).json()[0]
    plan = anyone.get(reverse("green-plan"), place).json()
    later = anyone.get(reverse("green-plan"), place | {"mode": "later"}).json()
    swings = {row["code"]: row["steps"] for row in anyone.get(reverse("green-plan-sensitivity"), place).json()}

    assert place == {"zone": "CISO", "year": 2026}
    assert (plan["days"], plan["days_left_out"], plan["factor_sets"]) == (3, 362, ["us-2026 v1"])
    assert round(100 * plan["plan"]["estimated_share"], 2) == 4.92
    assert round(100 * later["plan"]["estimated_share"], 2) == 4.0
    assert len(plan["by_hours"]) == len(swings["hours_per_day"]) == 24
    assert plan["best"]["estimated_margin"] == max(row["estimated_margin"] for row in plan["by_hours"])


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"zone": "MARS"}, 404, "zone_year_unknown"),
        ({"year": "2025"}, 404, "zone_year_unknown"),
        ({"green_share": "2"}, 422, "green_share_out_of_range"),
        ({"green_share": "1e400"}, 400, "parameter_invalid"),
        ({"mode": "never"}, 400, "parameter_invalid"),
        ({"colour": "green"}, 400, "parameter_unknown"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(
    regulator: Regulator, change: dict[str, str], status: int, code: str
) -> None:
    load(regulator, intensity_file("CISO", CISO))

    for address in ("green-plan", "green-plan-sensitivity"):
        refused(APIClient().get(reverse(address), {"zone": "CISO", "year": "2026"} | change), status, code)
