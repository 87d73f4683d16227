"""`manage.py load_intensities FILE --code CODE ...`: load grid intensities as the desk does on its page."""

from argparse import ArgumentParser
from typing import Any

from accounts.models import User
from common import clock
from registry.management.loading import LoadingCommand
from registry.models import FactorSet
from registry.services.grid import intensities
from registry.services.grid.intensities import Qualifiers


class Command(LoadingCommand):
    """Ends with status 1 where the file is refused, and then nothing was stored."""

    help = "Load hourly or yearly grid intensities from a CSV file, all of them or none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file and what it cannot say by itself."""
        super().add_arguments(parser)
        parser.add_argument("--code", required=True, help="names the table across its versions, as in us-hourly-2022")
        parser.add_argument("--resolution", choices=FactorSet.Resolution.values, default="hour")
        parser.add_argument("--kind", choices=FactorSet.Kind.values, default="average")
        parser.add_argument("--basis", choices=FactorSet.Basis.values, required=True)
        parser.add_argument("--perspective", choices=FactorSet.Perspective.values, required=True)
        parser.add_argument("--method", required=True, help="version of the method, as in 'IPCC AR5 medians'")
        parser.add_argument("--source", required=True)
        parser.add_argument("--licence", required=True)
        parser.add_argument("--country", default="", help="whose yearly figure stands in for missing hours")
        parser.add_argument("--information", action="store_true", help="reports are not computed with it")
        parser.add_argument("--note", default="", help="what a later version corrects")

    def load(self, actor: User, content: bytes, options: dict[str, Any]) -> None:
        """Load the rows as a set of factors, and say what it is and whether it counts yet."""
        load = intensities.load_hourly if options["resolution"] == "hour" else intensities.load_annual
        names = ("kind", "basis", "perspective", "method", "source", "licence", "retrieved_on", "country", "note")
        qualifiers = Qualifiers(for_obligations=not options["information"], **{name: options[name] for name in names})
        made = load(actor=actor, code=options["code"], qualifiers=qualifiers, content=content, now=clock.now())
        if made.for_obligations and not made.published_at:
            self.stdout.write("It counts once another officer approved its publication, under Approvals.")
        self.stdout.write(f"{made}: {made.rows:,} rows in {len(made.zones)} zones, sha256 {made.sha256}")
