"""What commands that load a file have in common: an officer who answers for it, and every error of a refused file."""

from abc import abstractmethod
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from common.errors import Refused
from registry.services.versions import RowsRefused

SHOWN_ERRORS = 50


class LoadingCommand(BaseCommand):
    """Ends with status 1 where the file is refused, and then nothing was stored."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file, who answers for it, and when it was fetched."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--by", required=True, help="e-mail address of the officer who answers for it")
        parser.add_argument("--retrieved-on", required=True, type=date.fromisoformat, help="day, as in 2027-01-31")

    @abstractmethod
    def load(self, actor: User, content: bytes, options: dict[str, Any]) -> None:
        """Load the bytes and say what was made."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the file, have it loaded, or say everything that is wrong with it."""
        try:
            content = options["file"].read_bytes()
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error}") from error
        actor = User.objects.filter(email=options["by"]).first()
        if actor is None:
            raise CommandError(f"Nobody here has the address {options['by']}.")
        try:
            self.load(actor, content, options)
        except RowsRefused as refused:
            for one in refused.errors[:SHOWN_ERRORS]:
                self.stderr.write(f"line {one.line}, {one.column}: {one.sentence}")
            count = "One error" if len(refused.errors) == 1 else f"{len(refused.errors):,} errors"
            raise CommandError(f"{count}; nothing was stored.") from refused
        except Refused as refused:
            raise CommandError(str(refused)) from refused
