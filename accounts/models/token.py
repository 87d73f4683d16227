"""API tokens: one person acting for one organisation, with a scope and an end."""

from typing import ClassVar

from django.db import models
from knox.models import AbstractAuthToken

from accounts.models.organisation import Organisation


class ApiToken(AbstractAuthToken):
    """A bearer token, hashed at rest. It sees what its organisation may see, and never more than its user may do."""

    class Scope(models.TextChoices):
        READ = "read", "Read"
        WRITE = "write", "Read and write"

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100, help_text="What this token is for.")
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.READ)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created"]
