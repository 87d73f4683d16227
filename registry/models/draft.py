"""Drafts: a report in the making, filled from uploads, meters and typed lines, until it is filed as a version."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import User
from common.lifecycle import Lifecycle
from registry.models.operator import Operator
from registry.models.plan import MonitoringPlan
from registry.models.report import EvidenceFile, Report, ReportLine
from registry.models.scheme import Period
from registry.models.site import Workload

DRAFT = Lifecycle("draft", {"open": {"filed", "discarded"}, "direct": {"filed"}, "filed": set(), "discarded": set()})
"""What a client sends whole in one request passes through a direct draft, beside the one that people work on."""

UPLOAD = Lifecycle(
    "upload",
    {
        "received": {"reading", "removed"},
        "reading": {"read", "refused", "removed"},
        "read": {"removed"},
        "refused": {"removed"},
        "removed": set(),
    },
)
"""A worker that dies leaves an upload reading; the next one goes on from the rows that were committed."""


class Draft(models.Model):
    """The one report that an operator is preparing for a period. Filing it turns its lines into a report version."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="drafts")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="drafts")
    status = models.CharField(max_length=20, choices=DRAFT.choices, default=DRAFT.initial)
    boundary = models.CharField(max_length=200, blank=True)
    plan = models.ForeignKey(MonitoringPlan, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    report = models.OneToOneField(Report, null=True, on_delete=models.PROTECT, related_name="draft")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["operator", "period"], condition=models.Q(status="open"), name="one_open_draft"
            ),
            models.CheckConstraint(
                name="filed_draft_has_its_report",
                condition=models.Q(status="filed", report__isnull=False)
                | (~models.Q(status="filed") & models.Q(report__isnull=True)),
            ),
        ]
        ordering: ClassVar[list[str]] = ["period", "operator", "-created_at"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            DRAFT.trigger(),
            pgtrigger.Protect(
                name="draft_frozen", operation=pgtrigger.Update, condition=pgtrigger.AnyChange("operator", "period")
            ),
        ]

    def __str__(self) -> str:
        return f"draft of {self.operator} for {self.period.year}"


class DraftFile(models.Model):
    """A further file that will be kept with the report: a meter log, a bill, a calibration certificate."""

    id = models.BigAutoField(primary_key=True)
    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="files")
    file = models.ForeignKey(EvidenceFile, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["draft", "file"], name="a_draft_keeps_a_file_once"),
        ]
        ordering: ClassVar[list[str]] = ["draft", "id"]

    def __str__(self) -> str:
        return f"{self.file} with {self.draft}"


class Upload(models.Model):
    """A file on its way into a draft: read by a worker, all of it or none, with its progress and every error."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="uploads")
    file = models.ForeignKey(EvidenceFile, on_delete=models.PROTECT, related_name="uploads")
    format = models.CharField(max_length=30)
    options = models.JSONField(default=dict, encoder=DjangoJSONEncoder, help_text="What the file cannot say by itself.")
    workload = models.ForeignKey(Workload, null=True, blank=True, on_delete=models.PROTECT, related_name="uploads")
    status = models.CharField(max_length=20, choices=UPLOAD.choices, default=UPLOAD.initial)
    rows = models.PositiveIntegerField(null=True, help_text="Rows of the file, once they are counted.")
    rows_read = models.PositiveIntegerField(default=0)
    position = models.BigIntegerField(default=0, help_text="Bytes of the file whose rows are committed.")
    line = models.PositiveIntegerField(default=1, help_text="Line of the file at which reading goes on.")
    errors = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    error_count = models.PositiveIntegerField(default=0)
    flags = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    received_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    received_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["draft", "received_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            UPLOAD.trigger(),
            pgtrigger.Protect(
                name="upload_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("draft", "file", "format", "options", "received_by", "received_at"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.file} into {self.draft}"


class DraftLine(models.Model):
    """One activity of a draft. Lines of an upload count from the moment all of it has been read."""

    id = models.BigAutoField(primary_key=True)
    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="lines", db_index=False)
    upload = models.ForeignKey(Upload, null=True, on_delete=models.CASCADE, related_name="lines", db_index=False)
    key = models.CharField(max_length=120, help_text="Tells rows apart: the same measurement is never counted twice.")
    source_line = models.PositiveIntegerField(default=0)
    label = models.CharField(max_length=200)
    activity = models.CharField(max_length=20, choices=ReportLine.Activity.choices)
    method = models.CharField(max_length=60)
    workload = models.ForeignKey(Workload, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    tier = models.PositiveSmallIntegerField(null=True)
    zone = models.CharField(max_length=20, blank=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    requests = models.BigIntegerField(null=True)
    tokens = models.BigIntegerField(null=True)
    flop = models.DecimalField(max_digits=40, decimal_places=0, default=0)
    energy_kwh = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    co2e_g = models.DecimalField(max_digits=30, decimal_places=6, default=0)
    claimed_co2e_g = models.DecimalField(max_digits=30, decimal_places=6, null=True)
    factor_g_per_kwh = models.DecimalField(max_digits=10, decimal_places=3, null=True)
    factor_source = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["draft", "key"], name="one_draft_line_per_measurement"),
            models.CheckConstraint(
                name="draft_line_finite",
                condition=models.Q(
                    flop__gte=0,
                    flop__lt=10**36,
                    energy_kwh__gte=0,
                    energy_kwh__lt=10**17,
                    co2e_g__gte=0,
                    co2e_g__lt=10**23,
                ),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [  # one each: a million rows pay for every index
            models.Index(fields=["upload"], name="draft_lines_of_upload"),
            models.Index(
                fields=["workload"], name="draft_lines_of_workload", condition=models.Q(workload__isnull=False)
            ),
        ]
        ordering: ClassVar[list[str]] = ["draft", "id"]

    def __str__(self) -> str:
        return f"{self.draft}: {self.label}"
