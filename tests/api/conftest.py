"""Callers of the REST interface: each party of the cast with a token of its own."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts.models import Organisation, User
from accounts.services import tokens
from tests.cast import Clock, Party

Caller = Callable[..., APIClient]


@pytest.fixture(autouse=True)
def _no_limit_from_the_test_before() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def caller(clock: Clock) -> Caller:
    """Return a client that sends a fresh token of a person for an organisation."""

    def make(user: User, organisation: Organisation, scope: str = "read") -> APIClient:
        _, secret = tokens.issue_token(
            actor=user, organisation=organisation, name="test", scope=scope, life=timedelta(days=30), now=clock.now()
        )
        return APIClient(headers={"Authorization": f"Bearer {secret}"})

    return make


@pytest.fixture
def anyone(clock: Clock) -> APIClient:
    """Somebody without a token."""
    return APIClient()


@pytest.fixture
def acme_reads(caller: Caller, acme: Party) -> APIClient:
    """Acme's viewer, with a read token."""
    return caller(acme.viewer, acme.organisation)


@pytest.fixture
def acme_trades(caller: Caller, acme: Party) -> APIClient:
    """Acme's trader, with a write token."""
    return caller(acme.trader, acme.organisation, "write")


@pytest.fixture
def acme_initiates(caller: Caller, acme: Party) -> APIClient:
    """Acme's initiator, with a write token."""
    return caller(acme.initiator, acme.organisation, "write")


@pytest.fixture
def borealis_reads(caller: Caller, borealis: Party) -> APIClient:
    """Borealis' viewer, with a read token."""
    return caller(borealis.viewer, borealis.organisation)


@pytest.fixture
def auditor_reads(caller: Caller, auditor: Party) -> APIClient:
    """The auditor, with a read token."""
    return caller(auditor.auditor, auditor.organisation)
