"""Rules as data: the catalogue covers the policy, documents are read with every fault, contradictions are all found."""

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.engine.parameters import (
    CHAPTERS,
    FORMAT,
    FOUNDING_TERMS,
    PARAMETERS,
    Entry,
    Parameter,
    RuleDocument,
    Terms,
    changes,
    contradictions,
    contradictions_over_time,
    difference,
    effective,
    in_force,
    policy_on,
    read_document,
    read_entries,
    schema,
    sha256,
    values_of,
    write_document,
    write_entry,
)
from registry.engine.parameters.catalogue import ALL_RECORDS, DEFAULTS, leaves
from registry.engine.parameters.kinds import (
    Amount,
    ByName,
    ByYear,
    Choice,
    Count,
    Day,
    Kind,
    ListOf,
    MonthDay,
    Record,
    Span,
    Text,
    TimeOfDay,
    Whole,
    YearDay,
    YesNo,
)
from registry.engine.policy import Policy, PricePath, SanctionMode, StabilityReserve, Unit

TERMS = Terms("eu-like", "EU-like scheme", "co2e", Decimal(1_000_000), "eur", "Europe/Brussels")
Y2030 = date(2030, 1, 1)
MSR = {"supply.msr.upper": "833", "supply.msr.lower": "400", "supply.msr.intake": "0.24", "supply.msr.release": "100"}
SCHEMA = schema()
SCHEMA_CHECKER = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
RULE_CHECKERS = {name: jsonschema.Draft202012Validator(SCHEMA["$defs"][name]) for name in PARAMETERS}


def rule(name: str, value: Any, first: str = "2030-01-01", end: str | None = None, **parts: Any) -> dict[str, Any]:
    """Return one rule as a document carries it."""
    return {"name": name, "value": value, "valid_from": first, "valid_to": end, "source": "Test act", **parts}


def document(*rules: dict[str, Any]) -> dict[str, Any]:
    """Return a document of the cast's scheme with these rules."""
    return {**write_document(TERMS, ()), "rules": list(rules)}


def entries(*rules: dict[str, Any]) -> tuple[Entry, ...]:
    """Return rules as they are read, which they must be without a fault."""
    faults: list[Any] = []
    read = read_entries(list(rules), faults)
    assert faults == []
    return read


def holding(**values: Any) -> Policy:
    """Return the policy with some rules, their names written with __ for the points."""
    read = policy_on(TERMS, entries(*(rule(name.replace("__", "."), value) for name, value in values.items())), Y2030)
    assert isinstance(read, Policy)
    return read


def codes(found: Any) -> list[str]:
    """Return the codes of refusals."""
    return [refusal.code for refusal in found]


# The catalogue --------------------------------------------------------------------------------------------------------


def test_every_leaf_of_the_policy_is_a_rule_or_a_founding_term_and_the_other_way_round() -> None:
    assert set(leaves()) == set(PARAMETERS) | set(FOUNDING_TERMS)


@pytest.mark.parametrize("record", ALL_RECORDS, ids=lambda record: record.cls.__name__)
def test_every_part_of_a_listed_value_can_be_set(record: Record) -> None:
    assert set(record.parts) == {part.name for part in fields(record.cls)}


def test_every_listed_value_type_of_the_policy_has_its_record() -> None:
    def kinds(kind: Kind) -> Iterator[Kind]:
        yield kind
        for inner in (getattr(kind, "item", None), *getattr(kind, "parts", {}).values()):
            if inner is not None:
                yield from kinds(inner)

    used = {kind.cls for p in PARAMETERS.values() for kind in kinds(p.kind) if isinstance(kind, Record)}

    assert used | {PricePath} == {record.cls for record in ALL_RECORDS}


@pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=lambda parameter: parameter.name)
def test_each_rule_says_what_it_is_and_its_default_is_a_value_of_its_kind(parameter: Parameter) -> None:
    faults: list[Any] = []

    default = parameter.default
    reread = None if default is None else parameter.kind.read(parameter.kind.text(default), parameter.name, faults)

    assert reread == default
    assert faults == []
    assert parameter.chapter in CHAPTERS
    assert parameter.title
    assert parameter.meaning.endswith(".")
    assert len(parameter.unit) <= 40  # the column of the database
    assert parameter.rounding in {None, "R2", "R3", "R4", "R5", "R6", "R7", "R8"}


def test_without_rules_the_policy_is_its_defaults_and_contradicts_nothing() -> None:
    policy = policy_on(TERMS, (), Y2030)

    assert policy == Policy(
        scheme="eu-like",
        on=Y2030,
        zone="Europe/Brussels",
        currency="eur",
        unit=Unit(metric="co2e", size=Decimal(1_000_000)),
    )
    assert contradictions(policy) == ()
    assert {name: DEFAULTS[name] for name in ("sanction.make_good", "supply.msr.months")} == {
        "sanction.make_good": True,
        "supply.msr.months": 12,
    }


# Reading --------------------------------------------------------------------------------------------------------------

READ = [
    ("supply.unsold.rule", "SPREAD", "SPREAD"),
    ("cap.reduction", {"2028": "0.044", "2024": "0.0430"}, {2024: Decimal("0.043"), 2028: Decimal("0.044")}),
    ("compliance.calendar.surrender", "Y+1 09-30", (1, "09-30")),
    ("compliance.calendar.issue", "Y 01-01", (0, "01-01")),
    ("compliance.calendar.floor_price", "Y-1 12-01", (-1, "12-01")),
    ("compliance.holidays", ["2030-12-25"], (date(2030, 12, 25),)),
    ("compliance.tier_uplift", {"2": "0.05", "3": "0.02"}, {2: Decimal("0.05"), 3: Decimal("0.02")}),
    ("transactions.opens", "09:30", time(9, 30)),
    ("transactions.large_transfer", 5000, 5000),
    ("time.annual_share", ["0.5", 1], (Decimal("0.5"), Decimal(1))),
    ("oversight.blackouts", [{"first": "2030-03-01", "last": "2030-03-31"}], ((date(2030, 3, 1), date(2030, 3, 31)),)),
    ("alloc.leakage", {"exposed": {"2030": "1"}}, {"exposed": {2030: Decimal(1)}}),
    ("sanction.mode", "PERMITS", SanctionMode.PERMITS),
    ("cap.lock_years", 5, 5),
]


@pytest.mark.parametrize(("name", "raw", "value"), READ, ids=[row[0] for row in READ])
def test_a_value_reaches_the_policy_exactly(name: str, raw: Any, value: Any) -> None:
    policy: Any = holding(**{name.replace(".", "__"): raw})

    for part in name.split("."):
        policy = getattr(policy, part)

    assert policy == value
    assert type(policy) is type(value) or isinstance(value, dict | str)


FAULTS: list[tuple[str, Any, str, str]] = [
    # rule, value, code, what the sentence names
    ("cap.reduction", {"2030": 0.043}, "number_not_exact", "cap.reduction (rule 1), 2030"),
    ("cap.reduction", {"30": "0.043"}, "year_malformed", "'30'"),
    ("cap.reduction", {"2030": "1.1"}, "value_out_of_bounds", "2030"),
    ("cap.reduction", {"2030": "4,3"}, "value_kind_wrong", "2030"),
    ("cap.reduction", ["0.043"], "value_kind_wrong", "by year"),
    ("cap.table", {"2030": "1e6"}, "value_kind_wrong", "2030"),
    ("cap.table", {"2030": True}, "value_kind_wrong", "2030"),
    ("cap.table", {"2030": "-1"}, "value_out_of_bounds", "2030"),
    ("cap.table", {"2030": "\u0665"}, "value_kind_wrong", "2030"),
    ("cap.start", 1.0, "number_not_exact", "cap.start"),
    ("cap.start", 10**16, "value_out_of_bounds", "cap.start"),
    ("cap.type", "absolute", "value_not_offered", "ABSOLUTE, INTENSITY"),
    ("cap.lock_years", "5", "value_kind_wrong", "without quotes"),
    ("cap.lock_years", True, "value_kind_wrong", "cap.lock_years"),
    ("cap.lock_years", 99, "value_out_of_bounds", "from 0 to 20"),
    ("cap.offsets_under_cap", "yes", "value_kind_wrong", "true or false"),
    ("cap.one_off", [{"year": 2030, "permits": "-5"}], "part_missing", "item 1: the part reason"),
    ("cap.one_off", [{"year": 2030, "permits": "-5", "reason": "x", "why": 1}], "part_unknown", "'why'"),
    ("cap.one_off", [17], "value_kind_wrong", "item 1"),
    ("cap.one_off", {}, "value_kind_wrong", "a list"),
    ("cap.one_off", [{"year": 2030, "permits": "-5", "reason": "\x00"}], "value_out_of_bounds", "reason"),
    ("scope.activities", [], "value_kind_wrong", "1 to 400"),
    ("scope.activities", ["inference", "inference"], "value_twice", "once"),
    ("compliance.calendar.surrender", "Y+1 02-29", "value_kind_wrong", "Y+1 03-31"),
    ("compliance.calendar.surrender", "2030-09-30", "value_kind_wrong", "year of use"),
    ("compliance.holidays", ["2030-02-30"], "value_kind_wrong", "no day 2030-02-30"),
    ("compliance.holidays", ["1889-12-25"], "value_kind_wrong", "1990"),
    ("compliance.tier_uplift", {"one": "0.05"}, "name_malformed", "'one'"),
    ("oversight.alerts", {"": "1"}, "value_kind_wrong", "name ''"),
    ("oversight.alerts", {" a": "1"}, "value_out_of_bounds", "spaces"),
    ("oversight.alerts", {"a": "9" * 41}, "value_kind_wrong", "a"),
    ("oversight.alerts", {"a": 10**4400}, "value_out_of_bounds", "a"),
    ("oversight.blackouts", [{"first": "2030-03-01"}], "value_kind_wrong", "last"),
    ("transactions.opens", "24:00", "value_kind_wrong", "time of day"),
    ("supply.floor.start", float("nan"), "number_not_exact", "supply.floor.start"),
    ("supply.spike.multiple", "1", "value_out_of_bounds", "above 1"),
]


@pytest.mark.parametrize(("name", "value", "code", "named"), FAULTS)
def test_a_wrong_value_is_refused_with_its_place(name: str, value: Any, code: str, named: str) -> None:
    found = read_document(document(rule(name, value)))

    assert isinstance(found, tuple)
    assert codes(found) == [code]
    assert found[0].sentence.startswith(f"{name} (rule 1)")
    assert named in found[0].sentence


ENTRY_FAULTS: list[tuple[dict[str, Any], str]] = [
    (rule("cap.roof", "1"), "rule_unknown"),
    (rule("cap.start", "1") | {"name": ["cap.start"]}, "rule_unknown"),
    (rule("cap.start", "1", unit="tonnes"), "unit_differs"),
    (rule("supply.msr.intake", "0.24", rounding="R7"), "rounding_differs"),
    (rule("cap.start", "1", rounding="R7"), "rounding_differs"),
    (rule("cap.start", "1", approved_by=["a", "b"]), "part_unknown"),
    (rule("cap.start", "1", "2030-01-01", "2030-01-01"), "validity_out_of_order"),
    (rule("cap.start", "1", "2030-01-01", "2029-01-01"), "validity_out_of_order"),
    (rule("cap.start", "1", "1 January 2030"), "value_kind_wrong"),
    (rule("cap.start", "1", source=" "), "value_kind_wrong"),
    (rule("cap.start", "1", source="x" * 501), "value_out_of_bounds"),
    ({k: v for k, v in rule("cap.start", "1").items() if k != "source"}, "value_kind_wrong"),
    ({k: v for k, v in rule("cap.start", "1").items() if k != "value"}, "value_missing"),
    ({k: v for k, v in rule("cap.start", "1").items() if k != "valid_from"}, "value_kind_wrong"),
]


@pytest.mark.parametrize(("entry", "code"), ENTRY_FAULTS)
def test_a_wrong_rule_is_refused_with_its_place(entry: dict[str, Any], code: str) -> None:
    found = read_document(document(rule("cap.type", "ABSOLUTE"), entry))

    assert isinstance(found, tuple)
    assert codes(found) == [code]
    assert "rule 2" in found[0].sentence.lower()


SCHEME_FAULTS: list[tuple[str, Any, str]] = [
    ("code", "EU like", "term_malformed"),
    ("code", "", "value_kind_wrong"),
    ("name", "x" * 201, "value_out_of_bounds"),
    ("metric", "kwh", "value_not_offered"),
    ("unit_size", "0", "value_out_of_bounds"),
    ("unit_size", 1.5, "number_not_exact"),
    ("unit_size", "0.0000001", "value_out_of_bounds"),
    ("currency", "€", "term_malformed"),
    ("zone", "Europe/../etc", "term_malformed"),
    ("zone", None, "value_kind_wrong"),
    ("owner", "me", "part_unknown"),
]


@pytest.mark.parametrize(("term", "value", "code"), SCHEME_FAULTS)
def test_wrong_founding_terms_are_refused(term: str, value: Any, code: str) -> None:
    wrong = document()
    wrong["scheme"] = wrong["scheme"] | {term: value}

    found = read_document(wrong)

    assert isinstance(found, tuple)
    assert codes(found) == [code]
    assert found[0].sentence.startswith("scheme")


def test_every_fault_of_a_document_is_listed_at_once() -> None:
    wrong = document(
        rule("cap.type", "SOFT"),
        rule("cap.start", "1", end="2029-01-01", unit="t"),
        rule("supply.msr.upper", "833"),
        rule("supply.msr.upper", 1.5, "2031-01-01", source=""),
        rule("nothing", 1),
    )
    wrong |= {"format": "headroom.scheme-rules/0", "extra": 1}
    wrong["scheme"] = wrong["scheme"] | {"metric": "kwh", "unit_size": "0"}

    assert codes(read_document(wrong)) == [
        "format_unknown",
        "part_unknown",
        "value_not_offered",  # the metric
        "value_out_of_bounds",  # the size of a permit
        "value_not_offered",  # rule 1
        "unit_differs",
        "validity_out_of_order",
        "number_not_exact",  # rule 4
        "value_kind_wrong",  # its source
        "rule_unknown",
        "validity_overlaps",  # rules 3 and 4
    ]


OVERLAPS = [
    ([("2030-01-01", None), ("2031-01-01", None)], ["rules 1 and 2"]),
    ([("2031-01-01", None), ("2030-01-01", "2031-01-01")], []),
    ([("2030-01-01", "2031-01-01"), ("2031-01-01", "2032-01-01"), ("2032-01-01", None)], []),
    ([("2030-01-01", "2031-01-02"), ("2031-01-01", "2032-01-01")], ["rules 1 and 2"]),
    (
        [("2030-01-01", "2040-01-01"), ("2031-01-01", "2032-01-01"), ("2039-01-01", None)],
        ["rules 1 and 2", "rules 1 and 3"],
    ),
    ([("2030-01-01", None), ("2030-01-01", None)], ["rules 1 and 2"]),
]


@pytest.mark.parametrize(("spans", "named"), OVERLAPS)
def test_overlapping_validity_of_one_rule_is_refused(spans: list[tuple[str, str | None]], named: list[str]) -> None:
    found = read_document(document(*(rule("cap.start", "1", first, end) for first, end in spans)))

    sentences = [] if isinstance(found, RuleDocument) else [refusal.sentence for refusal in found]
    assert [places in sentence for places, sentence in zip(named, sentences, strict=True)] == [True] * len(named)


def test_two_rules_may_hold_on_the_same_days() -> None:
    assert isinstance(read_document(document(rule("cap.start", "1"), rule("cap.reference", "1"))), RuleDocument)


# Documents that mean the same -----------------------------------------------------------------------------------------


def test_the_canonical_document_is_the_same_for_rules_in_another_order_and_spelling() -> None:
    one = read_document(document(rule("sanction.rate_minor", "10000.50"), rule("cap.start", 5)))
    other = read_document(
        document(rule("cap.start", "05", unit="permits", rounding=None), rule("sanction.rate_minor", "10000.5"))
    )

    assert isinstance(one, RuleDocument)
    assert isinstance(other, RuleDocument)
    assert sha256(write_document(one.terms, one.entries)) == sha256(write_document(other.terms, other.entries))


def test_the_hash_of_a_rule_book_does_not_change_by_accident() -> None:
    book = write_document(TERMS, entries(rule("supply.msr.intake", "0.24"), rule("cap.type", "ABSOLUTE")))

    assert sha256(book) == "c83ab83ff90c5b965f78a91eb68b5d1fa758a92cce18da9fa68919dcd51fc509"


@st.composite
def values(draw: st.DrawFn, kind: Kind) -> Any:
    """Draw some JSON that is a value of a kind."""
    match kind:
        case Whole(least, most):
            number = draw(st.integers(least, most))
            return draw(st.sampled_from([number, str(number)]))
        case Count(least, most):
            return draw(st.integers(least, most))
        case Amount(least, most, above):
            bounded = st.decimals(least, most, places=4).filter(lambda number: not above or number > least)
            return f"{draw(bounded):f}"
        case YesNo():
            return draw(st.booleans())
        case Choice(options):
            return draw(st.sampled_from(options))
        case Text(longest):
            return draw(_WORDS)[:longest].strip() or "x"
        case Day():
            return draw(_DAYS).isoformat()
        case MonthDay():
            return draw(_DAYS).strftime("%m-%d").replace("02-29", "02-28")
        case YearDay():
            years = draw(st.integers(-3, 3))
            return (f"Y{years:+d} " if years else "Y ") + draw(values(MonthDay()))
        case TimeOfDay():
            return draw(st.times()).isoformat(timespec="minutes")
        case ListOf(item, least, once):
            drawn = draw(st.lists(values(item), min_size=least, max_size=3, unique=once))
            return drawn
        case ByYear(item):
            return draw(st.dictionaries(st.integers(1990, 2200).map(str), values(item), max_size=3))
        case ByName(item, numbered):
            names = st.integers(0, 999).map(str) if numbered else _WORDS.map(lambda word: word.strip() or "x")
            return draw(st.dictionaries(names, values(item), max_size=3))
        case Record(_, parts):
            return {name: draw(values(part)) for name, part in parts.items()}
        case Span():
            return {"first": draw(_DAYS).isoformat(), "last": draw(_DAYS).isoformat()}
    raise AssertionError(kind)


_WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
_DAYS = st.dates(date(2020, 1, 1), date(2060, 12, 31))


@st.composite
def books(draw: st.DrawFn, most: int = 6) -> dict[str, Any]:
    """Draw a document without a fault in the reading, though its rules may contradict each other."""
    names = draw(st.lists(st.sampled_from(list(PARAMETERS)), unique=True, max_size=most))
    rules = []
    for name in names:
        days = sorted(draw(st.lists(_DAYS, min_size=1, max_size=3, unique=True)))
        ends = [*(day.isoformat() for day in days[1:]), None]
        for first, end in zip(days, ends, strict=True):
            value = draw(st.one_of(st.none(), values(PARAMETERS[name].kind)))
            rules.append(rule(name, value, first.isoformat(), end))
    return document(*rules)


@given(books())
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read_back_the_same_and_fits_the_schema(raw: dict[str, Any]) -> None:
    read = read_document(raw)
    assert isinstance(read, RuleDocument), read

    written = write_document(read.terms, read.entries)

    for entry in (*raw["rules"], *written["rules"]):
        assert list(RULE_CHECKERS[entry["name"]].iter_errors(entry)) == []
    assert read_document(json.loads(json.dumps(written))) == read


@given(books(most=10))
@settings(max_examples=50, deadline=None)
def test_contradictions_of_whatever_can_be_read_are_found_without_raising(raw: dict[str, Any]) -> None:
    read = read_document(raw)
    assert isinstance(read, RuleDocument), read

    for found in contradictions_over_time(read.terms, read.entries):
        assert found.refusal.code
        assert found.refusal.sentence.endswith(".")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(list(PARAMETERS)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6)
            | st.sampled_from(
                ["format", "scheme", "rules", "name", "value", "valid_from", "valid_to", "source", "unit"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=100, deadline=None)
def test_random_documents_never_raise(raw: Any) -> None:
    found = read_document(raw)

    assert isinstance(found, tuple)
    assert found


@given(books(most=3), JSON, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_a_document_with_one_part_replaced_by_anything_never_raises(raw: dict[str, Any], other: Any, pick: Any) -> None:
    node: Any = raw
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = pick.choice(keys)
        if not isinstance(node[key], dict | list) or not node[key] or pick.random() < 0.2:
            node[key] = other
            break
        node = node[key]

    found = read_document(raw)

    assert isinstance(found, RuleDocument) or all(refusal.sentence.endswith(".") for refusal in found)


# The schema -----------------------------------------------------------------------------------------------------------


def test_the_schema_is_a_schema_and_describes_every_rule() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    assert set(SCHEMA["$defs"]) == {"rule", *PARAMETERS}
    assert all(SCHEMA["$defs"][p.name]["description"] == p.meaning for p in PARAMETERS.values())
    assert SCHEMA["properties"]["format"] == {"const": FORMAT}


def test_the_schema_takes_a_document_with_every_rule_and_each_default() -> None:
    every = entries(*(rule(p.name, None if p.default is None else p.kind.text(p.default)) for p in PARAMETERS.values()))

    assert list(SCHEMA_CHECKER.iter_errors(write_document(TERMS, every))) == []
    assert len(every) == len(PARAMETERS)


@pytest.mark.parametrize(
    "wrong",
    [
        document() | {"format": "other"},
        document() | {"scheme": None},
        document(rule("cap.roof", "1")),
        document(rule("cap.start", 1.5)),
        document(rule("cap.start", "1.5")),
        document(rule("cap.reduction", {"30": "0.1"})),
        document(rule("cap.start", "1", unit="t")),
        document(rule("supply.msr.intake", "0.24", rounding="R7")),
        document({k: v for k, v in rule("cap.start", "1").items() if k != "source"}),
        document(rule("cap.type", "SOFT")),
        document(rule("sanction.ladder", [{"action": "SHOUT"}])),
        document(rule("sanction.ladder", [{"days": 3}])),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(wrong: dict[str, Any]) -> None:
    assert not isinstance(read_document(wrong), RuleDocument)
    assert list(SCHEMA_CHECKER.iter_errors(wrong))


# From rules to a policy -----------------------------------------------------------------------------------------------


def test_a_rule_holds_from_its_first_day_and_not_on_the_day_on_which_it_ends() -> None:
    rules = entries(rule("cap.lock_years", 3, "2030-03-01", "2031-03-01"))

    def lock_on(year: int, month: int, day: int) -> int:
        policy = policy_on(TERMS, rules, date(year, month, day))
        assert isinstance(policy, Policy)
        return policy.cap.lock_years

    assert [lock_on(2030, 2, 28), lock_on(2030, 3, 1), lock_on(2031, 2, 28), lock_on(2031, 3, 1)] == [0, 3, 3, 0]


def test_a_part_appears_with_its_needed_leaves_and_its_own_defaults() -> None:
    policy = holding(**{name.replace(".", "__"): value for name, value in MSR.items()})

    assert policy.supply.msr == StabilityReserve(upper=833, lower=400, intake=Decimal("0.24"), release=100)


def test_a_part_with_only_some_of_its_leaves_is_refused_and_says_which_are_missing() -> None:
    found = policy_on(TERMS, entries(rule("supply.msr.upper", "833"), rule("supply.ceiling.need_proof", True)), Y2030)

    assert isinstance(found, tuple)
    assert [refusal.sentence.split(" ")[0] for refusal in found] == [
        "supply.msr.lower",
        "supply.msr.intake",
        "supply.msr.release",
        "supply.ceiling.path.start_year",
        "supply.ceiling.path.start",
    ]
    assert set(codes(found)) == {"rule_incomplete"}


def test_a_rule_that_is_taken_back_leaves_the_founding_value_or_the_default() -> None:
    rules = entries(rule("sanction.rate_minor", "500"), rule("cap.lock_years", 3))
    back = entries(rule("sanction.rate_minor", None, "2031-01-01"), rule("cap.lock_years", None, "2031-01-01"))

    policy = policy_on(TERMS, (*rules, *back), date(2031, 1, 1), {"sanction.rate_minor": Decimal(100)})

    assert isinstance(policy, Policy)
    assert (policy.sanction.rate_minor, policy.cap.lock_years) == (Decimal(100), 0)


def test_changes_name_each_rule_that_differs_and_no_other() -> None:
    before = holding(sanction__rate_minor="10000", cap__lock_years=3)
    after = holding(sanction__rate_minor="12000", supply__unsold__rule="CANCEL", cap__lock_years=3)

    found = changes(before, after)

    assert [(change.name, change.before, change.after) for change in found] == [
        ("supply.unsold.rule", "ROLL_YEAR", "CANCEL"),
        ("sanction.rate_minor", "10000", "12000"),
    ]
    assert changes(after, after) == ()


def test_all_values_of_a_policy_can_be_listed() -> None:
    listed = values_of(holding(**{name.replace(".", "__"): value for name, value in MSR.items()}))

    assert list(listed) == list(PARAMETERS)
    assert listed["supply.msr.upper"] == "833"
    assert listed["supply.msr.mid"] is None
    assert listed["supply.floor.start"] is None
    assert listed["compliance.calendar.surrender"] == "Y+1 09-30"


# Superseding ----------------------------------------------------------------------------------------------------------

HISTORIES = st.lists(
    st.builds(
        lambda first, length, value: Entry(
            "cap.lock_years", value, first, None if length is None else first + timedelta(days=length), "Act"
        ),
        st.dates(date(2030, 1, 1), date(2030, 2, 1)),
        st.none() | st.integers(1, 20),
        st.none() | st.integers(0, 3),
    ),
    max_size=5,
)


@given(HISTORIES)
@settings(max_examples=200, deadline=None)
def test_a_flattened_history_says_the_same_on_every_day_as_the_latest_change_that_holds(history: list[Entry]) -> None:
    flat = effective(history)

    for offset in range(-2, 60):
        day = date(2030, 1, 1) + timedelta(days=offset)
        naive = [entry.value for entry in history if entry.holds_on(day)][-1:]
        expected = naive if naive and naive[0] is not None else []
        assert [entry.value for entry in flat if entry.holds_on(day)] == expected
        assert [entry.value for entry in in_force(history, day).values()] == naive
    assert effective(flat) == flat
    assert read_entries([write_entry(entry) for entry in flat], []) == flat


@given(HISTORIES, HISTORIES)
@settings(max_examples=200, deadline=None)
def test_the_difference_turns_one_rule_book_into_another_and_touches_only_days_that_differ(
    history: list[Entry], target: list[Entry]
) -> None:
    found = difference(history, target, "Replaced")

    assert effective((*history, *found)) == effective(target)
    assert difference(target, target, "Replaced") == ()
    for entry in found:
        assert [e.value for e in effective(history) if e.holds_on(entry.valid_from)] != [
            e.value for e in effective(target) if e.holds_on(entry.valid_from)
        ]


def test_a_later_change_supersedes_an_earlier_one_and_gives_way_where_it_ends() -> None:
    history = (
        *entries(rule("cap.lock_years", 1)),
        *entries(rule("cap.lock_years", 5, "2031-01-01", "2032-01-01")),
    )

    assert [(span.value, span.valid_from.year, span.valid_to) for span in effective(history)] == [
        (1, 2030, date(2031, 1, 1)),
        (5, 2031, date(2032, 1, 1)),
        (1, 2032, None),
    ]


# Contradictions -------------------------------------------------------------------------------------------------------

FLOOR = {"supply.floor.start_year": 2030, "supply.floor.start": "12.00", "supply.floor.real": "0.05"}
CEILING = {"supply.ceiling.path.start_year": 2030, "supply.ceiling.path.start": "50.00"}
TIER = {"start_year": 2030, "start": "20.00", "real": "0.05"}

CONTRADICTORY: list[tuple[dict[str, Any], str, str]] = [
    # rules, code, what the sentence names
    ({"alloc.set_asides": [{"cohort": "academic", "share": "0.05"}]}, "shares_exceed_cap", "alloc: "),
    ({"alloc.free_share": "0.9", "alloc.new_entrants.share": "0.11"}, "shares_exceed_cap", "new entrants 11.00 %"),
    (
        {
            "alloc.free_share": "0.5",
            "alloc.set_asides": [{"cohort": "a", "share": "0.1"}, {"cohort": "a", "share": "0.1"}],
        },
        "cohort_twice",
        "alloc: a",
    ),
    ({"alloc.methods": [{"kind": "PRODUCT_BENCHMARK", "product": "tokens"}]}, "benchmark_missing", "tokens"),
    ({"alloc.methods": [{"kind": "GRANDFATHERING", "product": "all"}]}, "base_years_missing", "alloc: all"),
    (
        {"alloc.conditionality": [{"condition": "a", "cut": "0.6"}, {"condition": "b", "cut": "0.6"}]},
        "cuts_over_all",
        "alloc.conditionality",
    ),
    ({"cap.type": "INTENSITY", "cap.table": {"2030": "5"}}, "intensity_with_figures", "cap: "),
    ({"cap.start": "5"}, "half_a_start", "cap: "),
    ({"time.period_years": 3}, "annual_shares_not_per_year", "time: "),
    ({"time.period_years": 2, "time.annual_share": ["0.5", "0.5"]}, "last_year_not_settled", "time: "),
    ({"time.banking.mode": "NONE", "time.banking.fixed": "5"}, "banking_field_unused", "NONE"),
    ({"time.borrow_interest": "0.05"}, "borrow_interest_unused", "time: "),
    (MSR | {"supply.msr.lower": "833"}, "reserve_lines_equal", "both 833"),
    (MSR | {"supply.msr.lower": "834"}, "msr_lines_out_of_order", "supply: "),
    (MSR | {"supply.msr.mid": "500"}, "msr_lines_out_of_order", "buffer"),
    (FLOOR | CEILING, "prices_out_of_order", "In 2060 the floor"),  # the naive twin below says why
    (FLOOR | CEILING | {"supply.floor.start": "50.00"}, "prices_out_of_order", "In 2030 the floor"),
    (
        FLOOR | {"supply.ccr": [{"trigger": TIER | {"start": "9.00"}, "quantity": "5"}]},
        "prices_out_of_order",
        "ccr tier 1 (9.00)",
    ),
    ({"supply.ccr": [{"trigger": TIER}]}, "tier_quantity_or_share", "Tier 1"),
    ({"supply.ccr": [{"trigger": TIER, "quantity": "5", "share": "0.1"}]}, "tier_quantity_or_share", "either"),
    (
        {
            "supply.spike.multiple": "2.4",
            "supply.spike.quantity": "75",
            "supply.spike.recent_months": 30,
        },
        "spike_windows_out_of_order",
        "30",
    ),
    (
        {
            "supply.releases": [
                {"name": "x", "measure": "PRICE_ABOVE", "threshold": "45", "quantity": "20", "smooth_from": "50"}
            ]
        },
        "release_smoothing",
        "supply: x",
    ),
    (
        {"limits.holding.p1": "0.1", "limits.holding.base": "25", "limits.holding.p2": "0.25"},
        "holding_share_rises",
        "limits: ",
    ),
    ({"limits.offset.pct": "0.04", "limits.offset.sub": {"out": "0.05"}}, "offset_tag_out_of_range", "limits: out"),
    (
        {"links": [{"partner": "eu-like", "direction": "BOTH", "rate_in": "1", "rate_out": "1"}]},
        "link_to_itself",
        "partner of its own",
    ),
    (
        {"scope.tiers": [{"regime": "FULL", "threshold_in": "5", "threshold_out": "6"}]},
        "threshold_out_above_in",
        "scope: Tier 1",
    ),
    ({"scope.tiers": [{"regime": "TARGET_ONLY"}]}, "target_missing", "scope: Tier 1"),
    ({"scope.tiers": [{"regime": "NOTIFY_ONLY"}]}, "notify_day_misplaced", "scope: Tier 1"),
    ({"scope.tiers": [{"regime": "FULL"}, {"regime": "FULL"}]}, "tier_twice", "2 times"),
    ({"compliance.calendar.self_report": "Y+1 04-15"}, "calendar_out_of_order", "verified_report"),
    ({"compliance.tier_uplift": {"1": "0.05", "2": "0.1"}}, "tier_uplift_falls", "compliance: "),
    (
        {"verification.materiality": "0.02", "verification.materiality_large": "0.05"},
        "materiality_rises",
        "verification: ",
    ),
    ({"transactions.opens": "17:00"}, "transfer_window_empty", "transactions: "),
    (
        {"sanction.ladder": [{"action": "CASH", "days": 30}, {"action": "AUTO_DEDUCT", "business_days": 5}]},
        "ladder_out_of_order",
        "AUTO_DEDUCT",
    ),
    ({"sanction.ladder": [{"action": "CASH"}]}, "ladder_date_not_one", "sanction: Step 1"),
    (
        {"sanction.ladder": [{"action": "CASH", "days": 3, "business_days": 3}]},
        "ladder_date_not_one",
        "sanction: Step 1",
    ),
    ({"sanction.ladder": [{"action": "CASH", "on": "Y+1 09-01"}]}, "step_before_deadline", "before permits are due"),
    ({"sanction.mode": "PERMITS", "sanction.multiple": "0.5"}, "sanction_below_shortfall", "sanction: "),
    ({"sanction.cohort_multiple": {"small": "2"}}, "cohort_multiple_unused", "CASH"),
    ({"sanction.cap_minor": "5"}, "price_cap_unused", "sanction: "),
    ({"sanction.min_allowance_share": "0.75"}, "allowance_share_unused", "sanction: "),
    (
        {
            "revenue": [
                {"destination": "a", "kind": "SHARE", "amount": "0.6"},
                {"destination": "b", "kind": "SHARE", "amount": "0.5"},
            ]
        },
        "shares_over_all",
        "revenue",
    ),
    (
        {
            "revenue": [
                {"destination": "a", "kind": "SHARE", "amount": "0.6"},
                {"destination": "b", "kind": "FIXED", "amount": "5"},
            ]
        },
        "revenue_out_of_order",
        "fixed sums come first",
    ),
    ({"revenue": [{"destination": "a", "kind": "FIXED", "amount": "0.5"}]}, "sum_not_whole", "whole minor units"),
    ({"oversight.blackouts": [{"first": "2030-02-01", "last": "2030-01-01"}]}, "blackout_out_of_order", "2030-02-01"),
    (
        {
            "oversight.blackouts": [
                {"first": "2030-01-01", "last": "2030-02-01"},
                {"first": "2030-02-01", "last": "2030-03-01"},
            ]
        },
        "blackouts_overlap",
        "2030-02-01",
    ),
]


@pytest.mark.parametrize(("rules", "code", "named"), CONTRADICTORY)
def test_rules_that_cannot_both_be_law_are_found(rules: dict[str, Any], code: str, named: str) -> None:
    read = entries(*(rule(name, value) for name, value in rules.items()))

    found = contradictions_over_time(TERMS, read)

    assert [(one.on, one.refusal.code) for one in found] == [(Y2030, code)]
    assert named in found[0].refusal.sentence


def test_prices_are_compared_as_they_are_rounded_every_year() -> None:
    price, year = Decimal("12.00"), 2030
    while price < 50:
        price, year = (price * Decimal("1.05")).quantize(Decimal("0.01"), "ROUND_HALF_UP"), year + 1
    assert year == 2060

    sooner = holding(**{name.replace(".", "__"): value for name, value in (FLOOR | CEILING).items()})

    assert f"In {year} the floor ({price})" in contradictions(sooner)[0].sentence


def test_prices_are_compared_also_across_one_that_begins_later() -> None:
    later_tier = {"trigger": {"start_year": 2080, "start": "500.00"}, "quantity": "5"}
    ceiling = {"supply.ceiling.path.start_year": 2040, "supply.ceiling.path.start": "19.00"}
    policy = holding(**{n.replace(".", "__"): v for n, v in (FLOOR | ceiling | {"supply.ccr": [later_tier]}).items()})

    sentences = [refusal.sentence for refusal in contradictions(policy)]

    assert "supply.floor is 19.54 in 2040 and supply.ceiling only 19.00: it must lie below it." in sentences


def test_all_contradictions_of_a_day_are_listed_also_beside_incomplete_parts() -> None:
    read = entries(
        rule("supply.msr.upper", "833"),
        rule("time.banking.pct", "0.1"),
        rule("alloc.new_entrants.share", "0.5"),
    )

    found = contradictions_over_time(TERMS, read)

    assert sorted(one.refusal.code for one in found) == [
        "banking_field_unused",
        "rule_incomplete",
        "rule_incomplete",
        "rule_incomplete",
        "shares_exceed_cap",
    ]


def test_a_rule_book_that_becomes_contradictory_later_is_found_with_the_day() -> None:
    read = entries(
        rule("alloc.free_share", "0.9", "2030-01-01", "2032-07-01"),
        rule("alloc.new_entrants.share", "0.1"),
        rule("time.borrow_interest", "0.05", "2033-01-01", "2034-01-01"),
    )

    found = contradictions_over_time(TERMS, read)

    assert [(one.on, one.refusal.code) for one in found] == [
        (date(2032, 7, 1), "shares_exceed_cap"),
        (date(2033, 1, 1), "borrow_interest_unused"),
    ]
    assert contradictions_over_time(TERMS, read, since=date(2035, 1, 1))[0].on == date(2035, 1, 1)


def test_a_contradiction_that_goes_and_comes_back_is_listed_each_time() -> None:
    read = entries(
        rule("time.borrow_interest", "0.05"),
        rule("time.borrow_share", "0.1", "2031-01-01", "2032-01-01"),
    )

    assert [one.on.year for one in contradictions_over_time(TERMS, read)] == [2030, 2032]
