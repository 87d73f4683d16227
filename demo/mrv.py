"""Measuring as it is lived, in the story: sites and meters, an approved plan, a draft from a file, green inference.

One firm, Quayside, takes every step that there is between a meter and a permit. All of it goes
through the services that the pages use.
"""

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

from accounts.models import Approval, Organisation, User
from common import clock
from common.errors import Refused
from demo.cast import PASSWORD
from demo.tables import Teller
from demo.verifying import Verifier
from registry.engine.efficiency import Measurement
from registry.models import (
    Draft,
    FlexEvent,
    Operator,
    Period,
    Report,
    Scheme,
    ServingBatch,
    SigningKey,
    Site,
    System,
    Tariff,
    Upload,
    Workload,
)
from registry.services.drafting import drafts, uploads
from registry.services.efficiency import labels, league, measures
from registry.services.efficiency.measures import Told
from registry.services.flexing import claims, events, forecasts, tariffs
from registry.services.flexing.claims import Asked
from registry.services.flexing.events import EventTold
from registry.services.flexing.tariffs import Offered, PointOffered
from registry.services.grid import intensities, serving, taking
from registry.services.grid.intensities import Qualifiers
from registry.services.monitoring import ai_models, plans, sites, systems, workloads
from registry.services.reports import LineInput
from registry.services.verifying import keys

Decide = Callable[[Callable[[User], Approval], datetime], Approval]
"""Lets the desk propose, and a senior officer approve."""

PATIENCE_S = 60
"""How long the story waits for the worker to read a file."""

HOUR = timedelta(hours=1)
ZONE = "CISO"
HOURS_OF_A_DAY = (
    "138.69 167.27 238.25 255.55 271.05 272.27 272.03 260.39 261.13 252.06 240.82 235.69 "
    "232.68 235.32 182.55 108.82 99.73 112.26 125.4 128.65 119.62 121.77 115.79 123.48"
)
INTENSITIES = tuple(Decimal(value) for value in HOURS_OF_A_DAY.split())
"""g CO2e per kWh in California, hour by hour on 17 April 2022 (EIA-930, AR5 medians), lent to the day of the story."""
DIRTY = tuple(sorted(sorted(range(24), key=lambda hour: -INTENSITIES[hour])[:6]))
"""The six hours in which the green tier may be served by the smaller model."""

FULL_KWH, SMALL_KWH = Decimal("0.00034"), Decimal("0.00010")
FULL_REQUESTS, GREEN_REQUESTS, TOKENS = 60_000, 40_000, 500
"""Requests of an hour in the two tiers, and the tokens of a request."""

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

MEASURES = {
    "Quayside Inference": ("Eight-bit weights", "quantisation", 1_020, 560),
    "Bracken Softworks": ("Larger batches at night", "batching", 1_400, 1_150),
    "Tinderbox Speech": ("A distilled model for short answers", "distillation", 900, 300),
}
"""What firms did about the energy of a request: title, kind, and kWh for three million requests before and after."""


@dataclass(frozen=True)
class Firm:
    """A firm with the people who act for it, and where it computes once that is recorded."""

    organisation: Organisation
    initiator: User
    approver: User

    def measure_with(self, country: str, operators: Mapping[str, Operator], now: datetime) -> "Sites":
        """Record where the firm computes: a server at home that is measured, and a rack in California that serves."""
        home = sites.open_site(
            actor=self.initiator,
            organisation=self.organisation,
            name="Harbour hall",
            country=country,
            opened_on=date(2024, 6, 1),
            now=now,
        )
        server = self._system(
            home, "Server 1", 2, ("server-1-log.csv", b"at;joules\n2025-01-02T00:00:00Z;81500\n"), now
        )
        spare = self._system(home, "Training hall", 3, ("bill.csv", b"meter;kWh\nUMG 96;120500\n"), now)
        away = sites.open_site(
            actor=self.initiator,
            organisation=self.organisation,
            name="Fresno",
            country="USA",
            zone=ZONE,
            opened_on=date(2024, 6, 1),
            now=now,
        )
        rack = self._system(away, "Rack 1", 3, ("rack-1-meter.csv", b"meter;kWh\nUMG 512;9120\n"), now)
        model = ai_models.register_model(
            actor=self.initiator,
            organisation=self.organisation,
            name="Quayside 7B",
            architecture="dense",
            parameters=Decimal(7 * 10**9),
            task_class="text_generation",
            now=now,
        )
        run, training, stream = (
            workloads.open_workload(
                actor=self.initiator, system=system, name=name, kind=kind, activity=activity, ai_model=model, now=now
            )
            for system, name, kind, activity in (
                (server, "Nightly batch", "run", "inference"),
                (spare, "Second model", "run", "training"),
                (rack, "Chat", "stream", "inference"),
            )
        )
        return Sites(operators, server, spare, rack, run, training, stream)

    def _system(self, site: Site, name: str, tier: int, proof: tuple[str, bytes], now: datetime) -> System:
        return systems.open_system(
            actor=self.initiator,
            site=site,
            name=name,
            hardware="H100 SXM",
            devices=64,
            watts_per_device=Decimal(700),
            peak_flop_per_second=Decimal("989400000000000"),
            number_format="BF16",
            meter=f"Meter of {name}",
            tier=tier,
            proof=proof,
            opened_on=date(2024, 6, 1),
            now=now,
        )


@dataclass(frozen=True)
class Sites:
    """Where a firm computes, and as which operators it reports that, by scheme."""

    operators: Mapping[str, Operator]
    server: System
    hall: System
    rack: System
    run: Workload
    training: Workload
    stream: Workload


def plan(teller: Teller, firm: Firm, of: Sites, desk: User, now: datetime) -> None:
    """Write a monitoring plan for each scheme in its steps, and let the desk approve it."""
    for scheme, activities in (("ai-co2e", ["inference"]), ("ai-flop", ["training", "inference"])):
        begun = plans.open_plan(actor=firm.initiator, operator=of.operators[scheme], now=now)
        written = plans.write_draft(
            actor=firm.initiator,
            plan=begun,
            said={
                "boundary": "full_stack",
                "boundary_words": "Servers, network and cooling; offices are outside.",
                "activities": activities,
                "left_out": "Evaluation runs on the same machines and is counted with what it evaluates.",
                "systems": {
                    str(system.pk): {"method": method, "tier": system.tier, "meter": system.meter}
                    for system, method in ((of.server, "client"), (of.hall, "meter"), (of.rack, "meter"))
                },
                "factors": "hourly",
                "measures": "Site engineering",
                "checks": "Group controlling",
                "gaps": "The highest hour of the month stands in.",
            },
            valid_from=date(2025, 1, 1),
            now=now,
        )
        submitted = plans.submit_plan(actor=firm.initiator, plan=written, now=now)
        plans.decide_plan(
            actor=desk, plan=submitted, outcome="approved", reason="Boundary, meters and roles are clear.", now=now
        )
    teller.line(
        f"{firm.organisation} records 2 sites, 3 systems and what runs on them; the desk approves its monitoring plan."
    )


def prove_pue(firm: Firm, of: Sites, now: datetime) -> None:
    """Prove how much energy the home site needs for each kWh of its computers."""
    sites.record_pue(
        actor=firm.initiator,
        site=of.server.site,
        year=2025,
        value=Decimal("1.21"),
        proof=("energy-2025.csv", b"year;site kWh;IT kWh\n2025;145805;120500\n"),
        now=now,
    )


def report(teller: Teller, firm: Firm, of: Sites, period: Period, file: tuple[str, bytes], now: datetime) -> Report:
    """Fill a draft from a file, which the worker reads, and file it under the plan."""
    prove_pue(firm, of, now)
    name, content = file
    draft = drafts.open_draft(actor=firm.initiator, operator=of.operators["ai-co2e"], period=period, now=now)
    upload = uploads.receive(
        actor=firm.initiator,
        draft=draft,
        name=name,
        file=io.BytesIO(content),
        options={"activity": "inference"},
        workload=of.run,
        now=now,
    )
    _wait_for_the_reader(upload)
    upload.refresh_from_db()
    assert upload.status == "read", f"{name} was refused: {upload.errors[:3]}"
    filed = drafts.file_draft(
        actor=firm.approver, draft=draft, boundary="One server, full stack: processor, memory and cooling", now=now
    )
    assert filed.plan is not None, "The plan is in force."
    teller.line(
        f"{firm.organisation} proves a PUE of 1.21 and uploads {name}: what it measured comes to "
        f"{filed.co2e_g * 1000:.3f} mg CO2e, filed under plan v{filed.plan.version}."
    )
    return filed


def _wait_for_the_reader(upload: Upload) -> None:
    """Wait until the worker has read a file; say so when there seems to be none."""
    began = rung = time.monotonic()
    while Upload.objects.filter(pk=upload.pk, ended_at__isnull=True).exists():
        now = time.monotonic()
        if now - began > PATIENCE_S:
            raise Refused("no_worker", "No Celery worker answers. Start one, or use `python3 manage.py demo`.")
        if now - rung > 1:  # no scheduler sweeps while the story is told, and a bell may be lost
            rung = now
            uploads.sweep()
        time.sleep(0.01)


def question(teller: Teller, firm: Firm, verifier: Verifier, of: Report, now: datetime) -> None:
    """Let the verifier find something before it signs, and the firm answer."""
    text = "The certificate of the meter ends in May 2026. Have it renewed before the next report."
    verifier.question(of, text, "Booked for April; the certificate will be kept with the system.", firm.initiator, now)
    teller.line(f"{verifier.organisation} finds: {text} It is answered and closed, and the opinion signed.")


def serve(teller: Teller, firm: Firm, of: Sites, verifier: Verifier, decide: Decide, period: Period, day: date) -> None:
    """Tell a day of two-tier inference: tariff and forecast before it, records, flex events and a claim after it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    eve, after = midnight - 6 * HOUR, midnight + 33 * HOUR
    with clock.simulate(eve):
        verifier.appointed_by(firm.initiator, of.operators["ai-flop"], period, eve)
        tariff = tariffs.publish_tariff(
            actor=firm.initiator,
            organisation=firm.organisation,
            name="Quayside Green",
            offered=GREEN,
            valid_from=day - timedelta(days=1),
            now=eve,
        )
        forecasts.publish_forecast(
            actor=firm.initiator,
            organisation=firm.organisation,
            zone=ZONE,
            day=day,
            values=[round(value * Decimal("1.02"), 3) for value in INTENSITIES],
            source="Day-ahead model of the grid operator",
            now=eve,
        )
    with clock.simulate(after):
        decide(partial(_load_intensities, midnight, after), after)
        _deliver(firm, of.stream, midnight, after)
        workloads.end_workload(actor=firm.initiator, workload=of.stream, ended_on=day, now=after)
        _flex(firm, tariff, of.stream, midnight, after)
        (figures,) = serving.figures_of_period(of.operators["ai-flop"], period, after)
        teller.line(
            f"Rack 1 serves {figures.requests:,} requests on {day} for {figures.result.energy_kwh:,.0f} kWh: "
            f"{figures.kilograms} kg CO2e hour by hour, {figures.annual_kilograms} kg by the day's average."
        )
        claim = claims.draft_claim(
            actor=firm.initiator, asked=Asked(tariff, of.stream, midnight, midnight + 24 * HOUR, 1_000), now=after
        )
        claim = claims.submit_claim(actor=firm.initiator, claim=claim, now=after)
        claim = claims.attest_claim(
            actor=verifier.lead,
            claim=claim,
            findings="Recomputed from the signed records; three hours sampled.",
            key_id=verifier.key(after).key_id,
            passphrase=PASSWORD,
            now=after,
        )
        claim = claims.publish_claim(actor=firm.approver, claim=claim, now=after)
        teller.line(
            f"Its green tariff flexed {len(DIRTY)} hours: claim {claim.serial} says that "
            f"{claim.avoided_g / 1000:.3f} kg CO2e were avoided. It is no permit."
        )


def _load_intensities(midnight: datetime, now: datetime, desk: User) -> Approval:
    """Let the desk load the hours of a day, which count once another officer agrees."""
    rows = [f"{ZONE},{midnight + hour * HOUR:%Y-%m-%dT%H:00Z},{value}" for hour, value in enumerate(INTENSITIES)]
    loaded = intensities.load_hourly(
        actor=desk,
        code="ciso-demo",
        qualifiers=Qualifiers(
            kind="average",
            basis="life_cycle",
            perspective="production",
            method="Generation by fuel with AR5 medians",
            source="EIA-930, hours of 17 April 2022 lent to the day of the demo",
            licence="public domain",
            retrieved_on=date(2025, 11, 20),
            country="USA",
        ),
        content="\n".join(["zone,datetime_utc,gco2e_per_kwh", *rows]).encode(),
        now=now,
    )
    return Approval.objects.get(act=intensities.PUBLISH_FACTORS, parameters__set=str(loaded.pk))


def _deliver(firm: Firm, stream: Workload, midnight: datetime, now: datetime) -> ServingBatch:
    """Deliver the records of the day, signed: in dirty hours half of the green requests went to the smaller model."""
    lines = ["stream,hour_utc,zone,tier,operating_point,requests,tokens,energy_kwh"]
    for hour in range(24):
        small = GREEN_REQUESTS // 2 if hour in DIRTY else 0
        for tier, point, requests, each in (
            ("full", "full", FULL_REQUESTS, FULL_KWH),
            ("green", "full", GREEN_REQUESTS - small, FULL_KWH),
            ("green", "small", small, SMALL_KWH),
        ):
            if requests:
                start = f"{midnight + hour * HOUR:%Y-%m-%dT%H:00Z}"
                counts = f"{requests},{requests * TOKENS},{requests * each:f}"
                lines.append(f"{stream.name},{start},{ZONE},{tier},{point},{counts}")
    content = "\n".join(lines).encode()
    key = _key(firm, now)
    document = serving.signed_document(firm.organisation, content)
    return serving.receive_file(
        actor=firm.initiator,
        organisation=firm.organisation,
        name=f"rack-1-{midnight:%Y-%m-%d}.csv",
        content=content,
        key_id=key.key_id,
        signature=keys.signed_with(actor=firm.initiator, key=key, passphrase=PASSWORD, content=document, at=now),
        now=now,
    )


def _key(firm: Firm, now: datetime) -> SigningKey:
    return keys.make_key(
        actor=firm.initiator, organisation=firm.organisation, name="Meters", passphrase=PASSWORD, now=now
    )


def _flex(firm: Firm, tariff: Tariff, stream: Workload, midnight: datetime, now: datetime) -> list[FlexEvent]:
    return events.record_events(
        actor=firm.initiator,
        tariff=tariff,
        workload=stream,
        told=[EventTold(midnight + hour * HOUR, "small", GREEN_REQUESTS // 2) for hour in DIRTY],
        now=now,
    )


def draft_next(teller: Teller, firm: Firm, of: Sites, period: Period, last_year: Decimal, now: datetime) -> Draft:
    """Begin the next report: what was served so far, and a typed figure for a training that is still running."""
    operator = of.operators["ai-flop"]
    with clock.simulate(now):
        draft = taking.take_into_draft(actor=firm.initiator, operator=operator, period=period, now=now)
        drafts.type_lines(
            actor=firm.initiator,
            draft=draft,
            lines=[LineInput("Second model, training so far", "training", flop=last_year * 3 // 5)],
            now=now,
        )
    teller.line(f"{firm.organisation} begins the draft for {period.year}: its page shows gaps, changes and the cost.")
    return draft


def label(
    teller: Teller, firms: Mapping[str, Firm], scheme: Scheme, verifier: Verifier, desk: User, now: datetime
) -> None:
    """Let firms record what they did for efficiency, the verifier attest it, and the registry give stars."""
    field = league.Field("text_generation", "requests", "site")
    with clock.simulate(now):
        for name, (title, kind, before, after) in MEASURES.items():
            firm = firms[name]
            told = _told(firm, scheme, title, kind, (before, after), now)
            measure = measures.record_measure(actor=firm.initiator, organisation=firm.organisation, told=told, now=now)
            measure = measures.submit_measure(
                actor=firm.initiator, measure=measure, verifier=verifier.organisation, now=now
            )
            measure = measures.attest_measure(
                actor=verifier.lead,
                measure=measure,
                findings="Read both logs and counted the requests again.",
                key_id=verifier.key(now).key_id,
                passphrase=PASSWORD,
                now=now,
            )
            measures.publish_measure(actor=firm.initiator, measure=measure, now=now)
        edition = labels.issue_edition(actor=desk, field=field, rule="equal_width", now=now)
    teller.table(
        ["efficiency measure", "firm", "saving, %", "label, stars"],
        [
            [row.measure.title, row.measure.organisation.name, f"{row.figures.saving_percent}", given.stars]
            for row in league.league(field).rows
            for given in edition.labels.filter(measure=row.measure)
        ],
    )


def _told(firm: Firm, scheme: Scheme, title: str, kind: str, kwh: tuple[int, int], now: datetime) -> Told:
    model = ai_models.register_model(
        actor=firm.initiator,
        organisation=firm.organisation,
        name=f"{firm.organisation.name} text model",
        architecture="dense",
        parameters=Decimal(7 * 10**9),
        task_class="text_generation",
        now=now,
    )
    before = Measurement(
        task_class="text_generation",
        counted="requests",
        boundary="site",
        started_on=date(2026, 6, 1),
        ended_on=date(2026, 6, 7),
        quantity=3_000_000,
        energy_kwh=Decimal(kwh[0]),
        batch_size=8,
        number_format="BF16",
        hardware="H100 SXM",
        zone="FRA",
        quality_measure="MMLU accuracy",
        quality=Decimal("0.80"),
    )
    after = replace(
        before,
        started_on=date(2026, 7, 6),
        ended_on=date(2026, 7, 12),
        energy_kwh=Decimal(kwh[1]),
        quality=Decimal("0.796"),
    )
    return Told(
        scheme=scheme,
        workload=None,
        ai_model=model,
        title=title,
        kinds=[kind],
        description="Measured on the same requests, one week each.",
        quality_tolerance=Decimal("0.01"),
        before=before,
        after=after,
        proof_before=("before.csv", f"week;kWh\n2026-06-01;{kwh[0]}\n".encode()),
        proof_after=("after.csv", f"week;kWh\n2026-07-06;{kwh[1]}\n".encode()),
    )
