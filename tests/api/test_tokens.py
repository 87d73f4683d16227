"""Tokens: made with a password and a second factor, shown once, and worth nothing the moment they end."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth.hashers import Argon2PasswordHasher
from rest_framework.test import APIClient

from accounts.models import ApiToken, AuditEvent, Membership
from accounts.services import organisations
from tests.api.asking import refused
from tests.cast import Clock, Party, Regulator

TOKENS = "/api/v1/tokens/"
PASSWORD = "a long sentence of our own"


@pytest.fixture
def viewer(acme: Party) -> dict[str, Any]:
    """What Acme's viewer sends to get a token."""
    acme.viewer.set_password(PASSWORD)
    acme.viewer.save()
    return {"email": acme.viewer.email, "password": PASSWORD, "name": "month-end statement"}


def test_password_gives_a_token_that_is_shown_once_and_stored_as_a_hash(
    anyone: APIClient, acme: Party, viewer: dict[str, Any]
) -> None:
    answer = anyone.post(TOKENS, viewer)

    assert answer.status_code == 201
    assert answer.headers["Cache-Control"].startswith("no-store")
    secret = answer.json()["token"]
    assert secret.startswith("hr_")
    assert answer.json() | {"token": ""} == {
        "id": secret[:15],
        "name": "month-end statement",
        "scope": "read",
        "organisation": {"id": str(acme.organisation.pk), "name": "Acme", "kind": "firm"},
        "created_at": answer.json()["created_at"],
        "expires_at": answer.json()["expires_at"],
        "token": "",
    }
    stored = ApiToken.objects.get()
    assert secret not in (stored.digest, stored.token_key, stored.name)
    assert AuditEvent.objects.get(action="accounts.token.issued").actor == acme.viewer


def test_token_tells_what_it_stands_for(anyone: APIClient, acme: Party, viewer: dict[str, Any]) -> None:
    secret = anyone.post(TOKENS, viewer).json()["token"]

    me = APIClient(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/me/").json()

    assert me["user"] == {"id": str(acme.viewer.pk), "name": acme.viewer.name, "email": acme.viewer.email}
    assert (me["organisation"]["name"], me["organisation_status"], me["roles"]) == ("Acme", "active", ["viewer"])
    assert (me["token"]["scope"], "token" in me["token"]) == ("read", False)


def test_unknown_address_wrong_password_and_blocked_person_get_one_answer(
    anyone: APIClient, acme: Party, viewer: dict[str, Any]
) -> None:
    wrong = anyone.post(TOKENS, viewer | {"password": "another long sentence"})
    unknown = anyone.post(TOKENS, viewer | {"email": "nobody@example.org"})
    acme.viewer.is_active = False
    acme.viewer.save()
    blocked = anyone.post(TOKENS, viewer)

    refused(wrong, 401, "credentials_invalid")
    assert wrong.content == unknown.content == blocked.content


def test_unknown_address_costs_as_many_password_hashes_as_a_known_one(
    anyone: APIClient, viewer: dict[str, Any]
) -> None:
    def hashes(email: str) -> int:
        encode, verify = Argon2PasswordHasher.encode, Argon2PasswordHasher.verify
        with (
            patch.object(Argon2PasswordHasher, "encode", autospec=True, side_effect=encode) as encoded,
            patch.object(Argon2PasswordHasher, "verify", autospec=True, side_effect=verify) as verified,
        ):
            anyone.post(TOKENS, viewer | {"email": email, "password": "not this one, surely"})
        return int(encoded.call_count + verified.call_count)

    assert hashes(viewer["email"]) == hashes("nobody@example.org") > 0


def test_fifth_failure_makes_the_address_wait_but_nobody_else(
    anyone: APIClient, borealis: Party, viewer: dict[str, Any]
) -> None:
    borealis.viewer.set_password(PASSWORD)
    borealis.viewer.save()

    answers = [anyone.post(TOKENS, viewer | {"password": f"guess number {n}"}) for n in range(6)]
    colleague = anyone.post(TOKENS, viewer | {"email": borealis.viewer.email})

    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 401, 429]
    refused(answers[-1], 429, "throttled")
    assert colleague.status_code == 201


def test_making_tokens_is_limited_by_network_address(anyone: APIClient, viewer: dict[str, Any]) -> None:
    statuses = [anyone.post(TOKENS, {}).status_code for _ in range(21)]

    last = anyone.post(TOKENS, {}, headers={"X-Forwarded-For": "203.0.113.7"})

    assert statuses == [422] * 20 + [429]
    refused(last, 429, "throttled")
    assert int(last.headers["Retry-After"]) >= 1


@pytest.fixture
def authenticator(acme: Party) -> str:
    """The secret of the authenticator app of Acme's viewer."""
    secret: str = totp.generate_totp_secret()
    totp.TOTP.activate(acme.viewer, secret)
    return secret


def present_code(secret: str) -> str:
    counter = next(iter(totp.yield_hotp_counters_from_time()))
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))


def test_person_with_second_factor_needs_it(anyone: APIClient, viewer: dict[str, Any], authenticator: str) -> None:
    without = anyone.post(TOKENS, viewer)
    wrong = anyone.post(TOKENS, viewer | {"second_factor_code": "000000"})
    right = anyone.post(TOKENS, viewer | {"second_factor_code": present_code(authenticator)})

    refused(without, 401, "second_factor_needed")
    refused(wrong, 401, "second_factor_wrong")
    assert right.status_code == 201


def test_code_of_the_second_factor_works_once(anyone: APIClient, viewer: dict[str, Any], authenticator: str) -> None:
    code = present_code(authenticator)
    assert anyone.post(TOKENS, viewer | {"second_factor_code": code}).status_code == 201

    again = anyone.post(TOKENS, viewer | {"second_factor_code": code})

    refused(again, 401, "second_factor_wrong")


def test_recovery_code_stands_in_for_the_second_factor_once(
    anyone: APIClient, acme: Party, viewer: dict[str, Any], authenticator: str
) -> None:
    code = RecoveryCodes.activate(acme.viewer).get_unused_codes()[0]

    first = anyone.post(TOKENS, viewer | {"second_factor_code": code})
    again = anyone.post(TOKENS, viewer | {"second_factor_code": code})

    assert first.status_code == 201
    refused(again, 401, "second_factor_wrong")


def test_passkey_alone_cannot_answer_here(anyone: APIClient, acme: Party, viewer: dict[str, Any]) -> None:
    Authenticator.objects.create(user=acme.viewer, type="webauthn", data={"name": "key"})

    answer = anyone.post(TOKENS, viewer | {"second_factor_code": "123456"})

    refused(answer, 401, "second_factor_wrong")


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"email": "no address"}, "/email", "invalid"),
        ({"email": "a" * 300 + "@example.org"}, "/email", "max_length"),
        ({"password": ""}, "/password", "blank"),
        ({"password": ["x"]}, "/password", "invalid"),
        ({"name": ""}, "/name", "blank"),
        ({"scope": "admin"}, "/scope", "invalid_choice"),
        ({"days": 0}, "/days", "min_value"),
        ({"days": 91}, "/days", "max_value"),
        ({"organisation": "acme"}, "/organisation", "invalid"),
    ],
)
def test_wrong_fields_are_named(
    anyone: APIClient, viewer: dict[str, Any], change: dict[str, Any], pointer: str, code: str
) -> None:
    answer = anyone.post(TOKENS, viewer | change)

    refused(answer, 422, "fields_refused")
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in answer.json()["errors"]]


def test_token_is_for_an_organisation_in_which_one_has_a_role(
    anyone: APIClient, borealis: Party, viewer: dict[str, Any]
) -> None:
    foreign = anyone.post(TOKENS, viewer | {"organisation": str(borealis.organisation.pk)})

    refused(foreign, 404, "organisation_unknown")


def test_member_of_two_organisations_names_one(
    anyone: APIClient, regulator: Regulator, acme: Party, borealis: Party, viewer: dict[str, Any], clock: Clock
) -> None:
    organisations.grant_role(
        actor=regulator.senior, user=acme.viewer, organisation=borealis.organisation, role="viewer", now=clock.now()
    )

    unnamed = anyone.post(TOKENS, viewer)
    named = anyone.post(TOKENS, viewer | {"organisation": str(borealis.organisation.pk)})

    refused(unnamed, 422, "fields_refused")
    assert named.json()["organisation"]["name"] == "Borealis"


def test_auditors_only_get_tokens_that_read(anyone: APIClient, auditor: Party, clock: Clock) -> None:
    auditor.auditor.set_password(PASSWORD)
    auditor.auditor.save()
    asked = {"email": auditor.auditor.email, "password": PASSWORD, "name": "audit", "scope": "write"}

    refused(anyone.post(TOKENS, asked), 422, "auditors_only_read")


def test_tokens_of_one_person_are_limited_in_number(
    anyone: APIClient, acme: Party, viewer: dict[str, Any], clock: Clock
) -> None:
    ApiToken.objects.bulk_create(
        ApiToken(
            digest=f"{n:0128d}",
            token_key=f"hr_{n}",
            user=acme.viewer,
            organisation=acme.organisation,
            expiry=clock.now() + timedelta(days=1),
        )
        for n in range(20)
    )

    refused(anyone.post(TOKENS, viewer), 422, "too_many_tokens")


def test_list_shows_ones_own_live_tokens_and_no_secret(
    acme_reads: APIClient, acme_trades: APIClient, clock: Clock
) -> None:
    answer = acme_reads.get(TOKENS).json()

    assert [token["name"] for token in answer["results"]] == ["test"]
    assert "token" not in answer["results"][0]


def test_revoked_token_opens_nothing_from_that_moment(acme_reads: APIClient) -> None:
    token_id = acme_reads.get(TOKENS).json()["results"][0]["id"]

    gone = acme_reads.delete(f"{TOKENS}{token_id}/")

    assert gone.status_code == 204
    refused(acme_reads.get("/api/v1/me/"), 401, "token_invalid")
    assert AuditEvent.objects.filter(action="accounts.token.revoked").count() == 1


def test_somebody_elses_token_cannot_be_revoked(acme_reads: APIClient, borealis_reads: APIClient) -> None:
    token_id = acme_reads.get(TOKENS).json()["results"][0]["id"]

    refused(borealis_reads.delete(f"{TOKENS}{token_id}/"), 404, "token_unknown")
    assert acme_reads.get("/api/v1/me/").status_code == 200


def test_expired_token_says_so(acme_reads: APIClient, clock: Clock) -> None:
    clock.move_to(clock.now() + timedelta(days=30))

    refused(acme_reads.get("/api/v1/me/"), 401, "token_expired")


def test_ended_membership_ends_the_token_at_once(
    acme_reads: APIClient, regulator: Regulator, acme: Party, clock: Clock
) -> None:
    membership = Membership.objects.get(user=acme.viewer, organisation=acme.organisation)

    organisations.end_role(actor=regulator.senior, membership=membership, now=clock.now())

    refused(acme_reads.get("/api/v1/accounts/"), 401, "token_without_role")


def test_blocked_person_and_closed_organisation_end_the_token_at_once(
    acme_reads: APIClient, borealis_reads: APIClient, regulator: Regulator, acme: Party, borealis: Party, clock: Clock
) -> None:
    acme.viewer.is_active = False
    acme.viewer.save()
    organisations.change_status(
        actor=regulator.senior, organisation=borealis.organisation, status="closed", reason="Merged.", now=clock.now()
    )

    refused(acme_reads.get("/api/v1/me/"), 401, "token_invalid")
    refused(borealis_reads.get("/api/v1/me/"), 401, "token_without_role")


def test_suspended_organisation_may_still_read(
    acme_reads: APIClient, regulator: Regulator, acme: Party, clock: Clock
) -> None:
    organisations.change_status(
        actor=regulator.senior, organisation=acme.organisation, status="suspended", reason="Late.", now=clock.now()
    )

    assert acme_reads.get("/api/v1/me/").json()["organisation_status"] == "suspended"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer two words",
        "Bearer hr_" + "0" * 64,
        "Bearer " + "ü" * 20,
        "Bearer \x00",
        "Token hr_x",
        "Basic YTpi",
        "Bearer " + "a" * 5000,
    ],
)
@pytest.mark.usefixtures("db")
def test_any_other_header_is_no_token(anyone: APIClient, header: str) -> None:
    answer = anyone.get("/api/v1/me/", HTTP_AUTHORIZATION=header)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
