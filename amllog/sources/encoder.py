"""Drafts → lines: what many records of a process share is encoded once, and each record fills in the rest.

In: a draft, its id and its span. Out: its line, with the members of `record.envelope`. The long way, by a whole
envelope, is for a name that stands twice, a lone surrogate, a line over the limit, and telemetry processors.
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
MAX_FORMS = 4_096  # of each part: then they begin anew, as a script may have any number of spans and loggers

# Makes a named tuple from all of its members. Its own `__new__` is a function in Python, and takes twice the time.
make = tuple.__new__

# baseType → what stands between the envelope's tags and the fields of its data
_DATA = {
    kind: b',"data":{"baseType":"' + kind.encode() + b'","baseData":{"ver":2,' for kind in envelope.KINDS
}


class Draft(NamedTuple):
    """A record before it has its envelope: what was said, of which kind, and what stands on it alone."""

    seconds: float
    level: int
    logger: str
    kind: str
    data: dict[str, Any]
    own: dict[str, str]
    place: CallSite
    operation: tuple[str, str] | None = None  # (operation id, parent id) where another tracer set them
    level_name: str = ""


class Printed(NamedTuple):
    """The dimensions that a place's records share: as a mapping, and encoded."""

    shared: dict[str, str]
    encoded: bytes
    names: frozenset[str]  # theirs and the record id's


class Encoder:
    """The forms of one stamp."""

    def __init__(self, stamp: Resource, redactor: Redactor) -> None:
        self.stamp = stamp
        self.processors: Callable[[dict[str, Any]], bool] | None = None
        self._redactor = redactor
        self._dumps = envelope.load_codec()
        self._heads: dict[tuple[str, bool], bytes] = {}
        self._spans: dict[tuple[str, str], bytes] = {}
        self._places: dict[tuple[CallSite, str, str], Printed] = {}

    def line(self, draft: Draft, record_id: str, span: tuple[str, str]) -> bytes:
        """The line of `draft` under `span`: (operation id, parent id)."""
        key = draft.place, draft.logger, draft.level_name
        printed = self._places.get(key) or self._print_place(key)
        if not self.processors and printed.encoded and printed.names.isdisjoint(draft.own):
            form = draft.kind, draft.level >= self.stamp.insights_level
            head = self._heads.get(form) or self._print_head(*form)
            try:
                tags = self._spans.get(span) or self._print_span(span)
                data = self._dumps(draft.data)[1:-1]
                own = self._dumps(draft.own)[1:-1] + b"," if draft.own else b""
            except TypeError as error:  # a lone surrogate in a text of its own
                interrupts.pass_on(error)
            else:
                time = envelope.format_timestamp(draft.seconds).encode()
                line = b"".join((b'{"time":"', time, head, tags, _DATA[draft.kind], data, b',"properties":{',
                                 printed.encoded, own, b'"record_id":"', record_id.encode(), b'"}}}}\n'))  # fmt: skip
                if len(line) <= envelope.MAX_ITEM_BYTES:
                    return line
        return self._whole(draft, {**printed.shared, **draft.own, "record_id": record_id}, span)

    def _whole(self, draft: Draft, properties: dict[str, str], span: tuple[str, str]) -> bytes:
        sender = self.stamp.sender
        key = sender.key if draft.level >= self.stamp.insights_level else None
        data = {**draft.data, "properties": properties}
        record = envelope.build_envelope(draft.seconds, key, sender.tags_for_span(*span), draft.kind, data)
        if self.processors:
            record = self._processed(self.processors, record)
        return envelope.encode_envelope(record)

    def _processed(self, process: Callable[[dict[str, Any]], bool], record: dict[str, Any]) -> dict[str, Any]:
        """The record after the script's telemetry processors; one that they filter out stays in the journal only.

        How each line of a journal file begins is left to none of them: by that the file is recognised.
        """
        before = record.copy()
        wanted = process(record)
        record.update(ver=before["ver"], name=before["name"])
        for name, form in (("time", TIME), ("iKey", KEY)):
            value = record.get(name, "")
            if name in before and not (isinstance(value, str) and form.fullmatch(value)):
                record[name] = before[name]
        properties = record["data"]["baseData"].get("properties") or {}
        record["data"]["baseData"]["properties"] = dimensions.to_dimensions(properties, self._redactor)
        record["tags"] = {text.to_text(name): text.to_text(tag) for name, tag in record["tags"].items()}
        if not wanted:
            record.pop("iKey", None)
        return envelope.reorder_members(record)

    def _print_head(self, kind: str, to_send: bool) -> bytes:
        """From behind the time to the tags that differ from span to span."""
        key = self.stamp.sender.key if to_send else None
        whole = envelope.encode_record(0.0, key, self.stamp.sender.tags, kind, {})
        head = whole[whole.index(b'",') : whole.index(b'},"data"')] + b","
        return _remembered(self._heads, (kind, to_send), head)

    def _print_span(self, span: tuple[str, str]) -> bytes:
        return _remembered(self._spans, span, self._dumps(envelope.span_tags(*span))[1:])

    def _print_place(self, key: tuple[CallSite, str, str]) -> Printed:
        place, logger, level_name = key
        shared = self.stamp.dimensions.copy()
        if place.file:
            shared["module"], shared["fileName"] = place.module, place.file
            shared["lineNumber"] = str(place.line)
        shared["logger"] = self._redactor.mask_name(logger, 256)
        if level_name:
            shared["level"] = level_name
        try:
            encoded = self._dumps(shared)[1:-1] + b","
        except TypeError as error:  # a lone surrogate: the long way for all of them
            interrupts.pass_on(error)
            encoded = b""
        return _remembered(self._places, key, Printed(shared, encoded, frozenset((*shared, "record_id"))))


def _remembered(forms: dict[K, V], key: K, form: V) -> V:
    if len(forms) >= MAX_FORMS:
        forms.clear()
    forms[key] = form
    return form
