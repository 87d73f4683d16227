"""The small helpers: lifecycles, the clock, and keys."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.test import override_settings

from common import clock
from common.errors import Refused
from common.idempotency import canonical_json, derive_key, fingerprint
from common.lifecycle import Lifecycle

DOOR = Lifecycle("door", {"shut": {"open"}, "open": {"shut", "broken"}})


def test_a_lifecycle_knows_its_states() -> None:
    assert DOOR.initial == "shut"
    assert DOOR.states == ("shut", "open", "broken")
    assert DOOR.final == {"broken"}


@pytest.mark.parametrize("before", DOOR.states)
@pytest.mark.parametrize("after", DOOR.states)
def test_a_move_is_allowed_or_refused_with_its_code(before: str, after: str) -> None:
    if (before, after) in {("shut", "open"), ("open", "shut"), ("open", "broken")}:
        DOOR.require(before, after)
        return

    with pytest.raises(Refused) as refused:
        DOOR.require(before, after)
    assert refused.value.code == f"door_not_{before}_to_{after}"


def test_a_simulated_instant_is_believed_and_forgotten() -> None:
    instant = datetime(2030, 9, 30, 23, 59, 59, tzinfo=timezone(timedelta(hours=2)))

    with clock.simulate(instant):
        assert clock.now() == instant
        assert clock.receipt_instant() == instant

    assert clock.now() != instant
    assert clock.now().tzinfo is UTC


@override_settings(CLOCK_MAY_BE_SIMULATED=False)
def test_production_does_not_let_the_clock_be_simulated() -> None:
    with pytest.raises(AssertionError), clock.simulate(datetime(2030, 1, 1, tzinfo=UTC)):
        pass


def test_the_receipt_instant_moves_within_one_transaction(db: None) -> None:
    first = clock.receipt_instant()
    second = clock.receipt_instant()

    assert first < second


def test_the_same_parts_give_the_same_key() -> None:
    assert derive_key("surrender", 7) == derive_key("surrender", 7)
    assert derive_key("surrender", 7) != derive_key("surrender", 71)
    assert derive_key("a", "bc") != derive_key("ab", "c")


def test_content_has_one_spelling() -> None:
    content = {"b": Decimal("1.10"), "a": datetime(2026, 1, 1, tzinfo=UTC)}

    assert canonical_json(content) == '{"a":"2026-01-01T00:00:00+00:00","b":"1.10"}'
    assert fingerprint(content) == fingerprint(dict(reversed(content.items())))
    assert fingerprint(content) != fingerprint({**content, "b": Decimal("1.11")})
