"""Epoch's notable models: training FLOP by organisation and year, to the last FLOP, or errors with line and column."""

import csv
import hashlib
import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.importers.epoch import ParsedModels, parse_notable_models, training_flop_by_organisation_and_year
from registry.importers.table import BadFile

HEADER = "Model,Organization,Publication date,Training compute (FLOP),Parameters,Training dataset size (gradients)"
MODEL = 'Quill-1,"Quill Lab,Boreal",2027-05-01,1e25,7e9,"1,2"'


def parse(*rows: str, header: str = HEADER) -> ParsedModels | BadFile:
    return parse_notable_models("\n".join((header, *rows)).encode())


def read(*rows: str) -> ParsedModels:
    result = parse(*rows)
    assert isinstance(result, ParsedModels), result
    return result


def faults(result: ParsedModels | BadFile) -> list[tuple[int, str, str]]:
    assert isinstance(result, BadFile), result
    return [(error.line, error.column, error.code) for error in result.errors]


def test_the_genuine_file_is_read_whole(shared_data: Path) -> None:
    content = (shared_data / "epoch" / "notable_ai_models_2025-12-02.csv").read_bytes()
    written = list(csv.DictReader(io.StringIO(content.decode(), newline="")))

    result = parse_notable_models(content)

    assert isinstance(result, ParsedModels)
    assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert len(result.models) == 952
    known = [model.training_flop for model in result.models if model.training_flop is not None]
    assert (len(known), sum(flop >= 10**23 for flop in known), sum(flop >= 10**25 for flop in known)) == (510, 125, 19)
    assert [model.model for model in result.models] == [row["Model"].strip() for row in written]
    codes = [flag.code for flag in result.flags]
    assert {code: codes.count(code) for code in codes} == {"size_is_text": 3, "no_organisation": 15, "flop_rounded": 2}


def test_attribution_of_the_genuine_file_loses_no_flop(shared_data: Path) -> None:
    result = parse_notable_models((shared_data / "epoch" / "notable_ai_models_2025-12-02.csv").read_bytes())

    assert isinstance(result, ParsedModels)
    by_organisation = training_flop_by_organisation_and_year(result.models)

    attributable = sum(model.training_flop or 0 for model in result.models if model.organisations)
    assert sum(by_organisation.values()) == attributable
    assert by_organisation["OpenAI", 2020] > 3 * 10**23  # GPT-3 and what came with it


def test_one_model_is_read_with_all_that_is_known() -> None:
    (model,) = read(MODEL).models

    assert (model.model, model.organisations) == ("Quill-1", ("Quill Lab", "Boreal"))
    assert (model.published_on, model.training_flop) == (date(2027, 5, 1), 10**25)
    assert (model.parameters, model.dataset_size_text) == (Decimal("7e9"), "1,2")
    assert (model.hardware_quantity, model.power_w, model.confidence) == (None, None, "")


def test_several_organisations_share_whole_flop_equally_and_exactly() -> None:
    models = read(
        'M,"Cirrus,Alma, Boreal ,Alma",2027-01-01,100,,', "N,Alma,2027-12-31,7,,", "O,Alma,2028-01-01,1,,"
    ).models

    assert training_flop_by_organisation_and_year(models) == {
        ("Alma", 2027): 34 + 7,
        ("Alma", 2028): 1,
        ("Boreal", 2027): 33,
        ("Cirrus", 2027): 33,
    }


@pytest.mark.parametrize(
    ("row", "codes"),
    [
        (MODEL, ["size_is_text"]),
        ("M,Alma,,1e25,,", ["no_publication_date"]),
        ("M,,2027-01-01,1e25,,", ["no_organisation"]),
        ("M,,2027-01-01,,,", []),
        ("M,Alma,2027-01-01,10.5,,", ["flop_rounded"]),
        ("M,Alma,2027-01-01,10.0,,2.5e13", []),
    ],
)
def test_what_the_data_leave_open_is_flagged(row: str, codes: list[str]) -> None:
    result = read(row)

    assert [flag.code for flag in result.flags] == codes
    assert all(flag.line == 2 for flag in result.flags)


def test_compute_that_is_unknown_or_undated_counts_for_nobody() -> None:
    models = read("M,Alma,,1e25,,", "N,Alma,2027-01-01,,,", "O,,2027-01-01,5,,").models

    assert training_flop_by_organisation_and_year(models) == {}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (",Alma,2027-01-01,1,,", ("Model", "missing_value")),
        ("Quill-1,Alma,2027-01-01,1,,", ("Model", "duplicate_model")),
        ("M,Alma,01/02/2027,1,,", ("Publication date", "not_a_date")),
        ("M,Alma,2027-01-01,NaN,,", ("Training compute (FLOP)", "not_a_number")),
        ("M,Alma,2027-01-01,-5,,", ("Training compute (FLOP)", "number_out_of_range")),
        ("M,Alma,2027-01-01,0,,", ("Training compute (FLOP)", "number_out_of_range")),
        ("M,Alma,2027-01-01,1E+37,,", ("Training compute (FLOP)", "number_out_of_range")),
        ("M,Alma,2027-01-01,1,many,", ("Parameters", "not_a_number")),
        ("M,Alma", ("Publication date", "wrong_column_count")),
    ],
)
def test_a_bad_row_is_refused_with_line_and_column(row: str, fault: tuple[str, ...]) -> None:
    assert faults(parse(MODEL, row)) == [(3, *fault)]


def test_missing_columns_are_all_named() -> None:
    result = parse("M,Alma", header="Model,Organisation")

    assert faults(result) == [
        (1, "Organization", "missing_column"),
        (1, "Publication date", "missing_column"),
        (1, "Training compute (FLOP)", "missing_column"),
    ]


@given(st.lists(st.text("abcde", min_size=1, max_size=3), min_size=1, max_size=6), st.integers(1, 10**30))
def test_shares_always_sum_to_the_model(organisations: list[str], flop: int) -> None:
    models = read(f'M,"{",".join(organisations)}",2027-01-01,{flop},,').models

    shares = training_flop_by_organisation_and_year(models).values()

    assert sum(shares) == flop
    assert max(shares) - min(shares) <= 1


@given(st.binary(max_size=300), st.integers(0, 200))
def test_damaged_files_never_raise_and_always_say_where(noise: bytes, position: int) -> None:
    content = "\n".join((HEADER, MODEL)).encode()

    result = parse_notable_models(content[:position] + noise + content[position:])

    if isinstance(result, BadFile):
        assert result.errors
        assert all(error.line >= 1 and error.column and error.code and error.sentence for error in result.errors)
    else:
        assert all(model.training_flop is None or model.training_flop > 0 for model in result.models)
