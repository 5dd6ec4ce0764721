"""Recognize formats that amllog does not read, and say what to do with them."""

from __future__ import annotations

import re
from pathlib import PurePath

# Of an archive or another format that may contain telemetry. Other names are not looked at.
SUFFIXES = frozenset({
    ".zip", ".xlsx", ".tar", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".parquet", ".avro", ".db", ".sqlite", ".csv",
})  # fmt: skip
TAIL_BYTES = 1024 * 1024  # of a zip archive, in which its names are
_EXPORT = "query the resource itself (--resource-id), or export it with diagnostic settings"
_UNPACK = "unpack it and name the folder"
_MAGIC = (
    (b"\x1f\x8b", "is damaged gzip, or gzip of something else", "download it again"),
    (b"BZh", "is bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ\x00", "is xz", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "is Zstandard", "unpack it with unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive", _UNPACK),
    (b"PAR1", "is Parquet", "only files of `amllog compact` are read, in the directory of the journal"),
    (b"Obj\x01", "is Avro", _EXPORT),
    (b"SQLite format 3\x00", "is an SQLite database", _EXPORT),
)
_TELEMETRY = re.compile(r"\d{8}T\d{6}.*\.jsonl\.(gz|bz2|xz|zst|zip)|PT\d+[HM](_\d+)?\.json|.*\.trn")
# Of browsers and WinSCP, which rename the file at its end.
_UNFINISHED = re.compile(
    r"\d{8}t\d{6}-.*\.jsonl(\.gz)?\.(part|partial|crdownload|download|opdownload|filepart)", re.IGNORECASE
)
_HEADER = re.compile(rb'^[^\n{\[]*[",;\t ](timestamp|TimeGenerated|message|itemType)\b', re.IGNORECASE)


def may_have_records(path: PurePath) -> bool:
    """Return whether a file in a directory may have telemetry in an unsupported format, by its name."""
    is_unfinished = _UNFINISHED.fullmatch(path.name)
    return bool(is_unfinished) or (path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def is_telemetry(name: str, tail: bytes = b"") -> bool:
    """Return whether a file that could not be read has telemetry for certain.

    It is a compressed journal, an unfinished download of a journal, an export, a transmission, or a zip archive with a
    journal. `tail`: its last bytes.
    """
    return bool(_TELEMETRY.fullmatch(name) or _UNFINISHED.fullmatch(name)) or (
        b"amllog/" in tail and b".jsonl" in tail
    )


def describe(name: str, head: bytes) -> str:
    """Return a sentence about a file without records: its format, and the way to read it. `head`: its first bytes."""
    form, advice = _form(name.lower(), head)
    return f"{form}, which could not be read: {advice}"


def _form(name: str, head: bytes) -> tuple[str, str]:
    if _UNFINISHED.fullmatch(name):
        return "is an unfinished download", "download it again"
    if head.startswith(b"PK\x03\x04"):
        return ("is an Excel workbook", _EXPORT) if name.endswith(".xlsx") else ("is a zip archive", _UNPACK)
    if name.endswith((".tar.gz", ".tgz")) or head[257:262] == b"ustar":
        return "is a tar archive", _UNPACK
    for magic, form, advice in _MAGIC:
        if head.startswith(magic):
            return form, advice
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if re.match(rb'\{\s*"tables"\s*:', text):
        return "is an answer of the query API", _EXPORT
    if text[:1] in (b"{", b"[") and re.search(rb'"(itemType|timestamp|TimeGenerated)"\s*:', text):
        return (
            "is an answer of a query, such as `amllog logs --json`",
            "read the journal or the resource of it",
        )
    if name.endswith((".csv", ".tsv")) or _HEADER.match(head):
        return "is CSV", _EXPORT
    return "has no envelopes of telemetry", "name a journal, an export or the file of an exporter"
