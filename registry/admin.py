"""Schemes, periods, operators, allocation, reports and compliance in the admin, with the acts of the desk.

Every act calls one service; those that need two people make a proposal, which another officer decides.
"""

from datetime import datetime
from typing import ClassVar
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin

from accounts.looking import AdminAct, Answers, LookOnlyAdmin
from accounts.models import Approval, Organisation, User
from common.forms import ActForm, DayField, ExactField, MoneyField, WholeField
from registry.forms import CapForm, InputsForm
from registry.models import (
    Accreditation,
    AllocationLine,
    AllocationRun,
    Appointment,
    AvoidedClaim,
    Cap,
    ComplianceRecord,
    EvidenceFile,
    FactorSet,
    Finding,
    MeterProject,
    MeterRun,
    MonitoringPlan,
    Obligation,
    Operator,
    Period,
    Report,
    Sanction,
    Scheme,
    ServingBatch,
    SigningKey,
    Site,
    Surrender,
    Tariff,
    VerifierStatement,
)
from registry.services import allocation, caps, cash, operators, schemes


class SchemeForm(ActForm):
    """The terms of a scheme, which never change afterwards."""

    code = forms.SlugField(max_length=40, help_text="Small letters, digits and hyphens, such as ai-flop.")
    name = forms.CharField(max_length=200)
    metric = forms.ChoiceField(choices=Scheme.Metric.choices)
    unit_size = ExactField(help_text="What one permit covers: FLOP, or grams of CO2e.")
    currency = forms.SlugField(max_length=12, initial="eur")
    zone = forms.ChoiceField(choices=[(zone, zone) for zone in sorted(available_timezones())], initial="UTC")
    large_transfer = WholeField(help_text="Transfers of this many permits or more need a second person.")
    sanction = MoneyField(help_text="For each missing permit, such as 100.00.")
    field_of: ClassVar = {
        "scheme_code_malformed": "code",
        "scheme_exists": "code",
        "scheme_name_missing": "name",
        "unit_size_out_of_range": "unit_size",
        "currency_unknown": "currency",
        "zone_unknown": "zone",
        "large_transfer_out_of_range": "large_transfer",
        "sanction_out_of_range": "sanction",
    }


class PeriodForm(ActForm):
    """The calendar of a period, which never moves afterwards. Days end in the scheme's zone."""

    year = forms.IntegerField(min_value=2000, max_value=2200, help_text="The year of use, and the vintage.")
    starts_on = DayField()
    ends_on = DayField(help_text="Last day of use, included.")
    report_due_on = DayField(help_text="Last day for verified reports.")
    surrender_due_on = DayField(help_text="Last day for permits.")
    field_of: ClassVar = {
        "period_exists": "year",
        "year_out_of_range": "year",
        "year_outside_period": "year",
        "period_ends_before_it_starts": "ends_on",
        "period_too_long": "ends_on",
        "report_due_too_early": "report_due_on",
        "surrender_due_too_early": "surrender_due_on",
    }


class EnrolForm(ActForm):
    """Who takes part, as what, and since when."""

    organisation = forms.ModelChoiceField(Organisation.objects.filter(kind__in=["firm", "lab"], status="active"))
    cohort = forms.ChoiceField(choices=Operator.Cohort.choices)
    first_year = forms.IntegerField(min_value=2000, max_value=2200)
    field_of: ClassVar = {"operator_exists": "organisation", "year_out_of_range": "first_year"}


class CashForm(ActForm):
    """A line of the bank statement."""

    amount = MoneyField()
    reference = forms.CharField(max_length=80, help_text="The line of the bank statement; it counts once.")
    field_of: ClassVar = {"cash_recorded_already": "reference", "reference_missing": "reference"}


class ExclusionForm(ActForm):
    """Which year, and why."""

    year = forms.IntegerField(min_value=2000, max_value=2200)
    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3}))
    field_of: ClassVar = {"reason_missing": "reason", "year_excluded_already": "year", "future_year_excluded": "year"}


def _create_scheme(actor: User, row: None, answers: Answers, now: datetime) -> Scheme:
    return schemes.create_scheme(
        actor=actor,
        code=answers["code"],
        name=answers["name"],
        metric=answers["metric"],
        unit_size=answers["unit_size"],
        currency=answers["currency"],
        zone=answers["zone"],
        large_transfer=answers["large_transfer"],
        sanction_minor=answers["sanction"],
        now=now,
    )


def _open_period(actor: User, row: Scheme, answers: Answers, now: datetime) -> Period:
    days = {name: answers[name] for name in ("starts_on", "ends_on", "report_due_on", "surrender_due_on")}
    return schemes.open_period(actor=actor, scheme=row, year=answers["year"], now=now, **days)


def _enrol(actor: User, row: Scheme, answers: Answers, now: datetime) -> Operator:
    return operators.enrol(
        actor=actor,
        scheme=row,
        organisation=answers["organisation"],
        cohort=answers["cohort"],
        first_year=answers["first_year"],
        now=now,
    )


def _propose_cap(actor: User, row: Period, answers: Answers, now: datetime) -> Approval:
    return caps.propose_cap(actor=actor, period=row, quantity=answers["quantity"], now=now)


def _draft(actor: User, row: Period, answers: Answers, now: datetime) -> AllocationRun:
    return allocation.draft_run(actor=actor, period=row, inputs=answers["document"], now=now)


def _propose_run(actor: User, row: AllocationRun, answers: Answers, now: datetime) -> Approval:
    return allocation.propose_run(actor=actor, run=row, now=now)


def _discard_run(actor: User, row: AllocationRun, answers: Answers, now: datetime) -> AllocationRun:
    return allocation.discard_run(actor=actor, run=row, now=now)


def _propose_deposit(actor: User, row: Operator, answers: Answers, now: datetime) -> Approval:
    return cash.propose_deposit(
        actor=actor,
        account=row.account,
        currency=row.scheme.currency,
        amount_minor=answers["amount"],
        reference=answers["reference"],
        now=now,
    )


def _propose_withdrawal(actor: User, row: Operator, answers: Answers, now: datetime) -> Approval:
    return cash.propose_withdrawal(
        actor=actor,
        account=row.account,
        currency=row.scheme.currency,
        amount_minor=answers["amount"],
        reference=answers["reference"],
        now=now,
    )


def _exclude(actor: User, row: Operator, answers: Answers, now: datetime) -> Operator:
    return operators.exclude_year(actor=actor, operator=row, year=answers["year"], reason=answers["reason"], now=now)


def _is_draft(row: Period | AllocationRun) -> bool:
    return row.status == "draft"


@admin.register(Scheme)
class SchemeAdmin(LookOnlyAdmin):
    """Schemes and their terms."""

    list_display = ("code", "name", "metric", "unit_size", "currency", "zone")
    list_select_related = ("currency",)
    acts = (
        AdminAct("create", "Create a scheme", _create_scheme, SchemeForm, on_list=True),
        AdminAct("open-period", "Open a period", _open_period, PeriodForm),
        AdminAct("enrol", "Enrol an operator", _enrol, EnrolForm),
    )


@admin.register(Period)
class PeriodAdmin(LookOnlyAdmin):
    """Periods and their calendars."""

    list_display = ("__str__", "status", "starts_on", "ends_on", "report_due", "surrender_due")
    list_filter = ("status",)
    list_select_related = ("scheme",)
    acts = (
        AdminAct("propose-cap", "Propose the cap", _propose_cap, CapForm, offered=_is_draft),
        AdminAct(
            "draft-allocation",
            "Draft an allocation",
            _draft,
            InputsForm,
            offered=lambda period: period.status == "open",
        ),
    )


@admin.register(Cap)
class CapAdmin(LookOnlyAdmin):
    """Caps as they were published."""

    list_display = ("period", "version", "quantity", "published_at")
    list_select_related = ("period__scheme",)


@admin.register(Operator)
class OperatorAdmin(LookOnlyAdmin):
    """Who takes part in which scheme."""

    list_display = ("organisation", "scheme", "cohort", "first_year", "account", "surrenders_automatically")
    list_filter = ("scheme", "cohort")
    list_select_related = ("organisation", "scheme", "account")
    search_fields = ("organisation__name", "account__number")
    acts = (
        AdminAct("deposit", "Record a deposit", _propose_deposit, CashForm),
        AdminAct("withdrawal", "Pay out", _propose_withdrawal, CashForm),
        AdminAct("exclude-year", "Exclude a year", _exclude, ExclusionForm),
    )


@admin.register(AllocationRun)
class AllocationRunAdmin(LookOnlyAdmin):
    """Allocation runs: drafts to be proposed, and what was executed."""

    list_display = ("period", "status", "free", "set_aside", "auction", "drafted_by", "drafted_at")
    list_filter = ("status",)
    list_select_related = ("period__scheme", "drafted_by")
    acts = (
        AdminAct("propose", "Propose this allocation", _propose_run, offered=_is_draft),
        AdminAct("discard", "Discard this draft", _discard_run, offered=_is_draft),
    )


@admin.register(AllocationLine)
class AllocationLineAdmin(LookOnlyAdmin):
    """What each operator gets, with every figure it follows from."""

    list_display = ("operator", "method", "claim", "quantity", "run")
    list_select_related = ("operator__organisation", "operator__scheme", "run__period__scheme")


@admin.register(Report)
class ReportAdmin(LookOnlyAdmin):
    """Report versions with their totals."""

    list_display = ("operator", "period", "version", "kind", "status", "received_at")
    list_filter = ("status", "kind")
    list_select_related = ("operator__organisation", "operator__scheme", "period__scheme")


@admin.register(EvidenceFile)
class EvidenceFileAdmin(LookOnlyAdmin):
    """Files as they were received, by their hash; their content is elsewhere."""

    list_display = ("name", "organisation", "size", "sha256", "received_at")
    list_select_related = ("organisation",)
    fields = ("name", "organisation", "size", "sha256", "received_at", "received_from")


@admin.register(VerifierStatement)
class VerifierStatementAdmin(LookOnlyAdmin):
    """Verifiers' opinions."""

    list_display = ("report", "verifier", "opinion", "signed_by", "signed_at")
    list_select_related = ("report__operator__organisation", "report__operator__scheme", "report__period", "verifier")


@admin.register(Accreditation)
class AccreditationAdmin(LookOnlyAdmin):
    """What verifiers may verify."""

    list_display = ("verifier", "scheme", "reference", "valid_from", "valid_until", "status")
    list_filter = ("status",)
    list_select_related = ("verifier", "scheme")


@admin.register(Appointment)
class AppointmentAdmin(LookOnlyAdmin):
    """Who verifies whom, and what was declared."""

    list_display = ("operator", "period", "verifier", "status", "proposed_at")
    list_filter = ("status",)
    list_select_related = ("operator__organisation", "operator__scheme", "period__scheme", "verifier")


@admin.register(Finding)
class FindingAdmin(LookOnlyAdmin):
    """What verifiers found."""

    list_display = ("report", "number", "kind", "quantity", "corrected", "due_on", "status")
    list_filter = ("status", "kind")
    list_select_related = ("report__operator__organisation", "report__operator__scheme", "report__period")


@admin.register(SigningKey)
class SigningKeyAdmin(LookOnlyAdmin):
    """Whose signatures count; private halves are not shown to anybody."""

    list_display = ("key_id", "organisation", "name", "valid_from", "revoked_at")
    list_select_related = ("organisation",)
    fields = ("key_id", "organisation", "name", "public_key", "valid_from", "registered_by", "revoked_at")


@admin.register(Obligation)
class ObligationAdmin(LookOnlyAdmin):
    """What is owed, version by version."""

    list_display = ("operator", "period", "version", "quantity", "at")
    list_select_related = ("operator__organisation", "operator__scheme", "period__scheme")


@admin.register(Surrender)
class SurrenderAdmin(LookOnlyAdmin):
    """What was given up, and when it was received."""

    list_display = ("operator", "period", "quantity", "received_at", "surrendered_by")
    list_select_related = ("operator__organisation", "operator__scheme", "period__scheme", "surrendered_by")


@admin.register(ComplianceRecord)
class ComplianceRecordAdmin(LookOnlyAdmin):
    """Status letters, official and later ones."""

    list_display = ("operator", "period", "occasion", "status", "owed", "surrendered", "at")
    list_filter = ("occasion", "status")
    list_select_related = ("operator__organisation", "operator__scheme", "period__scheme")


@admin.register(Sanction)
class SanctionAdmin(LookOnlyAdmin):
    """Penalties for missing permits."""

    list_display = ("operator", "period", "shortfall", "amount_minor", "status", "imposed_at")
    list_filter = ("status",)
    list_select_related = ("operator__organisation", "operator__scheme", "period__scheme")


# How emissions are measured -------------------------------------------------------------------------------------------


@admin.register(Site)
class SiteAdmin(LookOnlyAdmin):
    """Places where organisations compute."""

    list_display = ("name", "organisation", "country", "zone", "opened_on", "closed_on")
    list_select_related = ("organisation",)


@admin.register(MonitoringPlan)
class MonitoringPlanAdmin(LookOnlyAdmin):
    """How operators measure, version by version."""

    list_display = ("operator", "version", "status", "valid_from", "submitted_at")
    list_filter = ("status",)
    list_select_related = ("operator__organisation", "operator__scheme")


@admin.register(FactorSet)
class FactorSetAdmin(LookOnlyAdmin):
    """Grid factors with their qualifiers; each counts from its publication on."""

    list_display = ("code", "version", "resolution", "kind", "rows", "loaded_by", "loaded_at", "used_for")
    list_filter = ("resolution", "kind", "for_obligations")
    list_select_related = ("loaded_by", "publication")


@admin.register(ServingBatch)
class ServingBatchAdmin(LookOnlyAdmin):
    """Deliveries of serving records, by their hash."""

    list_display = ("id", "organisation", "rows", "restated", "key_id", "sha256", "received_at")
    list_select_related = ("organisation",)


@admin.register(MeterProject)
class MeterProjectAdmin(LookOnlyAdmin):
    """Projects of clients that report themselves."""

    list_display = ("name", "operator", "site", "created_at")
    list_select_related = ("operator__organisation", "operator__scheme", "site")


@admin.register(MeterRun)
class MeterRunAdmin(LookOnlyAdmin):
    """Runs as clients described them."""

    list_display = ("id", "experiment", "source", "client_version", "received_at")
    list_filter = ("source",)
    list_select_related = ("experiment__project",)


@admin.register(Tariff)
class TariffAdmin(LookOnlyAdmin):
    """Published terms of flexible service."""

    list_display = ("name", "version", "organisation", "valid_from", "valid_until", "published_at")
    list_select_related = ("organisation",)


@admin.register(AvoidedClaim)
class AvoidedClaimAdmin(LookOnlyAdmin):
    """Claims of avoided emissions, which never settle anything."""

    list_display = ("id", "serial", "organisation", "zone", "starts_at", "ends_at", "status")
    list_filter = ("status",)
    list_select_related = ("organisation", "workload", "tariff")
