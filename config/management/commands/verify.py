"""manage.py verify: check every invariant of every app in one snapshot, and name the first row that breaks one."""

import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from common.invariants import Invariant, check_all

APPS = ("accounts", "registry.ledger", "registry", "exchange")


class Command(BaseCommand):
    """Prints a line for each invariant with the count checked; ends with status 1 if one is broken."""

    help = "Check every invariant in one snapshot. Ends with status 1 if one is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the instant to look back from."""
        parser.add_argument("--as-of", type=_instant, help="look at nothing booked after this instant (ISO 8601)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and print."""
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            results = check_all(all_invariants(), options["as_of"])
        width = max((len(result.name) for result in results), default=0)
        for result in results:
            self.stdout.write(f"{result.name:<{width}}  {result.checked:>13,}  {'BROKEN' if result.broken else 'ok'}")
        broken = [result for result in results if result.broken]
        for result in broken:
            self.stdout.write(f"\nBROKEN: {result.name}. First row:")
            for column, value in (result.offender or {}).items():
                self.stdout.write(f"  {column} = {value}")
        self.stdout.write(f"{len(results)} invariants, {len(broken)} broken")
        if broken:
            sys.exit(1)


def all_invariants() -> list[Invariant]:
    """Return the invariants of every app that lists some."""
    found: list[Invariant] = []
    for app in APPS:
        if find_spec(f"{app}.invariants") is not None:
            found.extend(import_module(f"{app}.invariants").INVARIANTS)
    return found


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text} is not an instant. Write it like 2030-04-30T23:59:59+00:00.") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
