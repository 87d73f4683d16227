"""The API that a stock CodeCarbon client speaks: its addresses, its words, and the status codes that it checks.

A client knows a base address and a token. Measurements need a token of a project, in the client's own header, as
`Authorization: Bearer`, or as the password in the address itself, which is all that a webhook and clients before 2.8
can carry. Projects may also be made with the token of a person. Refusals are problems as everywhere: the client logs
them. These addresses are CodeCarbon's protocol and not ours, so they are not in the OpenAPI document.
"""

import base64
import binascii
import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import IO, Any, ClassVar, TypeVar, cast

from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from accounts.api.authentication import BearerToken
from accounts.models import ApiToken, Organisation, User
from accounts.selectors import Scope, scope_of
from common import clock
from common.bodies import Context, json_object
from common.errors import Forbidden, Unknown, require_permission
from common.problems import BodyTooLarge, RefusedBody
from registry.importers import codecarbon_api as bodies
from registry.models import MeterExperiment, MeterProject, MeterRun, ProjectToken
from registry.services.metering import projects, readings, runs, tokens

MAX_BODY = 64 * 1024
"""A client's body has 1 to 2 kB."""

TOKEN_LIFE = timedelta(days=365)

Read = TypeVar("Read")


# Reading a request ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A body as it came, and what it says with every digit."""

    text: str
    fields: bodies.Body


class ExactJSON(BaseParser):
    """JSON as everywhere, with numbers as decimals: a measurement keeps the digits that the client wrote."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Context = None) -> Any:
        """Return the text and its fields."""
        body = stream.read(MAX_BODY + 1)
        if len(body) > MAX_BODY:
            raise BodyTooLarge(f"The body is larger than {MAX_BODY // 1024} kB. A client sends less.")
        fields = json_object(body, numbers=Decimal)
        return Sent(body.decode("utf-8-sig"), fields)


class ClientToken(BaseAuthentication):
    """The token of a project, wherever a client can put it; or the token of a person."""

    def authenticate(self, request: Request) -> tuple[User, ProjectToken | ApiToken] | None:
        """Return who is behind the request and the token, nothing without one."""
        secret = _secret(request)
        if secret is None:
            return cast("tuple[User, ApiToken] | None", BearerToken().authenticate(request))
        try:
            token = tokens.token_of(secret, clock.now())
        except Unknown as refusal:
            raise AuthenticationFailed(refusal.sentence, refusal.code) from refusal
        return token.issued_by, token

    def authenticate_header(self, request: Request) -> str:
        """Say how to come in, so that the answer is 401."""
        return "Bearer"


def _secret(request: Request) -> str | None:
    """Return the token of a project that a request carries."""
    own = request.headers.get("x-api-token")
    if own is not None:
        return own
    kind, _, value = get_authorization_header(request).decode("latin-1").partition(" ")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode("latin-1").partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return value if value.startswith(tokens.PREFIX) else None


class MeterThrottle(SimpleRateThrottle):
    """Counts the requests of each token: a client posts a few times a minute, a cluster has many clients."""

    scope = "meters"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        """Tell tokens apart."""
        return self.cache_format % {"scope": self.scope, "ident": getattr(request.auth, "pk", None)}


@extend_schema(exclude=True)
class ClientView(APIView):
    """The base of what clients ask; each request comes with a token."""

    authentication_classes = (ClientToken,)
    permission_classes = (AllowAny,)
    parser_classes: ClassVar[list[type[BaseParser]]] = [ExactJSON]  # type: ignore[misc]
    throttle_classes = (MeterThrottle,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Ask for the token before anything else."""
        if request.auth is None:
            raise NotAuthenticated("Send a token of your project in the header x-api-token: set api_key.")
        super().initial(request, *args, **kwargs)


def _read(result: "Read | tuple[bodies.FieldError, ...]") -> Read:
    """Return what a body says, or refuse it with every fault in it."""
    if isinstance(result, tuple) and result and isinstance(result[0], bodies.FieldError):
        errors = [{"pointer": f"/{one.field}", "code": one.code, "detail": one.sentence} for one in result]
        first = result[0]
        raise RefusedBody("fields_refused", f"{first.field}: {first.sentence} Nothing was stored.", errors)
    return result  # type: ignore[return-value]


def _sent(request: Request) -> Sent:
    if not isinstance(request.data, Sent):
        raise ParseError("Send a JSON object.")
    return request.data


def _project_token(request: Request) -> ProjectToken:
    """Return the token of a project, which every measurement needs."""
    if not isinstance(request.auth, ProjectToken):
        raise Forbidden("project_token_needed", "Measurements need a token of a project. Make one on the page Meters.")
    return request.auth


# What a request may see -----------------------------------------------------------------------------------------------


def _projects(request: Request) -> QuerySet[MeterProject]:
    rows = MeterProject.objects.select_related("operator__organisation", "operator__scheme").order_by("name", "id")
    if isinstance(request.auth, ProjectToken):
        return rows.filter(pk=request.auth.project_id)
    return _scope(request).filter(rows, "operator__organisation")


def _organisations(request: Request) -> QuerySet[Organisation]:
    if isinstance(request.auth, ProjectToken):
        return Organisation.objects.filter(pk=request.auth.project.operator.organisation_id)
    return Organisation.objects.filter(pk=_person_token(request).organisation_id)


def _scope(request: Request) -> Scope:
    return scope_of(_person(request), _person_token(request))


def _person(request: Request) -> User:
    assert isinstance(request.user, User), "Every request comes with a token, and a token with a person."
    return request.user


def _person_token(request: Request, *, writes: bool = False) -> ApiToken:
    """Return the token of a person, which making a project or a token needs."""
    if not isinstance(request.auth, ApiToken):
        raise Forbidden("person_token_needed", "This needs the token of a person. Or do it on the page Meters.")
    require_permission(
        not writes or request.auth.scope == ApiToken.Scope.WRITE,
        "This token only reads. Make one with the scope write for this request.",
    )
    return request.auth


def _project(request: Request, project_id: "uuid.UUID | None") -> MeterProject:
    project = _projects(request).filter(pk=project_id).first() if project_id else None
    if project is None:
        raise Unknown("project_unknown", "This token opens no such project. Compare the page Meters.")
    return project


# Answers --------------------------------------------------------------------------------------------------------------


def _organisation_answer(organisation: Organisation) -> dict[str, object]:
    return {"id": str(organisation.pk), "name": organisation.name, "description": ""}


def _project_answer(project: MeterProject) -> dict[str, object]:
    return {
        "id": str(project.pk),
        "name": project.name,
        "description": project.description,
        "organization_id": str(project.operator.organisation_id),
    }


def _experiment_answer(experiment: MeterExperiment) -> dict[str, object]:
    return {
        "id": str(experiment.pk),
        "timestamp": experiment.created_at.isoformat(),
        "name": experiment.name,
        "description": experiment.description,
        "on_cloud": experiment.on_cloud,
        "project_id": str(experiment.project_id),
        "country_name": experiment.country_name or None,
        "country_iso_code": experiment.country or None,
        "region": experiment.region or None,
        "cloud_provider": experiment.cloud_provider or None,
        "cloud_region": experiment.cloud_region or None,
    }


def _run_answer(run: MeterRun) -> dict[str, object]:
    """Return the run as the client described it, with the id under which it measures from now on."""
    described = {name: value for name, value in json.loads(run.sent).items() if name != "id"}
    return {"id": str(run.pk), **described}


def _created(answer: object) -> Response:
    return Response(answer, status=status.HTTP_201_CREATED)


# Measurements ---------------------------------------------------------------------------------------------------------


class Runs(ClientView):
    """POST /runs: a client begins to measure."""

    def post(self, request: Request) -> Response:
        """Register the run; the same body again is the same run."""
        sent, token = _sent(request), _project_token(request)
        run = _read(bodies.read_run(sent.fields))
        return _created(_run_answer(runs.register_run(token=token, run=run, sent=sent.text, now=clock.now())))


class Emissions(ClientView):
    """POST /emissions: what a client measured since it last said so."""

    def post(self, request: Request) -> Response:
        """Take the increment; the same body again counts once."""
        sent, token = _sent(request), _project_token(request)
        reading = _read(bodies.read_increment(sent.fields))
        stored = readings.add_increment(token=token, reading=reading, sent=sent.text, now=clock.now())
        return _created({"id": str(stored.pk), "run_id": str(stored.run_id)})


class Webhook(ClientView):
    """POST to a client's emissions_endpoint: the totals of a run, when it ends."""

    def post(self, request: Request) -> Response:
        """Take the totals; the same body again counts once."""
        sent, token = _sent(request), _project_token(request)
        run, reading = _read(bodies.read_totals(sent.fields))
        stored = readings.add_totals(token=token, run=run, reading=reading, sent=sent.text, now=clock.now())
        return _created({"id": str(stored.pk), "run_id": str(stored.run_id)})


# The hierarchy --------------------------------------------------------------------------------------------------------


class AuthCheck(ClientView):
    """GET /auth/check: whether the token is good."""

    def get(self, request: Request) -> Response:
        """Say for whom the token acts."""
        organisation = _organisations(request).first()
        return Response({"status": "ok", "organization": organisation.name if organisation else None})


class Organisations(ClientView):
    """/organizations: the one for which the token acts."""

    def get(self, request: Request) -> Response:
        """List it."""
        return Response([_organisation_answer(one) for one in _organisations(request)])

    def post(self, request: Request) -> Response:
        """Refuse: organisations are known by their papers."""
        raise Forbidden("organisations_are_registered", "The regulator registers organisations. Use your own.")


class OneOrganisation(ClientView):
    """/organizations/<id>."""

    def get(self, request: Request, organisation_id: uuid.UUID) -> Response:
        """Read it."""
        organisation = _organisations(request).filter(pk=organisation_id).first()
        if organisation is None:
            raise Unknown("organisation_unknown", "This token opens no such organisation.")
        return Response(_organisation_answer(organisation))

    def patch(self, request: Request, organisation_id: uuid.UUID) -> Response:
        """Refuse: its data change with its papers."""
        raise Forbidden("organisations_are_registered", "Only the regulator changes the data of an organisation.")


class ProjectsOfOrganisation(ClientView):
    """GET /organizations/<id>/projects."""

    def get(self, request: Request, organisation_id: uuid.UUID) -> Response:
        """List the projects that the token opens."""
        rows = _projects(request).filter(operator__organisation=organisation_id)
        return Response([_project_answer(project) for project in rows])


class Projects(ClientView):
    """POST /projects."""

    def post(self, request: Request) -> Response:
        """Make a project for the only operator that the organisation is."""
        asked = _read(bodies.read_experiment(_sent(request).fields))
        organisation = _person_token(request, writes=True).organisation
        if asked.organisation_id != organisation.pk:
            raise Unknown("organisation_unknown", "This token acts for another organisation.")
        project = projects.create_project(
            actor=_person(request),
            operator=projects.operator_for(organisation),
            name=asked.name,
            description=asked.description,
            site=None,
            now=clock.now(),
        )
        return _created(_project_answer(project))


class OneProject(ClientView):
    """GET /projects/<id>."""

    def get(self, request: Request, project_id: uuid.UUID) -> Response:
        """Read it."""
        return Response(_project_answer(_project(request, project_id)))


class ExperimentsOfProject(ClientView):
    """GET /projects/<id>/experiments."""

    def get(self, request: Request, project_id: uuid.UUID) -> Response:
        """List them."""
        rows = MeterExperiment.objects.filter(project=_project(request, project_id)).order_by("name", "id")
        return Response([_experiment_answer(experiment) for experiment in rows])


class Experiments(ClientView):
    """POST /experiments."""

    def post(self, request: Request) -> Response:
        """Make an experiment; what its runs are, a person says later on the page Meters."""
        asked = _read(bodies.read_experiment(_sent(request).fields))
        project = _project(request, asked.project_id)
        place = projects.Place(
            asked.country, asked.country_name, asked.region, asked.on_cloud, asked.cloud_provider, asked.cloud_region
        )
        if isinstance(request.auth, ProjectToken):
            experiment = projects.create_experiment_for_client(
                token=request.auth, name=asked.name, description=asked.description, place=place, now=clock.now()
            )
        else:
            _person_token(request, writes=True)
            experiment = projects.create_experiment(
                actor=_person(request),
                project=project,
                name=asked.name,
                description=asked.description,
                place=place,
                now=clock.now(),
            )
        return _created(_experiment_answer(experiment))


class OneExperiment(ClientView):
    """GET /experiments/<id>."""

    def get(self, request: Request, experiment_id: uuid.UUID) -> Response:
        """Read it."""
        experiment = MeterExperiment.objects.filter(pk=experiment_id, project__in=_projects(request)).first()
        if experiment is None:
            raise Unknown("experiment_unknown", "This token opens no such experiment. Compare the page Meters.")
        return Response(_experiment_answer(experiment))


class ProjectTokens(ClientView):
    """POST /projects/<id>/api-tokens."""

    def post(self, request: Request, project_id: uuid.UUID) -> Response:
        """Make a token of the project for a client, shown this once."""
        asked = _read(bodies.read_experiment(_sent(request).fields))
        _person_token(request, writes=True)
        token, secret = tokens.issue_token(
            actor=_person(request),
            project=_project(request, project_id),
            name=asked.name,
            level=ProjectToken.Level.WRITE,
            life=TOKEN_LIFE,
            now=clock.now(),
        )
        return _created({"id": str(token.pk), "project_id": str(project_id), "name": token.name, "token": secret})


urlpatterns = [
    path("auth/check", AuthCheck.as_view(), name="codecarbon-auth"),
    path("runs", Runs.as_view(), name="codecarbon-runs"),
    path("emissions", Emissions.as_view(), name="codecarbon-emissions"),
    path("webhook", Webhook.as_view(), name="codecarbon-webhook"),
    path("organizations", Organisations.as_view(), name="codecarbon-organisations"),
    path("organizations/<uuid:organisation_id>", OneOrganisation.as_view(), name="codecarbon-organisation"),
    path(
        "organizations/<uuid:organisation_id>/projects",
        ProjectsOfOrganisation.as_view(),
        name="codecarbon-organisation-projects",
    ),
    path("projects", Projects.as_view(), name="codecarbon-projects"),
    path("projects/<uuid:project_id>", OneProject.as_view(), name="codecarbon-project"),
    path(
        "projects/<uuid:project_id>/experiments", ExperimentsOfProject.as_view(), name="codecarbon-project-experiments"
    ),
    path("projects/<uuid:project_id>/api-tokens", ProjectTokens.as_view(), name="codecarbon-project-tokens"),
    path("experiments", Experiments.as_view(), name="codecarbon-experiments"),
    path("experiments/<uuid:experiment_id>", OneExperiment.as_view(), name="codecarbon-experiment"),
    path("run", Runs.as_view(), name="codecarbon-old-runs"),
    path("emission", Emissions.as_view(), name="codecarbon-old-emissions"),
    path("experiment", Experiments.as_view(), name="codecarbon-old-experiments"),
]
"""Below /api/codecarbon/, without a slash at the end, as the client asks. The last three are of clients before 2.4."""
