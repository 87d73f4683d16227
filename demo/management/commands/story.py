"""`manage.py story`: tell the demo's story once, then print its tables. A second call only prints them."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Organisation
from common.errors import Refused
from demo import epilogue, scenario
from demo.tables import Teller


class Command(BaseCommand):
    """Needs a database and a running worker; `manage.py demo` brings both."""

    help = "Tell one whole compliance period through the services, and print it as tables."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The data folder and the seed."""
        parser.add_argument("--data", help="Folder with the real files; without it, published figures stand in.")
        parser.add_argument("--seed", type=int, default=scenario.SEED, help="The same seed gives the same trades.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell, unless it was told, and print."""
        teller = Teller(self.stdout)
        if not scenario.told():
            if Organisation.objects.exists():
                raise CommandError(
                    "This database has organisations but not the whole story: it was interrupted, or is not the "
                    "demo's. `python3 manage.py demo --fresh` begins again."
                )
            try:
                scenario.tell(teller, data=options["data"], seed=options["seed"])
            except Refused as refusal:
                raise CommandError(f"{refusal.sentence} ({refusal.code})") from refusal
        epilogue.tell(teller)
        teller.chapter("Every invariant")
        call_command("verify", stdout=self.stdout)
        epilogue.tell_logins(teller)
