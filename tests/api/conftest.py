"""Callers of the REST interface: each party of the cast with a token of its own."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts.models import Organisation, User
from accounts.services import tokens
from exchange.models import Market
from exchange.services import markets
from registry.models import Period
from tests.api.world import Caller, World, build_world
from tests.cast import OPENING, Clock, Party, Regulator


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


@pytest.fixture(autouse=True)
def _no_worker_is_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests drain by themselves."""
    monkeypatch.setattr("exchange.services.waking.wake", lambda market: None)


@pytest.fixture
def market(regulator: Regulator, period: Period) -> Market:
    """The market of the period: lots of 10 permits, a tick of 5 cents."""
    market = markets.open_market(
        actor=regulator.desk,
        period=period,
        tick_minor=5,
        lot=10,
        collar_bps=2_000,
        max_order_lots=1_000,
        now=OPENING,
    )
    return markets.change_phase(
        actor=regulator.monitor, market=market, phase="continuous", reason="The first day.", now=OPENING
    )


@pytest.fixture
def world(
    caller: Caller,
    regulator: Regulator,
    acme: Party,
    borealis: Party,
    verity: Party,
    auditor: Party,
    market: Market,
    clock: Clock,
) -> World:
    """One of everything that the interface shows, most of it Acme's, and a caller in every role."""
    return build_world(caller, regulator, acme, borealis, verity, auditor, market, clock)
