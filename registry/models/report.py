"""Reports of compute and emissions: immutable versions with their lines and evidence, and the verifier's statement."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Organisation, User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.models.operator import Operator
from registry.models.scheme import Period

REPORT = Lifecycle(
    "report",
    {
        "submitted": {"under_verification", "returned", "corrected"},
        "under_verification": {"verified", "returned", "corrected"},
        "verified": {"superseded"},
        "returned": {"corrected"},
        "determined": {"superseded"},
        "corrected": set(),
        "superseded": set(),
    },
)
"""An operator's report begins as submitted; the regulator's own figure begins as determined, and is never verified.

A version that a newer one answers before it was verified is corrected; what was verified is superseded.
"""

AWAITS_OPINION = ("submitted", "under_verification")
"""States in which an operator's report is in, and nobody has judged it yet."""


class EvidenceFile(models.Model):
    """A file as it was received: never executed, never rendered, hashed at receipt. Append-only; its bytes are chunks.

    `services.drafting.evidence` keeps files and gives them back.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    received_at = models.DateTimeField()
    received_from = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organisation", "sha256"], name="one_copy_of_each_file_per_organisation"),
        ]
        ordering: ClassVar[list[str]] = ["-received_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return self.name


class EvidenceChunk(models.Model):
    """A part of a file, so that no file has to be in memory as a whole: a MiB, the last one less. Append-only."""

    id = models.BigAutoField(primary_key=True)
    file = models.ForeignKey(EvidenceFile, on_delete=models.PROTECT, related_name="chunks")
    number = models.PositiveIntegerField(help_text="From 0.")
    content = models.BinaryField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["file", "number"], name="one_chunk_per_number"),
        ]
        ordering: ClassVar[list[str]] = ["file", "number"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.file}, part {self.number}"


class Report(models.Model):
    """One version of what an operator used in one period. A correction is a new version; the old one stays.

    An estimate stands in for a report that is missing. A determination is the outcome of a correction case: it takes
    the place of a verified report that was found wrong, and counts like one.
    """

    class Kind(models.TextChoices):
        OPERATOR = "operator", "Operator's report"
        ESTIMATE = "estimate", "Regulator's estimate"
        DETERMINATION = "determination", "Regulator's determination"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="reports")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="reports")
    version = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.OPERATOR)
    status = models.CharField(max_length=20, choices=REPORT.choices, default=REPORT.initial)
    boundary = models.CharField(max_length=200, help_text="What was measured: for example full stack, inference only.")
    flop = models.DecimalField(max_digits=40, decimal_places=0, default=0)
    energy_kwh = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    co2e_g = models.DecimalField(max_digits=30, decimal_places=6, default=0)
    flags = models.JSONField(default=list, encoder=DjangoJSONEncoder, help_text="What a reader should look at twice.")
    content_sha256 = models.CharField(max_length=64, help_text="Hash of the boundary and the lines.")
    plan = models.ForeignKey(
        "registry.MonitoringPlan",
        null=True,
        on_delete=models.PROTECT,
        related_name="reports",
        help_text="It was cited.",
    )
    evidence = models.ForeignKey(EvidenceFile, null=True, on_delete=models.PROTECT, related_name="reports")
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    received_at = models.DateTimeField(help_text="Receipt instant, taken in the database under the period's lock.")
    return_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "period", "version"], name="one_report_per_version"),
            models.UniqueConstraint(
                fields=["operator", "period"],
                condition=models.Q(status__in=["verified", "determined"]),
                name="one_report_in_force",
            ),
            models.CheckConstraint(
                name="only_estimates_are_determined",
                condition=models.Q(
                    kind="operator",
                    status__in=["submitted", "under_verification", "verified", "returned", "corrected", "superseded"],
                )
                | models.Q(kind__in=["estimate", "determination"], status__in=["determined", "superseded"]),
            ),
            models.CheckConstraint(
                name="returned_report_says_why", condition=~models.Q(status="returned") | ~models.Q(return_reason="")
            ),
            models.CheckConstraint(name="report_flop_finite", condition=models.Q(flop__gte=0, flop__lt=10**36)),
            models.CheckConstraint(
                name="report_energy_finite", condition=models.Q(energy_kwh__gte=0, energy_kwh__lt=10**17)
            ),
            models.CheckConstraint(name="report_co2e_finite", condition=models.Q(co2e_g__gte=0, co2e_g__lt=10**23)),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["status", "period"], name="reports_by_status")]
        ordering: ClassVar[list[str]] = ["period", "operator", "-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            REPORT.trigger(),
            pgtrigger.Protect(
                name="report_version_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "operator",
                    "period",
                    "version",
                    "kind",
                    "boundary",
                    "plan",
                    "flop",
                    "energy_kwh",
                    "co2e_g",
                    "flags",
                    "content_sha256",
                    "evidence",
                    "submitted_by",
                    "received_at",
                ),
            ),
            pgtrigger.Protect(name="report_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.operator} {self.period.year} v{self.version}"


class ReportFile(models.Model):
    """A further file kept with a report, and what it proves. Append-only."""

    id = models.BigAutoField(primary_key=True)
    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="files")
    file = models.ForeignKey(EvidenceFile, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["report", "file"], name="a_report_keeps_a_file_once"),
        ]
        ordering: ClassVar[list[str]] = ["report", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.file} with {self.report}"


class ReportLine(models.Model):
    """One activity of a report: a run, a model's training, a serving stream; with the source row it came from."""

    class Activity(models.TextChoices):
        TRAINING = "training", "Training"
        FINE_TUNING = "fine_tuning", "Fine-tuning"
        INFERENCE = "inference", "Inference"
        EVALUATION = "evaluation", "Evaluation"

    id = models.BigAutoField(primary_key=True)
    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="lines")
    number = models.PositiveIntegerField(help_text="Its place in the report.")
    file = models.ForeignKey(EvidenceFile, null=True, on_delete=models.PROTECT, related_name="+")
    source_line = models.PositiveIntegerField(default=0, help_text="Line of the file, or order of entry.")
    label = models.CharField(max_length=200)
    activity = models.CharField(max_length=20, choices=Activity.choices)
    method = models.CharField(max_length=60, help_text="How the figure was obtained: codecarbon, epoch, declared.")
    flop = models.DecimalField(max_digits=40, decimal_places=0, default=0)
    energy_kwh = models.DecimalField(max_digits=30, decimal_places=12, default=0)
    co2e_g = models.DecimalField(max_digits=30, decimal_places=6, default=0)
    claimed_co2e_g = models.DecimalField(max_digits=30, decimal_places=6, null=True)
    factor_g_per_kwh = models.DecimalField(max_digits=10, decimal_places=3, null=True)
    factor_source = models.CharField(max_length=120, blank=True)
    workload = models.ForeignKey("registry.Workload", null=True, on_delete=models.PROTECT, related_name="report_lines")
    tier = models.PositiveSmallIntegerField(null=True, help_text="How it was measured, from 0 typed to 5 guaranteed.")
    zone = models.CharField(max_length=20, blank=True, help_text="Grid zone or country of the factor.")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    requests = models.BigIntegerField(null=True)
    tokens = models.BigIntegerField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["report", "number"], name="one_report_line_per_number"),
            models.CheckConstraint(
                name="report_line_finite",
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
        ordering: ClassVar[list[str]] = ["report", "number"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.report} line {self.number}"


class VerifierStatement(models.Model):
    """The verifier's opinion on one report version, signed, with the registry's receipt. Append-only.

    `document` and `receipt` are the very bytes that were signed. The trigger `statement_is_signed` lets none in without
    its signatures; statements from before there were signatures have none.
    """

    class Opinion(models.TextChoices):
        POSITIVE = "positive", "Positive"
        POSITIVE_WITH_COMMENTS = "positive_with_comments", "Positive with comments"
        NEGATIVE = "negative", "Negative"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    report = models.OneToOneField(Report, on_delete=models.PROTECT, related_name="statement")
    verifier = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="statements")
    appointment = models.ForeignKey(
        "registry.Appointment", null=True, on_delete=models.PROTECT, related_name="statements"
    )
    signed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField()
    opinion = models.CharField(max_length=30, choices=Opinion.choices)
    findings = models.TextField(blank=True)
    document = models.TextField(blank=True, help_text="The statement in its canonical form, as it was signed.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Hash of the document.")
    key = models.ForeignKey("registry.SigningKey", null=True, on_delete=models.PROTECT, related_name="+")
    signature = models.CharField(max_length=88, blank=True)
    receipt = models.TextField(blank=True, help_text="What the registry confirms, in its canonical form.")
    receipt_key = models.ForeignKey("registry.SigningKey", null=True, on_delete=models.PROTECT, related_name="+")
    receipt_signature = models.CharField(max_length=88, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-signed_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            *append_only_triggers(),
            pgtrigger.Protect(
                name="statement_is_signed",
                operation=pgtrigger.Insert,
                condition=pgtrigger.Condition(
                    "NEW.appointment_id IS NULL OR NEW.key_id IS NULL OR NEW.receipt_key_id IS NULL"
                    " OR NEW.document = '' OR NEW.sha256 = '' OR NEW.signature = ''"
                    " OR NEW.receipt = '' OR NEW.receipt_signature = ''"
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_opinion_display()} on {self.report}"
