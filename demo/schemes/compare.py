"""Comparing what the registry came to with what was worked by hand, cell by cell."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from demo.schemes.worked import Cell, Row, Tables

YEARS = ("year", "indicator of")
"""Columns that hold years."""


def differences(worked: Tables, told: Tables) -> list[str]:
    """List every place where two sets of tables differ, with both figures; empty where all agrees.

    Every table of both has to be in the other, with the same columns and the same rows in their order.
    """
    found = [f"{heading}: nobody told this table" for heading in worked if heading not in told]
    found += [f"{heading}: nobody worked this table by hand" for heading in told if heading not in worked]
    for heading in worked:
        if heading in told:
            found += table_differences(heading, worked[heading], told[heading])
    return found


def table_differences(heading: str, worked: Sequence[Row], told: Sequence[Row]) -> list[str]:
    """List every place where one table differs."""
    if len(worked) != len(told):
        return [f"{heading}: {len(worked)} rows by hand, {len(told)} in the registry"]
    return list(_differing(heading, worked, told))


def _differing(heading: str, worked: Sequence[Row], told: Sequence[Row]) -> Iterator[str]:
    for number, (by_hand, by_registry) in enumerate(zip(worked, told, strict=True), start=1):
        if list(by_hand) != list(by_registry):
            yield f"{heading}: the columns are {', '.join(by_hand)} by hand, {', '.join(by_registry)} in the registry"
            return
        for column, figure in by_hand.items():
            if figure != by_registry[column]:
                yield (
                    f"{heading}, row {number} ({_name_of(by_hand)}), {column}: "
                    f"{show(figure, column)} by hand, {show(by_registry[column], column)} in the registry"
                )


def show(figure: Cell, column: str = "") -> str:
    """Write a figure as the documents do: grouped by thousands, years as they are."""
    if isinstance(figure, Decimal) and column not in YEARS:
        return f"{figure:,}"
    return str(figure)


def _name_of(row: Row) -> str:
    """Name a row by its first texts and its year."""
    names = [show(value, column) for column, value in row.items() if isinstance(value, str) or column in YEARS]
    return ", ".join(names[:3]) or "row"
