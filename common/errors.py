"""Refusals: a stable code for programs and a sentence that tells a person what to do."""

from collections.abc import Sequence
from typing import NoReturn


class Refused(Exception):
    """A request that the rules turn down. Nothing was changed."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class Forbidden(Refused):
    """The actor may not do this, whatever the rest of the request says."""


class Unknown(Refused):
    """There is no such thing, or none that the actor may see: the two must look the same."""


class SeveralRefusals(Refused):
    """A request with more than one thing wrong, each of them listed, so that all can be put right at once."""

    def __init__(self, refusals: Sequence[Refused]) -> None:
        assert refusals, "Something must be wrong."
        code = refusals[0].code if len(refusals) == 1 else "several_refusals"
        super().__init__(code, " ".join(refusal.sentence for refusal in refusals))
        self.refusals = tuple(refusals)


def refuse(code: str, sentence: str) -> NoReturn:
    """Turn the request down."""
    raise Refused(code, sentence)


def require(condition: bool, code: str, sentence: str) -> None:
    """Turn the request down unless the condition holds."""
    if not condition:
        raise Refused(code, sentence)


def require_none(refusals: Sequence[Refused]) -> None:
    """Turn the request down with everything that was found wrong, if anything was."""
    if refusals:
        raise SeveralRefusals(refusals)


def require_permission(condition: bool, sentence: str) -> None:
    """Turn the actor away unless the condition holds."""
    if not condition:
        raise Forbidden("not_permitted", sentence)
