"""Workloads: a run or a serving stream, which is one activity of one model on one system."""

from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Unknown, require
from registry.models import AiModel, ReportLine, System, Workload
from registry.services.monitoring import parts, systems


@transaction.atomic(durable=True)
def open_workload(
    *,
    actor: User,
    system: System,
    name: str,
    kind: str,
    activity: str,
    now: datetime,
    ai_model: AiModel | None = None,
) -> Workload:
    """Record a run or a serving stream on a system."""
    system = systems.locked(system.pk)
    organisation = system.site.organisation
    parts.require_reporter(actor, organisation)
    require(system.closed_on is None, "system_closed", f"{system.name} was closed on {system.closed_on}.")
    name = parts.name_of(name, 160)
    require(kind in Workload.Kind.values, "kind_unknown", "Choose a run or a serving stream.")
    require(activity in ReportLine.Activity.values, "activity_unknown", "Choose one of the activities on the list.")
    require(
        kind != Workload.Kind.STREAM or activity == ReportLine.Activity.INFERENCE,
        "stream_serves",
        "A serving stream is inference. Training, fine-tuning and evaluation are runs.",
    )
    require(
        ai_model is None or ai_model.organisation_id == organisation.pk,
        "model_unknown",
        "Choose one of your own models, or none.",
    )
    require(
        not Workload.objects.filter(system=system, name=name).exists(),
        "name_taken",
        f"{system.name} has a workload of this name already. Choose another name.",
    )
    workload = Workload.objects.create(
        system=system,
        ai_model=ai_model,
        name=name,
        kind=kind,
        activity=activity,
        created_by=actor,
        created_at=now,
    )
    audit.record(
        actor,
        "registry.workload.opened",
        workload,
        at=now,
        organisation=organisation,
        system=str(system.pk),
        name=name,
        kind=kind,
        activity=activity,
    )
    return workload


@transaction.atomic(durable=True)
def end_workload(*, actor: User, workload: Workload, ended_on: date, now: datetime) -> Workload:
    """Record that a run is over, or that a stream serves no more."""
    workload = locked(workload.pk)
    organisation = workload.system.site.organisation
    parts.require_reporter(actor, organisation)
    require(workload.ended_on is None, "workload_ended", f"{workload.name} ended on {workload.ended_on}.")
    parts.require_end(workload.system.opened_on, ended_on, now)
    workload.ended_on = ended_on
    workload.save(update_fields=["ended_on"])
    audit.record(actor, "registry.workload.ended", workload, at=now, organisation=organisation, ended_on=ended_on)
    return workload


def locked(workload_id: UUID) -> Workload:
    """Lock a workload, after its system."""
    assert_in_transaction()
    system_id = Workload.objects.filter(pk=workload_id).values_list("system_id", flat=True).first()
    if system_id is None:
        raise Unknown("workload_unknown", "There is no such workload. Check the address.")
    system = systems.locked(system_id)
    workload = Workload.objects.select_for_update(of=("self",)).get(pk=workload_id)
    workload.system = system
    return workload
