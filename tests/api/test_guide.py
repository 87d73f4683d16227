"""The guide tells the truth: each of its snippets is sent as it stands, and every error code it names exists."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from exchange.models import Market
from registry.models import AllocationRun
from tests.api.test_acting import HEADER, codecarbon_row
from tests.api.world import Caller, place
from tests.cast import Clock, Party, Regulator, capped, co2e_scheme, operator, period_of

GUIDE = Path("docs/guides/rest.md")
PASSWORD = "a permit for every flop"
CODE = ("accounts", "common", "config", "exchange", "registry")


def commands() -> list[str]:
    """Return every curl command of the guide, its line ends joined."""
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ")
    return list(re.findall(r"^curl .*?(?=^curl |^export |\Z)", lines, re.DOTALL | re.MULTILINE))


def expanded(command: str, values: dict[str, str]) -> list[str]:
    """Do what a shell would do with variables outside single quotes, and split into words."""
    parts = re.split(r"('[^']*')", command)
    filled = [
        part if part.startswith("'") else re.sub(r"\$([A-Z_]+)", lambda name: values[name[1]], part) for part in parts
    ]
    return shlex.split("".join(filled))


def curl(words: list[str], files: dict[str, str]) -> Any:
    """Send what curl would send for these words."""
    method, url, body, headers = "", "", "", {}
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-s" | "-i":
                pass
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            case "-d":
                body = next(rest)
            case "--data-binary":
                body = files[next(rest).removeprefix("@")]
            case _:
                assert not url, f"a second address: {word}"
                url = word
    content_type = headers.pop("Content-Type", "application/json")
    return APIClient(headers=headers).generic(
        method or ("POST" if body else "GET"), url.removeprefix("http://testserver"), body, content_type
    )


@pytest.fixture
def values(
    caller: Caller, regulator: Regulator, acme: Party, borealis: Party, auditor: Party, market: Market, clock: Clock
) -> dict[str, str]:
    """What a reader would have set: a log-in, tokens, account numbers, an order."""
    acme.trader.set_password(PASSWORD)
    acme.trader.save()
    scheme = co2e_scheme(regulator)
    ember = operator(regulator, scheme, "Ember", "firm", "small")
    capped(regulator, period_of(regulator, scheme))

    def token(party: Party, role: str, scope: str = "write") -> str:
        client = caller(getattr(party, role), party.organisation, scope)
        return str(client.defaults["HTTP_AUTHORIZATION"]).removeprefix("Bearer ")

    old = token(acme, "trader")
    return {
        "HEADROOM": "http://testserver",
        "EMAIL": acme.trader.email,
        "PASSWORD": PASSWORD,
        "TOKEN": token(acme, "trader"),
        "OLD_TOKEN_ID": old[:15],
        "INITIATOR_TOKEN": token(acme, "initiator"),
        "EMITTER_TOKEN": token(ember, "initiator"),
        "AUDITOR_TOKEN": token(auditor, "auditor", "read"),
        "ALLOCATION": str(AllocationRun.objects.get().pk),
        "ACCOUNT": acme.account.number,
        "TO_ACCOUNT": borealis.account.number,
        "ORDER": str(place(acme, market, "sell", 1, at=505).public_id),
        "ETAG": '"0"',
    }


def test_every_snippet_works_as_it_stands(values: dict[str, str]) -> None:
    files = {"emissions.csv": f"{HEADER}\n{codecarbon_row()}\n"}

    answers = {command: curl(expanded(command, values), files) for command in commands()}

    assert len(answers) >= 20
    assert {command: answer.content for command, answer in answers.items() if answer.status_code >= 300} == {}
    acts = [answer.status_code for command, answer in answers.items() if "Idempotency-Key" in command]
    assert acts == [201, 201, 202, 201, 201]


def test_every_code_that_the_guide_names_is_in_the_code() -> None:
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", GUIDE.read_text().split("## Errors")[1])) - {"application_json"}
    written = "".join(path.read_text() for folder in CODE for path in Path(folder).rglob("*.py"))
    frameworks = {"parse_error", "method_not_allowed", "unsupported_media_type"}

    assert {code for code in named - frameworks if f'"{code}"' not in written} == set()
    assert len(named) > 20
