"""Errors of REST that no rule raises: a request that cannot be read, and lists of what is wrong in a body."""

from collections.abc import Sequence

from rest_framework.exceptions import APIException


class BadRequest(APIException):
    """A header or a parameter that cannot be read; with a code and a sentence, as every refusal."""

    status_code = 400

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence, code)


class BodyTooLarge(APIException):
    """More bytes than this address reads."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = "The body is larger than 3 MB. Send it in parts."


class RefusedBody(APIException):
    """A body with several things wrong, each with the JSON pointer or the line where it stands."""

    status_code = 422

    def __init__(self, code: str, sentence: str, errors: Sequence[dict[str, str]]) -> None:
        super().__init__(sentence, code)
        self.errors = list(errors)
