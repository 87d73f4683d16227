"""Signatures: Ed25519 over the bytes of a document, with keys that are named by their fingerprint.

What is signed is a document in its canonical form, which names its own schema, so that a signature under one kind of
document is never good for another. A signature and a public key are written in base64: 64 and 32 bytes.
"""

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from common.errors import refuse, require

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
MIN_PASSPHRASE, MAX_PASSPHRASE = 15, 200

_FIELD = 2**255 - 19
_ORDER_EIGHT = (
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
)
_SMALL = {0, 1, _FIELD - 1, _FIELD, _FIELD + 1, *_ORDER_EIGHT}
"""Keys of a small order, by their coordinate: under these one signature would be good for many documents."""


def new_key() -> Ed25519PrivateKey:
    """Make a key from the randomness of the operating system."""
    return Ed25519PrivateKey.generate()


def key_from_seed(seed: bytes) -> Ed25519PrivateKey:
    """Return the key that these 32 secret bytes stand for."""
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_bytes(private: Ed25519PrivateKey) -> bytes:
    """Return the public half of a key."""
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id(public: bytes) -> str:
    """Return the name of a key: the first 32 hexadecimal digits of the hash of its public half."""
    return hashlib.sha256(public).hexdigest()[:32]


def to_text(content: bytes) -> str:
    """Write a key or a signature in base64."""
    return base64.b64encode(content).decode()


def to_pem(public: bytes) -> str:
    """Write a public key as other programs read it."""
    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign(private: Ed25519PrivateKey, content: bytes) -> str:
    """Sign bytes and return the signature in base64."""
    return to_text(private.sign(content))


def is_signed(public: bytes, content: bytes, signature: str) -> bool:
    """Say whether a signature in base64 was made over these very bytes with the key of this public half."""
    signed = _from_base64(signature, SIGNATURE_BYTES)
    if signed is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_signature(text: str) -> str:
    """Return a signature that somebody pasted, as it is kept; refuse what cannot be one."""
    signed = _from_base64(text, SIGNATURE_BYTES)
    if signed is None:
        refuse("signature_unreadable", "Paste the Ed25519 signature in base64: 88 characters that end in ==.")
    return to_text(signed)


def read_public_key(text: str) -> bytes:
    """Return the 32 bytes of a public key that is given as PEM or in base64; refuse what is none of use."""
    text = text.strip()
    raw = _from_pem(text) if text.startswith("-----BEGIN PUBLIC KEY-----") else _from_base64(text, PUBLIC_BYTES)
    if raw is None:
        refuse(
            "public_key_unreadable",
            "Give an Ed25519 public key: a PEM block that begins with BEGIN PUBLIC KEY, or its 32 bytes in base64.",
        )
    coordinate = int.from_bytes(raw, "little") & (2**255 - 1)
    require(
        coordinate not in _SMALL and coordinate < _FIELD,
        "public_key_weak",
        "This is no key that a program makes: anybody's signature could fit it. Make a new pair of keys.",
    )
    return raw


def require_passphrase(passphrase: str) -> None:
    """Refuse a passphrase that would not keep a key."""
    require(
        MIN_PASSPHRASE <= len(passphrase) <= MAX_PASSPHRASE,
        "passphrase_too_short",
        f"Choose a passphrase of {MIN_PASSPHRASE} to {MAX_PASSPHRASE} characters. Nobody can find it again for you.",
    )


def locked(private: Ed25519PrivateKey, passphrase: str) -> str:
    """Return a private key as encrypted PKCS 8, which only its passphrase opens."""
    require_passphrase(passphrase)
    encryption = BestAvailableEncryption(passphrase.encode())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def unlocked(pem: str, passphrase: str) -> Ed25519PrivateKey:
    """Open a private key with its passphrase, or refuse."""
    try:
        private = load_pem_private_key(pem.encode(), passphrase.encode())
    except (ValueError, TypeError):
        refuse("passphrase_wrong", "The passphrase does not open this key. Type it again.")
    assert isinstance(private, Ed25519PrivateKey), "We keep keys of this kind only."
    return private


def _from_pem(text: str) -> bytes | None:
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw) if isinstance(key, Ed25519PublicKey) else None


def _from_base64(text: str, length: int) -> bytes | None:
    """Read exactly so many bytes, spaces and line ends around and between forgiven."""
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if len(content) == length else None
