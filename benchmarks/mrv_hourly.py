"""How fast a firm's year of hourly records becomes emissions, beside the same sum written down plainly.

    DATABASE_URL=postgresql://... python benchmarks/mrv_hourly.py [--streams 20] [--rounds 5]

Makes a database of its own on that server and drops it afterwards. The firm has 8,760 hours of each stream, in four
zones with hours missing, and every tenth hour was restated. Measured is everything from the question to the lines:
reading records and intensities from PostgreSQL, filling gaps, and the exact sums. The plain twin reads the same rows
one by one and multiplies decimals. Both are measured in turns, and have to agree to the last digit.
"""

import argparse
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2027, 2, 1, 9, tzinfo=UTC)
HOURS = 8760
ZONES = ("CISO", "ERCO", "MISO", "PJM")


def main() -> None:
    """Measure, print the table and the ratio, and leave nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    server = os.environ.get("DATABASE_URL")
    if not server:
        sys.exit("Set DATABASE_URL to a PostgreSQL server on which a database may be made.")
    with _own_database(server) as url:
        os.environ["DATABASE_URL"] = url
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        _run(options.streams, options.rounds)


def _run(streams: int, rounds: int) -> None:
    from django.db import connection

    operator, period = _fill(streams)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(rounds):
        ours, seconds = _timed(lambda: _ours(operator, period))
        times["ours"].append(seconds)
        plain, seconds = _timed(lambda: _plain(operator))
        times["plain"].append(seconds)
        assert ours == plain, "the two have to agree to the last digit"
    print(f"{streams} streams, {HOURS:,} hours each, {streams * HOURS * 11 // 10:,} records, {rounds} rounds")
    for name, seconds_of in times.items():
        print(f"  {name:6} median {statistics.median(seconds_of):.3f} s, slowest {max(seconds_of):.3f} s")
    print(f"  ratio plain / ours {statistics.median(times['plain']) / statistics.median(times['ours']):.1f}")


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begun


def _ours(operator: Any, period: Any) -> dict[str, Decimal]:
    """The emissions of each stream, as a report takes them."""
    from registry.services.grid import serving

    return {line.label.partition(" on ")[0]: line.co2e_g for line in serving.report_lines(operator, period, now=NOW)}


def _plain(operator: Any) -> dict[str, Decimal]:
    """The same, row by row in decimals. The file leaves out single hours, for which the higher neighbour counts."""
    from registry.models import HourlyIntensity, ServingRecord

    known = {
        (zone, hour): value
        for zone, hour, value in HourlyIntensity.objects.values_list("zone", "hour", "g_per_kwh")
        if value is not None
    }
    latest: dict[tuple[uuid.UUID, datetime], tuple[int, str, str, Decimal]] = {}
    records = ServingRecord.objects.filter(workload__system__site__organisation=operator.organisation)
    for stream, name, hour, batch, zone, kwh in records.order_by("batch_id").values_list(
        "workload_id", "workload__name", "hour", "batch_id", "zone", "energy_kwh"
    ):
        latest[stream, hour] = (batch, name, zone, kwh)
    one = timedelta(hours=1)
    sums: dict[str, Decimal] = {}
    with localcontext(prec=60):
        for (_, hour), (_, name, zone, kwh) in latest.items():
            value = known.get((zone, hour))
            if value is None:
                value = max(known[zone, hour - one], known[zone, hour + one])
            sums[name] = sums.get(name, Decimal(0)) + kwh * value
        return {name: total.quantize(Decimal("0.000001"), rounding="ROUND_HALF_UP") for name, total in sums.items()}


def _fill(streams: int) -> tuple[Any, Any]:
    """Make a regulator, a scheme with its period, a firm with its streams, their intensities and their records."""
    from accounts.models import Approval, User
    from accounts.services import approvals, organisations
    from registry.models import Site, System, Workload
    from registry.services import operators, schemes
    from registry.services.grid import intensities, serving
    from registry.services.grid.intensities import Qualifiers

    chance = random.Random(20260101)
    senior, desk, firm_user = (
        User.objects.create_user(email=f"{name}@example.org", name=name) for name in ("senior", "desk", "firm")
    )
    office = organisations.establish_regulator(name="Office", officer=senior, now=START)
    organisations.grant_role(actor=senior, user=desk, organisation=office, role="desk_officer", now=START)
    firm = organisations.open_organisation(actor=senior, name="Firm", kind="firm", now=START)
    organisations.grant_role(actor=senior, user=firm_user, organisation=firm, role="initiator", now=START)
    scheme = schemes.create_scheme(
        actor=desk,
        code="ai-co2e",
        name="AI emissions",
        metric="co2e",
        unit_size=Decimal(1),
        currency="eur",
        zone="UTC",
        large_transfer=1000,
        sanction_minor=10_000,
        now=START,
    )
    operator = operators.enrol(actor=desk, scheme=scheme, organisation=firm, cohort="large", first_year=2026, now=START)
    period = schemes.open_period(
        actor=desk,
        scheme=scheme,
        year=2026,
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 12, 31),
        report_due_on=date(2027, 3, 31),
        surrender_due_on=date(2027, 9, 30),
        now=START,
    )
    hours = [f"{START + timedelta(hours=number):%Y-%m-%dT%H:00Z}" for number in range(HOURS)]
    rows = ["zone,datetime_utc,gco2e_per_kwh"]
    for zone in ZONES:
        for number, hour in enumerate(hours):
            lost = number % 800 == 400
            rows.append(f"{zone},{hour},{'' if lost else chance.randrange(50_000, 500_000) / 1000}")
    said = Qualifiers("average", "life_cycle", "production", "made up", "benchmark", "none", date(2026, 1, 1), "USA")
    intensities.load_hourly(actor=desk, code="made-up", qualifiers=said, content="\n".join(rows).encode(), now=NOW)
    waiting = Approval.objects.get(act=intensities.PUBLISH_FACTORS)
    approvals.approve(actor=senior, approval_id=waiting.pk, now=NOW)
    sites = {
        zone: Site.objects.create(
            organisation=firm,
            name=zone,
            country="USA",
            zone=zone,
            opened_on=START,
            created_by=firm_user,
            created_at=START,
        )
        for zone in ZONES
    }
    for number in range(streams):
        zone = ZONES[number % len(ZONES)]
        system = System.objects.create(
            site=sites[zone],
            name=f"rack {number}",
            hardware="H100 SXM",
            devices=64,
            watts_per_device=700,
            tier=0,
            opened_on=START,
            created_by=firm_user,
            created_at=START,
        )
        name = f"stream-{number}"
        Workload.objects.create(
            system=system, name=name, kind="stream", activity="inference", created_by=firm_user, created_at=START
        )
        for step in (1, 10):  # the second time every tenth hour is told again
            lines = ["stream,hour_utc,zone,tier,operating_point,requests,tokens,energy_kwh"]
            lines += [
                f"{name},{hour},{zone},full,fp16,{chance.randrange(10**6)},,{Decimal(chance.randrange(10**15)).scaleb(-9)}"
                for hour in hours[::step]
            ]
            serving.receive_file(
                actor=firm_user,
                organisation=firm,
                name=f"{name}.csv",
                content="\n".join(lines).encode(),
                now=NOW,
            )
    return operator, period


@contextmanager
def _own_database(server: str) -> Iterator[str]:
    name = f"headroom_benchmark_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            from django.db import connections

            connections.close_all()
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


if __name__ == "__main__":
    main()
