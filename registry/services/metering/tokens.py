"""Tokens of meter projects: shown once, kept as hashes, and looked up with every request of a client."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import audit
from common.errors import Unknown, require, require_permission
from registry.models import MeterProject, ProjectToken
from registry.permissions import may_report

PREFIX = "hrm_"
MAX_LIFE = timedelta(days=400)
"""A compliance year and what comes after it, so that nobody has to change tokens in the middle of a training run."""

MAX_LIVE_TOKENS = 50
"""Of one project."""


@transaction.atomic(durable=True)
def issue_token(
    *, actor: User, project: MeterProject, name: str, level: str, life: timedelta, now: datetime
) -> tuple[ProjectToken, str]:
    """Make a token for the clients of a project; return it with its secret, which nobody can show again."""
    project = locked_project(project)
    organisation = require_holder(actor, project)
    name = " ".join(name.split())
    require(0 < len(name) <= 100, "token_name_missing", "Say in up to 100 characters where the token is used.")
    require(level in ProjectToken.Level.values, "token_level_unknown", "Choose the level read or write.")
    require(timedelta(0) < life <= MAX_LIFE, "token_life_out_of_range", f"A token lives for 1 to {MAX_LIFE.days} days.")
    require(
        ProjectToken.objects.filter(project=project, revoked_at__isnull=True, expires_at__gt=now).count()
        < MAX_LIVE_TOKENS,
        "too_many_tokens",
        f"The project has {MAX_LIVE_TOKENS} tokens already. Revoke one that nobody uses.",
    )
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ProjectToken.objects.create(
        project=project,
        name=name,
        level=level,
        start=secret[: len(PREFIX) + 6],
        digest=digest_of(secret),
        issued_by=actor,
        issued_at=now,
        expires_at=now + life,
    )
    audit.record(
        actor,
        "registry.meter_token.issued",
        project,
        at=now,
        organisation=organisation,
        token=token.start,
        level=level,
        expires_at=token.expires_at,
    )
    return token, secret


@transaction.atomic(durable=True)
def revoke_token(*, actor: User, token: ProjectToken, now: datetime) -> ProjectToken:
    """End a token at once; what came with it stays."""
    token = (
        ProjectToken.objects.select_for_update(of=("self",), no_key=True)
        .select_related("project__operator")
        .get(pk=token.pk)
    )
    organisation = require_holder(actor, token.project)
    if token.revoked_at is not None:
        return token
    token.revoked_at, token.revoked_by = now, actor
    token.save(update_fields=["revoked_at", "revoked_by"])
    audit.record(
        actor, "registry.meter_token.revoked", token.project, at=now, organisation=organisation, token=token.start
    )
    return token


def token_of(secret: str, now: datetime) -> ProjectToken:
    """Return the token that this secret is, if it opens its project now."""
    token = (
        ProjectToken.objects.select_related("project__operator__organisation", "issued_by")
        .filter(digest=digest_of(secret))
        .first()
    )
    if token is None or token.revoked_at is not None or token.project.operator.organisation.status != "active":
        raise Unknown("token_invalid", "This token is unknown or was revoked. Make a new one on the page Meters.")
    if token.expires_at <= now:
        raise Unknown("token_expired", "This token has expired. Make a new one on the page Meters.")
    return token


def digest_of(secret: str) -> str:
    """Return what is kept of a token: it has 256 random bits, so that a plain hash cannot be turned back."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def locked_project(project: MeterProject) -> MeterProject:
    """Lock a project."""
    return (
        MeterProject.objects.select_for_update(of=("self",), no_key=True)
        .select_related("operator__organisation", "operator__scheme")
        .get(pk=project.pk)
    )


def require_holder(actor: User, project: MeterProject) -> Organisation:
    """Return the organisation whose project it is, or turn away whoever may not report for it."""
    organisation: Organisation = project.operator.organisation
    require_permission(may_report(actor, organisation), "Only an initiator or approver may set up its meters.")
    return organisation


def require_write(token: ProjectToken) -> None:
    """Turn away a client whose token only reads."""
    require_permission(
        token.level == ProjectToken.Level.WRITE,
        "This token only reads. Make one of the level write on the page Meters.",
    )
