"""Choosing the organisation one acts for."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.acting import act_for
from accounts.forms import ActForForm
from common.errors import Unknown


@require_POST
def switch_organisation(request: HttpRequest) -> HttpResponse:
    """Act for another of one's organisations, and start again at its overview."""
    form = ActForForm(request.POST)
    if not form.is_valid():
        raise Unknown("organisation_unknown", "You have no role in such an organisation. Choose one from the menu.")
    organisation = act_for(request, form.cleaned_data["organisation"].pk)
    messages.info(request, f"You now act for {organisation.name}.")
    return redirect("home")
