"""What accounts hold, and their statements."""

from datetime import timedelta
from typing import Literal

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.acting import acting_in
from common import clock
from common.downloads import table_file
from common.errors import Unknown
from registry.forms import StatementForm
from registry.ledger import selectors as ledger
from registry.ledger.models import Balance

ACCOUNTS_PER_PAGE = 50
ENTRIES_PER_PAGE = 100


def holding_list(request: HttpRequest) -> HttpResponse:
    """Show every balance in view with what is held of it and what is available."""
    acting = acting_in(request)
    balances = acting.view.filter(Balance.objects.select_related("account__owner", "asset"), "account__owner")
    name = request.GET.get("owner", "").strip()
    if name and acting.oversees:
        balances = balances.filter(account__owner__name__icontains=name)
    pages = Paginator(balances.order_by("account_id", "asset__kind", "asset__code"), ACCOUNTS_PER_PAGE)
    context = {"page_obj": pages.get_page(request.GET.get("page")), "owner": name, "by_owner": acting.oversees}
    return render(request, "registry/holdings.html", context)


def statement(request: HttpRequest, number: str, asset_code: str) -> HttpResponse:
    """Show what moved in one account of one asset, with the balance after each entry."""
    balance = _visible_balance(request, number, asset_code)
    form = StatementForm(request.GET or None)
    start, end = form.bounds(balance.account.opened_at, clock.now())
    moved = ledger.statement(balance.account_id, balance.asset_id, start, end)
    context = {
        "balance": balance,
        "form": form if form.is_bound else StatementForm(initial={"first": start, "last": end - timedelta(days=1)}),
        "statement": moved,
        "came_in": sum(entry.amount for entry in moved.entries if entry.amount > 0),
        "went_out": sum(-entry.amount for entry in moved.entries if entry.amount < 0),
        "page_obj": Paginator(moved.entries, ENTRIES_PER_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "registry/statement.html", context, status=422 if form.errors else 200)


def statement_file(request: HttpRequest, number: str, asset_code: str, kind: Literal["csv", "json"]) -> HttpResponse:
    """Return the same statement as a file."""
    balance = _visible_balance(request, number, asset_code)
    start, end = StatementForm(request.GET or None).bounds(balance.account.opened_at, clock.now())
    moved = ledger.statement(balance.account_id, balance.asset_id, start, end)
    return table_file(
        kind,
        f"statement-{number}-{asset_code}",
        ("entry", "at", "amount", "balance_after", "other_account", "kind", "reference"),
        [(e.seq, e.at, e.amount, e.balance_after, e.other_account, e.kind, e.reference) for e in moved.entries],
    )


def _visible_balance(request: HttpRequest, number: str, asset_code: str) -> Balance:
    balances = Balance.objects.select_related("account__owner", "asset")
    in_scope = acting_in(request).scope.filter(balances, "account__owner")
    balance = in_scope.filter(account__number=number, asset__code=asset_code).first()
    if balance is None:
        raise Unknown(
            "balance_unknown", "There is no such account in your scope, or it never held this. Check the address."
        )
    return balance
