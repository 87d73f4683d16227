"""Labels: one to five stars for the measures of a field, given by the registry on a day and by a rule with a name.

An edition freezes the field it was worked out on, with its hash. A later edition gives new labels; the old ones keep
their date.
"""

from datetime import datetime

from django.db import connection, transaction

from accounts.models import User
from accounts.services import audit
from common.errors import require
from registry.engine import canonical
from registry.engine import efficiency as engine
from registry.engine.emissions import StarRule
from registry.models import EfficiencyLabel, LabelEdition
from registry.permissions import regulator_of
from registry.services.efficiency import league
from registry.services.efficiency.league import Field

FEWEST_MEASURES = 3
"""Fewer published measures make no field in which stars say something."""
_ISSUING = 71_450
"""The advisory lock under which editions are issued, one after the other."""


@transaction.atomic(durable=True)
def issue_edition(*, actor: User, field: Field, rule: str, now: datetime) -> LabelEdition:
    """Issue labels for every measure that stands published in a field today."""
    regulator = regulator_of(actor)
    require(rule in LabelEdition.Rule.values, "rule_unknown", "Choose equal width or quintile.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ISSUING])
    on = now.date()
    require(
        not LabelEdition.objects.filter(**field._asdict(), issued_on=on).exists(),
        "edition_issued_already",
        f"{field.title} has an edition of {on} already. Issue the next one tomorrow or later.",
    )
    found = {str(measure.pk): measure for measure in league.published_in(field)}
    require(
        len(found) >= FEWEST_MEASURES,
        "field_too_small",
        f"Labels need at least {FEWEST_MEASURES} published measures; this field has {len(found)}.",
    )
    wh = {name: league.figures(measure).after_wh for name, measure in found.items()}
    document, stars = engine.edition(**field._asdict(), rule=StarRule(rule), on=on, wh=wh)
    edition = LabelEdition.objects.create(
        **field._asdict(),
        rule=rule,
        issued_on=on,
        document=document,
        sha256=canonical.sha256(document),
        issued_by=actor,
        issued_at=now,
    )
    EfficiencyLabel.objects.bulk_create(
        EfficiencyLabel(edition=edition, measure=measure, stars=stars[name], wh=wh[name])
        for name, measure in found.items()
    )
    audit.record(
        actor,
        "registry.labels.issued",
        edition,
        at=now,
        organisation=regulator,
        field=field.slug,
        rule=rule,
        labels=len(found),
        sha256=edition.sha256,
    )
    return edition


def is_reproduced(edition: LabelEdition) -> bool:
    """Say whether the frozen field is the one that was hashed and still gives these stars."""
    sha256, stars = engine.reissued(edition.document)
    kept = {str(measure): given for measure, given in edition.labels.values_list("measure_id", "stars")}
    return (sha256, stars) == (edition.sha256, kept)
