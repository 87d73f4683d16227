"""Signing keys: registered with a proof or made and kept locked, revoked by date; and the registry's own."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, transaction
from pytest_django import Settings

from common import signing
from common.errors import Forbidden, Refused
from registry.models import SigningKey
from registry.services.verifying import keys
from tests.cast import OPENING, Party

PASSPHRASE = "a long and quiet evening"
LATER = OPENING + timedelta(days=30)


@pytest.fixture
def kept(verity: Party) -> SigningKey:
    """A key of the verifier's that its passphrase opens."""
    return keys.make_key(
        actor=verity.verifier, organisation=verity.organisation, name="Office", passphrase=PASSPHRASE, now=OPENING
    )


def test_a_kept_key_signs_and_is_believed(verity: Party, kept: SigningKey) -> None:
    signature = keys.signed_with(
        actor=verity.verifier, key=kept, passphrase=PASSPHRASE, content=b"document", at=OPENING
    )

    believed = keys.require_signature(
        organisation=verity.organisation, key_id=kept.key_id, content=b"document", signature=signature, at=OPENING
    )

    assert believed == kept
    assert PASSPHRASE not in kept.private_pem


def test_an_own_key_is_registered_with_a_proof_that_one_has_it(verity: Party, acme: Party) -> None:
    private = signing.new_key()
    public = signing.to_text(signing.public_bytes(private))

    def register(proof: str) -> SigningKey:
        return keys.register_key(
            actor=verity.verifier,
            organisation=verity.organisation,
            name="Card",
            public_key=public,
            proof=proof,
            now=OPENING,
        )

    with pytest.raises(Refused) as refusal:
        register(signing.sign(private, keys.proof_text(acme.organisation).encode()))
    assert refusal.value.code == "proof_invalid"

    proof = signing.sign(private, keys.proof_text(verity.organisation).encode())
    assert register(proof).private_pem == ""
    with pytest.raises(Refused) as refusal:
        register(proof)
    assert refusal.value.code == "key_registered_already"


def test_what_was_signed_before_a_revocation_stays_signed(verity: Party, kept: SigningKey) -> None:
    signature = keys.signed_with(actor=verity.verifier, key=kept, passphrase=PASSPHRASE, content=b"d", at=OPENING)

    revoked = keys.revoke_key(actor=verity.verifier, key=kept, reason="The card is lost.", now=LATER)

    assert keys.is_valid_at(revoked, OPENING) and keys.holds(revoked, b"d", signature)
    assert not keys.is_valid_at(revoked, LATER)
    with pytest.raises(Refused) as refusal:
        keys.require_signature(
            organisation=verity.organisation, key_id=kept.key_id, content=b"d", signature=signature, at=LATER
        )
    assert refusal.value.code == "key_not_valid"
    with pytest.raises(DatabaseError), transaction.atomic():
        SigningKey.objects.filter(pk=kept.pk).update(revoked_at=None)


def test_only_those_who_act_for_the_organisation_use_its_keys(verity: Party, acme: Party, kept: SigningKey) -> None:
    for stranger in (verity.viewer, acme.initiator):
        with pytest.raises(Forbidden):
            keys.signed_with(actor=stranger, key=kept, passphrase=PASSPHRASE, content=b"d", at=OPENING)
        with pytest.raises(Forbidden):
            keys.revoke_key(actor=stranger, key=kept, reason="Mischief.", now=OPENING)
    with pytest.raises(Refused) as refusal:
        keys.require_signature(
            organisation=acme.organisation, key_id=kept.key_id, content=b"d", signature="", at=OPENING
        )
    assert refusal.value.code == "key_unknown"


def test_a_signature_over_other_bytes_is_refused(verity: Party, kept: SigningKey) -> None:
    signature = keys.signed_with(actor=verity.verifier, key=kept, passphrase=PASSPHRASE, content=b"d", at=OPENING)

    with pytest.raises(Refused) as refusal:
        keys.require_signature(
            organisation=verity.organisation, key_id=kept.key_id, content=b"e", signature=signature, at=OPENING
        )

    assert refusal.value.code == "signature_invalid"


@pytest.mark.django_db
def test_the_registry_keeps_one_key_until_it_is_given_another(tmp_path: Path, settings: Settings) -> None:
    settings.REGISTRY_SIGNING_KEY, settings.REGISTRY_SIGNING_KEY_FILE = "", tmp_path / "new" / "signing-key"

    first, signature = keys.registry_signature(b"receipt", OPENING)
    again, _ = keys.registry_signature(b"receipt", LATER)
    settings.REGISTRY_SIGNING_KEY = signing.to_text(bytes(range(32)))
    other, _ = keys.registry_signature(b"receipt", LATER)

    assert first == again != other
    assert keys.holds(first, b"receipt", signature)
    assert settings.REGISTRY_SIGNING_KEY_FILE.stat().st_mode & 0o777 == 0o600
    assert set(keys.registry_keys()) == {first, other}
    settings.REGISTRY_SIGNING_KEY = "too short"
    with pytest.raises(ImproperlyConfigured):
        keys.registry_key()
