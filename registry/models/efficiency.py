"""Efficiency: measures that firms took, measured before and after, and the dated labels that the registry issued."""

import uuid
from typing import ClassVar

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Organisation, User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.models.report import EvidenceFile
from registry.models.scheme import Scheme
from registry.models.site import ZONE, AiModel, Workload

MEASURE = Lifecycle(
    "measure",
    {
        "draft": {"submitted", "withdrawn"},
        "submitted": {"attested", "withdrawn"},
        "attested": {"published", "withdrawn"},
        "published": {"withdrawn"},
        "withdrawn": set(),
    },
)
"""Figures never change: a measure with a mistake is withdrawn and recorded anew."""


class TaskClass(models.TextChoices):
    TEXT_GENERATION = "text_generation", "Text generation"
    SUMMARISATION = "summarisation", "Summarisation"
    TRANSLATION = "translation", "Translation"
    QUESTION_ANSWERING = "question_answering", "Question answering"
    TEXT_CLASSIFICATION = "text_classification", "Text classification"
    EMBEDDING = "embedding", "Embedding"
    REASONING = "reasoning", "Reasoning"
    IMAGE_GENERATION = "image_generation", "Image generation"
    IMAGE_CLASSIFICATION = "image_classification", "Image classification"
    OBJECT_DETECTION = "object_detection", "Object detection"
    IMAGE_CAPTIONING = "image_captioning", "Image captioning"
    SPEECH_RECOGNITION = "speech_recognition", "Speech recognition"
    VIDEO_GENERATION = "video_generation", "Video generation"


class Counted(models.TextChoices):
    REQUESTS = "requests", "1,000 requests"
    TOKENS = "tokens", "million tokens"


class Boundary(models.TextChoices):
    ACCELERATORS = "accelerators", "Accelerators only"
    SERVERS = "servers", "Whole servers"
    SITE = "site", "Site, with cooling and losses"


class EfficiencyMeasure(models.Model):
    """What a firm did to serve the same task with less energy. The trigger keeps its figures as they were recorded."""

    class Kind(models.TextChoices):
        QUANTISATION = "quantisation", "Quantisation"
        PRUNING = "pruning", "Pruning"
        DISTILLATION = "distillation", "Distillation"
        BATCHING = "batching", "Batching"
        HARDWARE = "hardware", "Hardware"
        SITING = "siting", "Siting"
        OTHER = "other", "Other"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="efficiency_measures")
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="efficiency_measures")
    workload = models.ForeignKey(Workload, null=True, on_delete=models.PROTECT, related_name="efficiency_measures")
    ai_model = models.ForeignKey(AiModel, null=True, on_delete=models.PROTECT, related_name="efficiency_measures")
    title = models.CharField(max_length=120, help_text="Published with the measure: name no secret.")
    kinds = ArrayField(models.CharField(max_length=20, choices=Kind.choices))
    description = models.TextField(max_length=4000, help_text="For the verifier and the regulator; never published.")
    quality_tolerance = models.DecimalField(
        max_digits=7, decimal_places=5, help_text="The share of the quality that may be lost: 0.01 for one percent."
    )
    status = models.CharField(max_length=20, choices=MEASURE.choices, default=MEASURE.initial)
    verifier = models.ForeignKey(Organisation, null=True, on_delete=models.PROTECT, related_name="+")
    drafted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    drafted_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)
    published_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)
    withdrawal_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="measure_is_about_one_thing",
                condition=models.Q(workload__isnull=False, ai_model__isnull=True)
                | models.Q(workload__isnull=True, ai_model__isnull=False),
            ),
            models.CheckConstraint(name="measure_has_a_kind", condition=models.Q(kinds__len__gte=1)),
            models.CheckConstraint(
                name="quality_tolerance_is_a_share",
                condition=models.Q(quality_tolerance__gte=0, quality_tolerance__lte=1),
            ),
            models.CheckConstraint(
                name="measure_handed_to_a_verifier",
                condition=models.Q(status__in=["draft", "withdrawn"])
                | models.Q(verifier__isnull=False, submitted_at__isnull=False),
            ),
            models.CheckConstraint(
                name="published_measure_says_by_whom",
                condition=~models.Q(status="published")
                | models.Q(published_by__isnull=False, published_at__isnull=False),
            ),
            models.CheckConstraint(
                name="withdrawn_measure_says_why",
                condition=~models.Q(status="withdrawn")
                | (~models.Q(withdrawal_reason="") & models.Q(withdrawn_by__isnull=False, withdrawn_at__isnull=False)),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["status", "published_at"], name="measures_by_status"),
        ]
        ordering: ClassVar[list[str]] = ["-drafted_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            MEASURE.trigger(),
            pgtrigger.Protect(
                name="measure_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "organisation",
                    "scheme",
                    "workload",
                    "ai_model",
                    "title",
                    "kinds",
                    "description",
                    "quality_tolerance",
                    "drafted_by",
                    "drafted_at",
                ),
            ),
            pgtrigger.Protect(name="measure_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.title}, {self.organisation}"


class EfficiencyMeasurement(models.Model):
    """What was counted and measured before a measure, or after it. Append-only."""

    class Moment(models.TextChoices):
        BEFORE = "before", "Before"
        AFTER = "after", "After"

    id = models.BigAutoField(primary_key=True)
    measure = models.ForeignKey(EfficiencyMeasure, on_delete=models.PROTECT, related_name="measurements")
    moment = models.CharField(max_length=6, choices=Moment.choices)
    task_class = models.CharField(max_length=30, choices=TaskClass.choices)
    counted = models.CharField(max_length=10, choices=Counted.choices)
    boundary = models.CharField(max_length=20, choices=Boundary.choices)
    started_on = models.DateField()
    ended_on = models.DateField(help_text="The last day.")
    quantity = models.DecimalField(max_digits=30, decimal_places=0, help_text="Requests or tokens counted.")
    energy_kwh = models.DecimalField(max_digits=30, decimal_places=12)
    batch_size = models.PositiveIntegerField()
    number_format = models.CharField(max_length=20, help_text="As in BF16 or INT8.")
    hardware = models.CharField(max_length=120)
    zone = models.CharField(max_length=20, validators=[ZONE])
    quality_measure = models.CharField(max_length=60, help_text="What quality was measured by, as in MMLU accuracy.")
    quality = models.DecimalField(max_digits=15, decimal_places=6, help_text="Higher is better.")
    evidence = models.ForeignKey(EvidenceFile, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["measure", "moment"], name="one_measurement_before_and_one_after"),
            models.CheckConstraint(
                name="measurement_plausible",
                condition=models.Q(
                    started_on__lte=models.F("ended_on"),
                    quantity__gt=0,
                    quantity__lt=10**24,
                    energy_kwh__gt=0,
                    energy_kwh__lt=10**17,
                    batch_size__gte=1,
                    quality__gt=0,
                ),
            ),
        ]
        ordering: ClassVar[list[str]] = ["measure", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.moment} {self.measure}"


class EfficiencyStatement(models.Model):
    """The verifier's signed statement on a measure. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    measure = models.OneToOneField(EfficiencyMeasure, on_delete=models.PROTECT, related_name="statement")
    verifier = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="efficiency_statements")
    signed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField()
    findings = models.TextField(max_length=4000)
    document = models.JSONField(encoder=DjangoJSONEncoder, help_text="What was signed.")
    sha256 = models.CharField(max_length=64, help_text="Of the document in its canonical form.")
    key_id = models.CharField(max_length=64)
    signature = models.CharField(max_length=200, help_text="Ed25519 over the canonical form, base64.")

    class Meta:
        ordering: ClassVar[list[str]] = ["-signed_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.verifier} on {self.measure}"


class LabelEdition(models.Model):
    """One calibration of the labels: a day, a rule, and the field of published figures it was worked out on.

    Append-only: a later edition gives new labels beside the old ones.
    """

    class Rule(models.TextChoices):
        EQUAL_WIDTH = "equal_width", "Equal width: the range is cut in five"
        QUINTILE = "quintile", "Quintile: the ranking is cut in five"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task_class = models.CharField(max_length=30, choices=TaskClass.choices)
    counted = models.CharField(max_length=10, choices=Counted.choices)
    boundary = models.CharField(max_length=20, choices=Boundary.choices)
    rule = models.CharField(max_length=20, choices=Rule.choices)
    issued_on = models.DateField()
    document = models.JSONField(
        encoder=DjangoJSONEncoder, help_text="The field, the rule and the limits between stars."
    )
    sha256 = models.CharField(max_length=64, help_text="Of the document in its canonical form.")
    issued_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    issued_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["task_class", "counted", "boundary", "issued_on"], name="one_edition_of_a_field_per_day"
            ),
        ]
        ordering: ClassVar[list[str]] = ["-issued_on", "task_class", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.get_task_class_display()}, edition of {self.issued_on}"


class EfficiencyLabel(models.Model):
    """One to five stars for a published measure in one edition. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    edition = models.ForeignKey(LabelEdition, on_delete=models.PROTECT, related_name="labels")
    measure = models.ForeignKey(EfficiencyMeasure, on_delete=models.PROTECT, related_name="labels")
    stars = models.PositiveSmallIntegerField()
    wh = models.DecimalField(
        max_digits=40, decimal_places=15, help_text="Wh per 1,000 requests or per million tokens, as published."
    )

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["edition", "measure"], name="one_label_per_measure_and_edition"),
            models.CheckConstraint(name="one_to_five_stars", condition=models.Q(stars__gte=1, stars__lte=5)),
        ]
        ordering: ClassVar[list[str]] = ["edition", "-stars", "wh", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.stars} stars for {self.measure}"
