"""Tokens over REST: get one with one's password, list one's own, revoke; and what the present token may do."""

from datetime import timedelta
from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from accounts.api.base import HasToken, RegistryViewSet, TokenMayWrite, organisation_of, token_of, user_of
from accounts.api.credentials import authenticate
from accounts.models import ApiToken, Organisation, User
from accounts.selectors import organisations_of, roles_in
from accounts.services import tokens
from common import clock
from common.errors import Unknown


class OrganisationRef(serializers.ModelSerializer[Organisation]):
    """An organisation as others refer to it."""

    class Meta:
        model = Organisation
        fields: ClassVar = ("id", "name", "kind")


class TokenRequest(serializers.Serializer[object]):
    """Who asks for a token, and for what."""

    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})
    second_factor_code = serializers.CharField(
        max_length=40, required=False, default="", help_text="Needed when the person has a second factor."
    )
    organisation = serializers.UUIDField(
        required=False, help_text="For which organisation. May be left out by a person who belongs to one only."
    )
    name = serializers.CharField(max_length=100, help_text="What the token is for, to know it again in the list.")
    scope = serializers.ChoiceField(choices=ApiToken.Scope.choices, default=ApiToken.Scope.READ)
    days = serializers.IntegerField(min_value=1, max_value=tokens.MAX_LIFE.days, default=tokens.MAX_LIFE.days)


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token as its owner sees it again: never its secret."""

    id = serializers.CharField(source="token_key", read_only=True, help_text="The first characters of the token.")
    organisation = OrganisationRef(read_only=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)
    expires_at = serializers.DateTimeField(source="expiry", read_only=True)

    class Meta:
        model = ApiToken
        fields: ClassVar = ("id", "name", "scope", "organisation", "created_at", "expires_at")


class IssuedToken(TokenSerializer):
    """A token on the one occasion when its secret is shown."""

    token = serializers.CharField(read_only=True, help_text="Keep it secret; it is not shown again.")

    class Meta(TokenSerializer.Meta):
        fields: ClassVar = (*TokenSerializer.Meta.fields, "token")  # type: ignore[assignment]


class TokenThrottle(ScopedRateThrottle):
    """Limits only the making of tokens, by network address."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Let reading pass."""
        return request.method != "POST" or super().allow_request(request, view)


@extend_schema_view(
    list=extend_schema(summary="List one's own tokens"),
    create=extend_schema(
        summary="Get a token with e-mail and password",
        description="Rate limited. The answer is the only one that shows the secret.",
        request=TokenRequest,
        responses={201: IssuedToken},
        auth=[],
        examples=[
            OpenApiExample(
                "A token that reads",
                value={
                    "email": "ada@acme.example",
                    "password": "correct horse battery staple",
                    "name": "month-end statement",
                    "scope": "read",
                },
                request_only=True,
            )
        ],
    ),
    destroy=extend_schema(summary="Revoke one of one's own tokens", description="A read token may do this too."),
)
class Tokens(mixins.ListModelMixin, RegistryViewSet[ApiToken]):
    """One's own tokens. Making one needs no token; everything else does."""

    serializer_class = TokenSerializer
    throttle_classes = (TokenThrottle,)
    throttle_scope = "tokens"
    lookup_field = "token_key"
    lookup_value_regex = "[!-.0-~]{1,25}"
    ordering: ClassVar = ("-created", "digest")

    def get_permissions(self) -> list[AllowAny | HasToken]:
        """Whoever has no token yet may ask for one."""
        return [AllowAny()] if self.request.method == "POST" else [HasToken()]

    def rows(self) -> QuerySet[ApiToken]:
        """The person's own tokens that still live, whatever the organisation."""
        if not isinstance(self.request.auth, ApiToken):
            return QuerySet(ApiToken).none()
        own: QuerySet[ApiToken] = ApiToken.objects.filter(user=user_of(self.request), expiry__gt=clock.now())
        return own.select_related("organisation")

    def create(self, request: Request) -> Response:
        """Check who asks, then make the token."""
        asked = TokenRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        user = authenticate(
            request._request,
            email=values["email"],
            password=values["password"],
            code=values["second_factor_code"],
        )
        choices = organisations_of(user)
        if "organisation" in values:
            choices = choices.filter(pk=values["organisation"])
        found = list(choices[:2])
        if not found:
            raise Unknown("organisation_unknown", "You have no role in such an organisation. Check its id.")
        if len(found) > 1:
            raise serializers.ValidationError(
                {"organisation": ["You belong to several organisations. Name the one the token is for."]},
                code="organisation_missing",
            )
        token, secret = tokens.issue_token(
            actor=user,
            organisation=found[0],
            name=values["name"],
            scope=values["scope"],
            life=timedelta(days=values["days"]),
            now=clock.now(),
        )
        answer = IssuedToken(token).data | {"token": secret}
        return Response(answer, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})

    def destroy(self, request: Request, token_key: str) -> Response:
        """End it at once."""
        tokens.revoke_token(actor=user_of(request), token_key=token_key, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeSerializer(serializers.Serializer[object]):
    """The person, the organisation and the roles that the present token stands for."""

    class Person(serializers.Serializer[object]):
        """The person whose token it is."""

        id = serializers.UUIDField(read_only=True)
        name = serializers.CharField(read_only=True)
        email = serializers.EmailField(read_only=True)

    user = Person(read_only=True)
    organisation = OrganisationRef(read_only=True)
    organisation_status = serializers.CharField(read_only=True)
    roles = serializers.ListField(child=serializers.CharField(), read_only=True)
    token = TokenSerializer(read_only=True)


class Me(RegistryViewSet[User]):
    """What the present token may do."""

    permission_classes = (HasToken, TokenMayWrite)

    @extend_schema(
        operation_id="me_read", summary="Read what the present token stands for", responses=MeSerializer, filters=False
    )
    def read(self, request: Request) -> Response:
        """Answer with the person, the organisation, the roles and the token."""
        organisation = organisation_of(request)
        return Response(
            MeSerializer(
                {
                    "user": user_of(request),
                    "organisation": organisation,
                    "organisation_status": organisation.status,
                    "roles": sorted(roles_in(user_of(request), organisation)),
                    "token": token_of(request),
                }
            ).data
        )
