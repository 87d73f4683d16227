"""Operators: enrolling organisations in a scheme, their standing instructions, and years they are excused from."""

from datetime import datetime

from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import audit
from common.errors import Unknown, require, require_permission
from registry.ledger import services as ledger
from registry.ledger.models import LedgerAccount
from registry.models import ComplianceRecord, Operator, Report, Scheme
from registry.permissions import may_report, regulator_of


@transaction.atomic(durable=True)
def enrol(
    *, actor: User, scheme: Scheme, organisation: Organisation, cohort: str, first_year: int, now: datetime
) -> Operator:
    """Make a firm or lab an operator of a scheme, and open its one holding account if it has none."""
    regulator_of(actor)
    organisation = Organisation.objects.select_for_update().get(pk=organisation.pk)
    require(organisation.trades, "organisation_cannot_operate", "Only a firm or an academic lab can be an operator.")
    require(organisation.status == "active", "organisation_not_active", "This organisation is not active. Restore it.")
    require(
        cohort in Operator.Cohort.values, "cohort_unknown", "Choose one of the cohorts: large, mid, small, academic."
    )
    require(2000 <= first_year <= 2200, "year_out_of_range", "The first year lies between 2000 and 2200.")
    require(
        not Operator.objects.filter(scheme=scheme, organisation=organisation).exists(),
        "operator_exists",
        f"{organisation} is an operator of {scheme} already.",
    )
    operator = Operator.objects.create(
        scheme=scheme,
        organisation=organisation,
        account=_holding_account(organisation, now),
        cohort=cohort,
        first_year=first_year,
    )
    audit.record(
        actor,
        "registry.operator.enrolled",
        operator,
        at=now,
        organisation=organisation,
        scheme=scheme.code,
        cohort=cohort,
        first_year=first_year,
    )
    return operator


@transaction.atomic(durable=True)
def set_standing_surrender(*, actor: User, operator: Operator, on: bool, now: datetime) -> Operator:
    """Let the registry surrender what is owed when a period closes, or stop letting it."""
    require_permission(
        may_report(actor, operator.organisation), "Only an initiator or approver of the operator may instruct this."
    )
    operator = locked(operator)
    if operator.surrenders_automatically != on:
        operator.surrenders_automatically = on
        operator.save(update_fields=["surrenders_automatically"])
        audit.record(
            actor,
            "registry.operator.standing_surrender_set",
            operator,
            at=now,
            organisation=operator.organisation,
            on=on,
        )
    return operator


@transaction.atomic(durable=True)
def exclude_year(*, actor: User, operator: Operator, year: int, reason: str, now: datetime) -> Operator:
    """Excuse an operator from a past year in which it had no use, before that year's status is published."""
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the operator can read.")
    operator = locked(operator)
    require(year not in operator.excluded_years, "year_excluded_already", f"{year} is excluded already.")
    require(year >= operator.first_year, "year_before_first", f"{operator} was not liable in {year}.")
    require(year <= now.astimezone(operator.scheme.tz).year, "future_year_excluded", f"{year} has not begun.")
    require(
        not Report.objects.filter(operator=operator, period__year=year, status__in=["verified", "determined"]).exists(),
        "use_in_excluded_year",
        f"There is a figure for {year}: a year with use cannot be excluded.",
    )
    require(
        not ComplianceRecord.objects.filter(operator=operator, period__year__gte=year).exists(),
        "status_published",
        f"A status that counts {year} has been published already.",
    )
    operator.excluded_years = sorted([*operator.excluded_years, year])
    operator.save(update_fields=["excluded_years"])
    audit.record(
        actor,
        "registry.operator.year_excluded",
        operator,
        at=now,
        organisation=operator.organisation,
        year=year,
        reason=reason,
    )
    return operator


def locked(operator: Operator) -> Operator:
    """Lock an operator, so that its reports and surrenders come one at a time."""
    found = (
        Operator.objects.select_for_update(of=("self",), no_key=True)
        .select_related("organisation", "scheme", "account")
        .filter(pk=operator.pk)
        .first()
    )
    if found is None:
        raise Unknown("operator_unknown", "There is no such operator. Check the address.")
    return found


def _holding_account(organisation: Organisation, now: datetime) -> LedgerAccount:
    live = LedgerAccount.objects.filter(owner=organisation, kind="holding").exclude(status="closed")
    return live.order_by("id").first() or (
        ledger.open_account(kind="holding", owner=organisation, label=organisation.name, now=now)
    )
