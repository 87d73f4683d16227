"""Cases, sanctions, debts and enforcement on pages: what an operator contests and pays, and what the desk decides."""

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.models import Approval
from common import clock
from common.errors import Unknown, require_permission
from common.forms import ActForm, ReasonForm, refusals_shown_in
from registry import selectors
from registry.forms import BankPaymentForm, CaseForm, DebtForm, DecisionForm
from registry.models import Case, DebtEntry, Enforcement, Operator, Period, Sanction
from registry.services import cases, debts, estimates, sanctions

REPORTING = ("initiator", "approver")
PAYING = ("initiator", "approver", "trader")
OFFICERS = ("desk_officer", "senior_officer")
PAGE_SIZE = 50


def case_list(request: HttpRequest) -> HttpResponse:
    """Show the cases of whoever acts, or everybody's to those who oversee; open ones first, the latest first."""
    acting = _party(request)
    rows = _visible(acting).annotate(is_open=Q(status="open")).order_by("-is_open", "-opened_at", "pk")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    own = Period.objects.exclude(status="draft").filter(scheme__operators__organisation=acting.organisation)
    context = {
        "page": page,
        "by_operator": acting.oversees,
        "periods": own.select_related("scheme").order_by("-year") if acting.has(*REPORTING) and acting.trades else [],
    }
    return render(request, "registry/cases.html", context)


def new_case(request: HttpRequest, code: str) -> HttpResponse:
    """Open a case about one period: a correction of one's own report, or an appeal."""
    acting = _party(request)
    period = selectors.period_coded(code)
    operator = _own(acting, period)
    form = CaseForm(request.POST or None, initial={"about": request.GET.get("about", "report")})
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            case = _opened(acting, operator, period, form)
            messages.success(request, "The case is open. The regulator decides it, and you read the reasons here.")
            return redirect("case", case.pk)
    context = {"period": period, "form": form, "may_open": acting.has(*REPORTING)}
    return render(request, "registry/case_new.html", context, status=422 if form.errors else 200)


def case(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Show one case with its grounds, what waits for it, and how it was decided."""
    acting = _party(request)
    return _case_page(request, acting, _case(acting, case_id), DecisionForm())


@require_POST
def decide(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Propose how a case ends; another officer approves exactly that."""
    acting = _party(request)
    found = _case(acting, case_id)
    form = DecisionForm(request.POST)
    if form.is_valid():
        asked = form.cleaned_data
        with refusals_shown_in(form):
            approval = cases.propose_decision(
                actor=acting.user,
                case=found,
                outcome=asked["outcome"],
                decision=asked["decision"],
                figure="" if asked["figure"] is None else format(asked["figure"], "f"),
                quantity=asked["quantity"],
                remedy=asked["remedy"],
                gravity="0" if asked["gravity"] is None else format(asked["gravity"], "f"),
                admit_report=asked["admit_report"],
                now=clock.now(),
            )
            messages.success(request, "The decision was proposed. Another officer approves it.")
            return redirect("approval", approval.pk)
    return _case_page(request, acting, found, form)


@require_POST
def withdraw(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Take back a case that is open."""
    acting = _party(request)
    found = cases.withdraw(actor=acting.user, case=_case(acting, case_id), now=clock.now())
    messages.info(request, "The case was withdrawn.")
    return redirect("case", found.pk)


def sanction_list(request: HttpRequest) -> HttpResponse:
    """Show the sanctions of whoever acts, or everybody's to those who oversee, with what can be done about each."""
    acting = _party(request)
    return _sanctions_page(request, acting)


@require_POST
def pay_sanction(request: HttpRequest, sanction_id: uuid.UUID) -> HttpResponse:
    """Pay a sanction from the operator's money in the registry."""
    acting = _party(request)
    sanctions.pay(actor=acting.user, sanction=_sanction(acting, sanction_id), now=clock.now())
    messages.success(request, "The sanction is paid.")
    return redirect("sanctions")


@require_POST
def record_payment(request: HttpRequest, sanction_id: uuid.UUID) -> HttpResponse:
    """Propose to record that the money came by bank."""
    acting = _party(request)
    form = BankPaymentForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            approval = sanctions.propose_payment(
                actor=acting.user,
                sanction=_sanction(acting, sanction_id),
                reference=form.cleaned_data["reference"],
                now=clock.now(),
            )
            return redirect("approval", approval.pk)
    return _sanctions_page(request, acting, form)


@require_POST
def waive_sanction(request: HttpRequest, sanction_id: uuid.UUID) -> HttpResponse:
    """Propose to waive a sanction for a reason."""
    acting = _party(request)
    form = ReasonForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            approval = sanctions.propose_waiver(
                actor=acting.user,
                sanction=_sanction(acting, sanction_id),
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            return redirect("approval", approval.pk)
    return _sanctions_page(request, acting, form)


def enforcement_of(request: HttpRequest, operator_id: uuid.UUID) -> HttpResponse:
    """Show every step of the ladder against one operator: planned, held, done, with what it did."""
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see this page.")
    operator = Operator.objects.select_related("organisation", "scheme", "account").filter(pk=operator_id).first()
    if operator is None:
        raise Unknown("operator_unknown", "There is no such operator. Check the address.")
    context = {
        "operator": operator,
        "steps": Enforcement.objects.filter(operator=operator).select_related("period__scheme"),
        "sanctions": Sanction.objects.filter(operator=operator).select_related("period__scheme"),
        "debt": debts.owed(operator),
        "lines": DebtEntry.objects.filter(operator=operator).select_related("period__scheme").order_by("-id"),
        "estate": cases.estate(operator),
    }
    return render(request, "registry/enforcement.html", context)


def debt(request: HttpRequest, code: str) -> HttpResponse:
    """Show what an operator owes in permits beside its obligations, and let it pay."""
    acting = _party(request)
    period = selectors.period_coded(code)
    operator = _own(acting, period)
    form = DebtForm(request.POST or None)
    form.fields["permits"].queryset = selectors.usable_permits(operator, period)  # type: ignore[attr-defined]
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            debts.pay(
                actor=acting.user,
                operator=operator,
                period=form.cleaned_data["permits"].asset.period,
                quantity=form.cleaned_data["quantity"],
                key=form.cleaned_data["key"],
                now=clock.now(),
            )
            messages.success(request, f"{form.cleaned_data['quantity']:,} permits were paid.")
            return redirect("debt", code)
    context = {
        "period": period,
        "debt": debts.owed(operator),
        "lines": DebtEntry.objects.filter(operator=operator).select_related("period__scheme").order_by("-id"),
        "form": form,
        "may_pay": acting.has(*PAYING),
    }
    return render(request, "registry/debt.html", context, status=422 if form.errors else 200)


def missing_reports(request: HttpRequest, code: str) -> HttpResponse:
    """Show what every operator without a report would owe, and propose the whole list."""
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see this page.")
    period = selectors.period_coded(code)
    form = ActForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            approval = estimates.propose_estimates(actor=acting.user, period=period, now=clock.now())
            messages.success(request, "The estimates were proposed. Another officer approves them.")
            return redirect("approval", approval.pk)
    listed = [(one, estimates.BASES.get(one.basis, "")) for one in estimates.proposals(period)]
    context = {"period": period, "listed": listed, "form": form, "may_act": acting.has(*OFFICERS)}
    return render(request, "registry/estimates.html", context, status=422 if form.errors else 200)


def _case_page(request: HttpRequest, acting: Acting, found: Case, form: DecisionForm) -> HttpResponse:
    context = {
        "case": found,
        "form": form,
        "proposals": Approval.objects.filter(act=cases.DECIDE, parameters__case=str(found.pk)).select_related(
            "organisation", "proposed_by", "decided_by"
        ),
        "may_decide": acting.has(*OFFICERS) and acting.oversees and found.status == "open",
        "may_withdraw": found.status == "open"
        and (acting.has(*REPORTING) if found.kind == Case.Kind.APPEAL else found.opened_by_id == acting.user.pk),
        "sanctions": found.sanctions.all(),
    }
    return render(request, "registry/case.html", context, status=422 if form.errors else 200)


def _sanctions_page(request: HttpRequest, acting: Acting, form: ActForm | None = None) -> HttpResponse:
    rows = acting.view.filter(Sanction.objects.all(), "operator__organisation").select_related(
        "operator__organisation", "operator__scheme__currency", "period__scheme"
    )
    page = Paginator(rows.order_by("-imposed_at", "pk"), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "by_operator": acting.oversees,
        "may_pay": acting.trades and acting.has(*PAYING),
        "may_act": acting.oversees and acting.has(*OFFICERS),
        "payment": form if isinstance(form, BankPaymentForm) else BankPaymentForm(),
        "waiver": form if isinstance(form, ReasonForm) else ReasonForm(),
        "form": form,
    }
    return render(request, "registry/sanctions.html", context, status=422 if form is not None and form.errors else 200)


def _opened(acting: Acting, operator: Operator, period: Period, form: CaseForm) -> Case:
    asked = form.cleaned_data
    if asked["about"] == "report":
        return cases.open_correction(
            actor=acting.user,
            operator=operator,
            period=period,
            grounds=asked["grounds"],
            figure="" if asked["figure"] is None else format(asked["figure"], "f"),
            now=clock.now(),
        )
    return cases.open_appeal(
        actor=acting.user,
        operator=operator,
        period=period,
        subject=asked["about"],
        grounds=asked["grounds"],
        quantity=asked["quantity"],
        now=clock.now(),
    )


def _party(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.trades or acting.oversees, "Only firms, labs, the regulator and auditors see this.")
    return acting


def _visible(acting: Acting) -> QuerySet[Case]:
    return acting.view.filter(Case.objects.all(), "operator__organisation").select_related(
        "operator__organisation", "operator__scheme", "period__scheme", "opened_by"
    )


def _case(acting: Acting, case_id: uuid.UUID) -> Case:
    found = _visible(acting).filter(pk=case_id).first()
    if found is None:
        raise Unknown("case_unknown", "There is no such case. Check the address.")
    return found


def _sanction(acting: Acting, sanction_id: uuid.UUID) -> Sanction:
    found = (
        acting.view.filter(Sanction.objects.all(), "operator__organisation")
        .select_related("operator__organisation", "operator__scheme__currency")
        .filter(pk=sanction_id)
        .first()
    )
    if found is None:
        raise Unknown("sanction_unknown", "There is no such sanction. Check the address.")
    return found


def _own(acting: Acting, period: Period) -> Operator:
    require_permission(acting.trades, "Only firms and labs have cases and debts of their own.")
    operator = (
        Operator.objects.select_related("organisation", "scheme", "account")
        .filter(organisation=acting.organisation, scheme_id=period.scheme_id)
        .first()
    )
    if operator is None:
        raise Unknown("operator_unknown", "Your organisation is not an operator of this scheme. Check the address.")
    return operator
