"""What the tests of efficiency share: measures with a measurement before and after, brought as far as a test needs."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from common import signing
from registry.engine import canonical
from registry.engine.efficiency import Measurement
from registry.models import AiModel, EfficiencyMeasure, Scheme
from registry.services.efficiency import measures
from registry.services.efficiency.league import Field
from registry.services.efficiency.measures import Told
from registry.services.monitoring import ai_models
from tests.cast import OPENING, Party, accredit, verifiers_key

FIELD = Field("text_generation", "requests", "site")
BEFORE = Measurement(
    task_class="text_generation",
    counted="requests",
    boundary="site",
    started_on=date(2026, 1, 5),
    ended_on=date(2026, 1, 11),
    quantity=3_000_000,
    energy_kwh=Decimal(1_020),
    batch_size=8,
    number_format="bf16",
    hardware="H100 SXM",
    zone="FRA",
    quality_measure="MMLU accuracy",
    quality=Decimal("0.80"),
)
AFTER = replace(
    BEFORE,
    started_on=date(2026, 2, 2),
    ended_on=date(2026, 2, 8),
    quantity=2_800_000,
    energy_kwh=Decimal(560),
    number_format="INT8",
    quality=Decimal("0.796"),
)
FINDINGS = "Read both logs and counted the requests again."


def model_of(party: Party, name: str = "Base") -> AiModel:
    """Return a party's model, registered once."""
    return AiModel.objects.filter(organisation=party.organisation, name=name).first() or ai_models.register_model(
        actor=party.initiator,
        organisation=party.organisation,
        name=name,
        architecture="dense",
        parameters=Decimal(7_000_000_000),
        now=OPENING,
    )


def told(party: Party, scheme: Scheme, after_kwh: int = 560, title: str = "INT8 weights") -> Told:
    """Return what a party says of a measure that is complete and comparable."""
    return Told(
        scheme=scheme,
        workload=None,
        ai_model=model_of(party),
        title=title,
        kinds=["quantisation"],
        description="Weights were quantised after training.",
        quality_tolerance=Decimal("0.01"),
        before=BEFORE,
        after=replace(AFTER, energy_kwh=Decimal(after_kwh)),
        proof_before=("before.csv", b"at;kWh\n1;1020\n"),
        proof_after=("after.csv", b"at;kWh\n2;%d\n" % after_kwh),
    )


def recorded(party: Party, scheme: Scheme, after_kwh: int = 560, title: str = "INT8 weights") -> EfficiencyMeasure:
    """Record a measure."""
    return measures.record_measure(
        actor=party.initiator,
        organisation=party.organisation,
        told=told(party, scheme, after_kwh, title),
        now=OPENING,
    )


def submitted(party: Party, verity: Party, measure: EfficiencyMeasure) -> EfficiencyMeasure:
    """Hand a measure to a verifier that is accredited."""
    if not verity.organisation.accreditations.filter(scheme=measure.scheme).exists():
        accredit(verity, measure.scheme)
    return measures.submit_measure(actor=party.initiator, measure=measure, verifier=verity.organisation, now=OPENING)


def attested(verity: Party, measure: EfficiencyMeasure, now: datetime = OPENING) -> EfficiencyMeasure:
    """Let the verifier sign with its own key."""
    key, private = verifiers_key(verity, now)
    measure = measures.rows().get(pk=measure.pk)
    document = canonical.canonical_json(measures.statement_document(measure, FINDINGS))
    return measures.attest_measure(
        actor=verity.verifier,
        measure=measure,
        findings=FINDINGS,
        key_id=key.key_id,
        signature=signing.sign(private, document),
        now=now,
    )


def published(
    party: Party, verity: Party, scheme: Scheme, after_kwh: int = 560, now: datetime = OPENING
) -> EfficiencyMeasure:
    """Bring a measure from its draft into the league table."""
    measure = attested(verity, submitted(party, verity, recorded(party, scheme, after_kwh)), now)
    return measures.publish_measure(actor=party.initiator, measure=measure, now=now)
