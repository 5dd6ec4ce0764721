"""`.trn` files of the .NET and Java SDKs."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from amllog.insights.insights import Insights

from ....conftest import failure, log, step  # isort: skip

LINES = "\n".join(map(json.dumps, (log("fine"), failure("boom"), step("train", success=False)))).encode()
ARRAY = b"[" + b",".join(LINES.split(b"\n")) + b"]"
PACKED = gzip.compress(LINES)
KEY = b"00000000-0000-0000-0000-000000000000"
CONNECTION = b"InstrumentationKey=" + KEY
NAME = "0af7651916cd43dd8448eb211c80319c.trn"


def net(content: bytes, encoding: str, end: str = "\r\n") -> bytes:
    """Return a file of the .NET SDK."""
    lines = ["https://dc.services.visualstudio.com/v2/track", "Content-Type:application/x-json-stream"]
    return end.join([*lines, f"Content-Encoding:{encoding}", "", base64.b64encode(content).decode()]).encode()


FORMS = {
    "net": net(PACKED, "gzip"),
    "net with short line ends": net(PACKED, "gzip", "\n"),
    "net, not packed": net(LINES, ""),
    "net, an array": net(gzip.compress(ARRAY), "gzip"),
    "the agent of Java": struct.pack(">iH", 1, len(CONNECTION)) + CONNECTION + struct.pack(">i", len(PACKED)) + PACKED,
    "an old agent of Java": KEY + PACKED,
    "the SDK of Java": b"\xac\xed\x00\x05sr\x00\x0cTransmission\x00\x00" + PACKED + b"t\x00\x04gzip",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_each_form_is_read(read: Callable[..., Insights], form: bytes) -> None:
    """The records of a transmission are read in every form that an SDK writes."""
    insights = read(form, NAME)
    assert [row["itemType"] for row in insights.errors("all")] == ["exception", "request"]
    assert [row["message"] for row in insights.logs("last")] == ["fine", "boom"]
    assert insights.logs().notes == () and insights.logs().reading.unread == ()


def test_a_damaged_transmission_is_no_all_clear(read: Callable[..., Insights]) -> None:
    """A transmission that is cut or changed anywhere has its records or a note, and never neither."""
    whole = FORMS["net"]
    cuts = [whole[:end] for end in range(180, len(whole), 97)]
    flips = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 97)]
    for data in (*cuts, *flips, b"junk" * 99):
        table: Any = read(data, NAME).errors("all")
        assert len(table) == 2 or table.reading.unread, data
