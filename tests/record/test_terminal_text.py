"""The lines that a terminal shows in the end. The screen of `pyte`, a terminal in Python, is the reference."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given, strategies as st

from amllog.record.terminal_text import MAX_COLUMNS, MAX_ROWS, TerminalText

COLUMNS, ROWS = 400, 60
WORDS = st.text(alphabet="abcdef 12%|=>äß", min_size=1, max_size=12)
# Control characters and sequences that do not move the cursor up.
CONTROLS = st.sampled_from(
    ["\r", "\b", "\n", "\r\n", "\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[C", "\x1b[3C", "\x1b[D", "\x1b[2D", "\x1b[G",
     "\x1b[5G", "\x1b[E", "\x1b[31m", "\x1b[0m", "\x1b[1;38;5;200m", "\x1b]0;title\x07", "\x07"]
)  # fmt: skip


def shown(text: str) -> list[str]:
    """Return the lines that a terminal shows after a text, without blank ones at the end."""
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(screen).feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))
    # The rows are sparse. `screen.display` would take a second for each text.
    rows = [screen.buffer[number] for number in range(ROWS)]
    lines = ["".join(row[column].data for column in range(max(row, default=-1) + 1)).rstrip() for row in rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def written(*texts: str) -> list[str]:
    """Return the lines of texts that are written one after the other, without blank ones at the end."""
    terminal = TerminalText()
    lines = [line for text in texts for line in terminal.write(text)] + terminal.end()
    assert terminal.is_empty
    while lines and not lines[-1]:
        lines.pop()
    return lines


@given(st.lists(st.one_of(WORDS, CONTROLS), max_size=30).map("".join))
def test_one_text(text: str) -> None:
    """The lines of a text are those that a terminal shows in the end."""
    assert written(text) == shown(text)


@given(
    st.lists(st.one_of(WORDS, CONTROLS), max_size=20).map("".join), st.lists(st.integers(0, 200), max_size=6)
)
def test_a_text_in_pieces(text: str, cuts: list[int]) -> None:
    """It does not matter where a text is cut into writes, also inside of a sequence, except after a carriage return."""
    places = [0, *sorted(cut for cut in cuts if cut < len(text) and text[:cut][-1:] != "\r"), len(text)]
    assert written(*(text[begin:end] for begin, end in zip(places, places[1:]))) == shown(text)


@given(
    st.lists(st.lists(WORDS.filter(str.strip), min_size=3, max_size=3), min_size=1, max_size=6), st.booleans()
)
def test_a_display_of_several_lines(frames: list[list[str]], hides_cursor: bool) -> None:
    """A display that moves up and draws its lines again gives the last state of each line."""
    begin, end = ("\x1b[?25l", "\x1b[?25h") if hides_cursor else ("", "")
    up = "\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K"
    texts = [begin + "\n".join(frames[0]), *(up + "\n".join(frame) for frame in frames[1:]), "\n" + end]
    if hides_cursor or len(frames) == 1:
        assert written(*texts) == shown("".join(texts))
    else:  # the first frame looks like plain lines
        assert written(*texts)[-2:] == [line.rstrip() for line in frames[-1]][-2:]


@pytest.mark.parametrize(
    ("texts", "lines"),
    [
        (["a\nb\nc"], ["a", "b", "c"]),
        (["one\r\n", "two\r", "\nthree"], ["one", "two", "three"]),
        (["\r 1%", "\r 50%", "\r100%", "\n", "after\n"], ["100%", "after"]),
        ([" 1%", "\r", "50%", "\r", "\n", "after\n"], ["50%", "after"]),
        (["progress 99%", "\r", "done", "\n"], ["progress 99%", "done"]),  # a terminal shows "doneress 99%"
        (["99%", "\r", "finished", "\n"], ["finished"]),
        (["progress 99%", "\r", "done"], ["progress 99%", "done"]),
        (["progress 98%", "\r", "99%", "\x1b[K", "\n", "after\n"], ["99%", "after"]),
        (["progress 98%", "\r", "99%", "\r", "\x1b[K", "done\n"], ["done"]),
        (["\r\rabc", "\b\bX\n"], ["aXc"]),
        (["\x1b[31mred\x1b[0m \x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\\n"], ["red link"]),
        (["\x1b[", "31", "mred", "\x1b", "[0m\n"], ["red"]),
        (["bell\x07 and nul\x00\n"], ["bell and nul"]),
        (["1\n2\x1b[J3\n"], ["1", "23"]),
        (["\x1b(B\x1b7text\x1b8\n"], ["text"]),
    ],
)  # fmt: skip
def test_examples(texts: list[str], lines: list[str]) -> None:
    """Bars, line ends, colours, titles and sequences in pieces."""
    assert written(*texts) == lines


def test_a_plain_line_is_complete_at_its_end() -> None:
    """A line without control characters is returned at once, and with it the bar above."""
    terminal = TerminalText()
    assert terminal.write("one\ntw") == ["one"]
    assert terminal.write("o\n\r 50%") == ["two"]
    assert terminal.write("\r100%\n") == []
    assert terminal.write("after\n") == ["100%", "after"]
    assert terminal.is_empty


def test_nested_bars_of_tqdm() -> None:
    """A bar below another one is written with a line end and a movement up. Both give their last state."""
    terminal = TerminalText()
    lines = terminal.write("\router 0%")
    for percent in (0, 50, 100):
        for text in ("\n", f"\rinner {percent}%", "\x1b[A"):
            lines += terminal.write(text)
    assert lines + terminal.write("\router 100%") + terminal.write("\n") == []
    assert terminal.end() == ["outer 100%", "inner 100%"]


def test_a_display_below_plain_lines() -> None:
    """The first state of a display may look like plain lines. Then its last state is returned once."""
    terminal = TerminalText()
    lines = terminal.write("one 0\ntwo 0\n")
    for number in range(1, 4):
        lines += terminal.write(f"\x1b[2F\x1b[Kone {number}\n\x1b[Ktwo {number}\n")
    assert lines + terminal.end() == ["one 0", "two 0", "one 3", "two 3", ""]


def test_lines_between_the_states_of_one_bar() -> None:
    """A line that tqdm.write puts above a bar is returned when the bar is drawn again, not only at the end."""
    terminal = TerminalText()
    lines: list[str] = []
    for number in range(3):
        for text in ("\r" + " " * 20, "\r", f"line {number}", "\n", f"\rbar {number}"):
            lines += terminal.write(text)
    assert lines == ["line 0", "line 1"]
    assert terminal.write("\rbar 9") == ["line 2"]
    assert terminal.end() == ["bar 9"]


def test_lines_that_begin_with_a_carriage_return() -> None:
    """Finished lines that each begin with a carriage return are returned one by one."""
    terminal = TerminalText()
    assert [terminal.write(f"\repoch {number}\n") for number in range(3)] == [[], ["epoch 0"], ["epoch 1"]]


def test_settle() -> None:
    """The finished line above the cursor is settled, and the lines of a live display are not."""
    terminal = TerminalText()
    terminal.write("\r100%\nrest")
    assert terminal.settle() == ["100%"]
    assert terminal.end() == ["rest"]
    terminal.write("\x1b[?25l\r1%\n")
    assert terminal.settle() == []
    assert terminal.write("\x1b[?25h") == []
    assert terminal.settle() == ["1%"]


def test_a_display_that_is_erased_at_its_end() -> None:
    """The last state of a display that shows the cursor and then erases itself, such as a spinner, is no line."""
    assert written("\x1b[?25l\r- work", "\n\x1b[?25h\r\x1b[1A\x1b[2K", "after\n") == ["after"]


@given(
    st.lists(
        st.one_of(
            WORDS,
            CONTROLS,
            st.text(max_size=9),
            st.sampled_from(["\x1b[A", "\x1b[9F", "\x1b[2J", "\x1b", "\x1b["]),
        )
    )
)
def test_any_text(texts: list[str]) -> None:
    """Any text gives lines without control characters, and nothing is left at the end."""
    assert not [line for line in written(*texts) if {*"\r\n\b\x1b"} & {*line}]


@pytest.mark.parametrize(
    "text", ["\x1b[999999999C", "\x1b[999999999B", "\r\n" * 500, "\r\x1b[K\n" * 500, "x" * 2 * MAX_COLUMNS]
)
def test_memory_is_bounded(text: str) -> None:
    """No sequence makes a line or the number of lines long."""
    terminal = TerminalText()
    for _ in range(3):
        assert all(len(line) <= MAX_COLUMNS for line in terminal.write(text + "x"))
    lines = terminal.end()
    assert len(lines) <= MAX_ROWS + 2
    assert all(len(line) <= MAX_COLUMNS for line in lines)
