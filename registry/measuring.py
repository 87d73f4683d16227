"""Reads of how operators measure, and who may see them: the firm's own people, its appointed verifiers, the regulator,
auditors.

A plan is seen by others from the moment it is submitted: a draft is the operator's own paper.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from django.db.models import Count, Model, Q, QuerySet

from accounts.models import Organisation
from accounts.selectors import Scope
from registry.engine.monitoring import SystemFacts
from registry.models import AiModel, MonitoringPlan, Operator, Site, SitePue, System, Workload

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Reader:
    """For whom rows are read: the scope of a request, and the verifier that it acts for, if it does."""

    scope: Scope
    verifier: Organisation | None = None

    def filter(self, rows: "QuerySet[Row]", path: str) -> "QuerySet[Row]":
        """Keep the rows of organisations that the reader may see, reached by the field's path."""
        if self.scope.everything:
            return rows
        ids: set[uuid.UUID] = set(self.scope.organisation_ids)
        if self.verifier is not None:
            ids.update(
                Operator.objects.filter(
                    appointments__verifier=self.verifier, appointments__status="accepted"
                ).values_list("organisation_id", flat=True)
            )
        return rows.filter(**{f"{path}__in": ids})


def sites_visible(reader: Reader) -> QuerySet[Site]:
    """Sites that a reader may see, by organisation and name, those that run before those that were closed."""
    return reader.filter(Site.objects.select_related("organisation"), "organisation").order_by(
        "organisation__name", "closed_on", "name"
    )


def systems_visible(reader: Reader) -> QuerySet[System]:
    """Systems that a reader may see."""
    return reader.filter(System.objects.select_related("site__organisation"), "site__organisation")


def models_visible(reader: Reader) -> QuerySet[AiModel]:
    """Models that a reader may see, with the number of their workloads."""
    return reader.filter(
        AiModel.objects.select_related("organisation", "upstream").annotate(uses=Count("workloads")), "organisation"
    ).order_by("organisation__name", "name")


def workloads_visible(reader: Reader) -> QuerySet[Workload]:
    """Workloads that a reader may see, those that run before those that ended."""
    return reader.filter(
        Workload.objects.select_related("system__site__organisation", "ai_model"), "system__site__organisation"
    ).order_by("ended_on", "system__site__name", "system__name", "name")


def plans_visible(reader: Reader) -> QuerySet[MonitoringPlan]:
    """Plans that a reader may see; drafts of one's own organisation only."""
    rows = MonitoringPlan.objects.select_related("operator__organisation", "operator__scheme")
    own = Q(operator__organisation__in=reader.scope.organisation_ids)
    return reader.filter(rows, "operator__organisation").filter(own | Q(submitted_at__isnull=False))


def plans_waiting() -> QuerySet[MonitoringPlan]:
    """Plans that wait for the desk, the longest wait first."""
    return (
        MonitoringPlan.objects.filter(status="submitted")
        .select_related("operator__organisation", "operator__scheme", "submitted_by")
        .order_by("submitted_at", "id")
    )


def plan_in_force(operator: Operator, day: date) -> MonitoringPlan | None:
    """Return the version that says how an operator measures on a day: the newest approved one that counts by then.

    A version that was superseded since still is the one in force on the days before its successor counts.
    """
    return (
        MonitoringPlan.objects.filter(operator=operator, status__in=["approved", "superseded"], valid_from__lte=day)
        .order_by("-version")
        .first()
    )


def open_systems(organisation: Organisation) -> list[System]:
    """Return the systems of an organisation that run, by site and name."""
    return list(
        System.objects.filter(site__organisation=organisation, closed_on__isnull=True)
        .select_related("site")
        .order_by("site__name", "name", "pk")
    )


def system_facts(systems: Sequence[System]) -> tuple[SystemFacts, ...]:
    """Return what a plan is checked against: for each system its proven tier and what it is used for."""
    activities: defaultdict[uuid.UUID, set[str]] = defaultdict(set)
    running = Workload.objects.filter(system__in=[system.pk for system in systems], ended_on__isnull=True)
    for system_id, activity in running.values_list("system_id", "activity").distinct().order_by():
        activities[system_id].add(activity)
    return tuple(
        SystemFacts(str(system.pk), f"{system.name}, {system.site.name}", system.tier, frozenset(activities[system.pk]))
        for system in systems
    )


def newest_pues(site_ids: Iterable[uuid.UUID]) -> list[SitePue]:
    """Return the record that counts for each year of each site, the latest year first."""
    return list(
        SitePue.objects.filter(site__in=list(site_ids))
        .select_related("evidence")
        .order_by("site_id", "-year", "-id")
        .distinct("site_id", "year")
    )
