"""Transactions, trusted lists and certificates over REST: everything that permits are asked to do outside a trade."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.api.base import (
    IDEMPOTENCY_HEADER,
    InstantFilter,
    PublicViewSet,
    ScopedViewSet,
    idempotency_key,
    organisation_of,
    refuse_unknown_parameters,
    refused_field,
    user_of,
)
from accounts.api.records import PersonRef
from accounts.api.tokens import OrganisationRef
from accounts.models import Organisation
from common import clock
from common.errors import require_permission
from common.rest import Digits, WholeQuantity
from registry import movements
from registry.api.bodies import period_in_body, permits_in_body
from registry.ledger.models import LedgerAccount
from registry.models import TRANSACTION, TRUST, Transaction, TrustedAccount
from registry.selectors import holding_account
from registry.services import transactions
from registry.services.transactions import trust


class TransactionSerializer(serializers.ModelSerializer[Transaction]):
    """One movement of permits by one of the types of the table, why it waits and how it ended."""

    organisation = OrganisationRef(read_only=True)
    sender = serializers.CharField(source="sender.number", read_only=True, help_text="Number of the account.")
    receiver = serializers.CharField(source="receiver.number", read_only=True, help_text="Number of the account.")
    asset = serializers.CharField(source="asset.code", read_only=True)
    quantity = Digits()
    price_minor = Digits(allow_null=True, help_text="Agreed price of one permit, in minor units.")
    note = serializers.CharField(source="details.note", read_only=True, default="")
    proposed_by = PersonRef(read_only=True, allow_null=True)
    approval = serializers.UUIDField(source="approval_id", read_only=True, allow_null=True)
    journal = serializers.CharField(source="journal_id", read_only=True, allow_null=True)
    reverses = serializers.UUIDField(source="reverses_id", read_only=True, allow_null=True)

    class Meta:
        model = Transaction
        fields: ClassVar = (
            "id",
            "kind",
            "status",
            "organisation",
            "sender",
            "receiver",
            "asset",
            "quantity",
            "price_minor",
            "agreement",
            "beneficiary",
            "note",
            "proposed_by",
            "proposed_at",
            "approval",
            "execute_after",
            "ended_at",
            "journal",
            "reverses",
            "reason_code",
            "reason",
        )
        read_only_fields = fields


class TransactionRequest(serializers.Serializer[object]):
    """What is asked for. Which fields count depends on the type."""

    kind = serializers.ChoiceField(
        choices=sorted(name for name, row in transactions.TYPES.items() if row.by_holder or row.by_desk),
        help_text="The regulator's desk begins closure_transfer, move_to_reserve and release; holders the others.",
    )
    asset = serializers.CharField(max_length=60, help_text="Code of the permits, such as ai-flop-2030.")
    quantity = WholeQuantity()
    account = serializers.CharField(
        max_length=40,
        required=False,
        default="",
        help_text="Number of the sending account; the holding account unless told. The regulator names it always.",
    )
    to = serializers.CharField(
        max_length=40,
        required=False,
        default="",
        help_text="Number of the receiving account, where the type names one.",
        allow_blank=True,
    )
    period = serializers.CharField(
        max_length=60, required=False, default="", help_text="For which period permits are surrendered."
    )
    price_minor = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=10**15,
        help_text="Agreed price of a permit.",
    )
    agreement = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    beneficiary = serializers.CharField(
        max_length=200, required=False, default="", allow_blank=True, help_text="For whom permits are cancelled."
    )
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    reason = serializers.CharField(
        max_length=500, required=False, default="", allow_blank=True, help_text="Why the regulator moves permits."
    )


class ReasonBody(serializers.Serializer[object]):
    """Why, in a sentence that those concerned can read."""

    reason = serializers.CharField(max_length=500)


class Confirmation(serializers.Serializer[object]):
    """The receiver's word: it accepts, or turns down with a reason."""

    accept = serializers.BooleanField()
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class TransactionFilters(filters.FilterSet):
    """Narrow the list by type, state, permits and time."""

    kind = filters.ChoiceFilter(choices=[(name, row.title) for name, row in transactions.TYPES.items()])
    status = filters.ChoiceFilter(choices=TRANSACTION.choices)
    asset = filters.CharFilter(field_name="asset__code")
    organisation = filters.UUIDFilter()
    proposed_from = InstantFilter(field_name="proposed_at", lookup_expr="gte")
    proposed_to = InstantFilter(field_name="proposed_at", lookup_expr="lt")


@extend_schema_view(
    list=extend_schema(summary="List transactions"), retrieve=extend_schema(summary="Read a transaction")
)
class Transactions(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Transaction]):
    """Transactions of the organisations in scope, and those that arrived in their accounts, newest first."""

    serializer_class = TransactionSerializer
    filterset_class = TransactionFilters
    scope_path = "organisation"
    ordering: ClassVar = ("-proposed_at", "-id")

    def rows(self) -> QuerySet[Transaction]:
        """Every transaction."""
        return Transaction.objects.all()

    def visible(self) -> QuerySet[Transaction]:
        """Those that the scope may see, arrivals included."""
        return movements.transactions_in(self.scope)

    @extend_schema(
        summary="Ask for a transaction",
        description="It is carried out at once, or waits with its permits held for a second person, its time or the "
        "receiver. Every check that fails is listed. What the regulator moves by order waits for another officer.",
        parameters=[IDEMPOTENCY_HEADER],
        request=TransactionRequest,
        responses={
            201: OpenApiResponse(TransactionSerializer, "It was carried out."),
            202: OpenApiResponse(TransactionSerializer, "It waits."),
        },
        examples=[
            OpenApiExample(
                "A voluntary cancellation",
                value={
                    "kind": "cancel",
                    "asset": "ai-flop-2030",
                    "quantity": "20",
                    "beneficiary": "The readers of our annual report",
                },
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Ask for it."""
        key = idempotency_key(request, "transactions")
        asked = TransactionRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        organisation = organisation_of(request)
        row = transactions.propose(
            actor=user_of(request),
            organisation=organisation,
            request=transactions.Request(
                kind=values["kind"],
                sender=_sender(request, values["kind"], values["account"]),
                asset=permits_in_body("asset", values["asset"]),
                quantity=values["quantity"],
                to_number=values["to"],
                period=period_in_body(values["period"]) if values["period"] else None,
                price_minor=values["price_minor"],
                agreement=values["agreement"],
                beneficiary=values["beneficiary"],
                note=values["note"],
                reason=values["reason"],
            ),
            key=key,
            now=clock.now(),
        )
        code = status.HTTP_201_CREATED if row.status == "completed" else status.HTTP_202_ACCEPTED
        location = reverse("transaction-detail", args=[row.pk], request=request)
        return Response(self._shown(row), status=code, headers={"Location": location})

    @extend_schema(summary="Cancel a transaction that waits", request=ReasonBody, responses=TransactionSerializer)
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Stop it; its permits are free again."""
        row = self.get_object()
        asked = ReasonBody(data=request.data)
        asked.is_valid(raise_exception=True)
        row = transactions.cancel(
            actor=user_of(request),
            transaction_id=row.pk,
            reason=asked.validated_data["reason"],
            now=clock.now(),
        )
        return Response(self._shown(row))

    @extend_schema(
        summary="Undo a transaction",
        description="For the regulator's desk: proposes the type that undoes it, in full. Another officer approves.",
        parameters=[IDEMPOTENCY_HEADER],
        request=ReasonBody,
        responses={202: OpenApiResponse(TransactionSerializer, "It waits for another officer.")},
    )
    def reverse(self, request: Request, pk: UUID) -> Response:
        """Propose to undo it."""
        key = idempotency_key(request, "reversals")
        row = self.get_object()
        asked = ReasonBody(data=request.data)
        asked.is_valid(raise_exception=True)
        row = transactions.reverse(
            actor=user_of(request), original=row, reason=asked.validated_data["reason"], key=key, now=clock.now()
        )
        location = reverse("transaction-detail", args=[row.pk], request=request)
        return Response(self._shown(row), status=status.HTTP_202_ACCEPTED, headers={"Location": location})

    @extend_schema(summary="Accept or turn down what arrives", request=Confirmation, responses=TransactionSerializer)
    def confirm(self, request: Request, pk: UUID) -> Response:
        """Say the receiver's word."""
        row = self.get_object()
        asked = Confirmation(data=request.data)
        asked.is_valid(raise_exception=True)
        actor, now = user_of(request), clock.now()
        if asked.validated_data["accept"]:
            row = transactions.accept(actor=actor, transaction_id=row.pk, now=now)
        else:
            row = transactions.decline(
                actor=actor, transaction_id=row.pk, reason=asked.validated_data["reason"], now=now
            )
        return Response(self._shown(row))

    def _shown(self, row: Transaction) -> dict[str, Any]:
        return dict(TransactionSerializer(movements.transactions_in(self.scope).get(pk=row.pk)).data)


def _sender(request: Request, kind: str, number: str) -> LedgerAccount:
    """Return the account to send from: one's own, or any that the regulator's desk names."""
    organisation = organisation_of(request)
    type_ = transactions.known_type(kind)
    if not type_.by_desk:
        return own_account("account", number, organisation)
    require_permission(
        transactions.may_start(user_of(request), organisation, type_),
        f"Your role does not let you begin this: {type_.title.lower()}. Ask a colleague who may.",
    )
    account = LedgerAccount.objects.filter(number=number).first()
    if account is None:
        raise refused_field("account", "sender_unknown", "There is no account of this number. Compare /accounts/.")
    return account


def own_account(field: str, number: str, organisation: Organisation) -> LedgerAccount:
    """Return the organisation's account that a field names; its holding account where it names none."""
    require_permission(organisation.trades, "Only a firm or lab has permits to send. Act for one of those.")
    if not number:
        return holding_account(organisation)
    account = movements.own_accounts(organisation.pk).filter(number=number).first()
    if account is None:
        raise refused_field(field, "sender_unknown", "You have no such account. Compare /accounts/.")
    return account


class TrustedSerializer(serializers.ModelSerializer[TrustedAccount]):
    """One entry of an account's trusted list."""

    account = serializers.CharField(source="account.number", read_only=True)
    trusted = serializers.CharField(source="trusted.number", read_only=True)
    added_by = PersonRef(read_only=True)

    class Meta:
        model = TrustedAccount
        fields: ClassVar = (
            "id",
            "account",
            "trusted",
            "note",
            "status",
            "added_by",
            "added_at",
            "active_from",
            "ended_at",
        )
        read_only_fields = fields


class TrustRequest(serializers.Serializer[object]):
    """The account to trust, and for which of one's own."""

    number = serializers.CharField(max_length=40, help_text="Number of the account to trust.")
    account = serializers.CharField(
        max_length=40,
        required=False,
        default="",
        help_text="Number of the own account; the holding account unless told.",
    )
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class TrustedFilters(filters.FilterSet):
    """Narrow the list by state and account."""

    status = filters.ChoiceFilter(choices=TRUST.choices)
    account = filters.CharFilter(field_name="account__number")


@extend_schema_view(list=extend_schema(summary="List trusted accounts"))
class TrustedAccounts(mixins.ListModelMixin, ScopedViewSet[TrustedAccount]):
    """The trusted lists of the accounts in scope, newest entries first."""

    serializer_class = TrustedSerializer
    filterset_class = TrustedFilters
    scope_path = "account__owner"
    ordering: ClassVar = ("-added_at", "-id")

    def rows(self) -> QuerySet[TrustedAccount]:
        """Every entry."""
        return TrustedAccount.objects.select_related("account", "trusted", "added_by")

    @extend_schema(
        summary="Propose to trust an account",
        description="A second person of the holder approves; then it waits the working days that the scheme asks for.",
        parameters=[IDEMPOTENCY_HEADER],
        request=TrustRequest,
        responses={202: OpenApiResponse(TrustedSerializer, "It waits for a second person.")},
    )
    def create(self, request: Request) -> Response:
        """Propose it."""
        key = idempotency_key(request, "trusted-accounts")
        asked = TrustRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        row = trust.propose_addition(
            actor=user_of(request),
            account=own_account("account", values["account"], organisation_of(request)),
            number=values["number"],
            note=values["note"],
            key=key,
            now=clock.now(),
        )
        return Response(TrustedSerializer(row).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Take an account off the list",
        description="At once where it is trusted; an addition that still waits is stopped.",
        request=None,
        responses={200: TrustedSerializer},
    )
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Remove it, or stop its addition."""
        row, actor, now = self.get_object(), user_of(request), clock.now()
        if row.status in {"proposed", "waiting"}:
            row = trust.cancel_addition(actor=actor, trusted_id=row.pk, reason="Taken back.", now=now)
        else:
            row = trust.remove(actor=actor, trusted_id=row.pk, now=now)
        return Response(TrustedSerializer(row).data)


class SerialRange(serializers.Serializer[movements.Run]):
    """A run of permit numbers."""

    first = Digits()
    last = Digits()


class CertificateSerializer(serializers.Serializer[movements.Certificate]):
    """A voluntary cancellation as the public sees it."""

    id = serializers.UUIDField(read_only=True)
    beneficiary = serializers.CharField(read_only=True)
    quantity = Digits()
    vintage = serializers.IntegerField(read_only=True)
    scheme = serializers.CharField(read_only=True)
    permit = serializers.CharField(read_only=True)
    cancelled_by = serializers.CharField(read_only=True)
    cancelled_at = serializers.DateTimeField(read_only=True)
    reversed = serializers.BooleanField(
        read_only=True, help_text="Whether it was undone since; then it proves nothing."
    )
    serials = SerialRange(many=True, read_only=True, help_text="Empty until the numbers are worked out.")


class Certificates(PublicViewSet[Transaction]):
    """Certificates of voluntary cancellations."""

    def rows(self) -> QuerySet[Transaction]:
        """Every cancellation."""
        return Transaction.objects.filter(kind="cancel")

    @extend_schema(
        operation_id="certificates_read",
        summary="Read the certificate of a cancellation",
        responses=CertificateSerializer,
        filters=False,
    )
    def read(self, request: Request, pk: UUID) -> Response:
        """For everybody who has its number."""
        refuse_unknown_parameters(request, set())
        return Response(CertificateSerializer(movements.certificate(pk)).data)
