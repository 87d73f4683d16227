"""Accounts: the list, one account as its holder and the regulator see it, and every act that concerns it."""

from collections import defaultdict

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.models import Approval, Membership, Organisation
from accounts.selectors import events_of
from common import clock
from common.errors import Unknown, require_permission
from common.forms import ActForm, ReasonForm, refusals_shown_in
from registry.account_forms import (
    AccountSearchForm,
    GradeForm,
    HolderForm,
    OpeningForm,
    ReopeningForm,
    ShutdownForm,
    TermsForm,
)
from registry.grades import accounts_of, grade_of, grades, terms_of
from registry.ledger.models import Balance, LedgerAccount
from registry.ledger.services.stops import stopped_quantities
from registry.models import GRADE, Operator, TrustedAccount
from registry.services import accounts, closures, freezes, holders, shutdowns
from registry.services.transactions import terms

OFFICERS = ("desk_officer", "senior_officer")
ACCOUNTS_PER_PAGE = 50
EVENTS_SHOWN = 30


def account_list(request: HttpRequest) -> HttpResponse:
    """Show the accounts in view; those who see everything search by number, holder, kind and grade."""
    acting = acting_in(request)
    found = acting.view.filter(LedgerAccount.objects.select_related("owner", "terms"), "owner")
    form = AccountSearchForm(request.GET or None, kinds=LedgerAccount.Kind.choices, grades=GRADE.choices)
    if form.is_valid():
        found = _searched(found, form)
    page = Paginator(found.order_by("pk"), ACCOUNTS_PER_PAGE).get_page(request.GET.get("page"))
    known = grades(page.object_list)
    context = {
        "page_obj": page,
        "rows": [(account, known[account.pk]) for account in page.object_list],
        "form": form,
        "by_owner": acting.oversees,
        "may_act": acting.has(*OFFICERS),
    }
    return render(request, "registry/accounts.html", context, status=422 if form.errors else 200)


def _searched(found: QuerySet[LedgerAccount], form: AccountSearchForm) -> QuerySet[LedgerAccount]:
    asked = form.cleaned_data
    if asked["number"]:
        found = found.filter(number__icontains=asked["number"].strip())
    if asked["holder"]:
        found = found.filter(Q(owner__name__icontains=asked["holder"]) | Q(label__icontains=asked["holder"]))
    if asked["kind"]:
        found = found.filter(kind=asked["kind"])
    if asked["grade"] in {"frozen", "closed"}:
        found = found.filter(status=asked["grade"])
    elif asked["grade"]:
        found = found.annotate(grade=Coalesce(F("terms__grade"), Value("open")))
        found = found.filter(status="open", grade=asked["grade"])
    return found


def account(request: HttpRequest, number: str) -> HttpResponse:
    """Show one account: what lies in it, its grade, its rules and its people, and the acts that a person has."""
    return _page(request, _visible(request, number))


def _page(request: HttpRequest, found: LedgerAccount, **forms: ActForm) -> HttpResponse:
    acting = acting_in(request)
    grade = grade_of(found)
    rules = terms_of(found)
    stopped = stopped_quantities([found.pk])
    balances = Balance.objects.filter(account=found).select_related("asset").order_by("asset__kind", "asset__code")
    operators_here = list(Operator.objects.filter(account=found).select_related("scheme", "organisation"))
    is_officer = acting.has(*OFFICERS)
    given = {
        "grade_form": GradeForm(prefix="grade"),
        "freeze_form": ReasonForm(prefix="freeze"),
        "reopening_form": ReopeningForm(prefix="reopening"),
        "closure_form": ReasonForm(prefix="closure"),
        "holder_form": HolderForm(prefix="holder"),
        "shutdown_form": ShutdownForm(prefix="shutdown"),
        "terms_form": TermsForm(prefix="terms", initial={name: getattr(rules, name) for name in accounts.TERMS}),
    } | forms
    context = {
        "account": found,
        "grade": grade,
        "terms": rules,
        "rows": [(balance, stopped.get((found.pk, balance.asset_id), 0)) for balance in balances],
        "operators": operators_here,
        "linked": [one for operator in operators_here for one in accounts_of(operator)],
        "trusts": TrustedAccount.objects.filter(account=found, status="active").count(),
        "people": _people(found.owner) if found.owner else [],
        "proposals": _proposals(found, acting),
        "events": events_of("ledger.ledgeraccount", found.pk)[:EVENTS_SHOWN],
        "against_closing": closures.against_closing(found, clock.now()) if is_officer and grade != "closed" else [],
        "is_officer": is_officer,
        "is_senior": acting.has("senior_officer"),
        "may_set_terms": acting.trades
        and acting.organisation == found.owner
        and acting.has("initiator", "approver")
        and grade != "closed",
        **given,
    }
    is_refused = any(form.is_bound and form.errors for form in forms.values())
    return render(request, "registry/account.html", context, status=422 if is_refused else 200)


def _people(owner: Organisation) -> list[tuple[str, str]]:
    """Return the people of a holder with their roles, each once."""
    roles: defaultdict[str, list[str]] = defaultdict(list)
    memberships = Membership.objects.filter(organisation=owner, ended_at=None).select_related("user")
    for membership in memberships.order_by("user__name", "role"):
        roles[membership.user.name].append(str(membership.get_role_display()))
    return [(name, ", ".join(held)) for name, held in roles.items()]


def _proposals(found: LedgerAccount, acting: Acting) -> QuerySet[Approval]:
    """Proposals about an account that wait, as far as the person may see them."""
    waiting = Approval.objects.filter(parameters__account=found.pk, status__in=["proposed", "waiting"])
    return acting.scope.filter(waiting.select_related("organisation", "proposed_by"), "organisation")


# Acts -----------------------------------------------------------------------------------------------------------------


@require_POST
def change_grade(request: HttpRequest, number: str) -> HttpResponse:
    """Give an account another grade."""
    found, form = _officers(request, number), GradeForm(request.POST, prefix="grade")
    if form.is_valid():
        with refusals_shown_in(form):
            accounts.change_grade(
                actor=acting_in(request).user,
                account=found,
                grade=form.cleaned_data["grade"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, "The grade was changed. The holder reads the reason here.")
            return redirect("account", number)
    return _page(request, found, grade_form=form)


@require_POST
def freeze(request: HttpRequest, number: str) -> HttpResponse:
    """Freeze an account at once."""
    found, form = _officers(request, number), ReasonForm(request.POST, prefix="freeze")
    if form.is_valid():
        with refusals_shown_in(form):
            freezes.freeze_account(
                actor=acting_in(request).user, account=found, reason=form.cleaned_data["reason"], now=clock.now()
            )
            messages.success(request, "The account is frozen. Two officers open it again.")
            return redirect("account", number)
    return _page(request, found, freeze_form=form)


@require_POST
def propose_reopening(request: HttpRequest, number: str) -> HttpResponse:
    """Propose to take the freeze off an account."""
    found, form = _officers(request, number), ReopeningForm(request.POST, prefix="reopening")
    if form.is_valid():
        with refusals_shown_in(form):
            approval = accounts.propose_reopening(
                actor=acting_in(request).user,
                account=found,
                grade=form.cleaned_data["grade"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            return _proposed(request, approval)
    return _page(request, found, reopening_form=form)


@require_POST
def propose_closure(request: HttpRequest, number: str) -> HttpResponse:
    """Propose to close an account."""
    found, form = _officers(request, number), ReasonForm(request.POST, prefix="closure")
    if form.is_valid():
        with refusals_shown_in(form):
            approval = closures.propose_closure(
                actor=acting_in(request).user, account=found, reason=form.cleaned_data["reason"], now=clock.now()
            )
            return _proposed(request, approval)
    return _page(request, found, closure_form=form)


@require_POST
def propose_holder(request: HttpRequest, number: str) -> HttpResponse:
    """Propose a new holder for an account."""
    found, form = _officers(request, number), HolderForm(request.POST, prefix="holder")
    if form.is_valid():
        with refusals_shown_in(form):
            approval = holders.propose_new_holder(
                actor=acting_in(request).user,
                account=found,
                holder=form.cleaned_data["holder"],
                agreement=form.cleaned_data["agreement"],
                now=clock.now(),
            )
            return _proposed(request, approval)
    return _page(request, found, holder_form=form)


@require_POST
def record_shutdown(request: HttpRequest, number: str, scheme: str) -> HttpResponse:
    """Record that an operator whose main account this is stopped for good."""
    found, form = _officers(request, number), ShutdownForm(request.POST, prefix="shutdown")
    operator = Operator.objects.filter(account=found, scheme__code=scheme).first()
    if operator is None:
        raise Unknown("operator_unknown", "This is the main account of no such operator. Check the address.")
    if form.is_valid():
        with refusals_shown_in(form):
            shutdowns.shut_down(
                actor=acting_in(request).user,
                operator=operator,
                closed_on=form.cleaned_data["closed_on"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(
                request, "The shutdown is recorded. The last report is a task of the holder, with its day."
            )
            return redirect("account", number)
    return _page(request, found, shutdown_form=form)


@require_POST
def propose_terms(request: HttpRequest, number: str) -> HttpResponse:
    """Propose the holder's own rules; a second person of the holder approves them."""
    found, form = _visible(request, number), TermsForm(request.POST, prefix="terms")
    if form.is_valid():
        with refusals_shown_in(form):
            approval = terms.propose_terms(
                actor=acting_in(request).user, account=found, terms=form.terms, now=clock.now()
            )
            return _proposed(request, approval)
    return _page(request, found, terms_form=form)


def open_account(request: HttpRequest) -> HttpResponse:
    """Propose to open a further account for a holder."""
    acting = _overseer(request)
    form = OpeningForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            approval = accounts.propose_opening(
                actor=acting.user,
                holder=form.cleaned_data["holder"],
                kind=form.cleaned_data["kind"],
                label=form.cleaned_data["label"],
                operator=form.cleaned_data["operator"],
                now=clock.now(),
            )
            return _proposed(request, approval)
    context = {"form": form, "may_act": acting.has(*OFFICERS)}
    return render(request, "registry/account_new.html", context, status=422 if form.errors else 200)


def _proposed(request: HttpRequest, approval: Approval) -> HttpResponse:
    messages.success(request, "Proposed. A second person decides.")
    return redirect("approval", approval.pk)


def _visible(request: HttpRequest, number: str) -> LedgerAccount:
    """Return an account of an organisation in scope; central ones are for those who see everything."""
    scope = acting_in(request).scope
    found = scope.filter(LedgerAccount.objects.select_related("owner"), "owner").filter(number=number).first()
    if found is None:
        raise Unknown("account_unknown", "There is no such account in your scope. Check the address.")
    return found


def _officers(request: HttpRequest, number: str) -> LedgerAccount:
    _overseer(request)
    return _visible(request, number)


def _overseer(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see these pages.")
    return acting
