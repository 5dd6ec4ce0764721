"""The encoder: the cached parts and the full envelope give the same line."""

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
    lambda seconds, level, logger, kind, dimensions, site, level_name: Draft(
        seconds, level, logger, *kind, dimensions, site, None, level_name
    ),
    st.floats(0, 2e9),
    st.sampled_from([10, 20, 40]),
    texts,
    data_of_kinds,
    st.dictionaries(names, texts, max_size=4),
    st.builds(CallSite, texts, texts, st.integers(0, 10**6)),
    texts,
)


def encoder_of(dimensions: dict[str, str] | None = None) -> Encoder:
    """Return the encoder of a process with these dimensions."""
    resource = Resource(WHO, Sender(KEY, {"ai.cloud.role": "train"}), dimensions or WHO.dimensions(), 20)
    return Encoder(resource, Redactor())


def strictly_decoded(line: bytes) -> Any:
    """Return the envelope of a line. A duplicate name fails, as a strict reader may."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    return json.loads(line, object_pairs_hook=unique)


@given(drafts, texts, texts)
def test_full_and_cached_encoding_agree(draft: Draft, operation: str, parent: str) -> None:
    """The cached encoding of any record equals its full envelope."""
    cached = encoder_of().encode(draft, "r-1", (operation, parent))
    # A name that the shared dimensions have as well needs the full envelope.
    duplicate = {"logger": draft.logger, **draft.dimensions}
    full = encoder_of().encode(draft._replace(dimensions=duplicate), "r-1", (operation, parent))
    assert cached.endswith(b"}\n") and cached.count(b"\n") == 1
    assert strictly_decoded(cached) == strictly_decoded(full)
    assert envelope.is_complete(cached) and envelope.read_time(cached) == strictly_decoded(cached)["time"]
    assert envelope.instrumentation_key(cached) == (KEY.encode() if draft.level >= 20 else None)


@pytest.mark.parametrize("value", ["v" * 70_000, "\ud800" * 10])
def test_values_that_need_the_full_envelope(value: str) -> None:
    """Values that are too long or have lone surrogates are truncated or escaped in one line within the limit."""
    dimensions = {"big": value}
    draft = Draft(1.0, 20, "train", "MessageData", {"message": "said"}, dimensions, CallSite("m", "m.py", 3))
    line = encoder_of().encode(draft, "r-1", ("op", "span"))
    assert len(line) <= envelope.MAX_ITEM_BYTES
    assert strictly_decoded(line)["data"]["baseData"]["properties"]["record_id"] == "r-1"


def test_lone_surrogates_in_shared_dimensions() -> None:
    """Dimensions of setup() that UTF-8 cannot express are escaped in every record."""
    draft = Draft(1.0, 20, "train", "MessageData", {"message": "said"}, {}, CallSite("m", "m.py", 3))
    line = encoder_of({"team": "\udc80"}).encode(draft, "r-1", ("op", "span"))
    assert strictly_decoded(line)["data"]["baseData"]["properties"]["team"] == "\\udc80"


def test_many_spans() -> None:
    """The cache of spans is bounded, and each record has its own span."""
    many = encoder_of()
    draft = Draft(1.0, 20, "train", "MessageData", {"message": "said"}, {}, CallSite("m", "m.py", 3))
    for number in range(encoder.MAX_ENTRIES * 2 + 10):
        line = many.encode(draft, "r", ("op", str(number)))
        assert f'"ai.operation.parentId":"{number}"'.encode() in line
    assert len(many._spans) <= encoder.MAX_ENTRIES


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
def test_processors_keep_the_beginning_of_a_line(changed: dict[str, Any]) -> None:
    """The line of an envelope that a telemetry processor has changed is still recognized as a line of a journal."""

    def process(record: dict[str, Any]) -> bool:
        if not changed:
            for name in ("time", "ver", "name"):
                del record[name]
        record.update(changed)
        return True

    changing = encoder_of()
    changing.use_processors(process)
    draft = Draft(1.8e9, 20, "l", "MessageData", {"message": "m"}, {}, CallSite("", "", 0), None, "")
    line = changing.encode(draft, "r", ("0" * 32, "1" * 16))
    assert has_records("20260101T000000-n-1-0a0b0c.jsonl", line[:HEAD_BYTES])
    assert envelope.is_complete(line)
    assert envelope.instrumentation_key(line) == (
        b"other" if changed.get("iKey") == "other" else KEY.encode()
    )
