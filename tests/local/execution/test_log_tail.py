"""Reading the log of a step while it grows."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, strategies as st

from amllog.local.execution.log_tail import BEHIND_MAX, CHUNK, LINE_MAX, LogTail


def append(path: Path, data: bytes) -> None:
    """Append bytes to a file."""
    with path.open("ab") as file:
        file.write(data)


def test_lines_are_read_when_they_end(tmp_path: Path) -> None:
    """A line without an end is shown as unfinished, and read at the end of the step."""
    log = tmp_path / "log"
    tail = LogTail(log)
    assert tail.read() == ([], "", False)
    append(log, b"a\r\nb")
    assert tail.read() == (["a"], "b", False)
    append(log, b"c\n10 %\r20 %\xff")
    assert tail.read() == (["bc"], "10 %\r20 %�", False)
    assert tail.read(is_last=True) == (["10 %\r20 %�"], "", False)


def test_a_reader_that_is_far_behind_continues_near_the_end(tmp_path: Path) -> None:
    """Too many new bytes are counted in one line, and the last ones are shown."""
    log = tmp_path / "log"
    tail = LogTail(log)
    append(log, b"x" * 99 + b"\n")
    tail.read()
    append(log, b"z" * 50)
    tail.read()
    append(log, b"z" * 49 + b"\n" + (b"y" * 99 + b"\n") * (BEHIND_MAX // 100 + 1))
    lines, _, has_more = tail.read()
    assert lines[0].startswith(
        f"… {100 + BEHIND_MAX // 100 * 100 + 100 - CHUNK:,} bytes are not shown here. They are in "
    )
    assert lines[-1] == "y" * 99
    assert not has_more


def test_a_long_line_is_divided(tmp_path: Path) -> None:
    """A line without an end needs no more memory than the limit."""
    log = tmp_path / "log"
    tail = LogTail(log)
    append(log, b"z" * (LINE_MAX * 2 + 5))
    lines, unfinished, _ = tail.read()
    assert ([len(line) for line in lines], unfinished) == ([LINE_MAX, LINE_MAX], "z" * 5)


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_no_byte_is_lost(tmp_path_factory: object, parts: list[bytes]) -> None:
    """However the log grows, the lines are those of the whole file."""
    log = tmp_path_factory.mktemp("log") / "log"  # type: ignore[attr-defined]  # pytest's factory
    tail = LogTail(log)
    lines: list[str] = []
    for part in parts:
        append(log, part)
        lines += tail.read().lines
    lines += tail.read(is_last=True).lines
    whole = b"".join(parts).split(b"\n")
    expected = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in whole]
    assert lines == expected[: len(expected) - (not whole[-1])]


def test_the_log_of_the_next_attempt_is_read_from_its_beginning(tmp_path: Path) -> None:
    """A log that was renamed is read to its end, and then the new one from its first line. Broken links are no logs."""
    log = tmp_path / "log"
    (tmp_path / "link").symlink_to("nowhere")
    tail = LogTail(log)
    append(log, b"one\n")
    assert tail.read().lines == ["one"]
    append(log, b"two\nno end")
    log.rename(tmp_path / "log_attempt_1")
    append(log, b"1\n")
    assert tail.read() == (["two", "no end", "1"], "", False)
    log.rename(tmp_path / "log_attempt_2")
    append(log, b"second\n")
    assert tail.read() == (["second"], "", False)


def test_something_else_in_the_place_of_the_log(tmp_path: Path) -> None:
    """A step that puts a folder in the place of its log has no further lines, and the runner continues."""
    log = tmp_path / "log"
    tail = LogTail(log)
    append(log, b"a\n")
    assert tail.read().lines == ["a"]
    log.unlink()
    log.mkdir()
    assert tail.read(is_last=True) == ([], "", False)
