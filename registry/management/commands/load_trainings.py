"""`manage.py load_trainings FILE --by ADDRESS --retrieved-on DAY`: load Epoch AI's models as the desk does."""

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from common import clock
from common.errors import Refused
from registry.services import reference
from registry.services.versions import RowsRefused

SHOWN_ERRORS = 50


class Command(BaseCommand):
    """Ends with status 1 where the file is refused, and then nothing was stored."""

    help = "Load Epoch AI's file of published models (CC BY 4.0), with which reported trainings are compared."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file and what it cannot say by itself."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--by", required=True, help="e-mail address of the officer who answers for it")
        parser.add_argument("--retrieved-on", required=True, type=date.fromisoformat, help="day, as in 2027-01-31")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, load and say what was made."""
        try:
            content = options["file"].read_bytes()
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error}") from error
        actor = User.objects.filter(email=options["by"]).first()
        if actor is None:
            raise CommandError(f"Nobody here has the address {options['by']}.")
        try:
            made = reference.load(actor=actor, content=content, retrieved_on=options["retrieved_on"], now=clock.now())
        except RowsRefused as refused:
            for one in refused.errors[:SHOWN_ERRORS]:
                self.stderr.write(f"line {one.line}, {one.column}: {one.sentence}")
            count = "One error" if len(refused.errors) == 1 else f"{len(refused.errors):,} errors"
            raise CommandError(f"{count}; nothing was stored.") from refused
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(f"{made}: {made.rows:,} models, sha256 {made.sha256}")
