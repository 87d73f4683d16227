"""Models that an organisation trains or serves, with the sizes from which their compute follows."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Unknown, require
from registry.models import AiModel
from registry.services.monitoring import parts

ARCHITECTURES = dict(AiModel._meta.get_field("architecture").choices or ())
MOST_PARAMETERS = Decimal(10) ** 17


@transaction.atomic(durable=True)
def register_model(
    *,
    actor: User,
    organisation: Organisation,
    name: str,
    architecture: str,
    now: datetime,
    parameters: Decimal | None = None,
    active_parameters: Decimal | None = None,
    task_class: str = "",
    upstream: AiModel | None = None,
) -> AiModel:
    """Record a model. A dense one uses all of its parameters for each token."""
    parts.require_reporter(actor, organisation)
    Organisation.objects.select_for_update(of=("self",), no_key=True).get(pk=organisation.pk)
    name = parts.name_of(name)
    _require_new_name(organisation, name)
    model = AiModel.objects.create(
        organisation=organisation,
        name=name,
        **_described(architecture, parameters, active_parameters, task_class),
        upstream=_upstream(organisation, upstream, None),
        created_by=actor,
        created_at=now,
    )
    audit.record(
        actor,
        "registry.ai_model.registered",
        model,
        at=now,
        organisation=organisation,
        name=name,
        architecture=architecture,
        parameters=str(model.parameters),
        active_parameters=str(model.active_parameters),
    )
    return model


@transaction.atomic(durable=True)
def change_model(
    *,
    actor: User,
    model: AiModel,
    name: str,
    architecture: str,
    now: datetime,
    parameters: Decimal | None = None,
    active_parameters: Decimal | None = None,
    task_class: str = "",
    upstream: AiModel | None = None,
) -> AiModel:
    """Put what is known of a model right."""
    model = locked(model.pk)
    parts.require_reporter(actor, model.organisation)
    name = parts.name_of(name)
    if name != model.name:
        _require_new_name(model.organisation, name)
    described = {
        "name": name,
        **_described(architecture, parameters, active_parameters, task_class),
        "upstream": _upstream(model.organisation, upstream, model),
    }
    before = {part: str(getattr(model, part)) for part, value in described.items() if getattr(model, part) != value}
    for part, value in described.items():
        setattr(model, part, value)
    model.save(update_fields=list(described))
    audit.record(
        actor,
        "registry.ai_model.changed",
        model,
        at=now,
        organisation=model.organisation,
        before=before,
        after={part: str(described[part]) for part in before},
    )
    return model


def locked(model_id: UUID) -> AiModel:
    """Lock a model, after its organisation: no two of its models are changed at once, so that none descends from
    itself."""
    assert_in_transaction()
    organisation_id = AiModel.objects.filter(pk=model_id).values_list("organisation_id", flat=True).first()
    if organisation_id is None:
        raise Unknown("model_unknown", "There is no such model. Check the address.")
    Organisation.objects.select_for_update(of=("self",), no_key=True).get(pk=organisation_id)
    return AiModel.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=model_id)


def _described(
    architecture: str, parameters: Decimal | None, active_parameters: Decimal | None, task_class: str
) -> dict[str, object]:
    """Return what a model is, within its bounds."""
    require(architecture in ARCHITECTURES, "architecture_unknown", "Choose one of the architectures on the list.")
    for figure in (parameters, active_parameters):
        require(
            figure is None or (figure.is_finite() and 0 < figure <= MOST_PARAMETERS and figure == int(figure)),
            "parameters_out_of_range",
            "Enter the number of parameters as a whole number above 0, such as 70000000000, or leave it empty.",
        )
    require(
        architecture != "moe" or parameters is None or active_parameters is not None,
        "active_parameters_missing",
        "A mixture of experts uses some of its parameters for each token. Enter how many.",
    )
    if architecture == "dense":
        require(
            active_parameters is None or active_parameters == parameters,
            "active_parameters_differ",
            "A dense model uses all of its parameters for each token. Leave the active ones empty.",
        )
        active_parameters = parameters
    require(
        parameters is None or active_parameters is None or active_parameters <= parameters,
        "active_parameters_beyond_all",
        "More parameters cannot be active for a token than the model has.",
    )
    return {
        "architecture": architecture,
        "parameters": parameters,
        "active_parameters": active_parameters,
        "task_class": parts.words_of(task_class, 40),
    }


def _upstream(organisation: Organisation, upstream: AiModel | None, model: AiModel | None) -> AiModel | None:
    """Return the model that one was made from; it is the organisation's own, and no model descends from itself."""
    if upstream is None:
        return None
    require(upstream.organisation_id == organisation.pk, "upstream_unknown", "Choose one of your own models, or none.")
    seen: AiModel | None = AiModel.objects.get(pk=upstream.pk)
    while seen is not None:
        require(seen != model, "upstream_circle", f"{upstream.name} was itself made from this model.")
        seen = seen.upstream
    return upstream


def _require_new_name(organisation: Organisation, name: str) -> None:
    require(
        not AiModel.objects.filter(organisation=organisation, name=name).exists(),
        "name_taken",
        "You have a model of this name already. Choose another name.",
    )
