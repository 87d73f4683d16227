"""Signing keys: an organisation registers its own, or has one made that its passphrase alone opens; and the registry's.

`require_signature` is how a signature that came in is believed, `signed_with` how a kept key signs, `sign` whichever of
the two was asked for, and `registry_signature` how the registry confirms what it received. All take the canonical bytes
of a document.
"""

import base64
import binascii
import os
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Organisation, User
from accounts.permissions import has_role
from accounts.services import audit
from common import signing
from common.database import assert_in_transaction
from common.errors import Unknown, require, require_permission
from registry.models import SigningKey

MAX_KEYS = 20
"""Keys in use at a time, so that a client in a loop does not fill the list."""

SEED_BYTES = 32


def may_sign_for(user: User, organisation: Organisation) -> bool:
    """Say whether a person may hold keys and sign for an organisation."""
    return organisation.kind in {"firm", "lab", "verifier"} and has_role(
        user, organisation, "initiator", "approver", "verifier"
    )


def proof_text(organisation: Organisation) -> str:
    """Return what an organisation signs to show that a key it registers is its own."""
    return f"headroom signing key of organisation {organisation.pk}"


@transaction.atomic(durable=True)
def register_key(
    *, actor: User, organisation: Organisation, name: str, public_key: str, proof: str, now: datetime
) -> SigningKey:
    """Register the public half of a key that the organisation keeps itself, with a signature that shows it has it."""
    require_permission(may_sign_for(actor, organisation), "Only those who act for the organisation register its keys.")
    public = signing.read_public_key(public_key)
    require(
        signing.is_signed(public, proof_text(organisation).encode(), proof),
        "proof_invalid",
        f"Sign this line with the private key and paste the signature in base64: {proof_text(organisation)}",
    )
    return _add(actor, organisation, name, public, "", now)


@transaction.atomic(durable=True)
def make_key(*, actor: User, organisation: Organisation, name: str, passphrase: str, now: datetime) -> SigningKey:
    """Make a key and keep it encrypted. The passphrase is not kept: whoever loses it revokes the key."""
    require_permission(may_sign_for(actor, organisation), "Only those who act for the organisation make its keys.")
    private = signing.new_key()
    pem = signing.locked(private, passphrase)
    return _add(actor, organisation, name, signing.public_bytes(private), pem, now)


@transaction.atomic(durable=True)
def revoke_key(*, actor: User, key: SigningKey, reason: str, now: datetime) -> SigningKey:
    """Let a key sign nothing from now on. What it signed before stays signed."""
    key = _locked(key.pk)
    require_permission(
        key.organisation is not None and may_sign_for(actor, key.organisation),
        "Only those who act for the organisation revoke its keys.",
    )
    require(bool(reason.strip()), "reason_missing", "Say why: lost, stolen, replaced.")
    require(key.revoked_at is None, "key_revoked", "This key was revoked already.")
    key.revoked_at, key.revoked_by, key.revocation_reason = now, actor, reason.strip()[:300]
    key.save(update_fields=["revoked_at", "revoked_by", "revocation_reason"])
    audit.record(actor, "registry.key.revoked", key, at=now, organisation=key.organisation, reason=reason)
    return key


def keys_of(organisation: Organisation) -> QuerySet[SigningKey]:
    """Every key of an organisation, those in use first."""
    return organisation.signing_keys.order_by("revoked_at", "-valid_from", "id")


def usable(organisation: Organisation, at: datetime) -> QuerySet[SigningKey]:
    """The keys with which an organisation may sign at an instant."""
    return keys_of(organisation).filter(Q(revoked_at__isnull=True) | Q(revoked_at__gt=at), valid_from__lte=at)


def usable_key(organisation: Organisation, key_id: str, at: datetime) -> SigningKey:
    """Return one of an organisation's keys by its name, or refuse."""
    key = organisation.signing_keys.filter(key_id=key_id.strip().lower()).first()
    require(
        key is not None,
        "key_unknown",
        "Your organisation has no key of this name. Register it first, or choose another one.",
    )
    assert key is not None, "Just required."
    require(is_valid_at(key, at), "key_not_valid", "This key is revoked or not valid yet. Choose another one.")
    return key


def is_valid_at(key: SigningKey, at: datetime) -> bool:
    """Say whether a signature of this key counted at an instant."""
    return key.valid_from <= at and (key.revoked_at is None or at < key.revoked_at)


def holds(key: SigningKey, content: bytes, signature: str) -> bool:
    """Say whether a signature was made over these bytes with this key."""
    return signing.is_signed(base64.b64decode(key.public_key), content, signature)


def require_signature(
    *, organisation: Organisation, key_id: str, content: bytes, signature: str, at: datetime
) -> SigningKey:
    """Return the organisation's key that signed these bytes, or refuse: unknown, revoked, or of other bytes."""
    key = usable_key(organisation, key_id, at)
    require(
        holds(key, content, signing.read_signature(signature)),
        "signature_invalid",
        "The signature is not one of this key over this very document. Download the document again and sign its bytes.",
    )
    return key


def signed_with(*, actor: User, key: SigningKey, passphrase: str, content: bytes, at: datetime) -> str:
    """Sign with a key that is kept encrypted, for one of those who act for its organisation."""
    require_permission(
        key.organisation is not None and may_sign_for(actor, key.organisation),
        "Only those who act for the organisation sign with its keys.",
    )
    require(is_valid_at(key, at), "key_not_valid", "This key is revoked or not valid yet. Choose another one.")
    require(
        bool(key.private_pem),
        "key_not_kept",
        "You keep this key yourself. Download the document, sign it with your own program and paste the signature.",
    )
    return signing.sign(signing.unlocked(key.private_pem, passphrase), content)


def sign(
    *,
    actor: User,
    organisation: Organisation,
    key_id: str,
    content: bytes,
    signature: str,
    passphrase: str,
    at: datetime,
) -> tuple[SigningKey, str]:
    """Return the key and its signature of these bytes: the one that came, or one made with the key that is kept."""
    if not signature:
        key = usable_key(organisation, key_id, at)
        signature = signed_with(actor=actor, key=key, passphrase=passphrase, content=content, at=at)
    key = require_signature(organisation=organisation, key_id=key_id, content=content, signature=signature, at=at)
    return key, "".join(signature.split())


def registry_signature(content: bytes, now: datetime) -> tuple[SigningKey, str]:
    """Sign for the registry with the key of this installation, which is put on the list when it is first used."""
    assert_in_transaction()
    private = registry_key()
    public = signing.public_bytes(private)
    key, _ = SigningKey.objects.get_or_create(
        key_id=signing.key_id(public),
        defaults={"name": "Registry", "public_key": signing.to_text(public), "valid_from": now},
    )
    return key, signing.sign(private, content)


def registry_keys() -> QuerySet[SigningKey]:
    """Every key with which the registry has signed, for those who check its receipts."""
    return SigningKey.objects.filter(organisation__isnull=True).order_by("-valid_from", "id")


def registry_key() -> Ed25519PrivateKey:
    """Return the private key of this installation: from the environment, or from a file outside production."""
    return _from_seed(settings.REGISTRY_SIGNING_KEY or _kept_seed(settings.REGISTRY_SIGNING_KEY_FILE))


@lru_cache(maxsize=4)
def _from_seed(text: str) -> Ed25519PrivateKey:
    try:
        seed = base64.b64decode(text, validate=True)
    except binascii.Error:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise ImproperlyConfigured("HEADROOM_SIGNING_KEY is 32 random bytes in base64: openssl rand -base64 32.")
    return signing.key_from_seed(seed)


def _kept_seed(path: Path) -> str:
    """Return the secret in a file, which is made when it is missing; two who make it at once agree on one."""
    if not path.exists():
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(signing.to_text(os.urandom(SEED_BYTES)))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _add(
    actor: User, organisation: Organisation, name: str, public: bytes, private_pem: str, now: datetime
) -> SigningKey:
    organisation = Organisation.objects.select_for_update().get(pk=organisation.pk)
    require(bool(name.strip()), "name_missing", "Give the key a name that your people recognise.")
    require(
        usable(organisation, now).count() < MAX_KEYS, "keys_too_many", f"{MAX_KEYS} keys are in use. Revoke one first."
    )
    key_id = signing.key_id(public)
    require(
        not SigningKey.objects.filter(key_id=key_id).exists(),
        "key_registered_already",
        "This key is registered already. Make a new pair of keys.",
    )
    key = SigningKey.objects.create(
        organisation=organisation,
        name=name.strip()[:80],
        key_id=key_id,
        public_key=signing.to_text(public),
        private_pem=private_pem,
        valid_from=now,
        registered_by=actor,
    )
    audit.record(
        actor,
        "registry.key.registered",
        key,
        at=now,
        organisation=organisation,
        key_id=key_id,
        kept_here=bool(private_pem),
    )
    return key


def _locked(key_id: UUID) -> SigningKey:
    key = SigningKey.objects.select_for_update(of=("self",)).select_related("organisation").filter(pk=key_id).first()
    if key is None:
        raise Unknown("key_unknown", "There is no such key. Check the address.")
    return key
