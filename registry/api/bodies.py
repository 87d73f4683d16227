"""What the bodies of requests name in the registry: a period, permits, and the operator for whom the token acts."""

from rest_framework.request import Request

from accounts.api.base import organisation_of, refused_field
from common.errors import Refused
from registry.ledger.models import Asset
from registry.models import Operator, Period


def period_in_body(code: str) -> Period:
    """Return the period that the field `period` names."""
    period = Period.objects.select_related("scheme").filter(permit__code=code).exclude(status="draft").first()
    if period is None:
        raise refused_field("period", "period_unknown", "There is no period of this code. Compare /periods/.")
    return period


def permits_in_body(field: str, code: str) -> Asset:
    """Return the permits that a field names."""
    permits = Asset.objects.filter(code=code, kind=Asset.Kind.PERMIT).first()
    if permits is None:
        raise refused_field(field, "asset_unknown", "There are no permits of this code. Compare /periods/.")
    return permits


def own_operator(request: Request, period: Period) -> Operator:
    """Return the token's organisation as an operator of the period's scheme."""
    operator = (
        Operator.objects.select_related("organisation", "scheme")
        .filter(organisation=organisation_of(request), scheme=period.scheme_id)
        .first()
    )
    if operator is None:
        raise Refused("operator_unknown", "Your organisation is no operator of this scheme. Ask the regulator.")
    return operator
