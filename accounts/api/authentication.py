"""Bearer tokens: who is asking, for which organisation, and whether that is still so at this moment."""

import re
from hmac import compare_digest

from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import ApiToken, User
from accounts.selectors import organisations_of
from common import clock

_TOKEN = re.compile(r"[!-~]{20,100}", re.ASCII)


class BearerToken(TokenAuthentication):
    """`Authorization: Bearer hr_...`. A role that ended or an organisation that closed ends its tokens at once."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        """Return the person and the token, or say why it does not open anything."""
        found = _found(token)
        if found is None or not found.user.is_active:
            raise AuthenticationFailed("This token is unknown or was revoked. Ask for a new one.", "token_invalid")
        if found.expiry is not None and found.expiry <= clock.now():
            raise AuthenticationFailed("This token has expired. Ask for a new one.", "token_expired")
        if not organisations_of(found.user).filter(pk=found.organisation_id).exists():
            raise AuthenticationFailed(
                "You have no role any more in the organisation of this token. Ask the regulator for a role.",
                "token_without_role",
            )
        return found.user, found


def _found(token: bytes) -> ApiToken | None:
    text = token.decode("latin-1")
    if not _TOKEN.fullmatch(text):
        return None
    digest = hash_token(text)
    candidates = ApiToken.objects.filter(token_key=text[: CONSTANTS.TOKEN_KEY_LENGTH])
    candidate: ApiToken
    for candidate in candidates.select_related("user", "organisation"):
        if compare_digest(candidate.digest, digest):
            return candidate
    return None
