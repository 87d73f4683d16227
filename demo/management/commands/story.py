"""`manage.py story`: tell one of the demo's stories once, then print its tables. A second call only prints them."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Organisation
from common.errors import Refused
from demo import epilogue, scenario, schemes, two_periods
from demo.cast import PARTIES
from demo.schemes import report
from demo.tables import Teller
from registry.models import Scheme

BEGIN_AGAIN = "`python3 manage.py demo --fresh` begins again."


class Command(BaseCommand):
    """Needs a database and, for the story with markets, a running worker; `manage.py demo` brings both."""

    help = "Tell one whole compliance period, or two periods of a shipped scheme, and print them as tables."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The data folder and the seed, or the scheme."""
        parser.add_argument("--data", help="Folder with the real files; without it, published figures stand in.")
        parser.add_argument("--seed", type=int, default=scenario.SEED, help="The same seed gives the same trades.")
        parser.add_argument("--scheme", help=f"Tell two periods of this scheme instead: {', '.join(schemes.NAMES)}.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell, unless it was told, and print."""
        teller = Teller(self.stdout)
        try:
            if options["scheme"]:
                self._scheme(teller, schemes.require_known(options["scheme"]))
            else:
                self._whole_period(teller, options)
        except Refused as refusal:
            raise CommandError(f"{refusal.sentence} ({refusal.code})") from refusal

    def _whole_period(self, teller: Teller, options: dict[str, Any]) -> None:
        """Tell the story with markets."""
        if not scenario.told():
            if _is_not_ours():
                raise CommandError(
                    "This database has organisations but not the whole story: it was interrupted, or is not the "
                    f"demo's. {BEGIN_AGAIN}"
                )
            scenario.tell(teller, data=options["data"], seed=options["seed"])
        epilogue.tell(teller)
        self._verify(teller)
        epilogue.tell_logins(teller)

    def _scheme(self, teller: Teller, name: str) -> None:
        """Tell two periods of a scheme, and fail where a figure is not the one that was worked by hand."""
        if not two_periods.told(name):
            if two_periods.begun(name):
                raise CommandError(f"This database has {name} but not both of its periods, closed. {BEGIN_AGAIN}")
            teller.chapter(f"{name}: two periods")
            two_periods.tell(teller, name)
        different = report.tell(teller, name)
        self._verify(teller)
        report.tell_logins(teller, name)
        if different:
            raise CommandError(
                "The registry did not come to what was worked by hand:\n" + "\n".join(f"  {line}" for line in different)
            )

    def _verify(self, teller: Teller) -> None:
        teller.chapter("Every invariant")
        call_command("verify", stdout=self.stdout)


def _is_not_ours() -> bool:
    """Say whether there is something here that no told scheme brought."""
    interrupted = Organisation.objects.filter(name__in=[party.name for party in PARTIES]).exists()
    ours = Scheme.objects.filter(code__in=schemes.NAMES).exists()
    return interrupted or (Organisation.objects.exists() and not ours)
