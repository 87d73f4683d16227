"""Bulk work over REST: a table of transfers or surrenders as one file, carried out as a whole or not at all."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import IDEMPOTENCY_HEADER, ScopedViewSet, idempotency_key, organisation_of, user_of
from accounts.models import Approval
from common import clock
from common.bodies import OneForm
from common.rest import Digits
from registry.api.compliance import SurrenderSerializer
from registry.api.reports import rows_as_lines
from registry.models import Surrender
from registry.services import bulk


class TableRequest(serializers.Serializer[object]):
    """A table, as CSV or XLSX."""

    file = serializers.FileField(allow_empty_file=True, help_text="At most 2,000 rows and 2 MB.")


class TotalSerializer(serializers.Serializer[object]):
    """The permits of all rows together."""

    permit = serializers.CharField(read_only=True)
    quantity = Digits()


class BulkAnswer(serializers.Serializer[object]):
    """What became of a table: its proposal, or what was done."""

    status = serializers.CharField(read_only=True, help_text="executed, or the state of the approval.")
    approval = serializers.UUIDField(read_only=True, allow_null=True)
    journal = serializers.CharField(read_only=True, allow_null=True, help_text="Of transfers that were made.")
    sha256 = serializers.CharField(read_only=True, help_text="By which the file is kept.")
    rows = serializers.IntegerField(read_only=True)
    totals = TotalSerializer(many=True, read_only=True)


class BulkSurrenderAnswer(serializers.Serializer[object]):
    """What became of a table of surrenders: a receipt for each row, or the proposal that waits."""

    status = serializers.CharField(read_only=True, help_text="executed, or the state of the approval.")
    approval = serializers.UUIDField(read_only=True, allow_null=True)
    receipts = SurrenderSerializer(many=True, read_only=True)


class BulkTransfers(ScopedViewSet[Approval]):
    """Transfers by a table."""

    parser_classes = (OneForm,)
    scope_path = "organisation"

    @extend_schema(
        operation_id="transfers_bulk_create",
        summary="Propose the transfers of a table",
        description="Columns: from, to, permit, quantity, price, agreement; those of the template on the page. A table "
        "with any error is refused with all of them by line and column, and nothing is stored. Otherwise its permits "
        "are held, and it is carried out as one journal when a second person approves it. The same bytes again are the "
        "same proposal.",
        parameters=[IDEMPOTENCY_HEADER],
        request={"multipart/form-data": TableRequest},
        responses={
            201: OpenApiResponse(BulkAnswer, "The transfers were made."),
            202: OpenApiResponse(BulkAnswer, "The table waits for a second person."),
        },
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Propose them."""
        key = idempotency_key(request, "transfers/bulk")
        name, content = _table(request)
        with rows_as_lines():
            approval = bulk.propose_transfers(
                actor=user_of(request),
                organisation=organisation_of(request),
                name=name,
                content=content,
                key=key,
                now=clock.now(),
            )
        parameters, result = approval.parameters, approval.result or {}
        answer = BulkAnswer(
            {
                "status": approval.status,
                "approval": approval.pk,
                "journal": result.get("journal"),
                "sha256": parameters["sha256"],
                "rows": parameters["rows"],
                "totals": [
                    {"permit": permit, "quantity": quantity} for permit, quantity in parameters["totals"]["rows"]
                ],
            }
        )
        return Response(answer.data, status=_code(is_done=approval.status == "executed"))


class BulkSurrenders(ScopedViewSet[Surrender]):
    """Surrenders by a table."""

    parser_classes = (OneForm,)
    scope_path = "operator__organisation"

    @extend_schema(
        operation_id="surrenders_bulk_create",
        summary="Surrender the permits of a table",
        description="Columns: account, scheme, year, permit, quantity; those of the template on the page. All rows are "
        "received together, each with its own receipt, or the table is refused with every error by line and column. "
        "Where scheme or holder want a second person, it waits for one with its permits held. The same bytes again are "
        "the same receipts.",
        parameters=[IDEMPOTENCY_HEADER],
        request={"multipart/form-data": TableRequest},
        responses={
            201: OpenApiResponse(BulkSurrenderAnswer, "The permits were surrendered."),
            202: OpenApiResponse(BulkSurrenderAnswer, "The table waits for a second person."),
        },
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Surrender them, or propose to."""
        key = idempotency_key(request, "surrenders/bulk")
        name, content = _table(request)
        with rows_as_lines():
            made = bulk.bulk_surrender(
                actor=user_of(request),
                organisation=organisation_of(request),
                name=name,
                content=content,
                key=key,
                now=clock.now(),
            )
        keys = [receipt.pk for receipt in made.receipts]
        rows = Surrender.objects.select_related("operator__organisation", "period__scheme").in_bulk(keys)
        answer = BulkSurrenderAnswer(
            {
                "status": "executed" if made.approval is None else made.approval.status,
                "approval": None if made.approval is None else made.approval.pk,
                "receipts": [rows[each] for each in keys],
            }
        )
        return Response(answer.data, status=_code(is_done=bool(made.receipts)))


def _table(request: Request) -> tuple[str, bytes]:
    """Return the name and bytes of the file. How long a body may be was asked before it was read."""
    asked = TableRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    file = asked.validated_data["file"]
    return file.name or "", file.read()


def _code(*, is_done: bool) -> int:
    return status.HTTP_201_CREATED if is_done else status.HTTP_202_ACCEPTED
