"""Signatures: what a key signs, what it does not, and how keys are named, kept and read."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common import signing
from common.errors import Refused

# The first test vector of RFC 8032: another program's key and signature over nothing.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNATURE = base64.b64encode(
    bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b"
    )
).decode()


def test_signatures_are_those_of_the_standard() -> None:
    key = signing.key_from_seed(SEED)

    assert signing.public_bytes(key) == PUBLIC
    assert signing.sign(key, b"") == SIGNATURE
    assert signing.is_signed(PUBLIC, b"", SIGNATURE)


@pytest.mark.parametrize(
    ("content", "signature"),
    [
        (b" ", SIGNATURE),
        (b"", signing.to_text(bytes(64))),
        (b"", SIGNATURE[:-4]),
        (b"", "not base64"),
        (b"", ""),
        (b"", "é" * 88),
    ],
)
def test_anything_else_is_not_signed(content: bytes, signature: str) -> None:
    assert not signing.is_signed(PUBLIC, content, signature)


def test_another_key_did_not_sign() -> None:
    assert not signing.is_signed(signing.public_bytes(signing.new_key()), b"", SIGNATURE)


def test_a_key_is_named_by_its_public_half() -> None:
    assert signing.key_id(PUBLIC) == "21fe31dfa154a261626bf854046fd227"
    assert signing.key_id(signing.public_bytes(signing.new_key())) != signing.key_id(PUBLIC)


@pytest.mark.parametrize("text", [signing.to_text(PUBLIC), f" {signing.to_text(PUBLIC)}\n", signing.to_pem(PUBLIC)])
def test_public_keys_are_read_as_pem_and_as_base64(text: str) -> None:
    assert signing.read_public_key(text) == PUBLIC


def other_kind() -> str:
    """Return a public key that agrees on secrets and signs nothing."""
    public = X25519PrivateKey.generate().public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "public_key_unreadable"),
        ("ssh-ed25519 AAAA", "public_key_unreadable"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "public_key_unreadable"),
        (other_kind(), "public_key_unreadable"),
        (base64.b64encode(bytes(31)).decode(), "public_key_unreadable"),
        (base64.b64encode(bytes(32)).decode(), "public_key_weak"),
        (base64.b64encode(b"\x01" + bytes(30) + b"\x80").decode(), "public_key_weak"),
        (base64.b64encode(b"\xff" * 32).decode(), "public_key_weak"),
    ],
)
def test_what_is_no_key_to_rely_on_is_refused(text: str, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        signing.read_public_key(text)

    assert refusal.value.code == code


def test_every_key_of_a_small_order_is_known() -> None:
    """The points that vanish when added to themselves eight times, worked out again from the curve's own equation."""
    p, d = 2**255 - 19, -121665 * pow(121666, -1, 2**255 - 19) % (2**255 - 19)

    def root(square: int) -> int:
        candidate = pow(square, (p + 3) // 8, p)
        return candidate if candidate * candidate % p == square else candidate * pow(2, (p - 1) // 4, p) % p

    def doubled(x: int, y: int) -> tuple[int, int]:
        both = d * x * x * y * y % p
        return (
            2 * x * y * pow(1 + both, -1, p) % p,
            (y * y + x * x) * pow(1 - both, -1, p) % p,
        )

    for y in signing._SMALL:
        x = root((y * y - 1) * pow(d * y * y + 1, -1, p) % p)
        assert doubled(*doubled(*doubled(x, y % p))) == (0, 1)


def test_a_kept_key_opens_with_its_passphrase_only() -> None:
    key = signing.new_key()
    kept = signing.locked(key, "correct horse battery")

    assert "ENCRYPTED" in kept
    assert signing.public_bytes(signing.unlocked(kept, "correct horse battery")) == signing.public_bytes(key)
    with pytest.raises(Refused) as refusal:
        signing.unlocked(kept, "wrong horse battery")
    assert refusal.value.code == "passphrase_wrong"


def test_a_short_passphrase_keeps_nothing() -> None:
    with pytest.raises(Refused) as refusal:
        signing.locked(Ed25519PrivateKey.generate(), "short")

    assert refusal.value.code == "passphrase_too_short"


def test_a_pasted_signature_is_read_or_refused() -> None:
    assert signing.read_signature(f"{SIGNATURE[:40]}\n{SIGNATURE[40:]}\n") == SIGNATURE
    with pytest.raises(Refused) as refusal:
        signing.read_signature("abc")
    assert refusal.value.code == "signature_unreadable"
