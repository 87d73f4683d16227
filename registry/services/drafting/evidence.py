"""Evidence: files kept as they came, hashed while they stream in, in parts of a MiB, and given back to be saved.

What a file is, is read from its bytes and not from its name. Only kinds that somebody here can read are kept; nothing
is ever executed, unpacked or shown in a page. The same bytes of one organisation are kept once.
"""

import hashlib
import io
import re
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO

from django.db import transaction

from accounts.models import Organisation, User
from common.database import assert_in_transaction
from common.errors import Refused, require
from registry.importers import xlsx
from registry.models import EvidenceChunk, EvidenceFile

CHUNK = 2**20
MAX_BYTES = 20_000_000
"""For a file that is kept beside figures; what figures are read from may be larger (`uploads.MAX_BYTES`)."""

KINDS = ("text", "json", "xlsx", "pdf", "png", "jpeg")
"""Text is CSV, YAML and logs: which of them, the reader of a format finds out."""

_SIGNATURES = ((b"%PDF-", "pdf"), (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"))
_MARKUP = re.compile(rb"\s*<(!doctype|html|head|body|script|svg|\?xml|\?php|!--)", re.IGNORECASE)


def kind_of(file: IO[bytes]) -> str:
    """Return what a file is, or refuse what is on no list; the file is left at its beginning."""
    head = file.read(4096)
    file.seek(0)
    require(bool(head.strip()), "empty_file", "The file is empty.")
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head.startswith(xlsx.MAGIC):
        return _workbook(file)
    body = head.removeprefix(b"\xef\xbb\xbf")
    is_text = head.startswith((b"\xff\xfe", b"\xfe\xff")) or (b"\x00" not in body and not _MARKUP.match(body))
    require(
        is_text and not body.startswith((b"MZ", b"\x7fELF", b"#!", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf", b"BZh")),
        "file_type_refused",
        "Files of this kind are not taken. Send CSV, XLSX, JSON, YAML, a text log, PDF, PNG or JPEG.",
    )
    return "json" if body.lstrip()[:1] in (b"{", b"[") else "text"


def keep(
    *, organisation: Organisation, actor: User, name: str, file: IO[bytes], at: datetime, max_bytes: int = MAX_BYTES
) -> EvidenceFile:
    """Keep a file in the caller's transaction; the same bytes of the same organisation are the file of before."""
    assert_in_transaction()
    kind_of(file)
    return _stored(organisation, actor, name, _parts(file, max_bytes), at)


def keep_bytes(*, organisation: Organisation, actor: User, name: str, content: bytes, at: datetime) -> EvidenceFile:
    """Keep content that is in memory already and that its own reader has judged: a table of transfers, a document."""
    assert_in_transaction()
    return _stored(organisation, actor, name, _parts(io.BytesIO(content), len(content)), at)


def read(file: EvidenceFile, *, since: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a file from a position on, a part at a time."""
    number, skip = divmod(since, CHUNK)
    while True:
        content = EvidenceChunk.objects.filter(file=file, number=number).values_list("content", flat=True).first()
        if content is None:
            return
        yield bytes(content)[skip:]
        number, skip = number + 1, 0


def read_all(file: EvidenceFile) -> bytes:
    """Return a whole file, for readers of small formats."""
    return b"".join(read(file))


def plain_name(name: str) -> str:
    """Keep of a file's name what is a name: no folders, and nothing that a terminal or a page would obey."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in last if letter.isprintable()).strip()[-200:] or "file"


def _workbook(file: IO[bytes]) -> str:
    """Take a zip archive only where it is a spreadsheet; just its table of contents is read."""
    try:
        names = set(zipfile.ZipFile(file).namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        names = set()
    file.seek(0)
    require(
        "xl/workbook.xml" in names,
        "archive_refused",
        "Archives are not taken: send the files one by one. A spreadsheet is an XLSX file.",
    )
    return "xlsx"


def _parts(file: IO[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    while part := file.read(CHUNK):
        size += len(part)
        if size > max_bytes:
            raise Refused("file_too_large", f"The file is larger than {max_bytes // 10**6} MB. Send it in parts.")
        yield part


def _stored(organisation: Organisation, actor: User, name: str, parts: Iterable[bytes], at: datetime) -> EvidenceFile:
    """Write the parts under a new identity, and forget them again where the same bytes are there already."""
    file = EvidenceFile(
        pk=uuid.uuid4(),
        organisation=organisation,
        name=plain_name(name),
        received_at=at,
        received_from=actor,
    )
    digest, size = hashlib.sha256(), 0
    savepoint = transaction.savepoint()
    for number, part in enumerate(parts):
        digest.update(part)
        size += len(part)
        EvidenceChunk.objects.create(file_id=file.pk, number=number, content=part)
    earlier = EvidenceFile.objects.filter(organisation=organisation, sha256=digest.hexdigest()).first()
    if earlier is not None:
        transaction.savepoint_rollback(savepoint)
        return earlier
    transaction.savepoint_commit(savepoint)
    file.sha256, file.size = digest.hexdigest(), size
    file.save(force_insert=True)
    return file
