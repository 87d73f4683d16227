"""Marks: how far each background reader of the transfers has come."""

from django.db import models


class Mark(models.Model):
    """Everything up to this transfer has been read by the named background work."""

    name = models.CharField(max_length=40, primary_key=True)
    up_to = models.BigIntegerField(default=0, help_text="The id of the last transfer read.")

    def __str__(self) -> str:
        return f"{self.name}: {self.up_to}"
