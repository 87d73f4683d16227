"""Projects and experiments: the hierarchy of CodeCarbon, mapped to operators, sites, workloads and activities."""

import re
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Refused, require, require_permission
from registry.models import MeterExperiment, MeterProject, Operator, ProjectToken, ReportLine, Scheme, Site, Workload
from registry.permissions import may_report
from registry.services.metering.tokens import locked_project, require_holder, require_write

_COUNTRY = re.compile(r"[A-Z]{3}", re.ASCII)


@dataclass(frozen=True)
class Place:
    """Where the runs of an experiment take place, as a client or a person describes it."""

    country: str = ""
    country_name: str = ""
    region: str = ""
    on_cloud: bool = False
    cloud_provider: str = ""
    cloud_region: str = ""


@transaction.atomic(durable=True)
def create_project(
    *, actor: User, operator: Operator, name: str, description: str, site: Site | None, now: datetime
) -> MeterProject:
    """Set up a project for the clients of an operator."""
    require_permission(may_report(actor, operator.organisation), "Only an initiator or approver may set up its meters.")
    require(
        operator.scheme.metric == Scheme.Metric.CO2E,
        "metric_not_measured",
        "CodeCarbon measures energy, and this scheme counts FLOP. Choose a scheme that counts CO2e.",
    )
    name = _name(name)
    _require_own_site(site, operator)
    require(
        not MeterProject.objects.filter(operator=operator, name=name).exists(),
        "name_taken",
        "There is a project of this name already.",
    )
    project = MeterProject.objects.create(
        operator=operator,
        site=site,
        name=name,
        description=description.strip()[:500],
        created_by=actor,
        created_at=now,
    )
    audit.record(
        actor, "registry.meter_project.created", project, at=now, organisation=operator.organisation, name=name
    )
    return project


def operator_for(organisation: Organisation) -> Operator:
    """Return the operator for which clients of an organisation report when nobody says which: the only one."""
    operators = list(
        Operator.objects.select_related("organisation", "scheme").filter(
            organisation=organisation, scheme__metric=Scheme.Metric.CO2E
        )[:2]
    )
    require(
        len(operators) == 1,
        "operator_ambiguous" if operators else "operator_unknown",
        "Your organisation reports to several schemes: make the project on the page Meters."
        if operators
        else "Your organisation is no operator of a scheme that counts CO2e. Ask the regulator.",
    )
    return operators[0]


@transaction.atomic(durable=True)
def map_project(*, actor: User, project: MeterProject, site: Site | None, now: datetime) -> MeterProject:
    """Say at which site the clients of a project are."""
    project = locked_project(project)
    organisation = require_holder(actor, project)
    _require_own_site(site, project.operator)
    project.site = site
    project.save(update_fields=["site"])
    audit.record(
        actor,
        "registry.meter_project.mapped",
        project,
        at=now,
        organisation=organisation,
        site=str(site.pk) if site else "",
    )
    return project


@transaction.atomic(durable=True)
def create_experiment(
    *,
    actor: User,
    project: MeterProject,
    name: str,
    description: str,
    place: Place,
    activity: str = "",
    workload: Workload | None = None,
    now: datetime,
) -> MeterExperiment:
    """Set up an experiment on behalf of somebody who may report for the operator."""
    project = locked_project(project)
    require_holder(actor, project)
    return make_experiment(actor, project, _name(name), description, place, activity, workload, now)


@transaction.atomic(durable=True)
def create_experiment_for_client(
    *, token: ProjectToken, name: str, description: str, place: Place, now: datetime
) -> MeterExperiment:
    """Set up an experiment for a client, on behalf of whoever gave it its token."""
    require_write(token)
    project = locked_project(token.project)
    return make_experiment(token.issued_by, project, _name(name), description, place, "", None, now)


def make_experiment(
    actor: User,
    project: MeterProject,
    name: str,
    description: str,
    place: Place,
    activity: str,
    workload: Workload | None,
    now: datetime,
) -> MeterExperiment:
    """Create an experiment of a locked project: for a person, or for a client whose token the actor issued."""
    assert_in_transaction()
    _require_country(place.country)
    _require_own_workload(workload, project)
    _require_activity(activity)
    require(
        not MeterExperiment.objects.filter(project=project, name=name).exists(),
        "name_taken",
        "There is an experiment of this name in the project already.",
    )
    experiment = MeterExperiment.objects.create(
        project=project,
        workload=workload,
        activity=workload.activity if workload else activity,
        name=name,
        description=description.strip()[:500],
        country=place.country,
        country_name=place.country_name.strip()[:120],
        region=place.region.strip()[:120],
        on_cloud=place.on_cloud,
        cloud_provider=place.cloud_provider.strip()[:120],
        cloud_region=place.cloud_region.strip()[:120],
        created_by=actor,
        created_at=now,
    )
    audit.record(
        actor,
        "registry.meter_experiment.created",
        experiment,
        at=now,
        organisation=project.operator.organisation,
        name=name,
        country=place.country,
    )
    return experiment


@transaction.atomic(durable=True)
def map_experiment(
    *,
    actor: User,
    experiment: MeterExperiment,
    activity: str,
    country: str,
    workload: Workload | None,
    now: datetime,
) -> MeterExperiment:
    """Say what the runs of an experiment are: their activity, their country, and the workload they belong to."""
    project = locked_project(experiment.project)
    organisation = require_holder(actor, project)
    country = country.strip().upper()
    _require_country(country)
    _require_own_workload(workload, project)
    _require_activity(activity)
    experiment = MeterExperiment.objects.select_for_update().get(pk=experiment.pk)
    experiment.workload, experiment.country = workload, country
    experiment.activity = workload.activity if workload else activity
    experiment.save(update_fields=["workload", "country", "activity"])
    audit.record(
        actor,
        "registry.meter_experiment.mapped",
        experiment,
        at=now,
        organisation=organisation,
        activity=experiment.activity,
        country=country,
        workload=str(workload.pk) if workload else "",
    )
    return experiment


def _name(name: str) -> str:
    name = " ".join(name.replace("\x00", " ").split())
    require(0 < len(name) <= 120, "name_missing", "Give it a name of up to 120 characters.")
    return name


def _require_country(country: str) -> None:
    require(
        not country or bool(_COUNTRY.fullmatch(country)),
        "not_a_country",
        "Write the country in three capital letters, as in FRA.",
    )


def _require_activity(activity: str) -> None:
    require(
        not activity or activity in ReportLine.Activity.values,
        "activity_unknown",
        "Choose one of the activities on the list.",
    )


def _require_own_site(site: Site | None, operator: Operator) -> None:
    if site is not None and site.organisation_id != operator.organisation_id:
        raise Refused("site_of_another", "Choose a site of your own organisation.")


def _require_own_workload(workload: Workload | None, project: MeterProject) -> None:
    if workload is None:
        return
    site = workload.system.site
    if site.organisation_id != project.operator.organisation_id:
        raise Refused("workload_of_another", "Choose a workload of your own organisation.")
    if project.site_id is not None and site.pk != project.site_id:
        raise Refused("workload_elsewhere", f"This workload runs at {site}. Choose one at {project.site}.")
