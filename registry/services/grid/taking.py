"""Taking the figures of serving streams into the draft of a report, with what each line rests on kept beside it."""

from datetime import datetime

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.errors import require
from registry.models import Draft, Operator, Period, Scheme
from registry.services.drafting import drafts
from registry.services.grid import serving


def take_into_draft(*, actor: User, operator: Operator, period: Period, now: datetime) -> Draft:
    """Put one line for each stream and zone into the operator's draft, in place of those that were taken before."""
    draft = drafts.open_draft(actor=actor, operator=operator, period=period, now=now)
    _put(actor, draft, operator, period, now)
    return draft


@transaction.atomic(durable=True)
def _put(actor: User, draft: Draft, operator: Operator, period: Period, now: datetime) -> None:
    found = serving.figures_of_period(operator, period, now)
    require(
        bool(found),
        "nothing_served",
        f"No stream of {operator.organisation} has a record for {period} yet: deliver the serving records first.",
    )
    if operator.scheme.metric == Scheme.Metric.FLOP:
        unknown = sorted({one.workload.name for one in found if one.flop is None})
        require(
            not unknown,
            "flop_unknown",
            f"This scheme counts FLOP. Give the tokens of every hour, and the model with its active parameters, of: "
            f"{', '.join(unknown)}.",
        )
    for one in found:
        serving.keep_calculation(one, period, actor, now)
    lines = [serving.draft_line(one, period) for one in found]
    count = drafts.put_lines(draft, lines, prefix=serving.PREFIX, now=now)
    audit.record(actor, "registry.serving.taken", draft, at=now, organisation=operator.organisation, lines=count)
