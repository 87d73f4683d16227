"""What every test of an importer needs: the errors of a refused file, the flags of a good one, and damage."""

import json
from typing import Any

from hypothesis import strategies as st

from registry.importers.lines import ImportedFile
from registry.importers.table import BadFile


def faults(result: object) -> list[tuple[int, str, str]]:
    """Return the place and code of each error of a refused file."""
    assert isinstance(result, BadFile), result
    assert all(error.line >= 1 and error.column and error.code and error.sentence for error in result.errors)
    return [(error.line, error.column, error.code) for error in result.errors]


def read(result: object) -> ImportedFile:
    """Return a file that has to be without errors."""
    assert isinstance(result, ImportedFile), result
    return result


def flags(result: object) -> list[tuple[str, str]]:
    """Return the place and code of each flag of a good file."""
    return [(flag.column, flag.code) for flag in read(result).flags]


def json_bytes(document: Any) -> bytes:
    """Write a document as JSON."""
    return json.dumps(document).encode()


numbers = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**13), max_value=10**13).map(str),
    st.floats().map(repr),
    st.sampled_from(("1E+27", "1e-400", "1e999", "0", "-0.0", "NaN", "Infinity", "-Infinity", "1" * 60, "0x10", "1_0")),
)
"""How files write numbers, and how they should not."""

junk = st.one_of(
    numbers,
    st.sampled_from(
        ("", ";", "\x00", '"', "\r\n", "\u0663", "None", "[" * 500, "{", "&a [*a]", "*a", "\ud7ff", "\u2028")
    ),
    st.text(max_size=20),
)
