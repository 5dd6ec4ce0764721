"""Lines of the driver log that come back as records are recognized. Other messages are not."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, strategies as st

from amllog.exporters.echoes import MAX_SITES, Echoes, is_read_here

HEAD = "2026-11-30T18:35:19.294Z WARNING  lib.sub: rows are missing: 3 of 10  step=2"
COLOURED = (
    "\x1b[90m18:35:19.294\x1b[0m \x1b[33mWARNING \x1b[0m \x1b[90mlib.sub:\x1b[0m rows are missing: 3 of 10"
)
JSON = json.dumps({"time": "2026-11-30T18:35:19.294123Z", "level": "WARNING", "message": "rows are missing"})
STACK = f"{HEAD}\n    Traceback (most recent call last):\n      File x\n    ValueError: wrong"
SITE = "STDOUT", "stream", "/stream.py", 12


def echoes(*lines: str) -> Echoes:
    """Return the echoes of these lines."""
    kept = Echoes()
    kept.lines[: len(lines)] = lines
    return kept


@pytest.mark.parametrize("line", [HEAD, COLOURED, JSON])
@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_prefixes_and_suffixes(line: str, before: str, after: str) -> None:
    """A line is recognized behind any text that ends with a blank, and before any that begins with one."""
    assert echoes(line).is_echo(f"{before} {line} {after}", SITE)


@pytest.mark.parametrize("line", [HEAD, COLOURED, JSON])
@pytest.mark.parametrize(
    "changed",
    [
        str,
        repr,
        lambda line: json.dumps({"text": line}),
        lambda line: line[:40].rstrip(),
        lambda line: f"  {line}\n",
        lambda line: line.replace(" ", "  "),
        lambda line: f"{line}\n{line}",
    ],
)
def test_changed_lines(line: str, changed: object) -> None:
    """A line is recognized if it is quoted, cut, stripped or wrapped."""
    assert echoes("", line).is_echo(changed(line), SITE)  # type: ignore[operator]  # of the parameters


def test_a_line_without_colours() -> None:
    """A stream that removes the colours returns the same words."""
    assert echoes(COLOURED).is_echo("18:35:19.294 WARNING  lib.sub: rows are missing: 3 of 10", SITE)


@given(st.text(max_size=60))
def test_other_messages(message: str) -> None:
    """A message is none if it has no time of a line, or that time and other words."""
    kept = echoes(HEAD, COLOURED, JSON, STACK)
    assert not kept.is_echo(message, SITE)
    assert not kept.is_echo(f"18:35:19.294 {message}", SITE)
    assert not kept.is_echo("rows are missing: 3 of 10", SITE)
    assert kept.sites == set()


def test_further_lines_of_a_known_call_site() -> None:
    """The lines of a stack are recognized at the call site that has brought back its first line."""
    kept = echoes(STACK)
    parts = STACK.split("\n")[1:]
    assert [kept.is_echo(part, SITE) for part in parts] == [False] * 3
    assert kept.is_echo(STACK.split("\n", maxsplit=1)[0], SITE)
    assert [kept.is_echo(f"> {part}", SITE) for part in parts] == [True] * 3
    assert not kept.is_echo("ValueError: wrong", ("other", "", "", 1))
    assert not kept.is_echo("printed", SITE)


def test_the_number_of_call_sites_is_bounded() -> None:
    """A stream that logs from ever new places does not fill the memory."""
    kept = Echoes()
    for number in range(MAX_SITES + 10):
        kept.add_site((number,))
    assert len(kept.sites) == MAX_SITES


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux shows the descriptors")
def test_a_pipe_that_this_process_reads() -> None:
    """A pipe is read here as long as its other end is open in this process."""
    reading, writing = os.pipe()
    with open(writing, "w") as stream, open(os.devnull, "w") as other:
        assert is_read_here(stream)
        assert not is_read_here(other)
        os.close(reading)
        assert not is_read_here(stream)
    assert not is_read_here(None)
