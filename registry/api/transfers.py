"""Transfers and statements over REST: what moved in and out of an account, and sending permits to another."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from accounts.api.base import (
    IDEMPOTENCY_HEADER,
    Instant,
    ScopedViewSet,
    idempotency_key,
    organisation_of,
    read_parameters,
    user_of,
)
from common import clock
from common.problems import BadRequest
from common.rest import Digits, WholeQuantity
from registry.api.bodies import permits_in_body
from registry.ledger import selectors as ledger
from registry.ledger.models import Asset, LedgerAccount
from registry.services import transfers
from registry.services.transfers import TransferOutcome

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200


class EntryParameters(serializers.Serializer[object]):
    """Of which account and asset, from when to when, and which page."""

    account = serializers.CharField(max_length=30, help_text="Number of the account.")
    asset = serializers.CharField(max_length=60, help_text="Code of the asset.")
    at_from = Instant(required=False, help_text="Booked at this instant or later.")
    at_to = Instant(required=False, help_text="Booked before this instant.")
    cursor = serializers.IntegerField(
        required=False, min_value=1, max_value=2**62, help_text="Follow the links `next` and `previous`."
    )
    page_size = serializers.IntegerField(required=False, min_value=1, default=PAGE_SIZE, help_text="At most 200.")


class EntrySerializer(serializers.Serializer[ledger.Entry]):
    """One movement as the account sees it, with the balance after it."""

    number = serializers.IntegerField(source="seq", read_only=True, help_text="1, 2, 3 and so on in this account.")
    at = serializers.DateTimeField(read_only=True)
    amount = Digits(help_text="What came in; negative for what went out.")
    balance_after = Digits()
    other_account = serializers.CharField(read_only=True, help_text="Number of the account on the other side.")
    kind = serializers.CharField(read_only=True, help_text="Such as transfer, settlement or surrender.")
    reference = serializers.CharField(read_only=True, help_text="Names the business reason once and for all.")
    key = serializers.UUIDField(read_only=True)


class EntryPage(serializers.Serializer[object]):
    """A page of movements, latest first."""

    next = serializers.URLField(read_only=True, allow_null=True)
    previous = serializers.URLField(read_only=True, allow_null=True)
    results = EntrySerializer(many=True, read_only=True)


class TransferRequest(serializers.Serializer[object]):
    """Permits to send from the organisation's own account."""

    to = serializers.CharField(max_length=40, help_text="Number of the receiving account.")
    asset = serializers.CharField(max_length=60, help_text="Code of the permits, such as ai-flop-2030.")
    quantity = WholeQuantity()
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class TransferAnswer(serializers.Serializer[object]):
    """A transfer that was made, or that waits for a second person, its time or the receiver."""

    status = serializers.CharField(read_only=True, help_text="executed, or the state of the transaction.")
    journal = serializers.CharField(read_only=True, allow_null=True)
    approval = serializers.UUIDField(read_only=True, allow_null=True)
    transaction = serializers.UUIDField(read_only=True, help_text="Read it under /transactions/.")
    execute_after = serializers.DateTimeField(read_only=True, allow_null=True, help_text="When a delayed one is made.")


class StatementParameters(serializers.Serializer[object]):
    """Of which account and asset, from when to when."""

    account = serializers.CharField(max_length=30, help_text="Number of the account.")
    asset = serializers.CharField(max_length=60, help_text="Code of the asset.")
    at_from = Instant(required=False, help_text="The beginning of the ledger unless told.")
    at_to = Instant(required=False, help_text="Not included; now unless told.")


class StatementSerializer(serializers.Serializer[object]):
    """The balances before and after a period, and the numbers of the movements between them."""

    account = serializers.CharField(read_only=True)
    asset = serializers.CharField(read_only=True)
    at_from = serializers.DateTimeField(read_only=True, allow_null=True)
    at_to = serializers.DateTimeField(read_only=True)
    opening = Digits(help_text="The balance before the first movement of the period.")
    closing = Digits(help_text="The balance at the end, which the next period opens with.")
    movements = serializers.IntegerField(read_only=True, help_text="Read them under /transfers/ with the same words.")
    first = serializers.IntegerField(read_only=True, allow_null=True, help_text="Number of the first movement.")
    last = serializers.IntegerField(read_only=True, allow_null=True, help_text="Number of the last movement.")


class _OfOneAccount(ScopedViewSet[LedgerAccount]):
    """Reads about one account in scope and one asset."""

    scope_path = "owner"

    def rows(self) -> QuerySet[LedgerAccount]:
        """Every account."""
        return LedgerAccount.objects.all()

    def account_and_asset(self, asked: dict[str, Any]) -> tuple[LedgerAccount, Asset]:
        """Return both, if the account is in scope."""
        account = self.get_queryset().filter(number=asked["account"]).first()
        asset = Asset.objects.filter(code=asked["asset"]).first()
        if account is None or asset is None:
            raise Http404
        return account, asset


class Transfers(_OfOneAccount):
    """What moved in and out of an account; and sending permits."""

    @extend_schema(
        operation_id="transfers_list",
        summary="List the movements of an account in one asset",
        parameters=[EntryParameters],
        responses=EntryPage,
        filters=False,
    )
    def list(self, request: Request) -> Response:
        """Latest first. Pages are found by number, so that the thousandth costs what the first one costs."""
        asked = read_parameters(request, EntryParameters)
        account, asset = self.account_and_asset(asked)
        size = min(asked["page_size"], MAX_PAGE_SIZE)
        turnover = ledger.turnover(account.pk, asset.pk, asked.get("at_from"), asked.get("at_to"))
        top = min(asked.get("cursor", turnover.last), turnover.last)
        bottom = max(top - size, turnover.before)
        entries = ledger.entries_between(account.pk, asset.pk, after=bottom, up_to=top)
        url = request.build_absolute_uri()
        return Response(
            EntryPage(
                {
                    "next": replace_query_param(url, "cursor", bottom) if bottom > turnover.before else None,
                    "previous": replace_query_param(url, "cursor", top + size) if top < turnover.last else None,
                    "results": entries[::-1],
                }
            ).data
        )

    @extend_schema(
        summary="Send permits to another account",
        description="From the scheme's large quantity on, the transfer is proposed: permits are held, and it is made "
        "when a second person of the organisation approves it. Where the scheme delays transfers, one off the trusted "
        "list waits its time as well. For prices, other accounts and other types see /transactions/.",
        parameters=[IDEMPOTENCY_HEADER],
        request=TransferRequest,
        responses={
            201: OpenApiResponse(TransferAnswer, "The transfer was made."),
            202: OpenApiResponse(TransferAnswer, "The transfer waits."),
        },
        examples=[
            OpenApiExample(
                "Twenty permits",
                value={"to": "HR-100-0000042-17", "asset": "ai-flop-2030", "quantity": "20", "note": "invoice 7"},
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Send them, or propose to."""
        key = idempotency_key(request, "transfers")
        asked = TransferRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        outcome = transfers.transfer(
            actor=user_of(request),
            organisation=organisation_of(request),
            to_number=values["to"],
            asset=permits_in_body("asset", values["asset"]),
            quantity=values["quantity"],
            key=key,
            now=clock.now(),
            note=values["note"],
        )
        answer = _answer(outcome)
        code = status.HTTP_201_CREATED if answer["status"] == "executed" else status.HTTP_202_ACCEPTED
        return Response(TransferAnswer(answer).data, status=code)


def _answer(outcome: TransferOutcome) -> dict[str, object]:
    row = outcome.transaction
    assert row is not None
    return {
        "status": "executed" if row.status in {"completed", "reversed"} else row.status,
        "journal": row.journal_id,
        "approval": row.approval_id,
        "transaction": row.pk,
        "execute_after": row.execute_after,
    }


class Statements(_OfOneAccount):
    """Point-in-time statements."""

    @extend_schema(
        operation_id="statements_read",
        summary="Read a statement of an account in one asset",
        parameters=[StatementParameters],
        responses=StatementSerializer,
        filters=False,
    )
    def read(self, request: Request) -> Response:
        """Found by index at any size of the ledger. With equal instants it is the balance at that instant."""
        asked = read_parameters(request, StatementParameters)
        account, asset = self.account_and_asset(asked)
        start, end = asked.get("at_from"), asked.get("at_to", clock.now())
        if start is not None and start > end:
            raise BadRequest("parameter_invalid", "Let at_from be no later than at_to.")
        turnover = ledger.turnover(account.pk, asset.pk, start, end)
        movements = turnover.last - turnover.before
        return Response(
            StatementSerializer(
                {
                    "account": account.number,
                    "asset": asset.code,
                    "at_from": start,
                    "at_to": end,
                    "opening": turnover.opening,
                    "closing": turnover.closing,
                    "movements": movements,
                    "first": turnover.before + 1 if movements else None,
                    "last": turnover.last if movements else None,
                }
            ).data
        )
