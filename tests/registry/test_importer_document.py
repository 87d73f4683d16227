"""JSON and YAML are measured before they are parsed, and numbers stay what was written."""

from decimal import Decimal

import pytest

from registry.importers.document import (
    MOST_ALIASES,
    MOST_DEPTH,
    MOST_NODES,
    Documents,
    Place,
    read_documents,
    read_json,
    read_yaml,
    until_too_many,
)
from registry.importers.table import Limits, RowError

LIMITS = Limits(max_bytes=100_000, max_rows=3)


def json(content: bytes) -> Place | RowError:
    return read_json(content, limits=LIMITS)


def yaml(content: bytes) -> Place | RowError:
    return read_yaml(content, limits=LIMITS)


@pytest.mark.parametrize("parse", [json, yaml])
def test_numbers_are_exactly_what_was_written(parse: object) -> None:
    place = parse(b'{"energy": 0.1000000000000000055511151231257827, "count": 7, "no": null, "off": false}')  # type: ignore[operator]

    assert place.decimal("energy", Decimal(0), Decimal(1)) == Decimal("0.1000000000000000055511151231257827")
    assert place.whole("count", 0, 10) == 7
    assert (place.text("no"), place.text("off"), place.text("elsewhere")) == ("", "false", "")
    assert not place.errors


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"x" * 100_001, (1, "file_too_large")),
        (b"\xff\xfe{\x00}\x00", (1, "bad_encoding")),
        (b'{\n"a": "\xe9"}', (2, "bad_encoding")),
        (b" \n", (1, "empty_file")),
        (b"\xef\xbb\xbf", (1, "empty_file")),
        (b"[" * 50_000, (1, "too_deep")),
        (b'{"a":' * 41 + b"1" + b"}" * 41, (1, "too_deep")),
        (b'{"a": 1,\n "b": }', (2, "bad_json")),
        (b'{"a": 1} {"b": 2}', (1, "bad_json")),
        (b'{"a": NaN}', (1, "not_a_number")),
        (b'{"a": -Infinity}', (1, "not_a_number")),
        (b'{"a": 1, "a": 2}', (1, "key_twice")),
        (b'{"a": "\\u0000"}', (1, "control_character")),
        (b'{"a": ["\\ud800"]}', (1, "control_character")),
        (b'{"\\u0007": 1}', (1, "control_character")),
    ],
)
def test_json_that_two_readers_would_read_differently_is_refused(content: bytes, error: tuple[int, str]) -> None:
    found = json(content)

    assert isinstance(found, RowError)
    assert (found.line, found.code) == error


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"# nothing\n", (1, "empty_file")),
        (b"a: 1\nb: [1, 2", (3, "bad_yaml")),
        (b"a: 1\n b: 2", (2, "bad_yaml")),
        (b"a: 1\na: 2", (2, "key_twice")),
        (b"a: !!python/object/apply:os.system [ls]", (1, "tag")),
        (b"a: !energy 5", (1, "tag")),
        (b"a: &x {b: 1}\nc:\n  <<: *x", (3, "merge_key")),
        (b"a: &x [*x]", (1, "alias_unknown")),
        (b"a: *x", (1, "alias_unknown")),
        (b"? [a]\n: 1", (1, "key_not_text")),
        (b"a: 1\n---\nb: 2", (2, "several_documents")),
        (b"[" * 5000, (1, "too_deep")),
        (b"x: &x 1\n" + b"".join(b"y%d: *x\n" % n for n in range(MOST_ALIASES + 1)), (102, "too_many_aliases")),
        (b'a: "\\0"', (1, "control_character")),
        (b"a: \x07", (1, "bad_yaml")),
    ],
)
def test_yaml_is_plain_values_only(content: bytes, error: tuple[int, str]) -> None:
    found = yaml(content)

    assert isinstance(found, RowError), found
    assert (found.line, found.code) == error


def test_a_bomb_of_aliases_is_refused_before_it_unfolds() -> None:
    bomb = b"a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 10)
    )
    found = yaml(bomb)

    assert isinstance(found, RowError)
    assert found.code == "too_many_values"


def test_an_alias_stands_for_what_it_names() -> None:
    place = yaml(b"base: &base\n  energy: 2\nother: *base\n")

    assert isinstance(place, Place)
    assert place.group("other").decimal("energy", Decimal(0), Decimal(9)) == 2


def test_depth_is_allowed_up_to_its_limit() -> None:
    assert isinstance(json(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH), Place)
    assert isinstance(json(b'{"text": "' + b"[" * 1000 + b'"}'), Place)


def test_text_of_nothing_but_open_quotes_is_refused() -> None:
    for content in (b'"\\' * 40_000, b'"' * 40_001, b'["\\"' * 20_000):
        assert isinstance(json(content), RowError)


def test_each_line_may_be_a_document_and_every_bad_one_is_named() -> None:
    documents = read_documents(b'{"a": 1}\n\n{"a": [}\n{"a": "x"}\n7', limits=LIMITS)
    assert isinstance(documents, Documents)

    read = [(place.line, place.whole("a", 0, 9) if place.is_group() else None) for place in documents.places]

    assert read == [(1, 1), (4, None), (5, None)]
    assert [(error.line, error.column, error.code) for error in documents.errors] == [
        (3, "/", "bad_json"),
        (4, "/a", "not_a_number"),
        (5, "/", "not_a_table"),
    ]


@pytest.mark.parametrize("content", [b'{\n"a":\n1}', b'[{"a": 1}]', b'{"a": 1}', b'\n {"a": 1}\n\n'])
def test_one_document_may_span_lines_or_stand_in_a_list(content: bytes) -> None:
    documents = read_documents(content, limits=LIMITS)

    assert isinstance(documents, Documents)
    assert [place.whole("a", 0, 9) for place in documents.places] == [1]


def test_values_are_counted_before_they_are_built() -> None:
    limits = Limits(max_bytes=10**7, max_rows=3)

    for content in (b"[" + b"1," * MOST_NODES + b"1]", b"[" + b"[]," * MOST_NODES):
        found = read_json(content, limits=limits)
        assert isinstance(found, RowError)
        assert found.code == "too_many_values"


def test_what_stands_in_the_wrong_shape_is_named_by_its_pointer() -> None:
    place = json(b'{"a/b": {"c": [1]}, "list": {}, "table": 3}')
    assert isinstance(place, Place)

    place.group("a/b").decimal("c", Decimal(0), Decimal(1), required=True)
    place.items("list")
    place.items("gone", required=True)
    place.group("table")
    place.group("lost", required=True)

    assert [(error.column, error.code) for error in place.errors] == [
        ("/a~1b/c", "not_one_value"),
        ("/list", "not_a_list"),
        ("/gone", "missing_value"),
        ("/table", "not_a_table"),
        ("/lost", "missing_value"),
    ]


def test_a_file_of_nothing_but_errors_stops_being_read() -> None:
    limits = Limits(max_bytes=1000, max_rows=9, max_errors=2)
    root = read_json(b"[1, 2, 3, 4]", limits=limits)
    assert isinstance(root, Place)

    for place in until_too_many([root.at(number) for number in range(4)], root.errors, limits):
        place.is_group()

    assert [(error.column, error.code) for error in root.errors] == [
        ("/0", "not_a_table"),
        ("/1", "not_a_table"),
        ("/2", "too_many_errors"),
    ]
