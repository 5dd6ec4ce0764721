"""The ingestion protocol without I/O: the body of requests and the results of responses."""

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
    """Return a line of a journal."""
    return envelope.encode_record(1.5, key, {}, "MessageData", {"message": '"iKey":""', "properties": {}})


def test_request_body_is_the_lines() -> None:
    """The body is an array of the unchanged lines, except that lines without a key get one."""
    lines = [line(KEY), line(""), line("other")]
    sent = gzip.decompress(ingestion_protocol.request_body(lines, KEY.encode()))
    assert sent.startswith(b"[" + lines[0].rstrip(b"\n") + b",")
    envelopes = json.loads(sent)
    assert [sent["iKey"] for sent in envelopes] == [KEY, KEY, "other"]
    assert [sent["data"]["baseData"]["message"] for sent in envelopes] == ['"iKey":""'] * 3


@pytest.mark.parametrize("key", [KEY, ""])
def test_large_body_has_each_line_once(key: str) -> None:
    """A batch that is compressed in slices is one array, with every line once and in order."""
    lines = [
        envelope.encode_record(second, key, {}, "EventData", {"name": "n", "properties": {}})
        for second in range(6_000)
    ]
    sent = json.loads(gzip.decompress(ingestion_protocol.request_body(lines, KEY.encode())))
    assert [record["time"] for record in sent] == [
        envelope.format_timestamp(second) for second in range(6_000)
    ]
    assert {record["iKey"] for record in sent} == {KEY}


@given(status=st.integers(100, 599), payload=st.binary(max_size=50), count=st.integers(1, 5))
def test_any_response_has_a_result(status: int, payload: bytes, count: int) -> None:
    """Any response has a result, and only a 200 or a readable 206 means delivered."""
    result = ingestion_protocol.parse_response(status, {}, payload, count)
    if isinstance(result, ExportResult):
        delivered = [result.exceptions.get(index, result.default) == DELIVERED for index in range(count)]
        assert not any(delivered) or status == 200
    else:
        assert (result, count > 1) == (ingestion_protocol.SPLIT, True)


items = st.fixed_dictionaries(
    {
        "index": st.integers(-2, 6),
        "statusCode": st.integers(100, 599),
        "message": st.text(max_size=20) | st.none(),
    }
)


@given(st.sampled_from([200, 206]), st.lists(items, max_size=6))
def test_items_keep_their_verdicts(status: int, errors: list[dict[str, Any]]) -> None:
    """An item that the body does not name is delivered, and a verdict never belongs to another item."""
    result = ingestion_protocol.parse_response(status, {}, json.dumps({"errors": errors}).encode(), 5)
    assert isinstance(result, ExportResult)
    named = {error["index"] for error in errors}
    for index in range(5):
        if index not in named:
            assert result.exceptions.get(index, result.default) == DELIVERED
    assert set(result.exceptions) <= named


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
def test_partial_response_must_name_the_rest(accepted: object, errors: list[Any]) -> None:
    """A 206 that does not name all rejected items leaves the whole batch waiting."""
    body = {"itemsReceived": 3, "itemsAccepted": accepted, "errors": errors}
    result = ingestion_protocol.parse_response(206, {}, json.dumps(body).encode(), 3)
    assert isinstance(result, ExportResult) and result.default.state == "waiting", result


@pytest.mark.parametrize("errors", ["[" * 100_000 + "]" * 100_000, '[{"index": Infinity}]', "[{}]"])
def test_unreadable_200_means_delivered(errors: str) -> None:
    """A 200 with any body means delivered, because each record would be stored twice if it were sent again."""
    result = ingestion_protocol.parse_response(200, {}, b'{"errors":%s}' % errors.encode(), 8_000)
    assert result == ExportResult()


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
def test_redirects_between_hosts(origin: str, location: str, may: bool) -> None:
    """Redirects are followed within a host and between hosts of Azure Monitor, and never from TLS to plain text."""
    assert ingestion_protocol.may_follow(origin, location) is may


def test_reasons_are_general() -> None:
    """The part that differs between items is removed from a reason, so that reasons can be counted."""
    message = "101: Field 'x' is too long. Expected: 5 characters, Actual: "
    errors = [{"index": i, "statusCode": 400, "message": f"{message}{i}"}
              for i in range(3)]  # fmt: skip
    result = ingestion_protocol.parse_response(206, {}, json.dumps({"errors": errors}).encode(), 4)
    assert isinstance(result, ExportResult)
    assert {verdict.reason for verdict in result.exceptions.values()} == {"400: 101: Field 'x' is too long"}
