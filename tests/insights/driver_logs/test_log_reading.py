"""The lines of a driver log as a terminal shows them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from amllog.insights.driver_logs.log_reading import CHUNK_BYTES, MAX_LINE, read_lines, shown_text


def written(tmp_path: Path, content: bytes) -> Path:
    """Return a file with this content."""
    path = tmp_path / "std_log.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb", ["a", "b"]),
        (b"\n\n", ["", ""]),
        ("\ufeffä\n".encode(), ["ä"]),
        (b"caf\xe9\n", ["caf\ufffd"]),
        (b"\r 10%\r 50%\r100%\ndone\n", ["100%", "done"]),
        (b"working\r\n", ["working"]),
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07plain\n", ["red plain"]),
        (b"abx\x08c\n", ["abc"]),
    ],
)
def test_what_a_terminal_shows(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    """Colours, titles, overdrawn states of a bar, a byte order mark and invalid bytes do not reach the reader."""
    assert list(read_lines(written(tmp_path, content))) == lines


def test_a_bar_without_a_line_end(tmp_path: Path) -> None:
    """A bar of many states in one line is one line: the last state."""
    states = b"".join(b"\r%7d of 100000" % number for number in range(100_000))
    assert list(read_lines(written(tmp_path, states + b"\nend\n"))) == ["  99999 of 100000", "end"]


def test_a_long_line_is_divided(tmp_path: Path) -> None:
    """A line that is longer than the memory for one is returned in pieces, and no character is lost."""
    text = "".join(map(str, range(CHUNK_BYTES)))
    pieces = list(read_lines(written(tmp_path, f"{text}\nnext\n".encode())))
    assert max(map(len, pieces)) == MAX_LINE
    assert ("".join(pieces[:-1]), pieces[-1]) == (text, "next")


def test_only_regular_files(tmp_path: Path) -> None:
    """A FIFO, a link and a folder are errors, and nothing waits for a writer."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(written(tmp_path, b"x"))
    for name in ("fifo", "link", ".", "missing"):
        with pytest.raises(OSError):
            list(read_lines(tmp_path / name))


TEXT = st.text(
    st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters="\ufeff\u2028\u2029\x85")
)


@given(st.lists(TEXT))
def test_plain_lines_are_unchanged(lines: list[str]) -> None:
    """Lines without control characters are returned as they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "".join(f"{line}\n" for line in lines).encode())
        assert list(read_lines(path)) == lines


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    """No content is an error, and no escape or carriage return is in a line."""
    with tempfile.TemporaryDirectory() as folder:
        lines = list(read_lines(written(Path(folder), content)))
    assert not any(character in line for line in lines for character in "\x1b\r\n")
    assert all(shown_text(line) == line for line in lines if "\x08" not in line)
