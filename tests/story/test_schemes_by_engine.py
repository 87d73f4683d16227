"""The four shipped schemes without a database: documents that found a scheme, and tables that the engine comes to."""

import copy
from datetime import date
from decimal import Decimal

import pytest

from common.errors import Refused
from demo import schemes
from demo.schemes.books import BOOKS, YEARS
from demo.schemes.compare import differences, show
from demo.schemes.worked import Unreadable, cell, read_tables
from registry.engine import parameters
from tests.story import on_paper

DOCUMENT = """# A title

| year | cap |
|---|---|
| 2024 | 1,389,923,652 |

## Prices

Words that are for people, and 3 | 4.

| operator | price, EUR |
|---|---:|
| Pacific Models | 24.04 |
| Mojave AI | -128,700 |
"""


@pytest.mark.parametrize("name", schemes.NAMES)
def test_the_engine_alone_comes_to_every_table_that_was_worked_by_hand(name: str) -> None:
    assert differences(schemes.by_hand(name), on_paper.tables(BOOKS[name])) == []


@pytest.mark.parametrize("name", schemes.NAMES)
def test_a_document_founds_the_scheme_it_is_filed_under_and_contradicts_itself_on_no_day(name: str) -> None:
    read = parameters.read_document(schemes.rule_document(name))

    assert isinstance(read, parameters.RuleDocument), read
    assert read.terms.code == name
    assert parameters.contradictions_over_time(read.terms, read.entries, since=date(2021, 1, 1)) == ()
    assert all(entry.source for entry in read.entries)


@pytest.mark.parametrize("name", schemes.NAMES)
def test_a_book_names_its_own_operators_and_years_only(name: str) -> None:
    book = BOOKS[name]
    players = {player.name for player in book.players}

    assert tuple(year.year for year in book.years) == YEARS
    for year in book.years:
        named = {*year.use, *(bid.operator for bid in year.bids), *(one.operator for one in year.figures)}
        assert named | {deal.seller for deal in year.deals} | {deal.buyer for deal in year.deals} <= players
        assert set(year.use) == players
    assert len({player.short for one in BOOKS.values() for player in one.players}) == 17, "nobody plays twice"


@pytest.mark.parametrize(
    ("name", "rule", "value", "heading"),
    [
        ("ai-allowance", "cap.reduction", {"2025": "0.06"}, "Cap"),
        ("eu-like", "supply.msr.upper", "833000001", "Stability reserve"),
        ("eu-like", "sanction.rate_minor", "10001", "Compliance"),
        ("california-like", "alloc.cap_factor", {"2024": "0.715", "2025": "0.682"}, "Free permits"),
        ("california-like", "supply.floor.real", "0.06", "Prices"),
        ("rggi-like", "sanction.multiple", "4", "Banked"),
        ("ai-allowance", "time.banking.fixed", "19999", "Banked"),
        ("ai-allowance", "alloc.assistance", {"clean": "1.1", "fossil": "0.9", "standard": "1.01"}, "Free permits"),
    ],
)
def test_a_rule_that_says_something_else_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str, rule: str, value: object, heading: str
) -> None:
    document = copy.deepcopy(schemes.rule_document(name))
    (entry,) = [entry for entry in document["rules"] if entry["name"] == rule]
    entry["value"] = value
    monkeypatch.setattr(schemes, "rule_document", lambda _: document)

    found = differences(schemes.by_hand(name), on_paper.tables(BOOKS[name]))

    assert any(line.startswith(heading) for line in found), found


def test_tables_are_read_with_every_number_exact() -> None:
    tables = read_tables(DOCUMENT)

    assert tables == {
        "A title": [{"year": Decimal(2024), "cap": Decimal(1389923652)}],
        "Prices": [
            {"operator": "Pacific Models", "price, EUR": Decimal("24.04")},
            {"operator": "Mojave AI", "price, EUR": Decimal(-128700)},
        ],
    }


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1,389,923,652", Decimal(1389923652)),
        (" 0.715 ", Decimal("0.715")),
        ("-128,700", Decimal(-128700)),
        ("A", "A"),
        ("12,34", "12,34"),
        ("1,2345", "1,2345"),
        ("+5", "+5"),
        ("1e3", "1e3"),
        ("٣", "٣"),
        ("", ""),
    ],
)
def test_a_cell_is_a_number_or_the_text_as_it_stands(text: str, read: object) -> None:
    assert cell(text) == read
    assert type(cell(text)) is type(read)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("# T\n| a | b |\n|---|---|\n| 1 |\n", "1 cells under 2 columns"),
        ("# T\n| a | a |\n|---|---|\n", "named twice"),
        ("# T\n| a |\n|---|\n| 1 |\n\n| b |\n|---|\n", "has a table already"),
    ],
)
def test_a_table_that_says_two_things_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(Unreadable, match=complaint):
        read_tables(text)


def test_every_figure_that_differs_is_named_with_both_values() -> None:
    by_hand = read_tables(DOCUMENT)
    other = {**by_hand, "Prices": [{**by_hand["Prices"][0], "price, EUR": Decimal("24.05")}, by_hand["Prices"][1]]}

    assert differences(by_hand, by_hand) == []
    assert differences(by_hand, other) == [
        "Prices, row 1 (Pacific Models), price, EUR: 24.04 by hand, 24.05 in the registry"
    ]
    assert differences(by_hand, {"Prices": by_hand["Prices"]}) == ["A title: nobody told this table"]
    assert differences({"Prices": by_hand["Prices"]}, by_hand) == ["A title: nobody worked this table by hand"]
    assert differences(by_hand, {**by_hand, "Prices": by_hand["Prices"][:1]}) == [
        "Prices: 2 rows by hand, 1 in the registry"
    ]
    (renamed,) = differences(by_hand, {**by_hand, "A title": [{"year": Decimal(2024), "caps": Decimal(1389923652)}]})
    assert renamed == "A title: the columns are year, cap by hand, year, caps in the registry"


def test_figures_are_shown_as_the_documents_write_them() -> None:
    assert show(Decimal(2024), "year") == "2024"
    assert [show(figure) for figure in (Decimal(1000), Decimal("154288.80"), "A")] == ["1,000", "154,288.80", "A"]


def test_an_unknown_scheme_is_refused_with_those_that_are_shipped() -> None:
    with pytest.raises(Refused) as refused:
        schemes.require_known("atlantis")

    assert refused.value.code == "scheme_unknown"
    for name in schemes.NAMES:
        assert name in refused.value.sentence
        assert schemes.require_known(name) == name


def test_every_document_has_its_tables_beside_it() -> None:
    folders = {path.name for path in schemes.FOLDER.iterdir() if (path / "rules.json").is_file()}

    assert folders == set(schemes.NAMES) == set(BOOKS)
    for name in schemes.NAMES:
        assert sum(len(rows) for rows in schemes.by_hand(name).values()) > 20
