"""Signing keys: whose signature counts from when to when. Public halves are enough; a private one is kept locked."""

import uuid
from typing import ClassVar

import pgtrigger
from django.db import models

from accounts.models import Organisation, User


class SigningKey(models.Model):
    """A key of an organisation, or the registry's own where there is no organisation.

    What was signed before a revocation stays signed. A private half is kept only if its owner asked for it, encrypted
    with a passphrase that we never keep.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(
        Organisation, null=True, blank=True, on_delete=models.PROTECT, related_name="signing_keys"
    )
    name = models.CharField(max_length=80)
    key_id = models.CharField(max_length=32, unique=True, help_text="First 32 digits of the public half's hash.")
    public_key = models.CharField(max_length=44, help_text="The 32 bytes of the public half in base64.")
    private_pem = models.TextField(blank=True, help_text="PKCS 8, encrypted; empty where the owner keeps it.")
    valid_from = models.DateTimeField()
    registered_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    revocation_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="revoked_key_says_why",
                condition=models.Q(revoked_at__isnull=True) | ~models.Q(revocation_reason=""),
            ),
            models.CheckConstraint(
                name="kept_key_is_encrypted",
                condition=models.Q(private_pem="")
                | models.Q(private_pem__startswith="-----BEGIN ENCRYPTED PRIVATE KEY-----", organisation__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["organisation", "-valid_from", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(
                name="signing_key_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "organisation", "name", "key_id", "public_key", "private_pem", "valid_from", "registered_by"
                ),
            ),
            pgtrigger.Protect(
                name="revocation_stands",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.revoked_at IS NOT NULL"),
            ),
            pgtrigger.Protect(name="signing_key_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id[:8]})"
