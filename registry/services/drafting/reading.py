"""Reading an upload into its draft, in committed steps: a worker that dies costs one step, and no row twice.

Each step takes the rows of a few MiB, writes them by COPY while the next ones are parsed, and commits them together
with the place at which the next step goes on. Lines of an upload do not count before all of it has been read, so that
nobody ever sees half a file. Whoever comes to a step finds the upload locked or further on, and stops.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

import psycopg
from django.db import connection, transaction

from common import clock
from common.database import advisory_unlock, try_advisory_lock
from registry.importers.fast import FastRows
from registry.importers.formats import FORMATS, Format, Rows
from registry.importers.lines import ImportedLine
from registry.importers.stream import Beginning, Place, parts, read_beginning
from registry.importers.table import BadFile, Cells, Flag, Limits, Row, RowError, nothing_read, read_rows
from registry.importers.xlsx import is_xlsx, stream_xlsx
from registry.models import UPLOAD, DraftLine, Upload
from registry.services.drafting import evidence
from registry.services.drafting.lines import COPIED, Flags, Unanswered, Valuation, copied

STEP_BYTES = 8 * evidence.CHUNK
"""What one step reads of a file: some thousand rows, committed together."""
PART_BYTES = 2**19
STEP_ROWS = 5_000
TURN_SECONDS = 120
"""How long a worker reads before it lets others work: well below the time limit of a task."""
MAX_ROWS = 1_000_000
MAX_BYTES = 600_000_000
MAX_ERRORS = 5_000

LOCKS = 0x6D7276
"""The space of the advisory locks of uploads that are being read."""
_COPY = f"COPY registry_draftline ({', '.join(COPIED)}) FROM STDIN"


@dataclass
class Step:
    """The rows that one step read: where the next one goes on, what is wrong, and whether it was the last."""

    place: Place
    rows: int = 0
    is_last: bool = False


class Writer:
    """Streams the lines of a step into the database."""

    takes_text = True

    def __init__(self, copy: psycopg.Copy) -> None:
        self._copy = copy

    def lines(self, lines: Sequence[DraftLine]) -> None:
        """Write lines."""
        self.text("".join(map(_as_copied, lines)))

    def text(self, text: str) -> None:
        """Write lines that are spelled already."""
        self._copy.write(text)


class CarefulWriter(Writer):
    """Looks whether a line is there already before it writes it; for a step in which that was so."""

    takes_text = False

    def __init__(self, write: Callable[[Sequence[DraftLine]], None]) -> None:
        self._write = write

    def lines(self, lines: Sequence[DraftLine]) -> None:
        """Write the lines that are new."""
        self._write(lines)


def read_upload(upload_id: uuid.UUID, *, seconds: float = TURN_SECONDS) -> bool:
    """Read an upload from where reading stopped; return whether some of it is left for another turn."""
    number = upload_id.int & 0x7FFFFFFF
    if not try_advisory_lock(LOCKS, number):
        return False  # somebody else reads it
    try:
        with transaction.atomic():
            upload = _locked(upload_id)
            if upload is None or upload.status not in {"received", "reading"}:
                return False
            if upload.status == "received":
                UPLOAD.require(upload.status, "reading")
                upload.status = "reading"
                upload.save(update_fields=["status"])
        return _Reader(upload).read(until=time.monotonic() + seconds)
    finally:
        advisory_unlock(LOCKS, number)


class _Reader:
    """Reads one upload. What it remembers between steps is in the database, or follows from the file."""

    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self.format: Format = FORMATS[upload.format]
        self.valuation = Valuation(
            upload.draft,
            at=upload.received_at,
            workload=upload.workload,
            activity=str(upload.options.get("activity", "")),
            upload=upload,
        )
        self.errors: list[RowError] = []
        self.flags = Flags()

    def read(self, *, until: float) -> bool:
        """Take step after step until the file is read, the time is up, or somebody else went on."""
        steps = self._steps()
        for take in steps:
            if not self._commit(take):
                return False
            if self.upload.status != "reading":
                return False
            if time.monotonic() > until:
                return True
        return False

    # Steps ------------------------------------------------------------------------------------------------------------

    def _steps(self) -> "Iterator[Callable[[Writer], Step]]":
        """Yield what reads the next rows, by the kind of the file."""
        rows = self.format.rows
        head = next(evidence.read(self.upload.file), b"")
        if rows is None:
            yield from self._whole_steps()
        elif is_xlsx(head):
            yield from self._sheet_steps(rows)
        else:
            yield from self._csv_steps(rows, head)

    def _csv_steps(self, rows: Rows, head: bytes) -> "Iterator[Callable[[Writer], Step]]":
        limits = replace(rows.limits, max_rows=MAX_ROWS, max_bytes=MAX_BYTES, max_errors=MAX_ERRORS)
        size = self.upload.file.size
        beginning = read_beginning(head, size, required=rows.required, limits=limits)
        faults = [*beginning.errors, *(() if beginning.errors else rows.column_errors(beginning.columns))]
        if faults:
            yield lambda write: self._refuse_header(faults)
            return
        while True:
            start = Place(self.upload.position, self.upload.line)
            if start.position == 0:
                start = beginning.place
            raw = _bytes(self.upload, start.position, STEP_BYTES)
            is_last = start.position + len(raw) >= size
            yield lambda write, start=start, raw=raw, is_last=is_last: self._csv_step(  # type: ignore[misc]
                rows, beginning, limits, start, raw, is_last, write
            )

    def _refuse_header(self, faults: Iterable[RowError]) -> Step:
        self.errors += faults
        return Step(Place(self.upload.file.size, 1), is_last=True)

    def _csv_step(
        self,
        rows: Rows,
        beginning: Beginning,
        limits: Limits,
        start: Place,
        raw: bytes,
        is_last: bool,
        write: Writer,
    ) -> Step:
        """Read the records of some bytes, part by part; each part is written while the database takes the last one."""
        step = Step(start)
        if self.upload.position == 0:
            for flag in rows.column_flags(beginning.columns):
                self.flags.add(flag)
        for ends_at, text in parts(raw, start.position, PART_BYTES, is_last=is_last):
            before = self.upload.rows_read + step.rows
            plain = rows.fast(beginning.columns, text, step.place.line) if rows.fast and write.takes_text else None
            if plain is not None and before + len(plain.kwh) <= limits.max_rows:
                spelled = self._spelled(rows, plain)
                if spelled is not None:
                    write.text(spelled)
                    step.rows += len(plain.kwh)
                    step.place = Place(ends_at, step.place.line + len(plain.kwh))
                    continue
            read = read_rows(text, beginning.columns, step.place.line, limits=limits, most=limits.max_rows - before)
            self.errors += read.errors
            write.lines(self._valued(rows, read.rows))
            step.rows += len(read.rows)
            step.place = Place(ends_at, read.line)
            if read.is_broken or self._has_too_many():
                return replace(step, is_last=True)
        step.is_last = is_last or step.place == start
        if step.is_last and not self._has_errors():
            self.errors += nothing_read(beginning.columns, has_rows=self.upload.rows_read + step.rows > 0)
        return step

    def _sheet_steps(self, rows: Rows) -> "Iterator[Callable[[Writer], Step]]":
        """Read the rows of a spreadsheet; they are found again by their line."""
        limits = replace(rows.limits, max_errors=MAX_ERRORS)
        content = evidence.read_all(self.upload.file)
        records = stream_xlsx(content, required=rows.required, limits=limits)
        pending = (record for record in records if record.line >= self.upload.line or record.errors)
        is_first = self.upload.rows_read == 0
        while True:
            batch = list(islice(pending, STEP_ROWS))

            def take(write: Writer, batch: list = batch, is_first: bool = is_first) -> Step:  # type: ignore[type-arg]
                found: list[Row] = []
                for record in batch:
                    if record.row is not None:
                        found.append(record.row)
                    elif not record.errors and is_first:
                        self.errors += rows.column_errors(record.columns)
                        for flag in rows.column_flags(record.columns):
                            self.flags.add(flag)
                    if record.line >= self.upload.line:
                        self.errors += record.errors
                write.lines(self._valued(rows, found))
                line = batch[-1].line + 1 if batch else self.upload.line
                is_last = len(batch) < STEP_ROWS or self._has_too_many()
                position = self.upload.file.size if is_last else self.upload.position
                return Step(Place(position, line), len(found), is_last)

            yield take
            is_first = False

    def _whole_steps(self) -> "Iterator[Callable[[Writer], Step]]":
        """Parse a small format at once, and write its lines in steps."""
        parsed = self.format.parse(evidence.read_all(self.upload.file), self.upload.options)
        if isinstance(parsed, BadFile):
            yield lambda write: self._refuse_header(parsed.errors)
            return
        while True:
            begin = self.upload.rows_read
            batch = parsed.lines[begin : begin + STEP_ROWS]
            is_last = begin + STEP_ROWS >= len(parsed.lines)

            def take(
                write: Writer,
                batch: Sequence[ImportedLine] = batch,
                is_first: bool = begin == 0,
                is_last: bool = is_last,
            ) -> Step:
                for flag in parsed.flags if is_first else ():
                    self.flags.add(flag)
                write.lines(list(self.valuation.draft_lines(batch, self.flags, self.errors)))
                position = self.upload.file.size if is_last else self.upload.position
                return Step(Place(position, self.upload.line), len(batch), is_last)

            yield take

    def _spelled(self, rows: Rows, plain: FastRows) -> str | None:
        """Value plain rows and spell them for COPY; leave them to the row reader where one needs more than that."""
        differing = self.valuation.differing(plain)
        spelled = None if differing is None else self.valuation.spelled(plain)
        if spelled is None or differing is None:
            return None
        for place in differing:
            if self.flags.wants("reported_emissions_differ"):
                found: list[Flag] = []
                rows.read(Cells(plain.row(place), []), found)
                for flag in found:
                    self.flags.add(flag)
        self.valuation.add_flags(plain, self.flags)
        return spelled

    def _valued(self, rows: Rows, read: Iterable[Row]) -> list[DraftLine]:
        """Read the cells of rows and value them; what is wrong adds an error and yields no line."""
        made = []
        for row in read:
            found: list[Flag] = []
            line = rows.read(Cells(row, self.errors), found)
            for flag in found:
                self.flags.add(flag)
            valued = None if line is None else self.valuation.draft_line(line, self.flags, self.errors)
            if valued is not None:
                made.append(valued)
        return made

    def _has_too_many(self) -> bool:
        """Stop reading a file that is nothing but errors."""
        if self.upload.error_count + len(self.errors) < MAX_ERRORS:
            return False
        sentence = "Reading stopped here after so many errors: correct them and send the file again."
        self.errors.append(RowError(self.errors[-1].line, "row", "too_many_errors", sentence))
        return True

    def _has_errors(self) -> bool:
        return bool(self.errors or self.upload.error_count)

    # Writing ----------------------------------------------------------------------------------------------------------

    def _commit(self, take: Callable[[Writer], Step]) -> bool:
        """Do one step and commit it with the place of the next; say whether the upload was still where we left it."""
        with transaction.atomic():
            upload = _locked(self.upload.pk)
            if upload is None or (upload.status, upload.position, upload.rows_read) != (
                "reading",
                self.upload.position,
                self.upload.rows_read,
            ):
                return False
            step = self._written(take)
            upload.position, upload.line = step.place.position, step.place.line
            upload.rows_read += step.rows
            upload.errors = [*upload.errors, *(_stored(error) for error in self.errors)]
            upload.error_count += len(self.errors)
            upload.flags = self.flags.stored()
            if step.is_last:
                _end(upload, clock.now())
            upload.save()
        self.upload = upload
        return True

    def _written(self, take: Callable[[Writer], Step]) -> Step:
        """Read and write the rows of a step; a row that is there already is found when the database refuses it."""
        while True:
            self._start_step()
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    self.valuation.may_ask = False
                    with cursor.copy(_COPY) as copy:
                        return take(Writer(copy))
            except Unanswered as question:
                self.valuation.may_ask = True
                question.ask()  # the connection is busy while rows stream in: ask first, then take the step again
            except psycopg.errors.UniqueViolation:
                self._start_step()
                self.valuation.may_ask = True
                return take(CarefulWriter(self._write_new))
            finally:
                self.valuation.may_ask = True

    def _start_step(self) -> None:
        self.errors = []
        self.flags = Flags.restored(self.upload.flags)

    def _write_new(self, lines: Sequence[DraftLine]) -> None:
        """Write the lines whose key is new to the draft; each other one is an error that names where it was before."""
        keys = [line.key for line in lines]
        known = {
            key: (source_line, name)
            for key, source_line, name in DraftLine.objects.filter(draft=self.upload.draft, key__in=keys).values_list(
                "key", "source_line", "upload__file__name"
            )
        }
        column, code = self.format.rows.duplicate if self.format.rows else ("row", "duplicate_row")
        new: dict[str, DraftLine] = {}
        for line in lines:
            if line.key in new:
                known.setdefault(line.key, (new[line.key].source_line, self.upload.file.name))
            if line.key in known:
                number, name = known[line.key]
                sentence = f"This is in line {number} of {name or 'the typed lines'} already: keep one of the two rows."
                self.errors.append(RowError(line.source_line, column, code, sentence))
            else:
                new[line.key] = line
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.write("".join(map(_as_copied, new.values())))


def _locked(upload_id: uuid.UUID) -> Upload | None:
    return (
        Upload.objects.select_for_update(of=("self",), no_key=True)
        .select_related(
            "file", "draft__period", "draft__operator__organisation", "workload__system__site", "received_by"
        )
        .filter(pk=upload_id)
        .first()
    )


def _end(upload: Upload, now: datetime) -> None:
    """End reading: all lines count from now on, or none of them is left."""
    UPLOAD.require(upload.status, "refused" if upload.error_count else "read")
    upload.status = "refused" if upload.error_count else "read"
    upload.rows, upload.ended_at = upload.rows_read, now
    if upload.status == "refused":
        DraftLine.objects.filter(upload=upload)._raw_delete(DraftLine.objects.db)
        upload.errors = sorted(upload.errors, key=lambda error: error["line"])


def _bytes(upload: Upload, start: int, length: int) -> bytes:
    """Return some bytes of an upload's file."""
    read, size = [], 0
    for part in evidence.read(upload.file, since=start):
        read.append(part)
        size += len(part)
        if size >= length:
            break
    return b"".join(read)[:length]


def _stored(error: RowError) -> dict[str, object]:
    return {"line": error.line, "column": error.column, "code": error.code, "sentence": error.sentence}


def _as_copied(line: DraftLine) -> str:
    """Write a line as COPY's text format has it."""
    return "\t".join(copied(getattr(line, name)) for name in COPIED) + "\n"
