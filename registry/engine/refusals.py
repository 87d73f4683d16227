"""What an engine answers when it will not compute: a stable code and a sentence, as a value and never an exception."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """One reason why the figures handed in make no sense, and what to do about it."""

    code: str
    sentence: str
