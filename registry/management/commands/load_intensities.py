"""`manage.py load_intensities FILE --code CODE ...`: load grid intensities as the desk does on its page."""

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from common import clock
from common.errors import Refused
from registry.models import FactorSet
from registry.services.grid import intensities
from registry.services.grid.intensities import Qualifiers
from registry.services.reports import RowsRefused

SHOWN_ERRORS = 50


class Command(BaseCommand):
    """Ends with status 1 where the file is refused, and then nothing was stored."""

    help = "Load hourly or yearly grid intensities from a CSV file, all of them or none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file and what it cannot say by itself."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--by", required=True, help="e-mail address of the officer who answers for it")
        parser.add_argument("--code", required=True, help="names the table across its versions, as in us-hourly-2022")
        parser.add_argument("--resolution", choices=FactorSet.Resolution.values, default="hour")
        parser.add_argument("--kind", choices=FactorSet.Kind.values, default="average")
        parser.add_argument("--basis", choices=FactorSet.Basis.values, required=True)
        parser.add_argument("--perspective", choices=FactorSet.Perspective.values, required=True)
        parser.add_argument("--method", required=True, help="version of the method, as in 'IPCC AR5 medians'")
        parser.add_argument("--source", required=True)
        parser.add_argument("--licence", required=True)
        parser.add_argument("--retrieved-on", required=True, type=date.fromisoformat, help="day, as in 2027-01-31")
        parser.add_argument("--country", default="", help="whose yearly figure stands in for missing hours")
        parser.add_argument("--information", action="store_true", help="reports are not computed with it")
        parser.add_argument("--note", default="", help="what a later version corrects")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, load and say what was made."""
        try:
            content = options["file"].read_bytes()
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error}") from error
        actor = User.objects.filter(email=options["by"]).first()
        if actor is None:
            raise CommandError(f"Nobody here has the address {options['by']}.")
        load = intensities.load_hourly if options["resolution"] == "hour" else intensities.load_annual
        names = ("kind", "basis", "perspective", "method", "source", "licence", "retrieved_on", "country", "note")
        qualifiers = Qualifiers(for_obligations=not options["information"], **{name: options[name] for name in names})
        try:
            made = load(actor=actor, code=options["code"], qualifiers=qualifiers, content=content, now=clock.now())
        except RowsRefused as refused:
            for one in refused.errors[:SHOWN_ERRORS]:
                self.stderr.write(f"line {one.line}, {one.column}: {one.sentence}")
            count = "One error" if len(refused.errors) == 1 else f"{len(refused.errors):,} errors"
            raise CommandError(f"{count}; nothing was stored.") from refused
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        if made.for_obligations and not made.published_at:
            self.stdout.write("It counts once another officer approved its publication, under Approvals.")
        self.stdout.write(f"{made}: {made.rows:,} rows in {len(made.zones)} zones, sha256 {made.sha256}")
