"""Pages about transactions: sending and cancelling permits, what waits, its history, trusted lists, certificates."""

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.errors import Refused, Unknown, require_permission
from common.forms import ReasonForm, refusals_shown_in
from registry import movements
from registry.forms import TransferForm
from registry.ledger.models import LedgerAccount
from registry.models import TRANSACTION, Transaction
from registry.selectors import holding_account
from registry.services import transactions, transfers
from registry.services.transactions import TYPES, Course, Request, terms, trust
from registry.services.transactions.types import Finds
from registry.views.transaction_forms import CancellationForm, DeskForm, TermsForm, TrustForm

PER_PAGE = 50


# Asking ---------------------------------------------------------------------------------------------------------------


def transfer(request: HttpRequest) -> HttpResponse:
    """Send permits: at once, or when a second person, the delay and the receiver have let it pass."""
    acting = acting_in(request)
    organisation = acting.for_organisation()
    form = _transfer_form(request, acting)
    if request.method == "POST" and form.is_valid() and "check" not in request.POST:
        with refusals_shown_in(form):
            typed = form.cleaned_data
            outcome = transfers.transfer(
                actor=acting.user,
                organisation=organisation,
                to_number=typed["to_number"],
                asset=form.asset,
                quantity=typed["quantity"],
                key=typed["key"],
                now=clock.now(),
                note=typed["note"],
                sender=form.sender,
                price_minor=typed["price"],
                agreement=typed["agreement"],
            )
            if outcome.approval is not None:
                messages.info(request, "This transfer waits for your second person, and its permits are held.")
                return redirect("approval", outcome.approval.pk)
            assert outcome.transaction is not None
            return _after(request, outcome.transaction, f"{typed['quantity']:,} permits were sent.")
    context = {
        "form": form,
        "may_transfer": acting.trades and acting.has("initiator", "approver"),
        "foreseen": _foreseen(acting, form) if form.is_bound else None,
    }
    return render(request, "registry/transfer.html", context, status=422 if form.errors else 200)


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """Return what would happen to a transfer while it is typed. A POST, so that nothing typed is in an address."""
    acting = acting_in(request)
    form = _transfer_form(request, acting)
    form.is_valid()
    return render(request, "registry/transfer.html#preview", {"foreseen": _foreseen(acting, form)})


def cancellation(request: HttpRequest) -> HttpResponse:
    """Take permits out of use for good, for whoever the certificate shall name."""
    acting = acting_in(request)
    organisation = acting.for_organisation()
    form = CancellationForm(request.POST or None)
    form.fields["permits"].queryset = movements.sendable(organisation.pk, sorted(TYPES["cancel"].senders))  # type: ignore[attr-defined]
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            typed = form.cleaned_data
            row = transactions.propose(
                actor=acting.user,
                organisation=organisation,
                request=Request(
                    kind="cancel",
                    sender=form.sender,
                    asset=form.asset,
                    quantity=typed["quantity"],
                    beneficiary=typed["beneficiary"],
                    agreement=typed["agreement"],
                ),
                key=typed["key"],
                now=clock.now(),
            )
            return _after(request, row, "The permits were cancelled.")
    context = {"form": form, "may_cancel": acting.trades and acting.has("initiator", "approver")}
    return render(request, "registry/cancellation_new.html", context, status=422 if form.errors else 200)


def desk_transaction(request: HttpRequest) -> HttpResponse:
    """Let the desk propose to move permits by the regulator's order; a senior officer approves."""
    acting = _at_the_desk(request)
    form = _desk_form(request)
    if request.method == "POST" and form.is_valid() and "check" not in request.POST:
        with refusals_shown_in(form):
            row = transactions.propose(
                actor=acting.user,
                organisation=acting.for_organisation(),
                request=form.asked,
                key=form.cleaned_data["key"],
                now=clock.now(),
            )
            return _after(request, row, "The permits were moved.")
    context = {
        "form": form,
        "foreseen": _foreseen_at_the_desk(acting, form) if form.is_bound else None,
        "stores": movements.central_accounts(),
    }
    return render(request, "registry/desk_transaction.html", context, status=422 if form.errors else 200)


@require_POST
def desk_preview(request: HttpRequest) -> HttpResponse:
    """Return what would happen to a transaction of the desk while it is typed."""
    acting = _at_the_desk(request)
    form = _desk_form(request)
    form.is_valid()
    context = {"foreseen": _foreseen_at_the_desk(acting, form)}
    return render(request, "registry/desk_transaction.html#preview", context)


def _at_the_desk(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(_works_the_desk(acting), "Only desk officers and senior officers of the regulator may do this.")
    return acting


def _works_the_desk(acting: Acting) -> bool:
    return acting.kind == "regulator" and acting.has("desk_officer", "senior_officer")


def _desk_form(request: HttpRequest) -> DeskForm:
    return DeskForm(request.POST or None)


def _foreseen_at_the_desk(acting: Acting, form: DeskForm) -> dict[str, Any] | None:
    """Return what will happen to what the desk typed, as far as it can be read."""
    typed = getattr(form, "cleaned_data", {})
    if not {"kind", "sender", "to_number", "permits", "quantity"} <= set(typed):
        return None
    asked = form.asked
    course, refusals = transactions.foresee(acting.for_organisation(), asked, clock.now())
    receiver = LedgerAccount.objects.filter(number=asked.to_number).select_related("owner").first()
    return {
        "course": course,
        "refusals": refusals,
        "type": TYPES[asked.kind],
        "quantity": asked.quantity,
        "asset": asked.asset,
        "sender": asked.sender,
        "receiver": receiver if TYPES[asked.kind].finds is Finds.NAMED else None,
    }


def _transfer_form(request: HttpRequest, acting: Acting) -> TransferForm:
    form = TransferForm(request.POST or None)
    own = acting.for_organisation().pk
    form.fields["permits"].queryset = movements.sendable(own, sorted(TYPES["transfer"].senders))  # type: ignore[attr-defined]
    return form


def _foreseen(acting: Acting, form: TransferForm) -> dict[str, Any] | None:
    """Return what will happen to what was typed, as far as it can be read."""
    typed = getattr(form, "cleaned_data", {})
    if not {"to_number", "permits", "quantity"} <= set(typed) or acting.organisation is None:
        return None
    asked = Request(
        kind="transfer",
        sender=form.sender,
        asset=form.asset,
        quantity=typed["quantity"],
        to_number=typed["to_number"],
    )
    course, refusals = transactions.foresee(acting.organisation, asked, clock.now())
    return {"course": course, "refusals": refusals, "at_once": _at_once(course)}


def _at_once(course: Course) -> bool:
    return not course.second_person and course.execute_after is None and not course.confirmation


def _after(request: HttpRequest, row: Transaction, done: str) -> HttpResponse:
    """Say what came of it, and show it."""
    if row.status == "completed":
        messages.success(request, done)
    else:
        messages.info(request, _WAITS.get(row.status, "It waits, with its permits held."))
    if row.status == "proposed" and row.approval_id is not None:
        return redirect("approval", row.approval_id)
    return redirect("transaction", row.pk)


_WAITS = {
    "proposed": "It waits for your second person, and its permits are held.",
    "delayed": "It waits for its time, with its permits held. Until then it may be cancelled.",
    "awaiting_receiver": "It waits for the receiver to accept it, with its permits held.",
}


# Reading --------------------------------------------------------------------------------------------------------------


def transaction_list(request: HttpRequest) -> HttpResponse:
    """Show the transactions in view, newest first, by type and state."""
    acting = acting_in(request)
    kind, status = request.GET.get("kind", ""), request.GET.get("status", "")
    rows = movements.transactions_in(acting.view)
    if kind in TYPES:
        rows = rows.filter(kind=kind)
    if status in TRANSACTION.states:
        rows = rows.filter(status=status)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page_obj": page,
        "lines": [(row, TYPES[row.kind].title) for row in page],
        "types": [(name, row.title) for name, row in TYPES.items()],
        "statuses": TRANSACTION.states,
        "works_the_desk": _works_the_desk(acting),
        "kind": kind,
        "status": status,
    }
    return render(request, "registry/transactions.html", context)


def transaction_detail(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Show one transaction with its history, and what may be done about it."""
    return _page(request, transaction_id, ReasonForm())


def _page(request: HttpRequest, transaction_id: uuid.UUID, form: ReasonForm) -> HttpResponse:
    acting = acting_in(request)
    row = movements.transaction_in(acting.scope, transaction_id)
    type_ = TYPES[row.kind]
    context = {
        "row": row,
        "type": type_,
        "moments": movements.timeline(row),
        "form": form,
        "may_cancel": row.status in {"proposed", "delayed", "awaiting_receiver"}
        and transactions.may_stop(acting.user, row),
        "may_confirm": row.status == "awaiting_receiver" and transactions.may_confirm(acting.user, row),
        "may_reverse": row.status == "completed" and bool(type_.reversed_by) and _works_the_desk(acting),
        "undone_by": row.reversals.exclude(status__in=["rejected", "cancelled", "failed"]).first(),
    }
    return render(request, "registry/transaction.html", context, status=422 if form.errors else 200)


# Deciding -------------------------------------------------------------------------------------------------------------


@require_POST
def cancel(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Stop a transaction that waits, with a reason."""
    return _with_reason(request, transaction_id, transactions.cancel, "The transaction was cancelled.")


@require_POST
def decline(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Turn down what arrives, with a reason."""
    return _with_reason(request, transaction_id, transactions.decline, "You turned it down.")


@require_POST
def accept(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Accept what arrives."""
    acting = acting_in(request)
    row = movements.transaction_in(acting.scope, transaction_id)
    transactions.accept(actor=acting.user, transaction_id=row.pk, now=clock.now())
    messages.success(request, "Accepted: the permits are in your account.")
    return redirect("transaction", row.pk)


@require_POST
def reverse(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Propose to undo what was done; another officer approves."""
    acting = acting_in(request)
    row = movements.transaction_in(acting.scope, transaction_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            undoing = transactions.reverse(
                actor=acting.user,
                original=row,
                reason=form.cleaned_data["reason"],
                key=form.cleaned_data["key"],
                now=clock.now(),
            )
            return _after(request, undoing, "It was undone.")
    return _page(request, transaction_id, form)


def _with_reason(
    request: HttpRequest, transaction_id: uuid.UUID, act: Callable[..., Transaction], done: str
) -> HttpResponse:
    acting = acting_in(request)
    row = movements.transaction_in(acting.scope, transaction_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            act(actor=acting.user, transaction_id=row.pk, reason=form.cleaned_data["reason"], now=clock.now())
            messages.success(request, done)
            return redirect("transaction", row.pk)
    return _page(request, transaction_id, form)


# Trusted lists --------------------------------------------------------------------------------------------------------


def trusted_list(request: HttpRequest) -> HttpResponse:
    """Show whom an organisation trusts and its rules for sending, and let it propose to change them."""
    return _trusted_page(request, None, None)


@require_POST
def trust_account(request: HttpRequest) -> HttpResponse:
    """Propose to trust an account."""
    acting = acting_in(request)
    form = TrustForm(request.POST, accounts=movements.own_accounts(acting.for_organisation().pk))
    if form.is_valid():
        with refusals_shown_in(form):
            row = trust.propose_addition(
                actor=acting.user,
                account=form.cleaned_data["account"],
                number=form.cleaned_data["number"],
                note=form.cleaned_data["note"],
                key=form.cleaned_data["key"],
                now=clock.now(),
            )
            messages.info(request, "The addition waits for your second person.")
            return redirect("approval", row.pk)
    return _trusted_page(request, form, None)


@require_POST
def trust_end(request: HttpRequest, trusted_id: uuid.UUID) -> HttpResponse:
    """Take an account off the list, or stop its addition."""
    acting = acting_in(request)
    row = movements.trusted_in(acting.scope).filter(pk=trusted_id).first()
    if row is None:
        raise Unknown("trusted_account_unknown", "There is no such entry in your scope. Check the address.")
    if row.status in {"proposed", "waiting"}:
        trust.cancel_addition(actor=acting.user, trusted_id=row.pk, reason="Taken back.", now=clock.now())
        messages.success(request, f"The addition of {row.trusted.number} was stopped.")
    else:
        trust.remove(actor=acting.user, trusted_id=row.pk, now=clock.now())
        messages.success(request, f"{row.trusted.number} is not trusted any more.")
    return redirect("trusted-accounts")


@require_POST
def change_terms(request: HttpRequest) -> HttpResponse:
    """Propose other rules for sending from the holding account."""
    acting = acting_in(request)
    account = holding_account(acting.for_organisation())
    form = TermsForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            approval = terms.propose_terms(actor=acting.user, account=account, terms=form.terms, now=clock.now())
            messages.info(request, "The new rules wait for your second person.")
            return redirect("approval", approval.pk)
    return _trusted_page(request, None, form)


def _trusted_page(request: HttpRequest, form: TrustForm | None, rules: TermsForm | None) -> HttpResponse:
    acting = acting_in(request)
    may_change = acting.trades and acting.has("initiator", "approver")
    account = _account_of(acting)
    accounts = movements.own_accounts(acting.organisation.pk) if acting.organisation else LedgerAccount.objects.none()
    if form is None:
        form = TrustForm(accounts=accounts, initial={"account": accounts.first()})
    if rules is None and account is not None:
        rules = TermsForm(initial=vars(terms.terms_of(account)))
    rows = movements.trusted_in(acting.view)
    context = {
        "page_obj": Paginator(rows.order_by("-added_at", "id"), PER_PAGE).get_page(request.GET.get("page")),
        "form": form,
        "rules": rules,
        "account": account,
        "may_change": may_change and account is not None,
    }
    status = 422 if form.errors or (rules is not None and rules.errors) else 200
    return render(request, "registry/trusted_accounts.html", context, status=status)


def _account_of(acting: Acting) -> LedgerAccount | None:
    """Return the holding account of the organisation acted for, if it has one."""
    if acting.organisation is None or not acting.trades:
        return None
    try:
        return holding_account(acting.organisation)
    except Refused:
        return None


# Certificates ---------------------------------------------------------------------------------------------------------


@login_not_required
def certificate(request: HttpRequest, transaction_id: uuid.UUID) -> HttpResponse:
    """Show the certificate of a cancellation to everybody who has its number."""
    return render(request, "registry/certificate.html", {"certificate": movements.certificate(transaction_id)})


@login_not_required
def certificate_file(request: HttpRequest, transaction_id: uuid.UUID) -> JsonResponse:
    """Return the same certificate for programs."""
    found = movements.certificate(transaction_id)
    return JsonResponse(
        {
            "id": str(found.id),
            "beneficiary": found.beneficiary,
            "quantity": str(found.quantity),
            "vintage": found.vintage,
            "scheme": found.scheme,
            "permit": found.permit,
            "cancelled_by": found.cancelled_by,
            "cancelled_at": found.cancelled_at.isoformat(),
            "agreement": found.agreement,
            "reversed": found.reversed,
            "serials": [{"first": str(run.first), "last": str(run.last)} for run in found.serials],
        }
    )
