"""Tables of bulk work, transfers or surrenders: CSV or XLSX bytes into typed rows, or every error of the file.

Columns are found by their header. Each column is described here once, for the templates, the page and the guide.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from common.errors import Refused
from common.quantities import MAX_ENTRY, parse_money, parse_whole
from registry.importers.blank import Column
from registry.importers.table import BadFile, Cells, Limits, RowError, bad_file, cells_of
from registry.importers.xlsx import read_any
from registry.ledger.models.account import is_account_number

LIMITS = Limits(max_bytes=2_000_000, max_rows=2_000, max_columns=50, max_cell=2_000)
LONGEST_AGREEMENT = 200
FIRST_YEAR, LAST_YEAR = 1900, 2200

Read = TypeVar("Read", "TransferRow", "SurrenderRow")


TRANSFER_COLUMNS = (
    Column("from", False, "Number of your account that sends; your holding account if empty.", "HR-100-0000007-05"),
    Column("to", True, "Number of the receiving account.", "HR-100-0000042-17"),
    Column("permit", True, "Code of the permits.", "ai-flop-2030"),
    Column("quantity", True, "Whole permits, in digits only.", "250"),
    Column("price", False, "Agreed price of one permit, with at most two places.", "25.40"),
    Column("agreement", False, "The contract or reason behind it, in at most 200 characters.", "contract 7"),
)
SURRENDER_COLUMNS = (
    Column("account", False, "Number of your account that gives; your operator's own if empty.", "HR-100-0000007-05"),
    Column("scheme", True, "Code of the scheme in which you are an operator.", "ai-flop"),
    Column("year", True, "Year of the period for which the permits are surrendered.", "2030"),
    Column("permit", False, "Code of the permits; those of the period if empty.", "ai-flop-2030"),
    Column("quantity", True, "Whole permits, in digits only.", "250"),
)


@dataclass(frozen=True)
class TransferRow:
    """One transfer as it was read. An empty `sender` is the holding account."""

    line: int
    sender: str
    to: str
    permit: str
    quantity: int
    price_minor: int | None
    agreement: str


@dataclass(frozen=True)
class SurrenderRow:
    """One surrender as it was read. An empty `account` is the operator's, an empty `permit` that of the period."""

    line: int
    account: str
    scheme: str
    year: int
    permit: str
    quantity: int


def read_transfers(content: bytes) -> tuple[TransferRow, ...] | BadFile:
    """Return the transfers of a table in its order, or every error that it has."""
    return _read(content, TRANSFER_COLUMNS, _transfer, _same_transfer, "sends the same again", "agreement")


def read_surrenders(content: bytes) -> tuple[SurrenderRow, ...] | BadFile:
    """Return the surrenders of a table in its order, or every error that it has."""
    return _read(content, SURRENDER_COLUMNS, _surrender, _same_surrender, "surrenders the same permits", "")


def _read(
    content: bytes,
    columns: Sequence[Column],
    read: Callable[[Cells], Read],
    identity: Callable[[Read], Hashable],
    twice: str,
    apart: str,
) -> tuple[Read, ...] | BadFile:
    required = [column.name for column in columns if column.is_required]
    known = {column.name for column in columns}
    table = read_any(content, required=required, limits=LIMITS)
    errors = list(table.errors)
    errors += [
        RowError(
            1, name[:60], "unknown_column", f"There is no such column here. Known are: {', '.join(sorted(known))}."
        )
        for name in table.columns
        if name not in known and not table.errors
    ]
    rows: list[Read] = []
    first: dict[Hashable, int] = {}
    for cells in cells_of(table, errors, LIMITS):
        before = len(errors)
        row = read(cells)
        if len(errors) > before:
            continue
        if identity(row) in first:
            way_out = f"merge the two, or tell them apart by {apart}" if apart else "merge the two"
            cells.refuse("quantity", "row_twice", f"Line {first[identity(row)]} {twice}: {way_out}.")
        first.setdefault(identity(row), row.line)
        rows.append(row)
    return bad_file(content, table, errors) if errors else tuple(rows)


def _transfer(cells: Cells) -> TransferRow:
    return TransferRow(
        line=cells.row.line,
        sender=_account(cells, "from", required=False),
        to=_account(cells, "to", required=True),
        permit=cells.text("permit", required=True, longest=60),
        quantity=_quantity(cells),
        price_minor=_price(cells),
        agreement=cells.text("agreement", longest=LONGEST_AGREEMENT),
    )


def _surrender(cells: Cells) -> SurrenderRow:
    return SurrenderRow(
        line=cells.row.line,
        account=_account(cells, "account", required=False),
        scheme=cells.text("scheme", required=True, longest=60),
        year=cells.whole("year", FIRST_YEAR, LAST_YEAR, required=True) or FIRST_YEAR,
        permit=cells.text("permit", longest=60),
        quantity=_quantity(cells),
    )


def _same_transfer(row: TransferRow) -> Hashable:
    return row.sender, row.to, row.permit, row.quantity, row.price_minor, row.agreement


def _same_surrender(row: SurrenderRow) -> Hashable:
    return row.account, row.scheme, row.year, row.permit


def _account(cells: Cells, column: str, *, required: bool) -> str:
    number = cells.text(column, required=required, longest=40)
    if number and not is_account_number(number):
        cells.refuse(
            column,
            "account_number_wrong",
            "The check digits do not fit this account number. Compare it with the holder's.",
        )
    return number


def _quantity(cells: Cells) -> int:
    text = cells.text("quantity", required=True)
    return (_parsed(cells, "quantity", text, parse_whole) if text else None) or 1


def _price(cells: Cells) -> int | None:
    text = cells.text("price")
    return _parsed(cells, "price", text, _money_or_nothing) if text else None


def _money_or_nothing(text: str) -> int:
    return parse_money(text, minimum=0, maximum=MAX_ENTRY)


def _parsed(cells: Cells, column: str, text: str, parse: Callable[[str], int]) -> int | None:
    """Return a number by the one parser of quantities, whose refusal becomes an error of the cell."""
    try:
        return parse(text)
    except Refused as refusal:
        cells.refuse(column, refusal.code, refusal.sentence)
        return None
