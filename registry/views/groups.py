"""Corporate groups: who belongs together, and how far their shared limits are used."""

import uuid

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.errors import Unknown, require_permission
from common.forms import ReasonForm, refusals_shown_in
from registry.account_forms import GroupForm, MemberForm
from registry.models import Group, GroupMember, LimitBreach
from registry.services import groups

OFFICERS = ("desk_officer", "senior_officer")


def group_list(request: HttpRequest) -> HttpResponse:
    """Show the groups in view and the limits that are exceeded; an officer names a new group here."""
    acting = acting_in(request)
    form = GroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            group = groups.create_group(actor=acting.user, name=form.cleaned_data["name"], now=clock.now())
            return redirect("group", group.pk)
    live = Count("members", filter=Q(members__until=None))
    breaches = LimitBreach.objects.select_related("period__scheme", "group", "organisation")
    context = {
        "groups": visible_groups(acting).annotate(size=live).order_by("name"),
        "breaches": breaches.filter(_breach_in_view(acting)).order_by("status", "cure_by"),
        "form": form,
        "may_act": acting.has(*OFFICERS),
    }
    return render(request, "registry/groups.html", context, status=422 if form.errors else 200)


def visible_groups(acting: Acting) -> QuerySet[Group]:
    """The groups that a person may see: every one, or those to which their organisations belong."""
    if acting.oversees:
        return Group.objects.all()
    mine = GroupMember.objects.filter(organisation__in=acting.scope.organisation_ids, until=None)
    return Group.objects.filter(pk__in=mine.values("group"))


def _breach_in_view(acting: Acting) -> Q:
    if acting.oversees:
        return Q()
    return Q(group__in=visible_groups(acting)) | Q(organisation__in=acting.scope.organisation_ids)


def group(request: HttpRequest, group_id: uuid.UUID) -> HttpResponse:
    """Show one group with its members and how far it uses each limit; an officer adds members here."""
    acting = acting_in(request)
    found = visible_groups(acting).filter(pk=group_id).first()
    if found is None:
        raise Unknown("group_unknown", "There is no such group in your scope. Check the address.")
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            groups.add_member(
                actor=acting.user,
                group=found,
                organisation=form.cleaned_data["organisation"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, "The organisation belongs to the group now. Its limits were looked at.")
            return redirect("group", found.pk)
    members = GroupMember.objects.filter(group=found).select_related("organisation").order_by("since", "pk")
    live = next((member for member in members if member.until is None), None)
    now = clock.now()
    context = {
        "group": found,
        "members": members,
        "uses": []
        if live is None
        else [(period, groups.limit_use(live.organisation_id, period, now)) for period in groups.limited_periods(now)],
        "breaches": LimitBreach.objects.filter(group=found).select_related("period__scheme"),
        "form": form,
        "may_act": acting.has(*OFFICERS),
    }
    return render(request, "registry/group.html", context, status=422 if form.errors else 200)


def leave(request: HttpRequest, member_id: int) -> HttpResponse:
    """Let an organisation leave its group."""
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see these pages.")
    member = GroupMember.objects.select_related("organisation", "group").filter(pk=member_id, until=None).first()
    if member is None:
        raise Unknown("member_unknown", "This membership has ended, or never was. Check the address.")
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            groups.end_membership(actor=acting.user, member=member, reason=form.cleaned_data["reason"], now=clock.now())
            messages.success(request, f"{member.organisation} left the group.")
            return redirect("group", member.group_id)
    context = {"member": member, "form": form, "may_act": acting.has(*OFFICERS)}
    return render(request, "registry/group_leave.html", context, status=422 if form.errors else 200)


@require_POST
def settle(request: HttpRequest, breach_id: uuid.UUID) -> HttpResponse:
    """Look at a breach again."""
    breach = LimitBreach.objects.filter(pk=breach_id).first()
    if breach is None:
        raise Unknown("breach_unknown", "There is no such breach. Check the address.")
    settled = groups.settle_breach(actor=acting_in(request).user, breach=breach, now=clock.now())
    messages.info(request, f"Looked at again: {settled.get_status_display()}.")
    return redirect("groups")
