"""Accreditations: the desk records what a verifier may verify in a scheme, and suspends, restores or withdraws it."""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import audit
from common.errors import Unknown, require
from registry.models import ACCREDITATION, Accreditation, ReportLine, Scheme
from registry.permissions import regulator_of


@transaction.atomic(durable=True)
def grant(
    *,
    actor: User,
    verifier: Organisation,
    scheme: Scheme,
    reference: str,
    activities: Collection[str],
    valid_from: date,
    valid_until: date,
    now: datetime,
) -> Accreditation:
    """Record an accreditation. It counts for every activity named, from the first day to the last."""
    regulator_of(actor)
    require(verifier.kind == Organisation.Kind.VERIFIER, "not_a_verifier", "Only a verifier can be accredited.")
    require(bool(reference.strip()), "reference_missing", "Name the accreditation body and its number.")
    require(
        bool(activities) and set(activities) <= set(ReportLine.Activity.values),
        "activity_unknown",
        f"Choose at least one of the activities: {', '.join(ReportLine.Activity.values)}.",
    )
    require(valid_from <= valid_until, "dates_out_of_order", "The last day comes before the first one.")
    accreditation = Accreditation.objects.create(
        verifier=verifier,
        scheme=scheme,
        reference=reference.strip()[:100],
        activities=sorted(set(activities)),
        valid_from=valid_from,
        valid_until=valid_until,
        granted_by=actor,
        granted_at=now,
    )
    audit.record(
        actor,
        "registry.accreditation.granted",
        accreditation,
        at=now,
        organisation=verifier,
        scheme=scheme.code,
        activities=accreditation.activities,
        valid_until=valid_until,
    )
    return accreditation


@transaction.atomic(durable=True)
def move(*, actor: User, accreditation: Accreditation, status: str, reason: str, now: datetime) -> Accreditation:
    """Suspend an accreditation, withdraw it for good, or let a suspended one be valid again."""
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the verifier can read.")
    accreditation = _locked(accreditation.pk)
    ACCREDITATION.require(accreditation.status, status)
    accreditation.status, accreditation.reason = status, reason.strip()[:300]
    accreditation.save(update_fields=["status", "reason"])
    audit.record(
        actor,
        f"registry.accreditation.{status}",
        accreditation,
        at=now,
        organisation=accreditation.verifier,
        reason=reason.strip(),
    )
    return accreditation


def covered(verifier: Organisation, scheme: Scheme, day: date) -> frozenset[str]:
    """Return the activities for which a verifier is accredited in a scheme on a day."""
    lists = Accreditation.objects.filter(
        verifier=verifier, scheme=scheme, status="valid", valid_from__lte=day, valid_until__gte=day
    ).values_list("activities", flat=True)
    return frozenset(activity for activities in lists for activity in activities)


def require_accredited(verifier: Organisation, scheme: Scheme, activities: Iterable[str], day: date) -> None:
    """Refuse a verifier that is not accredited for all of these activities on the day."""
    may = covered(verifier, scheme, day)
    lacking = sorted(set(activities) - may)
    names = dict(ReportLine.Activity.choices)
    require(
        bool(may) and not lacking,
        "verifier_not_accredited",
        f"{verifier} is not accredited in {scheme} on {day:%-d %B %Y}"
        + (f" for {', '.join(str(names.get(one, one)).lower() for one in lacking)}" if lacking else "")
        + ". Choose another verifier, or ask the regulator.",
    )


def verifiers_for(scheme: Scheme, day: date) -> list[Organisation]:
    """Return the active verifiers that hold some accreditation in a scheme on a day, by name."""
    return list(
        Organisation.objects.filter(
            kind="verifier",
            status="active",
            accreditations__scheme=scheme,
            accreditations__status="valid",
            accreditations__valid_from__lte=day,
            accreditations__valid_until__gte=day,
        )
        .distinct()
        .order_by("name")
    )


def _locked(accreditation_id: UUID) -> Accreditation:
    found = (
        Accreditation.objects.select_for_update(of=("self",))
        .select_related("verifier", "scheme")
        .filter(pk=accreditation_id)
        .first()
    )
    if found is None:
        raise Unknown("accreditation_unknown", "There is no such accreditation. Check the address.")
    return found
