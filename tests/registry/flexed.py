"""What the tests of two-tier inference share: Acme's stream in California, its green tariff, and a day of flexing."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common import signing
from registry.engine import canonical
from registry.models import AvoidedClaim, FlexEvent, Forecast, ServingBatch, SigningKey, Tariff, Workload
from registry.services.flexing import claims, events, forecasts, tariffs
from registry.services.flexing.claims import Asked
from registry.services.flexing.events import EventTold
from registry.services.flexing.tariffs import Offered, PointOffered
from registry.services.grid import serving
from registry.services.monitoring import sites, systems, workloads
from registry.services.verifying import keys
from tests.cast import OPENING, Clock, Party, Regulator, verifiers_key
from tests.registry.gridded import HEAD, intensity_file, load

DAY = date(2026, 3, 3)
MIDNIGHT = datetime(2026, 3, 3, tzinfo=UTC)
NUMBER = 24 * (31 + 28 + 2)
"""Hours from New Year to that midnight."""
EVENING_BEFORE = MIDNIGHT - timedelta(hours=6)
MORNING_AFTER = MIDNIGHT + timedelta(hours=33)
HOURS_OF_A_DAY = (
    "138.69 167.27 238.25 255.55 271.05 272.27 272.03 260.39 261.13 252.06 240.82 235.69 "
    "232.68 235.32 182.55 108.82 99.73 112.26 125.4 128.65 119.62 121.77 115.79 123.48"
)
CISO = HOURS_OF_A_DAY.split()
"""The hours of 17 April 2022 in California, lent to our day."""
DIRTY = (3, 4, 5, 6, 7, 8)
FULL_KWH, SMALL_KWH = Decimal("0.00034"), Decimal("0.00010")
GREEN = Offered(
    tier="green",
    discount=Decimal("0.1"),
    accuracy_floor=Decimal("0.8"),
    latency_ceiling_ms=Decimal(2000),
    points=(
        PointOffered("full", Decimal("0.90"), Decimal(800), FULL_KWH),
        PointOffered("small", Decimal("0.84"), Decimal(500), SMALL_KWH),
    ),
    flex_cap=Decimal("0.5"),
    hours_per_day=6,
    shift_hours=4,
)


def at(hour: int) -> datetime:
    """Return an hour of the day."""
    return MIDNIGHT + timedelta(hours=hour)


def stream_of(acme: Party, name: str = "chat") -> Workload:
    """Open a serving stream in California."""
    site = sites.open_site(
        actor=acme.initiator,
        organisation=acme.organisation,
        name=f"Fresno {name}",
        country="USA",
        zone="CISO",
        opened_on=date(2025, 1, 1),
        now=OPENING,
    )
    system = systems.open_system(
        actor=acme.initiator,
        site=site,
        name="Rack 1",
        hardware="H100 SXM",
        devices=64,
        watts_per_device=Decimal(700),
        opened_on=date(2025, 1, 1),
        now=OPENING,
    )
    return workloads.open_workload(
        actor=acme.initiator, system=system, name=name, kind="stream", activity="inference", now=OPENING
    )


def tariff_of(acme: Party, offered: Offered = GREEN, name: str = "Green") -> Tariff:
    """Publish Acme's green tariff on the day before."""
    return tariffs.publish_tariff(
        actor=acme.initiator,
        organisation=acme.organisation,
        name=name,
        offered=offered,
        valid_from=date(2026, 3, 2),
        now=OPENING,
    )


def forecast_of(acme: Party, clock: Clock, values: list[str] | None = None) -> Forecast:
    """Publish the forecast of the day on the evening before."""
    clock.move_to(EVENING_BEFORE)
    return forecasts.publish_forecast(
        actor=acme.initiator,
        organisation=acme.organisation,
        zone="CISO",
        day=DAY,
        values=[Decimal(value) for value in values or CISO],
        source="Day-ahead model of the grid operator",
        now=clock.now(),
    )


def day_of_records(
    stream: Workload, degraded: tuple[int, ...] = DIRTY, missing: tuple[int, ...] = (), day: int = NUMBER
) -> bytes:
    """Write what the stream served: 60,000 requests an hour of the full tier, 40,000 green, half of these degraded."""
    lines = [HEAD]
    for hour in (hour for hour in range(24) if hour not in missing):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=day + hour)
        small = 20_000 if hour in degraded else 0
        for tier, point, requests, each in (
            ("full", "full", 60_000, FULL_KWH),
            ("green", "full", 40_000 - small, FULL_KWH),
            ("green", "small", small, SMALL_KWH),
        ):
            if requests:
                kwh = f"{requests * each:f}"
                lines.append(f"{stream.pk},{start:%Y-%m-%dT%H:00Z},CISO,{tier},{point},{requests},,{kwh}")
    return "\n".join(lines).encode()


def key_of(acme: Party) -> tuple[SigningKey, Ed25519PrivateKey]:
    """Return the key with which Acme signs its deliveries; registered once."""
    private = signing.key_from_seed(hashlib.sha256(acme.organisation.name.encode()).digest())
    public = signing.public_bytes(private)
    key = SigningKey.objects.filter(key_id=signing.key_id(public)).first() or keys.register_key(
        actor=acme.initiator,
        organisation=acme.organisation,
        name="Meters",
        public_key=signing.to_text(public),
        proof=signing.sign(private, keys.proof_text(acme.organisation).encode()),
        now=OPENING,
    )
    return key, private


def deliver(acme: Party, content: bytes, now: datetime = MORNING_AFTER, *, signed: bool = True) -> ServingBatch:
    """Let Acme deliver records, signed unless told otherwise."""
    key, private = key_of(acme)
    document = serving.signed_document(acme.organisation, content)
    return serving.receive_file(
        actor=acme.initiator,
        organisation=acme.organisation,
        name="records.csv",
        content=content,
        key_id=key.key_id if signed else "",
        signature=signing.sign(private, document) if signed else "",
        now=now,
    )


def record(
    acme: Party, tariff: Tariff, stream: Workload, hours: tuple[int, ...] = DIRTY, now: datetime = MORNING_AFTER
) -> list[FlexEvent]:
    """Record that half of the green requests of some hours were degraded."""
    return events.record_events(
        actor=acme.initiator,
        tariff=tariff,
        workload=stream,
        told=[EventTold(at(hour), "small", 20_000) for hour in hours],
        now=now,
    )


def flexed_day(acme: Party, regulator: Regulator, clock: Clock) -> Asked:
    """Tell a whole day: tariff, forecast, service, events and the grid as it was; return what may be claimed of it."""
    stream, tariff = stream_of(acme), tariff_of(acme)
    forecast_of(acme, clock)
    clock.move_to(MORNING_AFTER)
    load(regulator, intensity_file("CISO", CISO, first=NUMBER))
    deliver(acme, day_of_records(stream))
    record(acme, tariff, stream)
    return Asked(tariff, stream, MIDNIGHT, at(24), subscribers=1_000)


def published_claim(acme: Party, verity: Party, asked: Asked, now: datetime) -> AvoidedClaim:
    """Bring a claim from its draft to the public list. The verifier is engaged already."""
    claim = claims.draft_claim(actor=acme.initiator, asked=asked, now=now)
    claim = claims.submit_claim(actor=acme.initiator, claim=claim, now=now)
    claim = attested(verity, claim, now)
    return claims.publish_claim(actor=acme.approver, claim=claim, now=now)


def attested(verity: Party, claim: AvoidedClaim, now: datetime) -> AvoidedClaim:
    """Let the verifier sign with its own key."""

    key, private = verifiers_key(verity, now)
    document = claims.statement_document(claim, verity.organisation, "Recomputed; sampled three hours.")
    return claims.attest_claim(
        actor=verity.verifier,
        claim=claim,
        findings="Recomputed; sampled three hours.",
        key_id=key.key_id,
        signature=signing.sign(private, canonical.canonical_json(document)),
        now=now,
    )
