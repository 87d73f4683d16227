"""Admitting people, and blocking them. Nobody signs up by themselves, and nobody chooses another person's password."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.permissions import is_senior_officer
from accounts.services import audit
from common.errors import refuse, require, require_permission


@transaction.atomic(durable=True)
def admit_person(*, actor: User, email: str, name: str, now: datetime) -> User:
    """Make a log-in without a password: the person chooses one by "Forgot your password?", which proves the address."""
    require_permission(is_senior_officer(actor), "Only a senior officer of the regulator may admit people.")
    name = " ".join(name.split())
    require(0 < len(name) <= 200, "person_name_missing", "Give the person's name.")
    try:
        validate_email(email)
    except ValidationError:
        refuse("email_malformed", "Enter an e-mail address such as ines@example.org.")
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, name=name)
    except IntegrityError:
        refuse("email_taken", "Somebody with this e-mail address was admitted already. Give that person a role.")
    audit.record(actor, "accounts.person.admitted", user, at=now)
    return user


@transaction.atomic(durable=True)
def change_access(*, actor: User, user: User, may_log_in: bool, reason: str, now: datetime) -> User:
    """Block a person at once, sessions and tokens included, or let them in again."""
    require_permission(is_senior_officer(actor), "Only a senior officer of the regulator may block people.")
    require(actor.pk != user.pk, "not_yourself", "You cannot change your own access. Ask another senior officer.")
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence for the record.")
    user = User.objects.select_for_update().get(pk=user.pk)
    if user.is_active != may_log_in:
        user.is_active = may_log_in
        user.save(update_fields=["is_active"])
        action = "accounts.person.restored" if may_log_in else "accounts.person.blocked"
        audit.record(actor, action, user, at=now, reason=reason.strip())
    return user
