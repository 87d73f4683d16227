"""Calculators over REST: the table, results with exact figures and steps, and refusals at their field."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from registry.services.calculators import CALCULATORS
from tests.api.asking import field_codes, refused

pytestmark = pytest.mark.django_db


def test_anybody_reads_the_table_and_works_one_out_by_address_or_body() -> None:
    anyone = APIClient()

    table = anyone.get(reverse("calculator-list")).json()
    assert [row["name"] for row in table] == list(CALCULATORS)
    energy = next(row for row in table if row["name"] == "device-energy")
    assert [(one["name"], one["unit"], one["required"]) for one in energy["inputs"]][:2] == [
        ("device_hours", "h", True),
        ("watts", "W", True),
    ]

    address = reverse("calculator-result", args=["device-energy"])
    gpt3: dict[str, str | int] = {"device_hours": "3552000", "watts": 330, "pue": "1.10"}
    by_address, by_body = anyone.get(address, gpt3), anyone.post(address, gpt3, format="json")
    assert by_address.json() == by_body.json()
    found = by_body.json()
    assert found["figures"][0] == {"label": "At the site", "value": "1289376", "unit": "kWh", "high": None}
    assert found["steps"][-1] == {"name": "IT energy x PUE", "value": "1289376", "unit": "kWh"}

    ranged = anyone.get(reverse("calculator-result", args=["request-estimate"]), energy_of_a_request()).json()
    assert ranged["estimate"] and float(ranged["figures"][0]["high"]) > float(ranged["figures"][0]["value"])
    rows = {"hours": ["10 25 400", "10 10 400", "10 5 400", "10 0 400"]}
    market = anyone.post(reverse("calculator-result", args=["market-emissions"]), rows, format="json").json()
    assert [figure["value"] for figure in market["figures"]] == ["0.006", "6000", "62.5", "100", "0"]


def energy_of_a_request() -> dict[str, str]:
    return dict(CALCULATORS["request-estimate"].examples[0].typed)


def test_bad_figures_are_refused_at_their_field_and_unknown_names_are_named() -> None:
    anyone = APIClient()
    address = reverse("calculator-result", args=["device-energy"])

    assert field_codes(anyone.get(address, {"watts": "x"})) == {
        "/device_hours": "figure_missing",
        "/watts": "not_a_number",
    }
    assert field_codes(anyone.post(address, {"device_hours": 1.5, "watts": "1"}, format="json")) == {
        "/device_hours": "not_text"
    }
    assert field_codes(anyone.post(address, {"colour": "blue"}, format="json")) == {"/colour": "input_unknown"}
    refused(anyone.get(address, {"colour": "blue"}), 400, "parameter_unknown")
    assert anyone.post(address, ["1"], format="json").status_code == 400
    assert anyone.get(reverse("calculator-result", args=["nothing"])).status_code == 404
