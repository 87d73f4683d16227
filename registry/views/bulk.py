"""Pages of bulk work: a table is chosen, looked at, and confirmed; its errors are shown by line and column."""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.acting import Acting, acting_in
from common import clock
from common.downloads import csv_file, stored_file
from common.errors import require_permission
from common.forms import refusals_shown_in
from registry.importers import bulk as tables
from registry.importers.blank import Column, template_csv, template_xlsx
from registry.importers.table import RowError
from registry.models import Surrender
from registry.services import bulk
from registry.services.bulk import Checked
from registry.services.reports import RowsRefused
from registry.views.bulk_forms import ConfirmForm, TableForm

SHOWN_ERRORS = 200


@dataclass(frozen=True)
class _Work:
    """What the two kinds of bulk work have of their own on the common page."""

    name: Literal["transfers", "surrenders"]
    columns: tuple[Column, ...]
    roles: tuple[str, ...]
    look: Callable[..., Checked]
    carry_out: Callable[..., Any]


_TRANSFERS = _Work(
    "transfers",
    tables.TRANSFER_COLUMNS,
    ("initiator", "approver"),
    bulk.check_transfers,
    bulk.propose_transfers,
)
_SURRENDERS = _Work(
    "surrenders",
    tables.SURRENDER_COLUMNS,
    ("initiator", "approver", "trader"),
    bulk.check_surrenders,
    bulk.bulk_surrender,
)
_WORKS = {work.name: work for work in (_TRANSFERS, _SURRENDERS)}


def transfers(request: HttpRequest) -> HttpResponse:
    """Send permits to many accounts by one table, which a second person approves as a whole."""
    return _page(request, _TRANSFERS)


def surrenders(request: HttpRequest) -> HttpResponse:
    """Surrender for several schemes, years or vintages by one table."""
    return _page(request, _SURRENDERS)


def template_file(request: HttpRequest, name: str, kind: Literal["csv", "xlsx"]) -> HttpResponse:
    """Return an empty table to fill in."""
    columns = _WORKS[name].columns  # type: ignore[index]
    content = template_csv(columns) if kind == "csv" else template_xlsx(columns)
    return stored_file(f"bulk-{name}.{kind}", content)


def _page(request: HttpRequest, work: _Work) -> HttpResponse:
    acting = acting_in(request)
    organisation = acting.for_organisation()
    may_act = _may_act(acting, work)
    if request.method != "POST":
        return _shown(request, work, TableForm(), may_act)
    require_permission(may_act, "Your role does not let you do this. Ask a colleague who may.")
    errors: Sequence[RowError] = ()
    if "confirmed" in request.POST:
        confirm = ConfirmForm(request.POST)
        if confirm.is_valid():
            with _row_errors(confirm) as errors:
                made = work.carry_out(
                    actor=acting.user,
                    organisation=organisation,
                    name=confirm.cleaned_data["name"],
                    content=confirm.cleaned_data["content"],
                    key=confirm.cleaned_data["key"],
                    now=clock.now(),
                )
                return _done(request, work, made)
        return _shown(request, work, confirm, may_act, errors=errors, name=str(confirm["name"].value() or ""))
    form = TableForm(request.POST, request.FILES)
    if not form.is_valid():
        return _shown(request, work, form, may_act)
    name, content = form.cleaned_data["file"]
    checked = work.look(organisation=organisation, content=content, now=clock.now())
    if checked.errors:
        return _shown(request, work, form, may_act, errors=checked.errors, name=name)
    return _shown(
        request, work, TableForm(), may_act, checked=checked, confirm=ConfirmForm.of(name, content), name=name
    )


@contextmanager
def _row_errors(form: ConfirmForm) -> Iterator[list[RowError]]:
    """Show a refusal in the form, and collect the errors by line and column that it may come with."""
    errors: list[RowError] = []
    with refusals_shown_in(form):
        try:
            yield errors
        except RowsRefused as refusal:
            errors += refusal.errors
            raise


def _done(request: HttpRequest, work: _Work, made: Any) -> HttpResponse:
    """Say what came of the table, and show the proposal or the place where the receipts are."""
    approval = made if work is _TRANSFERS else made.approval
    if approval is not None:
        if approval.status == "proposed":
            messages.info(request, "The table waits for your second person, and its permits are held.")
        else:
            messages.info(request, "This table was sent before: this is what became of it.")
        return redirect("approval", approval.pk)
    receipts: Sequence[Surrender] = made.receipts
    permits = sum(receipt.quantity for receipt in receipts)
    messages.success(
        request,
        f"{permits:,} permits were surrendered with {len(receipts):,} receipts, "
        f"received {receipts[0].received_at:%-d %B %Y, %H:%M:%S} UTC.",
    )
    return redirect("compliance")


def _shown(
    request: HttpRequest,
    work: _Work,
    form: TableForm | ConfirmForm,
    may_act: bool,
    *,
    checked: Checked | None = None,
    confirm: ConfirmForm | None = None,
    errors: Sequence[RowError] = (),
    name: str = "",
) -> HttpResponse:
    context = {
        "work": work.name,
        "columns": work.columns,
        "templates": [(kind.upper(), reverse(f"bulk-{work.name}-{kind}")) for kind in ("csv", "xlsx")],
        "form": form if isinstance(form, TableForm) else TableForm(),
        "refused": form.non_field_errors() if isinstance(form, ConfirmForm) and not errors else (),
        "may_act": may_act,
        "name": name,
        "checked": checked,
        "confirm": confirm,
        "errors": errors[:SHOWN_ERRORS],
        "error_count": len(errors),
        "errors_name": f"errors-{PurePath(name).stem or 'table'}.csv",
        "errors_csv": _as_csv(errors) if errors else "",
    }
    status = 422 if errors or form.errors else 200
    return render(request, "registry/bulk.html", context, status=status)


def _as_csv(errors: Sequence[RowError]) -> str:
    """Return every error as a CSV file in base64: the table itself is not kept, so that no address could show it."""
    rows = [(error.line, error.column, error.code, error.sentence) for error in errors]
    return base64.b64encode(csv_file("errors", ("line", "column", "code", "sentence"), rows).content).decode()


def _may_act(acting: Acting, work: _Work) -> bool:
    return acting.trades and acting.has(*work.roles)
