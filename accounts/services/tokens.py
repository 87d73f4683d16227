"""Making and revoking API tokens. The token itself is shown once; we keep only its hash."""

from datetime import datetime, timedelta

from django.db import transaction
from knox.models import get_digest_token
from knox.settings import CONSTANTS, knox_settings

from accounts.models import ApiToken, Organisation, User
from accounts.selectors import organisations_of
from accounts.services import audit
from common.errors import Unknown, require

MAX_LIVE_TOKENS = 20
"""Of one person. More than this is a leak in a script that logs in each time it runs."""

MAX_LIFE: timedelta = knox_settings.TOKEN_TTL


@transaction.atomic(durable=True)
def issue_token(
    *, actor: User, organisation: Organisation, name: str, scope: str, life: timedelta, now: datetime
) -> tuple[ApiToken, str]:
    """Make a token for oneself, for one organisation in which one has a role; return it with its secret."""
    User.objects.select_for_update().get(pk=actor.pk)  # one at a time, or the count below means nothing
    if not organisations_of(actor).filter(pk=organisation.pk).exists():
        raise Unknown("organisation_unknown", "You have no role in such an organisation. Check its id.")
    name = " ".join(name.split())
    require(0 < len(name) <= 100, "token_name_missing", "Say in up to 100 characters what the token is for.")
    require(scope in ApiToken.Scope.values, "token_scope_unknown", "Choose the scope read or write.")
    require(
        scope == ApiToken.Scope.READ or organisation.kind != Organisation.Kind.AUDITOR,
        "auditors_only_read",
        "An auditor's token only reads. Ask for the scope read.",
    )
    require(timedelta(0) < life <= MAX_LIFE, "token_life_out_of_range", f"A token lives for 1 to {MAX_LIFE.days} days.")
    require(
        ApiToken.objects.filter(user=actor, expiry__gt=now).count() < MAX_LIVE_TOKENS,
        "too_many_tokens",
        f"You have {MAX_LIVE_TOKENS} tokens already. Revoke one that you do not use.",
    )
    digest, secret = get_digest_token()
    token = ApiToken(
        digest=digest,
        token_key=secret[: CONSTANTS.TOKEN_KEY_LENGTH],
        user=actor,
        expiry=now + life,
        organisation=organisation,
        name=name,
        scope=scope,
    )
    token.save(force_insert=True)
    audit.record(
        actor, "accounts.token.issued", actor, at=now, organisation=organisation, token=token.token_key, scope=scope
    )
    return token, secret


@transaction.atomic(durable=True)
def revoke_token(*, actor: User, token_key: str, now: datetime) -> None:
    """End one of one's own tokens at once."""
    token = (
        ApiToken.objects.select_for_update(of=("self",))
        .select_related("organisation")
        .filter(user=actor, token_key=token_key)
        .first()
    )
    if token is None:
        raise Unknown("token_unknown", "You have no such token. It may be revoked already.")
    audit.record(actor, "accounts.token.revoked", actor, at=now, organisation=token.organisation, token=token.token_key)
    token.delete()
