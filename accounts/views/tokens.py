"""One's own API tokens: shown, made and ended."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.forms import TokenForm
from accounts.models import ApiToken
from accounts.services import tokens
from common import clock
from common.forms import refusals_shown_in


@never_cache
def token_list(request: HttpRequest) -> HttpResponse:
    """Show one's tokens, and make a new one for the organisation one acts for; its secret is shown once."""
    acting = acting_in(request)
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            token, secret = tokens.issue_token(
                actor=acting.user,
                organisation=acting.for_organisation(),
                name=form.cleaned_data["name"],
                scope=form.cleaned_data["scope"],
                life=form.life,
                now=clock.now(),
            )
            return _tokens_page(request, acting, TokenForm(), new=token, secret=secret)
    return _tokens_page(request, acting, form)


@require_POST
def revoke_token(request: HttpRequest, token_key: str) -> HttpResponse:
    """End one of one's own tokens."""
    tokens.revoke_token(actor=acting_in(request).user, token_key=token_key, now=clock.now())
    messages.success(request, "The token was revoked and opens nothing any more.")
    return redirect("tokens")


def _tokens_page(
    request: HttpRequest, acting: Acting, form: TokenForm, new: ApiToken | None = None, secret: str = ""
) -> HttpResponse:
    context = {
        "form": form,
        "tokens": ApiToken.objects.filter(user=acting.user).select_related("organisation").order_by("-created"),
        "new": new,
        "secret": secret,
    }
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)
