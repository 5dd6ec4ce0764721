"""Bodies in all formats, the responses, and the received envelopes."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from amllog.local import AzureOnThisMachine, Fault
from amllog.local.app_insights.ingestion import BATCH_MAX_ITEMS, track
from amllog.local.app_insights.validation import ItemError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]

NOW = datetime.now(timezone.utc)
JSON, LINES = "application/json", "application/x-json-stream"


def message(text: str = "hello", time: datetime = NOW) -> dict[str, Any]:
    """Return a valid envelope."""
    return {
        "ver": 1,
        "name": "Microsoft.ApplicationInsights.Message",
        "time": time.isoformat(),
        "iKey": "00000000-0000-0000-0000-0000000010ca",
        "data": {"baseType": "MessageData", "baseData": {"ver": 2, "message": text}},
    }


def array(*items: object) -> bytes:
    """Return a body as an array."""
    return json.dumps(items).encode()


def lines(*items: object) -> bytes:
    """Return a body as lines."""
    return b"\n".join(json.dumps(item).encode() for item in items)


@pytest.mark.parametrize(
    ("body", "content_type", "count"),
    [
        (array(message(), message()), JSON, 2),
        (array(message()), f"{JSON}; charset=utf-8", 1),
        (json.dumps(message()).encode(), JSON, 1),
        (lines(message(), message()), LINES, 2),
        (lines(message()) + b"\r\n\n", f"{LINES}; charset=utf-8", 1),
        (lines(message(), message()), "application/x-ndjson", 2),
    ],
)
def test_formats_of_a_body(body: bytes, content_type: str, count: int) -> None:
    """A body is an array, one object, or one object per line."""
    result = track(body, content_type, NOW)
    assert (result.status, len(result.accepted)) == (200, count)
    assert result.reply == {"itemsReceived": count, "itemsAccepted": count, "errors": []}


def test_some_items_are_rejected() -> None:
    """The status is 206, and each error has the index of its item."""
    old = message(time=NOW - timedelta(days=3))
    result = track(array(message("a"), old, message("b"), 5), JSON, NOW)
    assert result.status == 206
    assert (result.reply["itemsReceived"], result.reply["itemsAccepted"]) == (4, 2)
    assert [(error["index"], error["statusCode"]) for error in result.reply["errors"]] == [(1, 400), (3, 400)]
    assert [item["data"]["baseData"]["message"] for item in result.accepted] == ["a", "b"]


def test_all_items_are_rejected() -> None:
    """The status is that of the first item."""

    def throttled(item: object) -> ItemError | None:
        return ItemError(439, "quota")

    assert track(array(message(), message()), JSON, NOW, fault=throttled).status == 439
    assert track(array(message(time=NOW - timedelta(days=3))), JSON, NOW).status == 400


def test_sampled_out_counts_as_accepted() -> None:
    """An item with the error 206 counts as accepted and is not stored."""
    result = track(array(message()), JSON, NOW, fault=lambda item: ItemError(206, "Telemetry sampled out."))
    assert (result.status, result.reply["itemsAccepted"], result.accepted) == (206, 1, [])


@pytest.mark.parametrize(
    ("body", "content_type", "status", "index"),
    [
        (b"", JSON, 400, 0),
        (b"[]", JSON, 400, 0),
        (b"{", JSON, 400, 0),
        (array(message())[:-1] + b',{"a":NaN}]', JSON, 400, 0),
        (lines(message()) + b'\n{"a":NaN}', LINES, 206, 1),
        (lines(message()) + b"\n\xff\xfe", LINES, 206, 1),
        (b"[" * 100_000, JSON, 400, 0),
        (b"[" + b"1," * BATCH_MAX_ITEMS + b"1]", JSON, 413, 0),
    ],
)
def test_invalid_json(body: bytes, content_type: str, status: int, index: int) -> None:
    """Invalid JSON rejects a whole array, but only one line of a body of lines. Too many items are rejected, too."""
    result = track(body, content_type, NOW)
    assert result.status == status
    assert result.reply["errors"][0]["index"] == index


def test_lenient_parsing() -> None:
    """Without `strict`, all valid JSON is accepted, and NaN becomes null."""
    result = track(b'[{"a":NaN},{"b":1e999}]', JSON, NOW, strict=False)
    assert (result.status, result.accepted) == (200, [{"a": None}, {"b": None}])
    assert track(b'["\\ud800"]', JSON, NOW, strict=False).status == 400


@pytest.mark.parametrize("path", ["/v2/track", "/v2.1/track", "//v2.1/track", "//v2/track?x=1"])
def test_paths_of_ingestion(azure: AzureOnThisMachine, client: Client, path: str) -> None:
    """Both versions of the path are accepted, also with the double slash of some SDKs."""
    reply = client("POST", path, array(message("hi")), Content_Type=JSON)
    assert (reply.status, reply.json["itemsAccepted"]) == (200, 1)
    assert azure.envelopes == [message("hi")]


def test_gzip_bodies(azure: AzureOnThisMachine, client: Client) -> None:
    """A gzip body is decompressed, also with several members."""
    body = gzip.compress(lines(message("a")) + b"\n") + gzip.compress(lines(message("b")))
    assert client("POST", "/v2.1/track", body, Content_Type=LINES, Content_Encoding="gzip").status == 200
    assert [item["data"]["baseData"]["message"] for item in azure.envelopes] == ["a", "b"]


def test_received_envelopes_are_a_journal(azure: AzureOnThisMachine, client: Client) -> None:
    """The files in `received` have one envelope per line, with time and key first."""
    client("POST", "/v2.1/track", array(message("a"), message("b")))
    (journal,) = (azure.directory / "received").glob("*.jsonl")
    assert [line.startswith(b'{"time":"') for line in journal.read_bytes().splitlines()] == [True, True]
    assert [list(json.loads(line))[:2] for line in journal.read_bytes().splitlines()] == [
        ["time", "iKey"]
    ] * 2


def test_envelopes_survive_a_restart(azure: AzureOnThisMachine, make_client: MakeClient) -> None:
    """The port is kept, and earlier envelopes can still be read."""
    url = azure.url
    make_client(azure)("POST", "/v2.1/track", array(message("before")))
    azure.stop()
    azure.start()
    make_client(azure)("POST", "/v2.1/track", array(message("after")))
    assert azure.url == url
    assert len(azure.envelopes) == 2


def test_lenient_over_http(tmp_path: Path, make_client: MakeClient) -> None:
    """`strict=False` accepts items that the service rejects."""
    with AzureOnThisMachine(tmp_path / "lenient", strict=False) as azure:
        assert make_client(azure)("POST", "/v2.1/track", [{"anything": 1}]).status == 200


def test_faults_on_items(azure: AzureOnThisMachine, client: Client) -> None:
    """Faults on items by a pattern or a function do not affect other items."""
    azure.faults.put(Fault(status=500, message="poison", item="po.son", times=1))
    azure.faults.put(Fault(status=429, item=lambda item: "slow" in str(item)))
    first = client("POST", "/v2.1/track", array(message("fine"), message("poison"))).json
    second = client("POST", "/v2.1/track", array(message("poison"), message("slow down"))).json
    assert first["errors"] == [{"index": 1, "statusCode": 500, "message": "poison"}]
    assert [(error["index"], error["statusCode"]) for error in second["errors"]] == [(1, 429)]
    assert len(azure.envelopes) == 2
