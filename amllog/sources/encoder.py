"""Encode a draft as one line of the journal.

The parts that many records of a process share are encoded once: the head of the envelope, the tags of a span, and the
dimensions of a call site. Each record adds its encoded data. That takes half the time of encoding the full envelope.

The full envelope is built only for duplicate names, lone surrogates, lines over the limit and telemetry processors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from amllog.journal.signature import KEY, TIME
from amllog.process import interrupts
from amllog.record import dimensions, envelope, text
from amllog.record.log_call import CallSite
from amllog.record.redaction import Redactor
from amllog.sources.resource import Resource

K = TypeVar("K")
V = TypeVar("V")
# Entries of each cache. A script may have any number of spans and loggers, so a full cache is cleared.
MAX_ENTRIES = 4_096

# Makes a named tuple from all of its members. Its `__new__` is a function in Python and takes twice the time.
make = tuple.__new__

# By baseType, the bytes between the tags of the envelope and the fields of its data.
_DATA = {
    kind: b',"data":{"baseType":"' + kind.encode() + b'","baseData":{"ver":2,' for kind in envelope.KINDS
}


class Draft(NamedTuple):
    """A record before it is encoded: what only this record has."""

    seconds: float
    level: int
    logger: str
    kind: str
    data: dict[str, Any]
    dimensions: dict[str, str]
    call_site: CallSite
    # (operation id, parent id) if another tracer has set them.
    parent: tuple[str, str] | None = None
    level_name: str = ""


class SharedDimensions(NamedTuple):
    """The dimensions that all records of a call site share, as a mapping and encoded."""

    values: dict[str, str]
    encoded: bytes
    # Their names, and `record_id`.
    names: frozenset[str]


class Encoder:
    """Encode the records of one resource."""

    def __init__(self, resource: Resource, redactor: Redactor) -> None:
        self.resource = resource
        self._processors: Callable[[dict[str, Any]], bool] | None = None
        self._redactor = redactor
        self._dumps = envelope.load_codec()
        self._heads: dict[tuple[str, bool], bytes] = {}
        self._spans: dict[tuple[str, str], bytes] = {}
        self._call_sites: dict[tuple[CallSite, str, str], SharedDimensions] = {}

    def use_processors(self, processors: Callable[[dict[str, Any]], bool]) -> None:
        """Pass every envelope through the script's telemetry processors from now on."""
        self._processors = processors

    def encode(self, draft: Draft, record_id: str, span: tuple[str, str]) -> bytes:
        """Return the line of `draft`. `span`: (operation id, parent id)."""
        key = draft.call_site, draft.logger, draft.level_name
        shared = self._call_sites.get(key) or self._encode_call_site(key)
        if not self._processors and shared.encoded and shared.names.isdisjoint(draft.dimensions):
            form = draft.kind, draft.level >= self.resource.insights_level
            head = self._heads.get(form) or self._encode_head(*form)
            try:
                tags = self._spans.get(span) or self._encode_span(span)
                data = self._dumps(draft.data)[1:-1]
                encoded = self._dumps(draft.dimensions)[1:-1] + b"," if draft.dimensions else b""
            except TypeError as error:  # a lone surrogate in a string of the script
                interrupts.pass_on(error)
            else:
                time = envelope.format_timestamp(draft.seconds).encode()
                line = b"".join(
                    (b'{"time":"', time, head, tags, _DATA[draft.kind], data, b',"properties":{',
                     shared.encoded, encoded, b'"record_id":"', record_id.encode(), b'"}}}}\n')
                )  # fmt: skip
                if len(line) <= envelope.MAX_ITEM_BYTES:
                    return line
        return self._encode_full(draft, {**shared.values, **draft.dimensions, "record_id": record_id}, span)

    def _encode_full(self, draft: Draft, properties: dict[str, str], span: tuple[str, str]) -> bytes:
        sender = self.resource.sender
        key = sender.key if draft.level >= self.resource.insights_level else None
        data = {**draft.data, "properties": properties}
        members = envelope.build_envelope(draft.seconds, key, sender.tags_for_span(*span), draft.kind, data)
        if self._processors:
            members = self._processed(self._processors, members)
        return envelope.encode_envelope(members)

    def _processed(
        self, process: Callable[[dict[str, Any]], bool], members: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the envelope after the script's telemetry processors.

        A record that they filter out stays in the journal and is not sent. They cannot change how a line begins,
        because amllog recognizes a journal file by the beginning of its first line.
        """
        before = members.copy()
        wanted = process(members)
        members.update(ver=before["ver"], name=before["name"])
        for name, form in (("time", TIME), ("iKey", KEY)):
            value = members.get(name, "")
            if name in before and not (isinstance(value, str) and form.fullmatch(value)):
                members[name] = before[name]
        properties = members["data"]["baseData"].get("properties") or {}
        members["data"]["baseData"]["properties"] = dimensions.to_dimensions(properties, self._redactor)
        members["tags"] = {text.to_text(name): text.to_text(tag) for name, tag in members["tags"].items()}
        if not wanted:
            members.pop("iKey", None)
        return envelope.reorder_members(members)

    def _encode_head(self, kind: str, to_send: bool) -> bytes:
        """Encode the part between the time and the tags of the span."""
        key = self.resource.sender.key if to_send else None
        whole = envelope.encode_record(0.0, key, self.resource.sender.tags, kind, {})
        head = whole[whole.index(b'",') : whole.index(b'},"data"')] + b","
        return _cache(self._heads, (kind, to_send), head)

    def _encode_span(self, span: tuple[str, str]) -> bytes:
        return _cache(self._spans, span, self._dumps(envelope.span_tags(*span))[1:])

    def _encode_call_site(self, key: tuple[CallSite, str, str]) -> SharedDimensions:
        call_site, logger, level_name = key
        shared = self.resource.dimensions.copy()
        if call_site.file:
            shared["module"], shared["fileName"] = call_site.module, call_site.file
            shared["lineNumber"] = str(call_site.line)
        shared["logger"] = self._redactor.mask_name(logger, 256)
        if level_name:
            shared["level"] = level_name
        try:
            encoded = self._dumps(shared)[1:-1] + b","
        except TypeError as error:  # a lone surrogate: all of these records need the full envelope
            interrupts.pass_on(error)
            encoded = b""
        names = frozenset((*shared, "record_id"))
        return _cache(self._call_sites, key, SharedDimensions(shared, encoded, names))


def _cache(entries: dict[K, V], key: K, entry: V) -> V:
    if len(entries) >= MAX_ENTRIES:
        entries.clear()
    entries[key] = entry
    return entry
