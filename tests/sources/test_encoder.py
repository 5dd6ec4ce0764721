"""The short way to a line and the long one give the same record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.context.identity import Identity
from amllog.journal.own_files import HEAD_BYTES
from amllog.journal.signature import has_records
from amllog.record import envelope
from amllog.record.envelope import Sender
from amllog.record.log_call import CallSite
from amllog.record.redaction import Redactor
from amllog.sources import encoder
from amllog.sources.encoder import Draft, Encoder
from amllog.sources.resource import Resource

KEY = "00000000-0000-0000-0000-0000000010ca"
WHO = Identity(
    step_id="s", parent_run_id="p", root_run_id="p", step_name="train", experiment_name="digits", run_url="u",
    run_type="", build_url="", build_version="", node="n", rank=None, in_job=False,
    operation_id="0" * 32, span_id="1" * 16, parent_span_id="",
)  # fmt: skip
texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=40)
names = texts | st.sampled_from(
    ["step_id", "record_id", "module", "fileName", "lineNumber", "logger", "level", "team", "x"]
)
data_of_kinds = st.sampled_from(sorted(envelope.KINDS)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.fixed_dictionaries({"name": texts, "n": st.integers(0, 9)}))
)
drafts = st.builds(
    lambda seconds, level, logger, kind, own, place, level_name: Draft(
        seconds, level, logger, *kind, own, place, None, level_name
    ),
    st.floats(0, 2e9),
    st.sampled_from([10, 20, 40]),
    texts,
    data_of_kinds,
    st.dictionaries(names, texts, max_size=4),
    st.builds(CallSite, texts, texts, st.integers(0, 10**6)),
    texts,
)


def made(dimensions: dict[str, str] | None = None) -> Encoder:
    """The forms of a process."""
    resource = Resource(WHO, Sender(KEY, {"ai.cloud.role": "train"}), dimensions or WHO.dimensions(), 20)
    return Encoder(resource, Redactor())


def told(line: bytes) -> Any:
    """A line's envelope; a name that stands twice fails, as a strict reader's may."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    return json.loads(line, object_pairs_hook=once)


@given(drafts, texts, texts)
def test_both_ways(draft: Draft, operation: str, parent: str) -> None:
    """Whatever a record holds, the form that is filled in is the envelope that the long way makes."""
    short = made().encode(draft, "r-1", (operation, parent))
    twice = {
        "logger": draft.logger,
        **draft.dimensions,
    }  # a name that stands on the form: only the long way takes it
    long = made().encode(draft._replace(dimensions=twice), "r-1", (operation, parent))
    assert short.endswith(b"}\n") and short.count(b"\n") == 1
    assert told(short) == told(long)
    assert envelope.is_complete(short) and envelope.read_time(short) == told(short)["time"]
    assert envelope.instrumentation_key(short) == (KEY.encode() if draft.level >= 20 else None)


@pytest.mark.parametrize("value", ["v" * 70_000, "\ud800" * 10])
def test_the_long_way(value: str) -> None:
    """What no form can hold is cut or escaped, and still arrives as one line within the limit."""
    own = {"big": value}
    draft = Draft(1.0, 20, "train", "MessageData", {"message": "said"}, own, CallSite("m", "m.py", 3))
    line = made().encode(draft, "r-1", ("op", "span"))
    assert len(line) <= envelope.MAX_ITEM_BYTES
    assert told(line)["data"]["baseData"]["properties"]["record_id"] == "r-1"


def test_a_stamp_with_lone_surrogates() -> None:
    """Dimensions of the setup that no UTF-8 can hold are escaped on every record."""
    draft = Draft(1.0, 20, "train", "MessageData", {"message": "said"}, {}, CallSite("m", "m.py", 3))
    line = made({"team": "\udc80"}).encode(draft, "r-1", ("op", "span"))
    assert told(line)["data"]["baseData"]["properties"]["team"] == "\\udc80"


def test_many_spans() -> None:
    """A script with any number of spans does not fill the memory, and each record tells its own."""
    found = made()
    draft = Draft(1.0, 20, "train", "MessageData", {"message": "said"}, {}, CallSite("m", "m.py", 3))
    for number in range(encoder.MAX_ENTRIES * 2 + 10):
        line = found.encode(draft, "r", ("op", str(number)))
        assert f'"ai.operation.parentId":"{number}"'.encode() in line
    assert len(found._spans) <= encoder.MAX_ENTRIES


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "my name"},
        {"ver": 2},
        {"time": 1.8e9},
        {"time": "2026-01-01"},
        {"iKey": None},
        {"iKey": 'with "quotes"'},
        {"iKey": "other"},
        {},
    ],
)
def test_processors_leave_how_a_line_begins(changed: dict[str, Any]) -> None:
    """Whatever a telemetry processor does to an envelope, its line is recognised as one of a journal."""

    def process(record: dict[str, Any]) -> bool:
        if not changed:
            for name in ("time", "ver", "name"):
                del record[name]
        record.update(changed)
        return True

    form = made()
    form.use_processors(process)
    draft = Draft(1.8e9, 20, "l", "MessageData", {"message": "m"}, {}, CallSite("", "", 0), None, "")
    line = form.encode(draft, "r", ("0" * 32, "1" * 16))
    assert has_records("20260101T000000-n-1-0a0b0c.jsonl", line[:HEAD_BYTES])
    assert envelope.is_complete(line)
    assert envelope.instrumentation_key(line) == (
        b"other" if changed.get("iKey") == "other" else KEY.encode()
    )
