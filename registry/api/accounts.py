"""Groups, freezes and permit numbers over REST. Freezes are public from the moment they are made."""

from typing import ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import PublicViewSet, ScopedViewSet, read_parameters
from accounts.api.tokens import OrganisationRef
from common.quantities import MAX_ENTRY
from common.rest import Digits
from registry.grades import is_serial_frozen
from registry.ledger import selectors as ledger
from registry.ledger.models import Asset
from registry.models import Freeze, Group, GroupMember, SerialFreeze


class MemberSerializer(serializers.ModelSerializer[GroupMember]):
    """An organisation's time in a group."""

    organisation = OrganisationRef(read_only=True)

    class Meta:
        model = GroupMember
        fields: ClassVar = ("organisation", "since", "until")
        read_only_fields = fields


class GroupSerializer(serializers.ModelSerializer[Group]):
    """A corporate group, whose members share limits."""

    members = MemberSerializer(many=True, read_only=True)

    class Meta:
        model = Group
        fields: ClassVar = ("id", "name", "created_at", "members")
        read_only_fields = fields


@extend_schema_view(list=extend_schema(summary="List corporate groups"))
class Groups(mixins.ListModelMixin, ScopedViewSet[Group]):
    """Groups to which an organisation in scope belongs."""

    serializer_class = GroupSerializer
    scope_path = "members__organisation"
    ordering: ClassVar = ("id",)

    def rows(self) -> QuerySet[Group]:
        """Every group."""
        return Group.objects.prefetch_related("members__organisation")

    def visible(self) -> QuerySet[Group]:
        """The groups of organisations in scope, by who is a member now."""
        if self.scope.everything:
            return self.rows()
        mine = GroupMember.objects.filter(organisation__in=self.scope.organisation_ids, until=None)
        return self.rows().filter(pk__in=mine.values("group"))


class FreezeSerializer(serializers.ModelSerializer[Freeze]):
    """A stop of all movements of a scheme, or of every scheme, but for surrender."""

    scheme = serializers.CharField(
        source="scheme.code", read_only=True, default=None, help_text="Empty for every scheme."
    )

    class Meta:
        model = Freeze
        fields: ClassVar = ("id", "scheme", "reason", "frozen_at", "lifted_at")
        read_only_fields = fields


class FreezeFilters(filters.FilterSet):
    """Narrow the list to what is frozen now, or is not any more."""

    in_force = filters.BooleanFilter(field_name="lifted_at", lookup_expr="isnull")


@extend_schema_view(list=extend_schema(summary="List freezes of schemes"))
class Freezes(mixins.ListModelMixin, PublicViewSet[Freeze]):
    """What is or was frozen, by scheme."""

    serializer_class = FreezeSerializer
    filterset_class = FreezeFilters
    ordering: ClassVar = ("-frozen_at", "id")

    def rows(self) -> QuerySet[Freeze]:
        """Every freeze."""
        return Freeze.objects.select_related("scheme")


class SerialFreezeSerializer(serializers.ModelSerializer[SerialFreeze]):
    """A range of permit numbers that may not move."""

    asset = serializers.CharField(source="asset.code", read_only=True)
    first = Digits()
    last = Digits()

    class Meta:
        model = SerialFreeze
        fields: ClassVar = ("id", "asset", "first", "last", "reason", "frozen_at", "lifted_at")
        read_only_fields: ClassVar = ("id", "reason", "frozen_at", "lifted_at")


class SerialFreezeFilters(FreezeFilters):
    """Narrow the list by permits too."""

    asset = filters.CharFilter(field_name="asset__code")


@extend_schema_view(list=extend_schema(summary="List frozen permit numbers"))
class SerialFreezes(mixins.ListModelMixin, PublicViewSet[SerialFreeze]):
    """Permit numbers that are or were frozen."""

    serializer_class = SerialFreezeSerializer
    filterset_class = SerialFreezeFilters
    ordering: ClassVar = ("-frozen_at", "id")

    def rows(self) -> QuerySet[SerialFreeze]:
        """Every freeze of numbers."""
        return SerialFreeze.objects.select_related("asset")


class SerialParameters(serializers.Serializer[object]):
    """Which permit."""

    asset = serializers.CharField(max_length=60, help_text="Code of the permits, such as ai-flop-2030.")
    number = serializers.IntegerField(min_value=1, max_value=MAX_ENTRY, help_text="The permit's number.")


class StaySerializer(serializers.Serializer[object]):
    """An account in which a permit was, between two transfers."""

    account = serializers.CharField(source="account.number", read_only=True)
    since = Digits(help_text="The transfer that brought it.")
    until = Digits(help_text="The transfer that took it away; null where it is now.", allow_null=True)


class SerialSerializer(serializers.Serializer[object]):
    """One permit by number. Its path is for those who see everything; others are told whether it may move."""

    asset = serializers.CharField(read_only=True)
    number = Digits()
    frozen = serializers.BooleanField(read_only=True)
    path = StaySerializer(many=True, read_only=True, allow_null=True, help_text="In order; the last is where it is.")


class Serials(PublicViewSet[SerialFreeze]):
    """One permit by its number."""

    def rows(self) -> QuerySet[SerialFreeze]:
        """Nothing is listed here."""
        return SerialFreeze.objects.none()

    @extend_schema(
        operation_id="serials_read",
        summary="Look a permit up by its number",
        parameters=[SerialParameters],
        responses=SerialSerializer,
        filters=False,
    )
    def read(self, request: Request) -> Response:
        """Say whether the permit may move, and to the regulator and auditors through whose hands it came."""
        asked = read_parameters(request, SerialParameters)
        asset = Asset.objects.filter(code=asked["asset"], kind=Asset.Kind.PERMIT).first()
        if asset is None:
            raise Http404
        number = asked["number"]
        return Response(
            SerialSerializer(
                {
                    "asset": asset.code,
                    "number": number,
                    "frozen": is_serial_frozen(asset, number),
                    "path": ledger.history_of_serial(asset.pk, number) if self.scope.everything else None,
                }
            ).data
        )
