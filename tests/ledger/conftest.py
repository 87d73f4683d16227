"""Fixtures of the ledger's tests: the cast, seen by one connection or by several, and what a refusal may not change."""

from collections.abc import Callable

import pytest

from registry.ledger.models import Balance, Hold, Journal, Transfer
from tests.ledger.cast import Cast, assemble


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody, with 1,000 permits issued to Acme."""
    cast = assemble()
    cast.move(cast.mint, cast.acme, 1_000)
    return cast


@pytest.fixture
def committed_cast(transactional_db: None) -> Cast:
    """The same for tests that need several connections."""
    cast = assemble()
    cast.move(cast.mint, cast.acme, 1_000)
    return cast


Snapshot = Callable[[], list[tuple[object, ...]]]


@pytest.fixture
def snapshot() -> Snapshot:
    """Return a function that reads everything a refused request might have changed."""

    def read() -> list[tuple[object, ...]]:
        return [
            *Balance.objects.order_by("pk").values_list("pk", "balance", "held", "entries", "last_at", "status"),
            *Hold.objects.order_by("pk").values_list("pk", "quantity", "status"),
            (Journal.objects.count(), Transfer.objects.count()),
        ]

    return read
