"""Reads of the registry that cross tables: where permits are, who owes what, and what the public may see.

Each returns in a fixed number of queries, however many operators or periods there are.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum

from accounts.models import Organisation
from accounts.selectors import Scope
from common.errors import Unknown
from registry.engine.compliance import cash_sanction
from registry.ledger.models import Asset, Balance, LedgerAccount
from registry.models import (
    AWAITS_OPINION,
    AllocationLine,
    AllocationRun,
    Appointment,
    Cap,
    Case,
    ComplianceRecord,
    LetterRemoval,
    Obligation,
    Operator,
    Period,
    Report,
    Sanction,
)
from registry.standing import records

PLACES = ("holding", "reserve", "set_aside", "auction", "clearing", "surrender", "cancellation")
"""Where permits can lie, by kind of account, in the order of their life."""


@dataclass(frozen=True)
class Place:
    """How many permits lie in the accounts of one kind, and how many of them are held for something."""

    kind: str
    label: str
    quantity: int
    held: int


@dataclass(frozen=True)
class PermitPlaces:
    """Where every permit of a period is. The places add up to what was issued, which is the cap."""

    cap: int
    issued: int
    places: tuple[Place, ...]

    @property
    def total(self) -> int:
        """The sum over all places."""
        return sum(place.quantity for place in self.places)

    @property
    def adds_up(self) -> bool:
        """Whether no permit is missing and none is too many."""
        return self.total == self.issued <= self.cap

    def quantity(self, kind: str) -> int:
        """Return how many permits lie in the accounts of one kind."""
        return sum(place.quantity for place in self.places if place.kind == kind)


@dataclass(frozen=True)
class VintageHolding:
    """What an operator holds of one vintage that counts for a period."""

    year: int
    asset: Asset
    balance: int
    held: int

    @property
    def available(self) -> int:
        """What may be surrendered now."""
        return self.balance - self.held


@dataclass(frozen=True)
class ObligationPosition:
    """What an operator owes for a period and what it has for it. Figures are cumulative over the years so far."""

    operator: Operator
    period: Period
    owed: int
    owed_for_the_year: int
    surrendered: int
    shortfall: int
    holdings: tuple[VintageHolding, ...]
    sanction_minor: int
    """What the shortfall of the year would cost if nothing more came in time."""
    deadline_status: str
    """The official letter; empty before the deadline."""
    present_status: str
    report: Report | None
    """The report in force: verified, or the regulator's estimate."""

    @property
    def available(self) -> int:
        """Permits that may be surrendered now, of all vintages that count."""
        return sum(holding.available for holding in self.holdings)

    @property
    def net(self) -> int:
        """What is left after surrendering everything owed; below zero it has to be bought."""
        return self.available - self.shortfall


@dataclass(frozen=True)
class ComplianceRow:
    """One operator's line of the compliance table."""

    operator: Operator
    deadline_status: str
    present_status: str
    owed: int
    surrendered: int
    shortfall: int
    sanction_minor: int


@dataclass(frozen=True)
class PeriodOverview:
    """What the public sees of one period."""

    period: Period
    permits: PermitPlaces
    operators: Mapping[str, int]
    """Number of operators by cohort."""
    letters: Mapping[str, int]
    """Number of official letters by status, once they are published."""
    verified_reports: int
    flop: Decimal
    energy_kwh: Decimal
    co2e_g: Decimal


def holding_account(organisation: Organisation) -> LedgerAccount:
    """Return the account in which an organisation holds its permits and money: the oldest that is not closed."""
    live = LedgerAccount.objects.filter(owner=organisation, kind="holding").exclude(status="closed")
    account = live.order_by("id").first()
    if account is None:
        raise Unknown("account_missing", f"{organisation} has no account yet. The regulator opens one when it enrols.")
    return account


def where_every_permit_is(period: Period) -> PermitPlaces:
    """Return where the permits of a period lie, by kind of account."""
    return _places([period])[period.pk]


def position_against_obligation(operator: Operator, period: Period) -> ObligationPosition:
    """Return what an operator owes for a period, what it gave, and what it could give now."""
    (standing,) = records(period, operator=operator)
    letter = ComplianceRecord.objects.filter(operator=operator, period=period, occasion="deadline").first()
    report = Report.objects.filter(operator=operator, period=period, status__in=["verified", "determined"]).first()
    return ObligationPosition(
        operator=standing.operator,
        period=period,
        owed=standing.owed,
        owed_for_the_year=standing.owed_for_the_year,
        surrendered=standing.surrendered,
        shortfall=standing.shortfall,
        holdings=_usable_holdings(operator, period),
        sanction_minor=cash_sanction(standing.shortfall_of_the_year, period.scheme.sanction_minor).cash_minor,
        deadline_status=letter.status if letter else "",
        present_status=standing.status,
        report=report,
    )


def compliance_table(period: Period) -> list[ComplianceRow]:
    """Return every operator's official letter, its present one, and the figures behind them."""
    letters = dict(
        ComplianceRecord.objects.filter(period=period, occasion="deadline").values_list("operator_id", "status")
    )
    sums = Sanction.objects.filter(period=period).order_by().values("operator_id").annotate(sum=Sum("amount_minor"))
    sanctions = {row["operator_id"]: int(row["sum"]) for row in sums}
    return [
        ComplianceRow(
            operator=standing.operator,
            deadline_status=letters.get(standing.operator.pk, ""),
            present_status=standing.status,
            owed=standing.owed,
            surrendered=standing.surrendered,
            shortfall=standing.shortfall,
            sanction_minor=sanctions.get(standing.operator.pk, 0),
        )
        for standing in records(period)
    ]


def names_are_public(period: Period, now: datetime) -> bool:
    """Say whether letters and use of a period are public by name: it is closed, and the time to appeal is over."""
    return period.status == "closed" and (period.names_public_at is None or period.names_public_at <= now)


def hidden_operators(period: Period) -> set[uuid.UUID]:
    """Return the operators that public pages do not name for a period: an appeal is open, or the letter was removed."""
    contested = Case.objects.filter(period=period, kind=Case.Kind.APPEAL, status="open").exclude(subject="allocation")
    removed = LetterRemoval.objects.filter(period=period)
    return {*contested.values_list("operator_id", flat=True), *removed.values_list("operator_id", flat=True)}


def public_letters(now: datetime) -> QuerySet[ComplianceRecord]:
    """Return the letters that anybody may read by name."""
    appeals = Case.objects.filter(
        operator=OuterRef("operator"), period=OuterRef("period"), kind=Case.Kind.APPEAL, status="open"
    )
    removals = LetterRemoval.objects.filter(operator=OuterRef("operator"), period=OuterRef("period"))
    return ComplianceRecord.objects.filter(
        Q(period__names_public_at__isnull=True) | Q(period__names_public_at__lte=now),
        ~Exists(appeals.exclude(subject="allocation")),
        ~Exists(removals),
        period__status="closed",
    )


def public_overview() -> list[PeriodOverview]:
    """Return what everybody may see of every period whose cap is published, latest year first."""
    periods = list(
        Period.objects.exclude(status="draft").select_related("scheme", "permit").order_by("scheme__code", "-year")
    )
    places = _places(periods)
    cohorts: defaultdict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    for scheme_id, cohort, count in (
        Operator.objects.order_by()
        .values("scheme_id", "cohort")
        .annotate(n=Count("pk"))
        .values_list("scheme_id", "cohort", "n")
    ):
        cohorts[scheme_id][cohort] = count
    letters: defaultdict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    published = ComplianceRecord.objects.filter(occasion="deadline", period__status="closed").order_by()
    for period_id, status, count in (
        published.values("period_id", "status").annotate(n=Count("pk")).values_list("period_id", "status", "n")
    ):
        letters[period_id][status] = count
    verified = {
        row["period_id"]: row
        for row in Report.objects.filter(status="verified")
        .order_by()
        .values("period_id")
        .annotate(n=Count("pk"), sum_flop=Sum("flop"), sum_kwh=Sum("energy_kwh"), sum_g=Sum("co2e_g"))
    }
    overview = []
    for period in periods:
        totals = verified.get(period.pk)
        overview.append(
            PeriodOverview(
                period=period,
                permits=places[period.pk],
                operators=dict(cohorts[period.scheme_id]),
                letters=dict(letters[period.pk]),
                verified_reports=totals["n"] if totals else 0,
                flop=totals["sum_flop"] if totals else Decimal(0),
                energy_kwh=totals["sum_kwh"] if totals else Decimal(0),
                co2e_g=totals["sum_g"] if totals else Decimal(0),
            )
        )
    return overview


def allocation_lines(run: AllocationRun) -> QuerySet[AllocationLine]:
    """The lines of a run with their operators, by name."""
    return run.lines.select_related("operator__organisation", "operator__account").order_by(
        "operator__organisation__name", "method"
    )


def reports_visible(scope: Scope, *, to_a_verifier: bool) -> QuerySet[Report]:
    """Reports that somebody may open: those in scope, and to a verifier those that it is appointed to check."""
    reports = Report.objects.select_related("operator__organisation", "operator__scheme", "period__scheme")
    if to_a_verifier and not scope.everything:
        own = Q(operator__organisation__in=scope.organisation_ids)
        return reports.filter(own | open_to_verifiers(scope.organisation_ids))
    return scope.filter(reports, "operator__organisation")


def open_to_verifiers(verifier_ids: Iterable[uuid.UUID]) -> Q:
    """Which reports verifiers may read: of the periods they are appointed for, what they judged, and the years before.

    Of the years before they read what was verified, to compare with.
    """
    verifiers = list(verifier_ids)
    live = Appointment.objects.filter(verifier__in=verifiers, status="accepted", operator=OuterRef("operator"))
    return Q(kind=Report.Kind.OPERATOR) & (
        Q(Exists(live.filter(period=OuterRef("period"))))
        | Q(status="verified") & Q(Exists(live.filter(period__year__gt=OuterRef("period__year"))))
        | Q(statement__verifier__in=verifiers)
    )


def claimed_sums(report: Report) -> dict[str, Decimal | None]:
    """What the client claimed to have emitted and what the registry worked out, over the lines with a claim."""
    return report.lines.filter(claimed_co2e_g__isnull=False).aggregate(
        claimed=Sum("claimed_co2e_g"), recomputed=Sum("co2e_g")
    )


def period_coded(code: str) -> Period:
    """Return the period with a code such as ai-flop-2030."""
    scheme_code, _, year = code.rpartition("-")
    period = None
    if year.isascii() and year.isdigit() and len(year) == 4:
        period = (
            Period.objects.select_related("scheme__currency", "permit")
            .filter(scheme__code=scheme_code, year=int(year))
            .first()
        )
    if period is None:
        raise Unknown("period_unknown", "There is no such period. Check the address.")
    return period


def reportable_periods(organisation: Organisation) -> QuerySet[Period]:
    """Periods for which an organisation may file a report, the latest first."""
    return (
        Period.objects.exclude(status="draft")
        .filter(scheme__operators__organisation=organisation, year__gte=F("scheme__operators__first_year"))
        .select_related("scheme")
        .order_by("-year", "scheme__code")
    )


@dataclass(frozen=True)
class ReportingRow:
    """How far one operator has come with its report for a period."""

    operator: Operator
    report: Report | None
    """The latest version, of whatever status."""
    owed: int | None
    """Permits for this year, once a report or an estimate says so."""
    is_overdue: bool
    """Nothing in force although reports were due."""


def reporting_table(period: Period, now: datetime) -> list[ReportingRow]:
    """Return for every liable operator its latest report of a period and what it owes by it."""
    operators = Operator.objects.filter(scheme_id=period.scheme_id, first_year__lte=period.year)
    reports = {r.operator_id: r for r in Report.objects.filter(period=period).order_by("version")}
    owed = dict(Obligation.objects.filter(period=period).order_by("version").values_list("operator_id", "quantity"))
    in_force = set(
        Report.objects.filter(period=period, status__in=["verified", "determined"]).values_list(
            "operator_id", flat=True
        )
    )
    return [
        ReportingRow(
            operator=operator,
            report=reports.get(operator.pk),
            owed=owed.get(operator.pk),
            is_overdue=now >= period.report_due
            and operator.pk not in in_force
            and period.year not in operator.excluded_years,
        )
        for operator in operators.select_related("organisation").order_by("organisation__name")
    ]


def reports_to_verify(verifier: Organisation | None = None) -> QuerySet[Report]:
    """Reports that wait for a verifier, or for this one: the newest version of each, oldest receipt first."""
    newest = (
        Report.objects.filter(operator=OuterRef("operator"), period=OuterRef("period"), kind="operator")
        .order_by("-version")
        .values("version")[:1]
    )
    reports = Report.objects.filter(status__in=AWAITS_OPINION)
    if verifier is not None:
        appointed = Appointment.objects.filter(verifier=verifier, status="accepted")
        reports = reports.filter(Exists(appointed.filter(operator=OuterRef("operator"), period=OuterRef("period"))))
    return (
        reports.annotate(newest=Subquery(newest))
        .filter(version=F("newest"))
        .select_related("operator__organisation", "period__scheme", "evidence")
        .order_by("received_at", "id")
    )


def _usable_holdings(operator: Operator, period: Period) -> tuple[VintageHolding, ...]:
    """Return what the operator holds of the vintages that count for the period, oldest first."""
    balances = {
        balance.asset_id: balance
        for balance in Balance.objects.filter(account=operator.account_id, asset__kind=Asset.Kind.PERMIT)
    }
    vintages = Period.objects.filter(scheme_id=period.scheme_id, year__lte=period.year).select_related("permit")
    return tuple(
        VintageHolding(
            vintage.year, vintage.permit, balances[vintage.permit_id].balance, balances[vintage.permit_id].held
        )
        for vintage in vintages.order_by("year")
        if vintage.permit_id in balances
    )


def _places(periods: Iterable[Period]) -> dict[uuid.UUID, PermitPlaces]:
    """Add up where the permits of several periods lie."""
    by_permit = {period.permit_id: period.pk for period in periods}
    caps = {
        cap.period_id: cap.quantity
        for cap in Cap.objects.filter(period__in=by_permit.values()).order_by("version")  # the last version stays
    }
    sums: defaultdict[uuid.UUID, dict[str, tuple[int, int]]] = defaultdict(dict)
    rows = (
        Balance.objects.filter(asset__in=by_permit)
        .order_by()
        .values("asset_id", "account__kind")
        .annotate(lies=Sum("balance"), reserved=Sum("held"))
        .values_list("asset_id", "account__kind", "lies", "reserved")
    )
    for asset_id, kind, quantity, held in rows:
        sums[by_permit[asset_id]][kind] = (int(quantity), int(held))
    labels = dict(LedgerAccount.Kind.choices) | {"reserve": "Total quantity", "surrender": "Surrendered"}
    return {
        period_id: PermitPlaces(
            cap=caps.get(period_id, 0),
            issued=-sums[period_id].get("issuance", (0, 0))[0],
            places=tuple(
                Place(kind, str(labels[kind]), *sums[period_id].get(kind, (0, 0)))
                for kind in (*PLACES, *sorted(sums[period_id].keys() - {*PLACES, "issuance"}))
            ),
        )
        for period_id in by_permit.values()
    }


def usable_permits(operator: Operator, period: Period) -> QuerySet[Balance]:
    """An operator's balances of the permits that count for a period: its own and earlier ones, oldest first."""
    return (
        Balance.objects.filter(
            account=operator.account_id,
            asset__period__scheme=period.scheme_id,
            asset__period__year__lte=period.year,
            balance__gt=0,
        )
        .select_related("asset")
        .order_by("asset__period__year")
    )
