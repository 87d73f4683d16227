"""A process that reads an upload in small steps and dies by SIGKILL on the way.

    python -m tests.registry.mortal_reader before|inside|written|never UPLOAD STEP

It dies in step STEP: before it began, while its rows stream into the database, or when they are written and nothing
is committed yet. With `never` it reads to the end.
"""

import os
import signal
import sys
import uuid
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from registry.services.drafting import reading  # noqa: E402


def main(place: str, upload: uuid.UUID, fatal: int) -> None:
    """Read, and be killed without any chance to tidy up."""
    reading.STEP_BYTES, reading.PART_BYTES = 4000, 1000
    commit, written, stream = reading._Reader._commit, reading._Reader._written, reading.Writer.text
    steps = 0

    def die() -> None:
        if steps == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(reader: Any, take: Callable[..., Any]) -> bool:
        nonlocal steps
        steps += 1
        if place == "before":
            die()
        return commit(reader, take)

    def mortal(reader: Any, take: Callable[..., Any]) -> Any:
        result = written(reader, take)
        if place == "written":
            die()
        return result

    def streamed(writer: Any, text: str) -> None:
        stream(writer, text)
        if place == "inside":
            die()

    reading._Reader._commit = counted  # type: ignore[method-assign, assignment]
    reading._Reader._written = mortal  # type: ignore[method-assign, assignment]
    reading.Writer.text = streamed  # type: ignore[method-assign, assignment]
    reading.read_upload(upload)


if __name__ == "__main__":
    main(sys.argv[1], uuid.UUID(sys.argv[2]), int(sys.argv[3]))
