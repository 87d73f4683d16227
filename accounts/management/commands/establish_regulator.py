"""`manage.py establish_regulator`: the first regulator and its first senior officer, on a new installation."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import organisations
from common import clock


class Command(BaseCommand):
    """From then on everything happens through roles: this officer admits everybody else."""

    help = "Establish the regulator with its first senior officer. The password is asked for, or read from a pipe."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who."""
        parser.add_argument("--organisation", required=True, help="Legal name of the regulator.")
        parser.add_argument("--email", required=True, help="The officer's e-mail address.")
        parser.add_argument("--name", required=True, help="The officer's name.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask for the password, and do it."""
        if Organisation.objects.filter(kind=Organisation.Kind.REGULATOR).exists():
            raise CommandError("A regulator is already established. Ask one of its senior officers to add you.")
        password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        officer = User(email=options["email"].lower(), name=options["name"])
        try:
            validate_password(password, officer)
            officer.set_password(password)
            officer.full_clean()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        officer.save()
        try:
            organisations.establish_regulator(name=options["organisation"], officer=officer, now=clock.now())
        except Exception:
            with transaction.atomic():
                User.objects.filter(pk=officer.pk).delete()  # nothing is left of a founding that failed
            raise
        self.stdout.write(f"{options['organisation']} is established. {officer} can log in, and admits everybody else.")
