"""`manage.py recompute RUN`: work a published run out again from its file alone, and say where it differs.

RUN is a file as it was downloaded, or the id of a run in this registry. A file needs no database.
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from registry.engine import runs
from registry.engine.canonical import sha256
from registry.models import PublishedRun


class Command(BaseCommand):
    """Ends with status 1 where the published result is not what its own rules and inputs give."""

    help = "Work a published run out again from its file alone, and say where it differs."
    requires_system_checks = ()  # an auditor at home has no settings to check

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the run."""
        parser.add_argument("run", help="a downloaded file, or the id of a run in this registry")

    def handle(self, *args: Any, **options: Any) -> None:
        """Recompute, compare and print."""
        document = _document(options["run"])
        try:
            found = runs.differences(document)
        except (runs.Unusable, KeyError, TypeError) as error:
            raise CommandError(f"This is no published run: {error}") from error
        version = document["rules"]["version"] or "founding terms"
        self.stdout.write(f"{document['kind']} run of {document['period']}, rules {version}")
        self.stdout.write(f"sha256 {sha256(document)}")
        for line in found:
            self.stdout.write(f"DIFFERS {line}")
        if found:
            sys.exit(1)
        self.stdout.write("The result follows from the rules and inputs, line by line.")


def _document(run: str) -> dict[str, Any]:
    path = Path(run)
    if path.is_file():
        try:
            document = json.loads(path.read_bytes())
        except ValueError as error:
            raise CommandError(f"{run} is no JSON file: {error}") from error
        if not isinstance(document, dict):
            raise CommandError(f"{run} holds no published run.")
        return document
    try:
        found = PublishedRun.objects.filter(pk=UUID(run)).first()
    except ValueError as error:
        raise CommandError(f"There is no file {run}, and it is no run's id.") from error
    if found is None:
        raise CommandError(f"There is no run {run} in this registry.")
    document = found.document
    assert isinstance(document, dict)
    if sha256(document) != found.sha256:
        raise CommandError(f"The stored document has another hash than was published: {found.sha256}.")
    return document
