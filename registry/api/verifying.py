"""Verifying over REST: keys, appointments, the checks and findings of a verification, and the signed statement."""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, cast

from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import (
    IDEMPOTENCY_HEADER,
    ScopedViewSet,
    idempotency_key,
    organisation_of,
    read_parameters,
    refused_field,
    user_of,
)
from accounts.api.tokens import OrganisationRef
from accounts.models import Organisation
from accounts.permissions import has_role
from common import clock
from common.rest import ExactDecimal
from registry.api.bodies import own_operator, period_in_body
from registry.api.reports import ReportSerializer, visible_reports
from registry.api.schemes import PeriodFilter
from registry.engine.verification import CHECKLIST, CONFLICTS
from registry.models import (
    APPOINTMENT,
    Appointment,
    ChecklistAnswer,
    Finding,
    Report,
    SigningKey,
    VerifierStatement,
)
from registry.services import verification
from registry.services.verifying import appointments, findings, keys

SENTENCE = 2000


class ReasonRequest(serializers.Serializer[object]):
    """Why."""

    reason = serializers.CharField(max_length=300, help_text="A sentence that the other side reads.")


# Keys -----------------------------------------------------------------------------------------------------------------


class SigningKeySerializer(serializers.ModelSerializer[SigningKey]):
    """A key: what it signed from its first instant until it was revoked stays signed."""

    organisation = OrganisationRef(read_only=True, allow_null=True)
    kept_here = serializers.SerializerMethodField(help_text="Whether its private half is kept, encrypted.")

    class Meta:
        model = SigningKey
        fields: ClassVar = (
            "id",
            "organisation",
            "name",
            "key_id",
            "public_key",
            "kept_here",
            "valid_from",
            "revoked_at",
            "revocation_reason",
        )
        read_only_fields = fields

    def get_kept_here(self, key: SigningKey) -> bool:
        """Nothing of the private half is ever shown."""
        return bool(key.private_pem)


class SigningKeyRequest(serializers.Serializer[object]):
    """The public half of an own Ed25519 key, and the proof that one has the private half."""

    name = serializers.CharField(max_length=80)
    public_key = serializers.CharField(max_length=400, help_text="As PEM, or its 32 bytes in base64.")
    proof = serializers.CharField(
        max_length=120,
        help_text="The signature, in base64, over the line: headroom signing key of organisation <its id>",
    )


@extend_schema_view(list=extend_schema(summary="List signing keys"))
class SigningKeys(mixins.ListModelMixin, ScopedViewSet[SigningKey]):
    """Keys of the organisations in scope, and the registry's own, with which its receipts are checked."""

    serializer_class = SigningKeySerializer
    scope_path = "organisation"
    ordering: ClassVar = ("-valid_from", "-id")

    def rows(self) -> QuerySet[SigningKey]:
        """Every key."""
        return SigningKey.objects.select_related("organisation")

    def visible(self) -> QuerySet[SigningKey]:
        """Those in scope, and the registry's."""
        if self.scope.everything:
            return self.rows()
        return self.rows().filter(Q(organisation__isnull=True) | Q(organisation__in=self.scope.organisation_ids))

    @extend_schema(
        summary="Register a signing key",
        request=SigningKeyRequest,
        responses={201: SigningKeySerializer},
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Register it for the organisation of the token."""
        asked = SigningKeyRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        key = keys.register_key(
            actor=user_of(request), organisation=organisation_of(request), now=clock.now(), **asked.validated_data
        )
        return Response(SigningKeySerializer(key).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Revoke a signing key", request=ReasonRequest, responses={200: SigningKeySerializer}, filters=False
    )
    def revoke(self, request: Request, pk: uuid.UUID) -> Response:
        """Let it sign nothing from now on."""
        key = self.get_queryset().filter(pk=pk).first()
        if key is None:
            raise Http404
        revoked = keys.revoke_key(actor=user_of(request), key=key, reason=_reason(request), now=clock.now())
        return Response(SigningKeySerializer(revoked).data)


# Appointments ---------------------------------------------------------------------------------------------------------


class AppointmentSerializer(serializers.ModelSerializer[Appointment]):
    """An operator's choice of its verifier for a period, and what the verifier declared."""

    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    period = serializers.CharField(source="period.code", read_only=True)
    verifier = OrganisationRef(read_only=True)
    declaration = serializers.JSONField(read_only=True, help_text="Answers to the questions on conflicts.")

    class Meta:
        model = Appointment
        fields: ClassVar = (
            "id",
            "organisation",
            "period",
            "verifier",
            "status",
            "proposed_at",
            "declaration",
            "decided_at",
            "ended_at",
            "reason",
        )
        read_only_fields = fields


class AppointmentRequest(serializers.Serializer[object]):
    """Whom to ask, and for which period."""

    period = serializers.CharField(max_length=60, help_text="Code of the period.")
    verifier = serializers.UUIDField(help_text="Id of the verifier's organisation.")


class ConflictsField(serializers.DictField):
    """An answer to each question on conflicts of interest."""

    child = serializers.BooleanField()


class AcceptRequest(serializers.Serializer[object]):
    """The declaration with which a verifier accepts: false means that there is no such conflict."""

    conflicts = ConflictsField(help_text=f"true or false for each of: {', '.join(CONFLICTS)}.")
    note = serializers.CharField(max_length=SENTENCE, required=False, default="", allow_blank=True)


class AppointmentFilters(filters.FilterSet):
    """Narrow the list to one period or state."""

    period = PeriodFilter()
    status = filters.ChoiceFilter(choices=APPOINTMENT.choices)


@extend_schema_view(
    list=extend_schema(summary="List appointments"), retrieve=extend_schema(summary="Read an appointment")
)
class Appointments(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Appointment]):
    """Appointments of the organisations in scope, as operator or as verifier, latest first."""

    serializer_class = AppointmentSerializer
    filterset_class = AppointmentFilters
    scope_path = "operator__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-proposed_at", "-id")

    def rows(self) -> QuerySet[Appointment]:
        """Every appointment."""
        return Appointment.objects.select_related("operator__organisation", "period__scheme", "verifier")

    def visible(self) -> QuerySet[Appointment]:
        """Those of the operators and of the verifiers in scope."""
        if self.scope.everything:
            return self.rows()
        ids = self.scope.organisation_ids
        return self.rows().filter(Q(operator__organisation__in=ids) | Q(verifier__in=ids))

    @extend_schema(
        summary="Appoint a verifier",
        description="The verifier has to be accredited for what the scheme covers, share no people or group with the "
        "operator, and not have served it longer than the rules allow. It accepts or declines.",
        request=AppointmentRequest,
        responses={201: AppointmentSerializer},
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Ask the verifier."""
        asked = AppointmentRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        period = period_in_body(asked.validated_data["period"])
        verifier = Organisation.objects.filter(pk=asked.validated_data["verifier"], kind="verifier").first()
        if verifier is None:
            raise refused_field("verifier", "verifier_unknown", "There is no verifier of this id.")
        made = appointments.propose(
            actor=user_of(request),
            operator=own_operator(request, period),
            period=period,
            verifier=verifier,
            now=clock.now(),
        )
        return Response(AppointmentSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Accept an appointment",
        request=AcceptRequest,
        responses={200: AppointmentSerializer},
        filters=False,
        examples=[
            OpenApiExample(
                "No conflict", value={"conflicts": dict.fromkeys(CONFLICTS, False), "note": ""}, request_only=True
            )
        ],
    )
    def accept(self, request: Request, pk: uuid.UUID) -> Response:
        """Accept with a declaration."""
        asked = AcceptRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._answer(
            appointments.accept(
                actor=user_of(request), appointment=self._one(pk), now=clock.now(), **asked.validated_data
            )
        )

    @extend_schema(
        summary="Decline an appointment", request=ReasonRequest, responses={200: AppointmentSerializer}, filters=False
    )
    def decline(self, request: Request, pk: uuid.UUID) -> Response:
        """Decline with a reason."""
        return self._answer(
            appointments.decline(
                actor=user_of(request), appointment=self._one(pk), reason=_reason(request), now=clock.now()
            )
        )

    @extend_schema(
        summary="Take a proposal back", request=ReasonRequest, responses={200: AppointmentSerializer}, filters=False
    )
    def cancel(self, request: Request, pk: uuid.UUID) -> Response:
        """Take back what nobody has answered."""
        return self._answer(
            appointments.cancel(
                actor=user_of(request), appointment=self._one(pk), reason=_reason(request), now=clock.now()
            )
        )

    @extend_schema(
        summary="End an appointment", request=ReasonRequest, responses={200: AppointmentSerializer}, filters=False
    )
    def end(self, request: Request, pk: uuid.UUID) -> Response:
        """End it, from either side."""
        return self._answer(
            appointments.end(
                actor=user_of(request), appointment=self._one(pk), reason=_reason(request), now=clock.now()
            )
        )

    def _one(self, pk: uuid.UUID) -> Appointment:
        found = self.get_queryset().filter(pk=pk).first()
        if found is None:
            raise Http404
        return found

    def _answer(self, appointment: Appointment) -> Response:
        return Response(AppointmentSerializer(appointment).data)


# Checks and findings --------------------------------------------------------------------------------------------------


class OfReport(ScopedViewSet[Report]):
    """What hangs on one report that the request may see."""

    scope_path = "operator__organisation"

    def rows(self) -> QuerySet[Report]:
        """Every report."""
        return Report.objects.all()

    def report(self) -> Report:
        """Return the report in the address."""
        found = (
            visible_reports(self)
            .select_related("operator__scheme", "statement__verifier", "evidence", "plan")
            .filter(pk=self.kwargs["pk"])
            .first()
        )
        if found is None:
            raise Http404
        return found


class Verifications(OfReport):
    """Taking a report up."""

    @extend_schema(
        operation_id="reports_verification_begin",
        summary="Begin to verify a report",
        request=None,
        responses={200: ReportSerializer},
        filters=False,
    )
    def begin(self, request: Request, pk: uuid.UUID) -> Response:
        """Move the latest version from submitted to under verification."""
        begun = verification.begin_verification(actor=user_of(request), report=self.report(), now=clock.now())
        return Response(ReportSerializer(begun).data)


class ChecklistAnswerSerializer(serializers.ModelSerializer[ChecklistAnswer]):
    """What was done for one item of the checklist."""

    title = serializers.SerializerMethodField()
    answered_by = serializers.CharField(source="answered_by.name", read_only=True)

    class Meta:
        model = ChecklistAnswer
        fields: ClassVar = ("item", "title", "outcome", "note", "answered_by", "answered_at")
        read_only_fields = fields

    def get_title(self, answer: ChecklistAnswer) -> str:
        """What the item asks for."""
        return CHECKLIST.get(answer.item, answer.item)


class ChecklistRequest(serializers.Serializer[object]):
    """An answer to one item."""

    item = serializers.ChoiceField(choices=list(CHECKLIST.items()))
    outcome = serializers.ChoiceField(choices=ChecklistAnswer.Outcome.choices)
    note = serializers.CharField(max_length=SENTENCE)


class Checklists(OfReport):
    """The checklist of a verification: the latest answer to each item counts."""

    @extend_schema(
        operation_id="reports_checklist_read",
        summary="Read the checklist of a report",
        responses={200: ChecklistAnswerSerializer(many=True)},
        filters=False,
    )
    def read(self, request: Request, pk: uuid.UUID) -> Response:
        """Those who verify and those who oversee read it; the operator reads the statement."""
        report = self.report()
        if not _reads_papers(self, report):
            raise Http404
        return Response(ChecklistAnswerSerializer(list(findings.checklist(report).values()), many=True).data)

    @extend_schema(
        operation_id="reports_checklist_answer",
        summary="Answer an item of the checklist",
        request=ChecklistRequest,
        responses={201: ChecklistAnswerSerializer},
        filters=False,
    )
    def create(self, request: Request, pk: uuid.UUID) -> Response:
        """Answer it."""
        asked = ChecklistRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        answer = findings.answer_checklist(
            actor=user_of(request), report=self.report(), now=clock.now(), **asked.validated_data
        )
        return Response(ChecklistAnswerSerializer(answer).data, status=status.HTTP_201_CREATED)


class FindingSerializer(serializers.ModelSerializer[Finding]):
    """Something that the verifier found, and what became of it."""

    report = serializers.UUIDField(source="report_id", read_only=True)
    line = serializers.IntegerField(source="line.number", read_only=True, allow_null=True)
    quantity = ExactDecimal(help_text="Reported minus right, in the scheme's unit.")

    class Meta:
        model = Finding
        fields: ClassVar = (
            "id",
            "report",
            "number",
            "kind",
            "text",
            "line",
            "quantity",
            "corrected",
            "due_on",
            "status",
            "raised_at",
            "answer",
            "answered_at",
            "closing",
            "closed_at",
        )
        read_only_fields = fields


class FindingRequest(serializers.Serializer[object]):
    """A finding to write down."""

    kind = serializers.ChoiceField(choices=Finding.Kind.choices)
    text = serializers.CharField(max_length=SENTENCE)
    quantity = serializers.DecimalField(
        max_digits=40,
        decimal_places=6,
        default=Decimal(0),
        help_text="Of a misstatement: reported minus right, below zero where too little was reported.",
    )
    line = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Number of the line it is about."
    )
    due_on = serializers.DateField(required=False, help_text="By when the operator answers.")

    def validate_due_on(self, value: date) -> date:
        """Keep days within what the calendar of a task holds."""
        if not 1900 <= value.year <= 2200:
            raise serializers.ValidationError("Give a day from 1900 to 2200.")
        return value


class AnswerRequest(serializers.Serializer[object]):
    """What the operator did about it."""

    answer = serializers.CharField(max_length=SENTENCE)


class CloseRequest(serializers.Serializer[object]):
    """What settles a finding."""

    closing = serializers.CharField(max_length=SENTENCE)
    corrected = serializers.BooleanField(
        default=False, help_text="Of a misstatement: a newer version of the report puts it right."
    )


class ReportFindings(OfReport):
    """The findings on an operator's reports of the period."""

    @extend_schema(
        operation_id="reports_findings_list",
        summary="List the findings on a report's period",
        responses={200: FindingSerializer(many=True)},
        filters=False,
    )
    def read(self, request: Request, pk: uuid.UUID) -> Response:
        """Every finding of the period, whichever version it was found in."""
        report = self.report()
        return Response(FindingSerializer(findings.of_period(report.operator, report.period), many=True).data)

    @extend_schema(
        operation_id="reports_findings_create",
        summary="Write a finding down",
        parameters=[IDEMPOTENCY_HEADER],
        request=FindingRequest,
        responses={201: FindingSerializer},
        filters=False,
    )
    def create(self, request: Request, pk: uuid.UUID) -> Response:
        """Write it down on a report under verification."""
        key = idempotency_key(request, "findings")
        asked = FindingRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        made = findings.raise_finding(
            actor=user_of(request), report=self.report(), key=key, now=clock.now(), **asked.validated_data
        )
        return Response(FindingSerializer(made).data, status=status.HTTP_201_CREATED)


class Findings(ScopedViewSet[Finding]):
    """What becomes of a finding: the operator answers it, the verifier closes it or asks again."""

    scope_path = "report__operator__organisation"

    def rows(self) -> QuerySet[Finding]:
        """Every finding."""
        return Finding.objects.select_related("report", "line")

    @extend_schema(summary="Answer a finding", request=AnswerRequest, responses={200: FindingSerializer}, filters=False)
    def answer(self, request: Request, pk: uuid.UUID) -> Response:
        """Answer for the operator."""
        asked = AnswerRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._said(
            findings.answer_finding(
                actor=user_of(request), finding=self._one(pk), now=clock.now(), **asked.validated_data
            )
        )

    @extend_schema(summary="Close a finding", request=CloseRequest, responses={200: FindingSerializer}, filters=False)
    def close(self, request: Request, pk: uuid.UUID) -> Response:
        """Close for the verifier."""
        asked = CloseRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._said(
            findings.close_finding(
                actor=user_of(request), finding=self._one(pk), now=clock.now(), **asked.validated_data
            )
        )

    @extend_schema(
        summary="Open a finding again", request=ReasonRequest, responses={200: FindingSerializer}, filters=False
    )
    def reopen(self, request: Request, pk: uuid.UUID) -> Response:
        """Say what the answer lacks."""
        return self._said(
            findings.reopen_finding(
                actor=user_of(request), finding=self._one(pk), reason=_reason(request), now=clock.now()
            )
        )

    def _one(self, pk: uuid.UUID) -> Finding:
        found = self.rows().filter(pk=pk).first()
        if (
            found is None
            or not visible_reports(cast("ScopedViewSet[Report]", self)).filter(pk=found.report_id).exists()
        ):
            raise Http404
        return found

    def _said(self, finding: Finding) -> Response:
        return Response(FindingSerializer(finding).data)


# The statement --------------------------------------------------------------------------------------------------------


class SignedSerializer(serializers.ModelSerializer[VerifierStatement]):
    """A statement with all that is needed to check it without us.

    Each signature is Ed25519 over the UTF-8 bytes of the text beside it.
    """

    verifier = OrganisationRef(read_only=True)
    key_id = serializers.CharField(source="key.key_id", read_only=True)
    public_key = serializers.CharField(source="key.public_key", read_only=True, help_text="32 bytes in base64.")
    receipt_key_id = serializers.CharField(source="receipt_key.key_id", read_only=True)
    receipt_public_key = serializers.CharField(source="receipt_key.public_key", read_only=True)
    problem = serializers.SerializerMethodField(help_text="Empty where the registry finds every signature right.")

    class Meta:
        model = VerifierStatement
        fields: ClassVar = (
            "verifier",
            "opinion",
            "signed_at",
            "document",
            "sha256",
            "key_id",
            "public_key",
            "signature",
            "receipt",
            "receipt_key_id",
            "receipt_public_key",
            "receipt_signature",
            "problem",
        )
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.STR)
    def get_problem(self, statement: VerifierStatement) -> str:
        """What is wrong, if anything is."""
        return verification.holds(statement)


class OpinionRequest(serializers.Serializer[object]):
    """An opinion, signed with a kept key's passphrase or with an own program."""

    opinion = serializers.ChoiceField(choices=VerifierStatement.Opinion.choices)
    findings = serializers.CharField(max_length=5000, default="", allow_blank=True, help_text="Comments, in words.")
    key_id = serializers.CharField(max_length=32)
    signature = serializers.CharField(
        max_length=120, default="", allow_blank=True, help_text="Over the bytes of statement/unsigned/, in base64."
    )
    passphrase = serializers.CharField(
        max_length=200, default="", allow_blank=True, trim_whitespace=False, write_only=True
    )


class UnsignedParameters(serializers.Serializer[object]):
    """The opinion of which the bytes are wanted."""

    opinion = serializers.ChoiceField(choices=VerifierStatement.Opinion.choices)
    findings = serializers.CharField(max_length=5000, default="", allow_blank=True)
    key_id = serializers.CharField(max_length=32)


class ReportStatements(OfReport):
    """The verifier's statement on a report."""

    @extend_schema(
        operation_id="reports_statement_read",
        summary="Read a statement with its signatures",
        responses={200: SignedSerializer},
        filters=False,
    )
    def read(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the statement with its signatures and public keys."""
        statement = (
            VerifierStatement.objects.select_related("verifier", "key", "receipt_key", "report")
            .filter(report=self.report(), key__isnull=False)
            .first()
        )
        if statement is None:
            raise Http404
        return Response(SignedSerializer(statement).data)

    @extend_schema(
        operation_id="reports_statement_unsigned",
        summary="Read the bytes to sign",
        description="Exactly these bytes are signed. They change when findings or the checklist change.",
        parameters=[UnsignedParameters],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
        filters=False,
    )
    def unsigned(self, request: Request, pk: uuid.UUID) -> HttpResponse:
        """Return the statement in its canonical form."""
        asked = read_parameters(request, UnsignedParameters)
        content = verification.statement_to_sign(actor=user_of(request), report=self.report(), now=clock.now(), **asked)
        return HttpResponse(
            content,
            content_type="application/octet-stream",
            headers={"Content-Disposition": 'attachment; filename="statement.json"'},
        )

    @extend_schema(
        operation_id="reports_statement_create",
        summary="State an opinion and sign it",
        description="A positive opinion puts the report in force; a negative one returns it. Uncorrected misstatements "
        "that exceed the materiality level bar a positive opinion.",
        request=OpinionRequest,
        responses={201: SignedSerializer},
        filters=False,
    )
    def create(self, request: Request, pk: uuid.UUID) -> Response:
        """State it."""
        asked = OpinionRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values: dict[str, Any] = asked.validated_data
        if bool(values["signature"]) == bool(values["passphrase"]):
            raise refused_field("signature", "signature_missing", "Send either a signature or a passphrase.")
        statement = verification.verify_report(actor=user_of(request), report=self.report(), now=clock.now(), **values)
        return Response(SignedSerializer(statement).data, status=status.HTTP_201_CREATED)


def _reason(request: Request) -> str:
    asked = ReasonRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    return str(asked.validated_data["reason"])


def _reads_papers(view: OfReport, report: Report) -> bool:
    """Whether a request may read the verifier's working papers: the verifier's own people, and who oversees it."""
    if view.scope.everything:
        return True
    organisation = organisation_of(view.request)
    return organisation.kind == "verifier" and has_role(user_of(view.request), organisation, "verifier")
