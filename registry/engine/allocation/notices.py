"""What an allocation points out without refusing it: lawful, but with an effect that a regulator should know."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """One thing to know before publishing: a stable code and a sentence."""

    code: str
    sentence: str
