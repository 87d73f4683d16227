"""What is always true of claims of avoided emissions: they follow from their frozen inputs, and are signed as shown."""

from datetime import datetime

from common.invariants import Finding, Invariant
from registry.engine import canonical
from registry.models import AvoidedClaim, ClaimStatement, SigningKey
from registry.services.flexing import claims
from registry.services.verifying import keys


def _claims_follow_from_their_inputs(as_of: datetime | None) -> Finding:
    """Each claim and each of its hours comes out again from the document whose hash it names."""
    rows = AvoidedClaim.objects.order_by("drafted_at", "id")
    if as_of is not None:
        rows = rows.filter(drafted_at__lte=as_of)
    checked = 0
    for claim in rows.iterator(chunk_size=20):
        checked += 1
        if not claims.is_reproduced(claim):
            return checked, {"claim_id": claim.pk, "serial": claim.serial, "inputs_sha256": claim.inputs_sha256}
    return checked, None


def _statements_are_signed(as_of: datetime | None) -> Finding:
    """Each statement on a claim is the document that was signed, with a key that was valid then."""
    rows = ClaimStatement.objects.select_related("claim", "verifier").defer("claim__inputs").order_by("signed_at", "id")
    if as_of is not None:
        rows = rows.filter(signed_at__lte=as_of)
    known = {key.key_id: key for key in SigningKey.objects.filter(organisation__kind="verifier")}
    checked = 0
    for statement in rows.iterator(chunk_size=200):
        checked += 1
        key = known.get(statement.key_id)
        said = claims.statement_document(statement.claim, statement.verifier, statement.findings)
        if (
            key is None
            or key.organisation_id != statement.verifier_id
            or not keys.is_valid_at(key, statement.signed_at)
            or statement.document != said
            or statement.sha256 != canonical.sha256(said)
            or not keys.holds(key, canonical.canonical_json(said), statement.signature)
        ):
            return checked, {"statement_id": statement.pk, "claim_id": statement.claim_id, "key_id": statement.key_id}
    return checked, None


INVARIANTS: list[Invariant] = [
    Invariant("Each claim of avoided emissions follows from its frozen inputs", _claims_follow_from_their_inputs),
    Invariant("Each statement on a claim is what its verifier signed", _statements_are_signed),
]
