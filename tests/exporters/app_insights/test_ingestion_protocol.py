"""The ingestion protocol without I/O: which body is sent, and what answers mean."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.delivery.exporter import DELIVERED, ExportResult
from amllog.exporters.app_insights import ingestion_protocol
from amllog.record import envelope

KEY = "00000000-0000-0000-0000-0000000010ca"


def line(key: str | None) -> bytes:
    """One line of a journal."""
    return envelope.encode_record(1.5, key, {}, "MessageData", {"message": '"iKey":""', "properties": {}})


def test_body() -> None:
    """The body is the journal's lines as they are, as an array; only a key that nobody knew is put in."""
    lines = [line(KEY), line(""), line("other")]
    sent = gzip.decompress(ingestion_protocol.body(lines, KEY.encode()))
    assert sent.startswith(b"[" + lines[0].rstrip(b"\n") + b",")
    assert [one["iKey"] for one in json.loads(sent)] == [KEY, KEY, "other"]
    assert [one["data"]["baseData"]["message"] for one in json.loads(sent)] == ['"iKey":""'] * 3


@pytest.mark.parametrize("key", [KEY, ""])
def test_large_body(key: str) -> None:
    """A batch that is compressed piece by piece is one array, with every line once and in order."""
    lines = [
        envelope.encode_record(second, key, {}, "EventData", {"name": "n", "properties": {}})
        for second in range(6_000)
    ]
    sent = json.loads(gzip.decompress(ingestion_protocol.body(lines, KEY.encode())))
    assert [one["time"] for one in sent] == [envelope.format_timestamp(second) for second in range(6_000)]
    assert {one["iKey"] for one in sent} == {KEY}


@given(status=st.integers(100, 599), payload=st.binary(max_size=50), count=st.integers(1, 5))
def test_any_answer(status: int, payload: bytes, count: int) -> None:
    """Whatever is answered, there is a verdict, and only a 200 or a readable 206 says delivered."""
    answer = ingestion_protocol.judge(status, {}, payload, count)
    if isinstance(answer, ExportResult):
        delivered = [answer.exceptions.get(index, answer.default) == DELIVERED for index in range(count)]
        assert not any(delivered) or status == 200
    else:
        assert (answer, count > 1) == (ingestion_protocol.SPLIT, True)


items = st.fixed_dictionaries(
    {
        "index": st.integers(-2, 6),
        "statusCode": st.integers(100, 599),
        "message": st.text(max_size=20) | st.none(),
    }
)


@given(st.sampled_from([200, 206]), st.lists(items, max_size=6))
def test_any_items(status: int, errors: list[dict[str, Any]]) -> None:
    """An item that the answer does not name is delivered; one that it names is never taken for another."""
    answer = ingestion_protocol.judge(status, {}, json.dumps({"errors": errors}).encode(), 5)
    assert isinstance(answer, ExportResult)
    named = {error["index"] for error in errors}
    for index in range(5):
        if index not in named:
            assert answer.exceptions.get(index, answer.default) == DELIVERED
    assert set(answer.exceptions) <= named


ONE = {"index": 0, "statusCode": 500, "message": "x"}


@pytest.mark.parametrize(
    ("accepted", "errors"),
    [
        (0, []),
        (1, []),
        (1, [ONE]),
        (1, [ONE, ONE]),
        (2, [{**ONE, "index": 7}]),
        (2, [{**ONE, "statusCode": 200}]),
        (float("inf"), [ONE]),
        (2, [{**ONE, "index": float("inf")}]),
    ],
)
def test_a_partial_answer_that_does_not_name_the_rest(accepted: object, errors: list[Any]) -> None:
    """A 206 that took less than it names the errors of leaves the whole batch waiting: nothing counts as delivered."""
    told = {"itemsReceived": 3, "itemsAccepted": accepted, "errors": errors}
    answer = ingestion_protocol.judge(206, {}, json.dumps(told).encode(), 3)
    assert isinstance(answer, ExportResult) and answer.default.state == "waiting", answer


@pytest.mark.parametrize("errors", ["[" * 100_000 + "]" * 100_000, '[{"index": Infinity}]', "[{}]"])
def test_a_whole_answer_that_cannot_be_read(errors: str) -> None:
    """A 200 means that all was taken, whatever its body is: sent again, each record would be there twice."""
    answer = ingestion_protocol.judge(200, {}, b'{"errors":%s}' % errors.encode(), 8_000)
    assert answer == ExportResult()


def test_pause_of_a_response_is_limited() -> None:
    """A Retry-After of more than an hour is an hour, and an invalid one is no pause."""
    assert ingestion_protocol.pause_seconds({"Retry-After": "5"}) == 5.0
    assert ingestion_protocol.pause_seconds({"Retry-After": "999999999"}) == 3600.0
    assert ingestion_protocol.pause_seconds({"Retry-After": "soon"}) == 0.0
    assert ingestion_protocol.pause_seconds({}) == 0.0


AZURE = "https://westeurope-5.in.applicationinsights.azure.com/v2.1/track"


@pytest.mark.parametrize(
    ("origin", "location", "may"),
    [
        (AZURE, "https://westeurope-7.in.applicationinsights.azure.com/v2.1/track", True),
        (AZURE, "https://dc.services.visualstudio.com/v2/track", True),
        (AZURE, "http://westeurope-5.in.applicationinsights.azure.com/v2.1/track", False),
        (AZURE, "https://evil.example/v2.1/track", False),
        (AZURE, "https://applicationinsights.azure.com.evil.example/", False),
        (AZURE, "https://evilapplicationinsights.azure.com/", False),
        (AZURE, "https://user@evil.example#.applicationinsights.azure.com", False),
        (AZURE, "/v2/track", False),
        (AZURE, "", False),
        ("http://127.0.0.1:80/a", "http://127.0.0.1:81/b", True),
        ("http://127.0.0.1/a", "https://dc.services.visualstudio.com/", False),
        ("http://127.0.0.1/a", "file:///etc/passwd", False),
    ],
)
def test_redirects(origin: str, location: str, may: bool) -> None:
    """Data goes on only within its host, or between Azure Monitor's own, and never from TLS to plain text."""
    assert ingestion_protocol.may_follow(origin, location) is may


def test_reasons_are_counted() -> None:
    """What differs from item to item is left out of a reason, so that reasons can be counted."""
    said = "101: Field 'x' is too long. Expected: 5 characters, Actual: "
    errors = [{"index": i, "statusCode": 400, "message": f"{said}{i}"}
              for i in range(3)]  # fmt: skip
    answer = ingestion_protocol.judge(206, {}, json.dumps({"errors": errors}).encode(), 4)
    assert isinstance(answer, ExportResult)
    assert {verdict.reason for verdict in answer.exceptions.values()} == {"400: 101: Field 'x' is too long"}
