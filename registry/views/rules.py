"""The rules of every scheme for everybody: what holds on a day, where it comes from, what changed, open files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.acting import acting_in
from common import clock
from common.downloads import stored_file
from common.forms import DayField
from registry import rulebook
from registry.engine import parameters as engine
from registry.engine.parameters import CHAPTERS, PARAMETERS, Parameter, SpanChange
from registry.engine.parameters.kinds import Amount, Json, ListOf, Record, Span, Whole, YearDay
from registry.models import RuleChange, Scheme
from registry.rulebook import RuleInForce
from registry.services import rules
from registry.services.rules import REASONS

OFFICERS = ("desk_officer", "senior_officer")


class OnForm(forms.Form):
    """The day whose rules are shown."""

    on = DayField(label="Rules in force on", required=False)


@dataclass(frozen=True)
class Shown:
    """A value as a page shows it: one text, or a small table."""

    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class RuleRow:
    """One rule in force as the page shows it."""

    rule: RuleInForce
    value: Shown
    proposed_as: str = ""
    approved_as: str = ""
    is_late: bool = False
    """Whether it was published after its first day."""


@dataclass(frozen=True)
class Chapter:
    """One chapter of a rule book on one day, and the rules of it that nobody has set, with their defaults."""

    code: str
    title: str
    rows: tuple[RuleRow, ...]
    unset: tuple[tuple[Parameter, Shown], ...]


@dataclass(frozen=True)
class ChangeRow:
    """What a change made differ in one rule over one span of days."""

    parameter: Parameter
    first: date
    end: date | None
    before: Shown
    after: Shown


@login_not_required
@require_safe
def scheme_list(request: HttpRequest) -> HttpResponse:
    """Show every scheme with how often its rules changed."""
    schemes = list(Scheme.objects.select_related("currency").order_by("code"))
    latest: dict[object, RuleChange] = {}
    for change in RuleChange.objects.filter(scheme__in=schemes).order_by("number"):
        latest[change.scheme_id] = change
    return render(request, "registry/rules.html", {"schemes": [(one, latest.get(one.pk)) for one in schemes]})


@login_not_required
@require_safe
def scheme_rules(request: HttpRequest, code: str) -> HttpResponse:
    """Show the rules of a scheme that hold on a day, chapter by chapter."""
    scheme = rulebook.scheme_coded(code)
    today = clock.now().astimezone(scheme.tz).date()
    form = OnForm(request.GET or None)
    on = (form.cleaned_data["on"] if form.is_valid() else None) or today
    if not form.is_bound:
        form = OnForm(initial={"on": on})
    context = {
        "scheme": scheme,
        "on": on,
        "is_today": on == today,
        "form": form,
        "chapters": chapters(scheme, on),
        "days": _days(scheme, on),
        "version": rulebook.rules_version(scheme, on),
        "may_act": _may_act(request),
    }
    return render(request, "registry/rules_scheme.html", context, status=422 if form.errors else 200)


@login_not_required
@require_safe
def change_list(request: HttpRequest, code: str) -> HttpResponse:
    """Show every change of a scheme's rules, the latest first."""
    scheme = rulebook.scheme_coded(code)
    changes = list(rulebook.changes_of(scheme))
    roles = rulebook.approvers(changes)
    context = {
        "scheme": scheme,
        "changes": [(change, *roles[change.pk], counted) for change, counted in _counted(scheme, changes)],
    }
    return render(request, "registry/rules_changes.html", context)


@login_not_required
@require_safe
def change_detail(request: HttpRequest, code: str, number: int) -> HttpResponse:
    """Show one change: what differs, before and after, why, and in which roles it was decided."""
    scheme = rulebook.scheme_coded(code)
    change = rulebook.change_numbered(scheme, number)
    proposed_as, approved_as = rulebook.approvers([change])[change.pk]
    published_on = change.published_at.astimezone(scheme.tz).date()
    context = {
        "scheme": scheme,
        "change": change,
        "reason": REASONS.get(change.reason_code, change.reason_code),
        "rows": change_rows(rulebook.changed_by(change)),
        "sources": sorted({rule.source for rule in change.rules.all()}),
        "proposed_as": proposed_as,
        "approved_as": approved_as,
        "published_on": published_on,
        "sees_names": request.user.is_authenticated and acting_in(request).oversees,
    }
    return render(request, "registry/rules_change.html", context)


@login_not_required
@require_safe
def rules_file(request: HttpRequest, code: str) -> HttpResponse:
    """Return the rule book as a document; with `on`, what of it holds on that day."""
    scheme = rulebook.scheme_coded(code)
    form = OnForm(request.GET or None)
    on = form.cleaned_data["on"] if form.is_valid() else None
    name = f"rules-{scheme.code}{f'-{on}' if on else ''}.json"
    return stored_file(name, json.dumps(rules.export(scheme, on), indent=1, ensure_ascii=False).encode())


@login_not_required
@require_safe
def schema_file(request: HttpRequest) -> HttpResponse:
    """Return the JSON Schema of rule documents."""
    return stored_file("scheme-rules.schema.json", json.dumps(engine.schema(), indent=1).encode())


# What the pages show --------------------------------------------------------------------------------------------------


def chapters(scheme: Scheme, on: date) -> list[Chapter]:
    """Return the rules of a day by chapter."""
    in_force = rulebook.in_force(scheme, on)
    changes = {rule.change.pk: rule.change for rule in in_force if rule.change is not None}
    roles = rulebook.approvers(changes.values())
    by_chapter: dict[str, list[RuleRow]] = {code: [] for code in CHAPTERS}
    for rule in in_force:
        proposed_as, approved_as = roles[rule.change.pk] if rule.change else ("", "")
        by_chapter[rule.parameter.chapter].append(
            RuleRow(rule, shown(rule.parameter, rule.value), proposed_as, approved_as, _is_late(rule, scheme))
        )
    names = {rule.parameter.name for rule in in_force}
    return [
        Chapter(
            code=code,
            title=title,
            rows=tuple(by_chapter[code]),
            unset=tuple(
                (parameter, default_of(parameter))
                for parameter in PARAMETERS.values()
                if parameter.chapter == code and parameter.name not in names
            ),
        )
        for code, title in CHAPTERS.items()
    ]


def change_rows(found: tuple[SpanChange, ...]) -> list[ChangeRow]:
    """Return what differs as the pages show it."""
    return [
        ChangeRow(
            parameter=(parameter := PARAMETERS[change.name]),
            first=change.first,
            end=change.end,
            before=_or_default(parameter, change.before),
            after=_or_default(parameter, change.after),
        )
        for change in found
    ]


def shown(parameter: Parameter, value: Json) -> Shown:
    """Return a value as a page shows it: numbers grouped, lists and years as small tables."""
    kind = parameter.kind
    if isinstance(kind, ListOf) and isinstance(kind.item, Record | Span):
        columns = tuple(kind.item.parts) if isinstance(kind.item, Record) else ("first", "last")
        used = tuple(column for column in columns if any(row.get(column) not in (None, {}) for row in value))
        return Shown(
            text="" if value else "none",
            columns=tuple(column.replace("_", " ") for column in used),
            rows=tuple(tuple(_part(kind.item, column, row.get(column)) for column in used) for row in value),
        )
    if isinstance(value, Mapping):
        return Shown(
            text="" if value else "none", rows=tuple((key, _text(each)) for key, each in sorted(value.items()))
        )
    if isinstance(kind, YearDay) and value is not None:
        years, day = kind.read(value, parameter.name, [])
        return Shown(f"{date.fromisoformat(f'2001-{day}'):%-d %B} Y{f'{years:+d}' if years else ''}")
    if isinstance(kind, Whole | Amount) and value is not None:
        return Shown(_grouped(value))
    return Shown(_text(value))


def default_of(parameter: Parameter) -> Shown:
    """Return what holds while nobody sets a rule."""
    if parameter.default is None:
        return Shown("does not apply")
    return shown(parameter, parameter.kind.text(parameter.default))


def _part(kind: Record | Span, name: str, value: Json) -> str:
    """Write one part of an entry on one line; the parts of an entry within it keep the order of the catalogue."""
    inner = kind.parts.get(name) if isinstance(kind, Record) else None
    if isinstance(inner, Record) and isinstance(value, Mapping):
        return _text({part: value.get(part) for part in inner.parts})
    return "" if value is None else _text(value)


def _or_default(parameter: Parameter, value: Json) -> Shown:
    if value is not None:
        return shown(parameter, value)
    default = default_of(parameter)
    return Shown(f"not set ({default.text})" if default.text else "not set", default.columns, default.rows)


def _text(value: Json) -> str:
    """Write any part of a value on one line."""
    match value:
        case None:
            return "not set"
        case bool():
            return "yes" if value else "no"
        case str():
            return _grouped(value) if value.lstrip("-").isdigit() else value
        case Mapping():
            return "; ".join(
                f"{key.replace('_', ' ')} {_text(each)}" for key, each in value.items() if each not in (None, {})
            )
        case list():
            return ", ".join(_text(each) for each in value) or "none"
    return str(value)


def _grouped(text: str) -> str:
    """Write exact digits with commas between thousands; every digit stays."""
    whole, point, places = text.partition(".")
    return f"{int(whole):,}{point}{places}" if whole.lstrip("-").isdigit() else text


def _days(scheme: Scheme, on: date) -> list[tuple[date, bool]]:
    """Return the days on which the rules change, each with whether it is the latest up to the day shown."""
    days = engine.days_of_change(rulebook.history(scheme).book)
    current = max((day for day in days if day <= on), default=None)
    return [(day, day == current) for day in days]


def _counted(scheme: Scheme, changes: list[RuleChange]) -> list[tuple[RuleChange, int]]:
    counts: dict[Any, int] = {}
    for change_id in scheme.rules.values_list("change_id", flat=True):
        counts[change_id] = counts.get(change_id, 0) + 1
    return [(change, counts.get(change.pk, 0)) for change in changes]


def _is_late(rule: RuleInForce, scheme: Scheme) -> bool:
    if rule.change is None or rule.change.approval.act == rulebook.IMPORT_SCHEME:
        return False
    return rule.change.published_at.astimezone(scheme.tz).date() > rule.first


def _may_act(request: HttpRequest) -> bool:
    return request.user.is_authenticated and acting_in(request).has(*OFFICERS)
