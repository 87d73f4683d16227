"""Identity documents: what a holder is asked for and sends in, and the desk's inbox of what to review."""

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.downloads import streamed_file
from common.errors import Unknown
from common.forms import ActForm, ReasonForm, refusals_shown_in
from registry.account_forms import AcceptForm, DocumentRequestForm, UploadForm
from registry.models import IdentityDocument
from registry.services import identity
from registry.services.drafting import evidence

OFFICERS = ("desk_officer", "senior_officer")
DOCUMENTS_PER_PAGE = 50


def inbox(request: HttpRequest) -> HttpResponse:
    """Show the documents in view, what waits first; an officer asks for one here."""
    acting = acting_in(request)
    form = DocumentRequestForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            document = identity.request_document(
                actor=acting.user,
                organisation=form.cleaned_data["organisation"],
                kind=form.cleaned_data["kind"],
                person=form.cleaned_data["person"],
                due_on=form.cleaned_data["due_on"],
                now=clock.now(),
            )
            messages.success(request, "The document was asked for.")
            return redirect("identity-document", document.pk)
    today = clock.now().date()
    documents = _visible(acting)
    context = {
        "to_review": documents.filter(status="received").order_by("due_on", "pk") if acting.oversees else (),
        "waiting": documents.filter(status__in=identity.WAITING).order_by("due_on", "pk"),
        "expiring": documents.filter(pk__in=identity.to_remind(today)).order_by("expires_on", "pk"),
        "page_obj": Paginator(documents.order_by("-requested_at", "pk"), DOCUMENTS_PER_PAGE).get_page(
            request.GET.get("page")
        ),
        "today": today,
        "form": form,
        "may_act": acting.has(*OFFICERS),
        "by_owner": acting.oversees,
        "kinds": identity.KINDS,
    }
    return render(request, "registry/identity.html", context, status=422 if form.errors else 200)


def document(request: HttpRequest, document_id: uuid.UUID) -> HttpResponse:
    """Show one document with the acts that a person has."""
    return _page(request, _one(request, document_id))


def _page(request: HttpRequest, found: IdentityDocument, **forms: ActForm) -> HttpResponse:
    acting = acting_in(request)
    context = {
        "document": found,
        "title": identity.KINDS.get(found.kind, found.kind),
        "reminders": identity.reminder_days(found.expires_on) if found.expires_on else (),
        "may_send": found.status in identity.WAITING and identity.may_submit(acting.user, found),
        "may_review": found.status == "received" and acting.has(*OFFICERS),
        "may_cancel": found.status in identity.WAITING and acting.has(*OFFICERS),
        "upload_form": UploadForm(prefix="upload"),
        "accept_form": AcceptForm(prefix="accept"),
        "refuse_form": ReasonForm(prefix="refuse"),
        "cancel_form": ReasonForm(prefix="cancel"),
        **forms,
    }
    return render(request, "registry/identity_document.html", context, status=422 if forms else 200)


@require_POST
def submit(request: HttpRequest, document_id: uuid.UUID) -> HttpResponse:
    """Send a document in."""
    found = _one(request, document_id)
    form = UploadForm(request.POST, request.FILES, prefix="upload")
    if form.is_valid():
        with refusals_shown_in(form):
            name, content = form.cleaned_data["file"]
            identity.submit_document(
                actor=acting_in(request).user, document=found, name=name, content=content, now=clock.now()
            )
            messages.success(request, "Sent. The regulator reviews it.")
            return redirect("identity-document", found.pk)
    return _page(request, found, upload_form=form)


@require_POST
def accept(request: HttpRequest, document_id: uuid.UUID) -> HttpResponse:
    """Accept a document until a day."""
    found = _one(request, document_id)
    form = AcceptForm(request.POST, prefix="accept")
    if form.is_valid():
        with refusals_shown_in(form):
            identity.accept_document(
                actor=acting_in(request).user,
                document=found,
                expires_on=form.cleaned_data["expires_on"],
                now=clock.now(),
            )
            messages.success(request, "Accepted.")
            return redirect("identity-document", found.pk)
    return _page(request, found, accept_form=form)


@require_POST
def refuse(request: HttpRequest, document_id: uuid.UUID) -> HttpResponse:
    """Refuse a document with a reason."""
    found = _one(request, document_id)
    form = ReasonForm(request.POST, prefix="refuse")
    if form.is_valid():
        with refusals_shown_in(form):
            identity.refuse_document(
                actor=acting_in(request).user, document=found, reason=form.cleaned_data["reason"], now=clock.now()
            )
            messages.success(request, "Refused. The holder reads the reason and may send another file.")
            return redirect("identity-document", found.pk)
    return _page(request, found, refuse_form=form)


@require_POST
def cancel(request: HttpRequest, document_id: uuid.UUID) -> HttpResponse:
    """Take a request back."""
    found = _one(request, document_id)
    form = ReasonForm(request.POST, prefix="cancel")
    if form.is_valid():
        with refusals_shown_in(form):
            identity.cancel_request(
                actor=acting_in(request).user, document=found, reason=form.cleaned_data["reason"], now=clock.now()
            )
            messages.success(request, "The request was taken back.")
            return redirect("identity")
    return _page(request, found, cancel_form=form)


def file(request: HttpRequest, document_id: uuid.UUID) -> StreamingHttpResponse:
    """Return the file as it was received, to be saved and never shown."""
    found = _one(request, document_id)
    if found.file is None:
        raise Unknown("file_unknown", "Nothing was sent in yet.")
    return streamed_file(found.file.name, evidence.read(found.file), found.file.size)


def _visible(acting: Acting) -> QuerySet[IdentityDocument]:
    """Documents in view: every one for those who see everything; a holder's, and one's own, for others."""
    if acting.oversees:
        return IdentityDocument.objects.select_related("organisation", "person")
    return identity.documents_of(acting.view.organisation_ids, acting.user)


def _one(request: HttpRequest, document_id: uuid.UUID) -> IdentityDocument:
    acting = acting_in(request)
    found = _visible(acting).select_related("file", "requested_by", "reviewed_by").filter(pk=document_id).first()
    if found is None:
        raise Unknown("document_unknown", "There is no such document in your scope. Check the address.")
    return found
