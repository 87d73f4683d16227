"""How fast a worker reads a CSV file of a million rows into a draft, with how much memory, and how it is filed.

    DATABASE_URL=postgresql://... python benchmarks/mrv_import.py [--rows 1000000] [--slow-rows 50000]

Makes a database of its own on that server and drops it afterwards; the files are made in a temporary folder. Every
reading runs in a process of its own through the real service, from the kept file to the lines of the draft, checks,
factors, rounding, unique keys and commits included. Its memory is the peak of that whole process, Django and all. The
row reader is measured on fewer rows of the same file, in turns with the column reader.

Beside the clock it says how much processor time the reading process and its PostgreSQL backend took: others may work
on the machine, and two cores that are shared with nobody cannot be faster than the larger of the two.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import xlsxwriter
from psycopg import sql
from psycopg.conninfo import make_conninfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

COLUMNS = (
    "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
    "cpu_energy,gpu_energy,ram_energy,energy_consumed,water_consumed,country_name,country_iso_code,region,"
    "cloud_provider,cloud_region,os,python_version,codecarbon_version,cpu_count,cpu_model,gpu_count,gpu_model,"
    "longitude,latitude,ram_total_size,tracking_mode,cpu_utilization_percent,gpu_utilization_percent,"
    "ram_utilization_percent,ram_used_gb,on_cloud,pue,wue"
)
"""The 38 columns of CodeCarbon 3.3.2."""
SHEET_ROWS = 100_000
PLAIN_COLUMNS = "label,activity,method,zone,energy_kwh,flop,requests,tokens"


def main() -> None:
    """Measure, print the table, and leave nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--slow-rows", type=int, default=50_000)
    parser.add_argument("--read", help="Read this upload and print what it took; used by the benchmark itself.")
    parser.add_argument("--by-rows", action="store_true")
    options = parser.parse_args()
    server = os.environ.get("DATABASE_URL")
    if not server:
        sys.exit("Set DATABASE_URL to a PostgreSQL server on which a database may be made.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("HEADROOM_LOG_LEVEL", "ERROR")
    if options.read:
        _read(uuid.UUID(options.read), by_rows=options.by_rows)
        return
    with _own_database(server) as url, tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = url
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        _run(Path(folder), options.rows, options.slow_rows)


def _run(folder: Path, rows: int, slow_rows: int) -> None:
    stage = _Stage()
    print(
        f"{'what':<34} {'rows':>9} {'MB':>6} {'s':>7} {'rows/s':>8} {'own us':>7} {'db us':>7} {'peak MB':>8} "
        f"{'load':>5}"
    )
    for name, kind, count, by_rows in (
        ("CodeCarbon, row by row", "codecarbon", slow_rows, True),
        ("CodeCarbon, by column", "codecarbon", slow_rows, False),
        ("plain table, row by row", "template", slow_rows, True),
        ("plain table, by column", "template", slow_rows, False),
        ("CodeCarbon, row by row", "codecarbon", slow_rows, True),
        ("plain table, CSV", "template", SHEET_ROWS, False),
        ("plain table, XLSX", "sheet", SHEET_ROWS, False),
        ("CodeCarbon, by column", "codecarbon", rows, False),
    ):
        upload = stage.upload(folder, kind, count)
        answer = subprocess.run(
            [sys.executable, __file__, "--read", str(upload.pk), *(["--by-rows"] if by_rows else [])],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ,
        )
        took: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        upload.refresh_from_db()
        assert (upload.status, upload.rows) == ("read", count), (upload.status, upload.errors[:3])
        print(
            f"{name:<34} {count:>9,} {upload.file.size / 1e6:>6.0f} {took['seconds']:>7.1f} "
            f"{count / took['seconds']:>8,.0f} {took['own_seconds'] / count * 1e6:>7.1f} "
            f"{took['database_seconds'] / count * 1e6:>7.1f} {took['peak_mb']:>8.0f} {os.getloadavg()[0]:>5.1f}"
            f"   (begins at {took['idle_mb']:.0f})",
            flush=True,
        )
        if kind != "codecarbon" or count < rows:
            stage.remove(upload)
    began = time.perf_counter()
    report = stage.file()
    seconds = time.perf_counter() - began
    print(f"{'filing them as a report':<34} {report.lines.count():>9,} {'':>6} {seconds:>7.1f}")


class _Stage:
    """A firm in a carbon scheme, with an open draft."""

    def __init__(self) -> None:
        from accounts.services import organisations
        from registry.services.drafting import drafts
        from tests import cast

        senior, desk, monitor = cast.person("Senior"), cast.person("Desk"), cast.person("Monitor")
        office = organisations.establish_regulator(name="Office", officer=senior, now=cast.OPENING)
        organisations.grant_role(actor=senior, user=desk, organisation=office, role="desk_officer", now=cast.OPENING)
        regulator = cast.Regulator(office, desk=desk, senior=senior, monitor=monitor)
        scheme = cast.co2e_scheme(regulator)
        period = cast.capped(regulator, cast.period_of(regulator, scheme))
        self.firm = cast.operator(regulator, scheme, "Firm", "firm", "large")
        self.now = cast.REPORTING
        assert self.firm.operator is not None
        self.draft = drafts.open_draft(
            actor=self.firm.initiator, operator=self.firm.operator, period=period, now=self.now
        )

    def upload(self, folder: Path, kind: str, count: int) -> Any:
        """Send a file through the service."""
        from unittest import mock

        from registry.services.drafting import uploads

        path = folder / f"{kind}-{count}-{uuid.uuid4().hex[:6]}.{'xlsx' if kind == 'sheet' else 'csv'}"
        if kind == "sheet":
            _sheet(path, count)
        else:
            with path.open("w") as file:
                file.writelines(_codecarbon(count) if kind == "codecarbon" else _plain(count))
        with path.open("rb") as file, mock.patch.object(uploads, "wake"):
            return uploads.receive(
                actor=self.firm.initiator,
                draft=self.draft,
                name=path.name,
                file=file,
                format="codecarbon" if kind == "codecarbon" else "template",
                options={"activity": "inference"},
                now=self.now,
            )

    def remove(self, upload: Any) -> None:
        """Take an upload out again, so that the next one may bring the same runs."""
        from registry.services.drafting import uploads

        uploads.remove(actor=self.firm.initiator, upload=upload, now=self.now)

    def file(self) -> Any:
        """File the draft."""
        from registry.services.drafting import drafts

        return drafts.file_draft(actor=self.firm.initiator, draft=self.draft, boundary="cluster", now=self.now)


def _codecarbon(count: int) -> Iterator[str]:
    """Write runs as the client writes them, floats and all; each of them claims other emissions than ours."""
    yield COLUMNS + "\n"
    for number in range(count):
        cpu, gpu, ram = 0.0421 + number % 997 * 1e-6, 0.3137 + number % 1009 * 1e-5, 0.0089
        total = cpu + gpu + ram
        run = uuid.UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128, version=4)
        yield (
            f"2026-05-{1 + number % 28:02d}T{number % 24:02d}:{number % 60:02d}:09,chat-{number % 40},{run},"
            f"5b0fa12a-3dd7-45bb-9766-cc326314d9f1,3600.{number % 10},{total * 0.0412},{total * 0.0412 / 3600},"
            f"{cpu * 1000},{gpu * 1000},{ram * 1000},{cpu},{gpu},{ram},{total},{total * 1.8},France,FRA,"
            f"ile-de-france,,,Linux-6.1.0-x86_64-with-glibc2.36,3.11.7,3.3.2,64,AMD EPYC 9654 96-Core Processor,8,"
            f"8 x NVIDIA H100 80GB HBM3,2.3522,48.8566,1511.5,machine,{30 + number % 50},{60 + number % 40},41.5,"
            f"620.25,N,1.0,1.8\n"
        )


def _plain(count: int) -> Iterator[str]:
    yield PLAIN_COLUMNS + "\n"
    for number in range(count):
        energy = f"{1 + number % 977}.{number % 1000:03d}"
        yield f"service {number},inference,smart meter,FRA,{energy},,{number},{number * 9}\n"


def _sheet(path: Path, count: int) -> None:
    """Write the plain table without its counts as a spreadsheet."""
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    for line, row in enumerate(_plain(count)):
        for place, cell in enumerate(row.strip().split(",")[:5]):
            sheet.write_string(line, place, cell)
    book.close()


def _read(upload: uuid.UUID, *, by_rows: bool) -> None:
    """Read an upload in this process, and say how long it took and how much memory it needed."""
    import django

    django.setup()
    from registry.importers.formats import FORMATS
    from registry.services.drafting import reading

    if by_rows:
        for code, one in FORMATS.items():
            if one.rows is not None:
                FORMATS[code] = replace(one, rows=replace(one.rows, fast=None))
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    idle, own, database = _peak_mb(), time.process_time(), _processor_seconds(backend)
    began = time.perf_counter()
    while reading.read_upload(upload):
        pass
    took = {
        "seconds": time.perf_counter() - began,
        "own_seconds": time.process_time() - own,
        "database_seconds": _processor_seconds(backend) - database,
        "idle_mb": idle,
        "peak_mb": _peak_mb(),
    }
    print(json.dumps(took))


def _peak_mb() -> float:
    """Return the most memory this process ever had; the figure of getrusage would include that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process of this machine, user and system; nothing where it runs elsewhere."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
