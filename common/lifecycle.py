"""Lifecycles as tables: which state may follow which, asked by services and kept by a database trigger."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import pgtrigger

from common.errors import require


@dataclass(frozen=True)
class Lifecycle:
    """The states of one kind of record and the moves between them. The first state named is where it begins."""

    name: str
    moves: Mapping[str, Set[str]]

    @property
    def states(self) -> tuple[str, ...]:
        """Every state, in the order the table names them."""
        named = list(self.moves)
        return tuple(named + sorted({to for targets in self.moves.values() for to in targets} - set(named)))

    @property
    def initial(self) -> str:
        """The state in which a record begins."""
        return next(iter(self.moves))

    @property
    def final(self) -> frozenset[str]:
        """The states that nothing leaves."""
        return frozenset(state for state in self.states if not self.moves.get(state))

    @property
    def choices(self) -> list[tuple[str, str]]:
        """The states as Django choices."""
        return [(state, state.replace("_", " ")) for state in self.states]

    def allows(self, before: str, after: str) -> bool:
        """Say whether a record may move from one state to the other."""
        return after in self.moves.get(before, frozenset())

    def require(self, before: str, after: str) -> None:
        """Refuse a move that the table does not have."""
        require(
            self.allows(before, after),
            f"{self.name}_not_{before}_to_{after}",
            f"This {self.name.replace('_', ' ')} is {before.replace('_', ' ')} and cannot become "
            f"{after.replace('_', ' ')}. Reload the page to see its present state.",
        )

    def trigger(self, field: str = "status") -> pgtrigger.FSM:
        """Return the database's copy of the table, so that raw SQL cannot take a move that is not in it."""
        transitions = [(before, after) for before, targets in self.moves.items() for after in sorted(targets)]
        return pgtrigger.FSM(name=f"{self.name}_lifecycle", field=field, transitions=transitions)
