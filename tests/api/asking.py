"""Short ways to ask and to look at answers, for the tests of the REST interface."""

from typing import Any


def refused(answer: Any, status: int, code: str) -> None:
    """Check that an answer is a problem of this status and code."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    is_problem(answer)


def is_problem(answer: Any) -> None:
    """Check that an answer is a complete problem document."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) - {"errors"} == {"type", "title", "status", "code", "detail"}
    assert problem["status"] == answer.status_code
    assert problem["code"].replace("_", "").isalnum()
    assert problem["detail"].endswith((".", "..."))


def field_codes(answer: Any) -> dict[str, str]:
    """Return the code of each refused field by its pointer."""
    refused(answer, 422, "fields_refused")
    return {error["pointer"]: error["code"] for error in answer.json()["errors"]}
