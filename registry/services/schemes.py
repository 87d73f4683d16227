"""Creating schemes and opening their periods, each with its permit, its calendar and its central ledger accounts."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction
from django.utils.text import slugify

from accounts.models import Organisation, User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Refused, require_none
from common.quantities import MAX_ENTRY
from registry.engine.deadlines import end_of_day
from registry.ledger import services as ledger
from registry.ledger.models import Asset, LedgerAccount
from registry.models import Period, Scheme
from registry.permissions import regulator_of
from registry.services import central
from registry.services import year as calendar

LARGEST_UNIT = Decimal(10) ** 30
FINEST_UNIT = Decimal("0.000001")
LONGEST_PERIOD = timedelta(days=366 * 3)


@transaction.atomic(durable=True)
def create_scheme(
    *,
    actor: User,
    code: str,
    name: str,
    metric: str,
    unit_size: Decimal,
    currency: str,
    zone: str,
    large_transfer: int,
    sanction_minor: int,
    now: datetime,
) -> Scheme:
    """Create a scheme, with its currency and the bank's account in that currency where they are missing."""
    return found_scheme(
        actor=actor,
        regulator=regulator_of(actor),
        code=code,
        name=name,
        metric=metric,
        unit_size=unit_size,
        currency=currency,
        zone=zone,
        large_transfer=large_transfer,
        sanction_minor=sanction_minor,
        now=now,
    )


def found_scheme(
    *,
    actor: User,
    regulator: Organisation,
    code: str,
    name: str,
    metric: str,
    unit_size: Decimal,
    currency: str,
    zone: str,
    large_transfer: int,
    sanction_minor: int,
    now: datetime,
) -> Scheme:
    """Create a scheme as part of another act, which has asked who may."""
    assert_in_transaction()
    require_none(list(founding_faults(code, name, metric, unit_size, currency, zone, large_transfer, sanction_minor)))
    scheme = Scheme.objects.create(
        code=code,
        name=name.strip(),
        metric=metric,
        unit_size=unit_size,
        currency=_currency(currency, now),
        zone=zone,
        large_transfer=large_transfer,
        sanction_minor=sanction_minor,
        created_at=now,
    )
    audit.record(
        actor,
        "registry.scheme.created",
        scheme,
        at=now,
        organisation=regulator,
        code=code,
        metric=metric,
        unit_size=unit_size,
        sanction_minor=sanction_minor,
        large_transfer=large_transfer,
    )
    return scheme


@transaction.atomic(durable=True)
def open_period(
    *,
    actor: User,
    scheme: Scheme,
    year: int,
    starts_on: date,
    ends_on: date,
    report_due_on: date,
    surrender_due_on: date,
    now: datetime,
) -> Period:
    """Prepare a period as a draft: it opens when its cap is published."""
    return _open_period(actor, scheme, year, starts_on, ends_on, report_due_on, surrender_due_on, now)


@transaction.atomic(durable=True)
def open_period_by_rules(*, actor: User, scheme: Scheme, year: int, now: datetime) -> Period:
    """Prepare a period as a draft with the days that the calendar of the scheme's rules gives it."""
    dates = calendar.dates_by_rules(scheme, year)
    return _open_period(
        actor, scheme, year, dates.starts_on, dates.ends_on, dates.report_due_on, dates.surrender_due_on, now
    )


def _open_period(
    actor: User,
    scheme: Scheme,
    year: int,
    starts_on: date,
    ends_on: date,
    report_due_on: date,
    surrender_due_on: date,
    now: datetime,
) -> Period:
    """Check the calendar, make the permit, the period and its accounts, and write its year down as due work."""
    regulator = regulator_of(actor)
    Scheme.objects.select_for_update(no_key=True).get(pk=scheme.pk)  # one period at a time, so that none overlap
    require_none(list(_calendar_faults(scheme, year, starts_on, ends_on, report_due_on, surrender_due_on)))
    period = Period(
        scheme=scheme,
        year=year,
        starts_on=starts_on,
        ends_on=ends_on,
        report_due=end_of_day(report_due_on, scheme.tz),
        surrender_due=end_of_day(surrender_due_on, scheme.tz),
    )
    period.permit = ledger.create_asset(
        code=period.code, kind=Asset.Kind.PERMIT, name=f"{scheme.name} permit {year}", now=now
    )
    period.save(force_insert=True)
    central.open_accounts(period, now)
    audit.record(
        actor,
        "registry.period.opened",
        period,
        at=now,
        organisation=regulator,
        year=year,
        report_due=period.report_due,
        surrender_due=period.surrender_due,
    )
    calendar.plan_year(period, now)
    return period


def _currency(code: str, now: datetime) -> Asset:
    """Return the currency, made with the bank's account in it when nobody has used it yet."""
    currency = Asset.objects.filter(code=code).first()
    if currency is None:
        currency = ledger.create_asset(code=code, kind=Asset.Kind.CURRENCY, name=code.upper(), now=now)
    if not LedgerAccount.objects.filter(reference=central.bank_reference(currency)).exists():
        central.open_bank(currency, now)
    return currency


def founding_faults(
    code: str,
    name: str,
    metric: str,
    unit_size: Decimal,
    currency: str,
    zone: str,
    large_transfer: int,
    sanction_minor: int,
) -> Iterator[Refused]:
    """Say everything for which a scheme on these terms would be refused."""
    if code != slugify(code) or "_" in code or not 2 <= len(code) <= 40:
        yield Refused("scheme_code_malformed", "Write the code in small letters, digits and hyphens, such as ai-flop.")
    elif Scheme.objects.filter(code=code).exists():
        yield Refused("scheme_exists", f"There is a scheme {code} already. Choose another code.")
    if not 0 < len(name.strip()) <= 200:
        yield Refused("scheme_name_missing", "Give the scheme a name of at most 200 characters.")
    if metric not in Scheme.Metric.values:
        yield Refused("metric_unknown", "A scheme counts flop or co2e.")
    if not (unit_size.is_finite() and FINEST_UNIT <= unit_size < LARGEST_UNIT and not unit_size % FINEST_UNIT):
        yield Refused("unit_size_out_of_range", "A permit covers more than 0 units, with at most six decimal places.")
    if not _is_slug(currency) or Asset.objects.filter(code=currency).exclude(kind=Asset.Kind.CURRENCY).exists():
        yield Refused("currency_unknown", "Write the currency's code in small letters, such as eur.")
    if zone not in available_timezones():
        yield Refused("zone_unknown", "Choose a time zone by its IANA name, such as Europe/Berlin.")
    if not 1 <= large_transfer <= MAX_ENTRY:
        yield Refused("large_transfer_out_of_range", "Say from how many permits on a transfer needs a second person.")
    if not 0 <= sanction_minor <= MAX_ENTRY:
        yield Refused("sanction_out_of_range", "The sanction for a missing permit cannot be below zero.")


def _calendar_faults(
    scheme: Scheme, year: int, starts_on: date, ends_on: date, report_due_on: date, surrender_due_on: date
) -> Iterator[Refused]:
    if not 2000 <= year <= 2200:
        yield Refused("year_out_of_range", "The year lies between 2000 and 2200.")
    if scheme.periods.filter(year=year).exists():
        yield Refused("period_exists", f"{scheme.name} has a period {year} already.")
    if not starts_on < ends_on:
        yield Refused("period_ends_before_it_starts", "The period has to end after the day on which it starts.")
    elif ends_on - starts_on > LONGEST_PERIOD:
        yield Refused("period_too_long", "A period lasts at most three years.")
    if not starts_on.year <= year <= ends_on.year:
        yield Refused("year_outside_period", f"The period does not touch {year}, the year it is named after.")
    if scheme.periods.filter(starts_on__lte=ends_on, ends_on__gte=starts_on).exists():
        yield Refused("period_overlaps", "Another period of the scheme covers some of these days.")
    if scheme.periods.filter(year__lt=year, ends_on__gte=starts_on).exists():
        yield Refused("period_out_of_order", "An earlier year of the scheme ends after this period starts.")
    if not ends_on < report_due_on:
        yield Refused("report_due_too_early", "Reports can be due only after the last day of use.")
    if not report_due_on < surrender_due_on:
        yield Refused("surrender_due_too_early", "Permits are due after the reports, so that all know what they owe.")


def _is_slug(code: str) -> bool:
    try:
        validate_slug(code)
    except ValidationError:
        return False
    return code == code.lower() and "_" not in code and len(code) <= 12
