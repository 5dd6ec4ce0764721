"""The driver log writes one readable line per record, in three formats."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.exporters.driver_log import DriverLog, Line

STACK = "Traceback (most recent call last):\n  File x\nValueError: v"


def line(message: str = "m", stack: str = "", /, **dimensions: str) -> Line:
    """Return a line."""
    return Line(1.5, 30, "WARNING", "a.b", message, dimensions, stack)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def written(form: str, *lines: Line, stream: Any = None) -> str:
    """Return the text that the driver log writes for these lines."""
    stream = stream or io.StringIO()
    before, sys.stdout = sys.stdout, stream
    try:
        driver = DriverLog(form, 0, {"step_id": "s"})
        for entry in lines:
            driver.write(entry)
    finally:
        sys.stdout = before
    assert driver.account().delivered == len(lines)
    return str(stream.getvalue())


def test_plain_line() -> None:
    """A line has time, level, logger, message and dimensions. Values with an unclear end are quoted."""
    assert written("plain", line("hello", rows="3", path="/a b", empty="", eq="a=b", nl="a\nb")) == (
        '1970-01-01T00:00:01.500Z WARNING  a.b: hello  rows=3  path="/a b"  empty=""  eq="a=b"  nl="a\\nb"\n'
    )


def test_further_lines_are_indented() -> None:
    """The further lines of a message and of a stack are indented."""
    assert written("plain", line("one\r\ntwo", STACK)).splitlines() == [
        "1970-01-01T00:00:01.500Z WARNING  a.b: one",
        "    two",
        "    Traceback (most recent call last):",
        "      File x",
        "    ValueError: v",
    ]


def test_auto_detects_a_terminal() -> None:
    """`auto` is coloured on a terminal and plain elsewhere."""
    assert written("auto", line()) == written("plain", line())
    assert written("auto", line(), stream=Terminal()) == written("console", line())
    assert "\x1b[33m" in written("console", line())


def test_json_line() -> None:
    """The JSON form is one object per line, with the common dimensions."""
    members = json.loads(written("json", line("one\ntwo", STACK, rows="3", message="clash")))
    assert members == {
        "time": "1970-01-01T00:00:01.500000Z", "level": "WARNING", "logger": "a.b", "message": "one\ntwo",
        "stack": STACK, "step_id": "s", "rows": "3", "message_": "clash",
    }  # fmt: skip


texts = st.text(st.characters(exclude_categories=[]), max_size=40)


@given(texts, texts, st.dictionaries(texts, texts, max_size=3), texts)
def test_any_text_stays_in_its_line(
    message: str, logger: str, dimensions: dict[str, str], stack: str
) -> None:
    """Only the first line of a record begins at the margin, and no character controls a terminal."""
    entry = Line(1.5, 20, "INFO", logger, message, dimensions, stack)
    plain = written("plain", entry, entry)
    assert sum(not part.startswith("    ") for part in plain[:-1].split("\n")) == 2
    assert not {character for character in plain if ord(character) < 32 and character not in "\t\n"}
    assert not any("\x7f" <= character <= "\x9f" for character in plain)
    assert json.loads(written("json", entry))["message"] == message


ACTING = [*range(0x1F + 1), *range(0x7F, 0xA0), 0x61C, 0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F),
          *range(0x2060, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC), 0xE0001, *range(0xE0020, 0xE0080)]  # fmt: skip


@pytest.mark.parametrize("form", ["plain", "console", "json"])
def test_no_character_acts_on_a_terminal(form: str) -> None:
    """Controls, direction marks, line separators, zero-width characters and tags are escaped everywhere."""
    for number in ACTING:
        value = f"a{chr(number)}b"
        text = written(form, Line(1.5, 20, value, value, value, {value: value}, value))
        inside = text.replace("\x1b[", "") if form == "console" else text
        assert chr(number) in "\t\n" or chr(number) not in inside, ascii(text)
        if form == "json":
            assert json.loads(text)["message"] == value and json.loads(text)[value] == value


@pytest.mark.parametrize("form", ["plain", "console", "json"])
def test_emoji_are_unchanged(form: str) -> None:
    """Joiners and variation selectors are unchanged, because emoji of several characters need them."""
    emoji = "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f44d\U0001f3fd"
    assert emoji in written(form, line(emoji))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("form", ["plain", "console", "json"])
def test_any_encoding(encoding: str, form: str) -> None:
    """No encoding loses a line, and JSON stays valid."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    before, sys.stdout = sys.stdout, stream
    try:
        driver = DriverLog(form, 0, {})
        driver.write(line("é … 😀 \udc80"))
    finally:
        sys.stdout = before
    text = raw.getvalue().decode(encoding)
    assert (driver.account().delivered, driver.account().refused) == (1, {})
    assert text.count("\n") == 1
    if form == "json":
        assert json.loads(text)["message"] == "é … 😀 \udc80"


def test_failures_are_counted() -> None:
    """A line that a stream rejects is counted with the reason."""
    closed = io.StringIO()
    closed.close()
    driver = DriverLog("plain", 0, {})
    before = sys.stdout
    for stream in (closed, None, object()):
        sys.stdout = stream
        try:
            driver.write(line())
        finally:
            sys.stdout = before
    account = driver.account()
    assert (account.delivered, account.waiting, sum(account.refused.values())) == (0, 0, 3)
    assert "no stdout" in account.refused


def test_lines_bypass_captured_prints() -> None:
    """While prints are captured, lines go to the stream below the capture."""
    beneath, above = io.StringIO(), io.StringIO()
    above.amllog_beneath = beneath  # type: ignore[attr-defined]  # as the capture of prints has it
    assert written("plain", line(), stream=above) == ""
    assert beneath.getvalue().endswith("m\n")
