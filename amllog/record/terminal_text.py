"""The lines that a terminal shows in the end, after text with control characters was written to it.

A progress bar draws its line again and again. It uses carriage returns (tqdm, `print(…, end="\\r")`), backspaces
(keras), or sequences that move the cursor up and erase (rich, nested bars). `TerminalText.write` returns the lines that
are complete.

A plain line is complete at its end. A line that control characters have drawn may change again. It is complete when the
line below it is complete or drawn again, unless the cursor has moved up, which nested bars do. Then, the cursor shows
where the display begins, and the lines above that are complete. The others are complete below a plain line, when a
hidden cursor is shown again, and at the end.

One thing differs from a terminal. After a text that ends with a carriage return, `print("done")` shows the rest of that
text behind its own. Here, the two are separate lines.
"""

from __future__ import annotations

import re

MAX_ROWS = 100  # from the first line that may change on
MAX_COLUMNS = 100_000
# A sequence that ends with a letter (CSI), one of the operating system (OSC), another escape, or a control character.
_CONTROL = re.compile(
    r"\x1b\[([?0-9;:]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
    r"|[\r\n\x08]|[\x00-\x07\x0b-\x1f\x7f]"
)
# A sequence whose end is not written yet, or a carriage return that a line end may follow.
_BEGUN = re.compile(r"(?:\x1b(?:\[[?0-9;:]*[ -/]*|\][^\x07\x1b]{0,500})?|\r)\Z")
_MAX_BEGUN = 520
_CURSOR = "?25"  # shown (h) or hidden (l)


class _Row:
    """One line. `may_change`: control characters have drawn it."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.may_change = False

    def draw(self, column: int, text: str) -> None:
        """Put a text over the line at a column."""
        before = self.text
        line = (
            before[:column] + text + before[column + len(text) :]
            if column < len(before)
            else before.ljust(column) + text
        )
        self.text = line[:MAX_COLUMNS]

    def erase(self, column: int, kind: int) -> None:
        """Erase from the column on (0), up to the column (1) or the whole line (2)."""
        self.text = {0: self.text[:column], 1: " " * (column + 1) + self.text[column + 1 :]}.get(kind, "")
        self.may_change = True

    def mark(self) -> None:
        """Note that the line may change."""
        self.may_change = True

    def replace(self, text: str) -> None:
        """Set the text."""
        self.text = text


class TerminalText:
    """The last lines of one writer. A line does not wrap."""

    def __init__(self) -> None:
        self._rows = [_Row()]
        self._row = self._column = 0
        self._is_hidden = False  # the cursor, as long as a live display runs
        self._has_moved_up = self._is_moving = False
        self._returned = ""  # the text of the row, if a new text replaces it
        self._begun = ""

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is left. Text without control characters can then be split at its line ends."""
        return len(self._rows) == 1 and not (
            self._rows[0].text or self._begun or self._is_hidden or self._returned
        )

    def write(self, text: str) -> list[str]:
        """Write text. Return the lines that are complete now."""
        self._row = max(
            0, min(self._row, len(self._rows) - 1)
        )  # an exception of a signal handler may have interrupted
        text, was_returned, self._begun = self._begun + text, self._begun == "\r", ""
        begun = _BEGUN.search(text, max(0, len(text) - _MAX_BEGUN))
        if begun is not None:
            text, self._begun = text[: begun.start()], begun.group()
        done: list[str] = []
        end = 0
        for match in _CONTROL.finditer(text):
            self._draw(text[end : match.start()], done)
            end = match.end()
            self._control(match, done)
            if was_returned and match.start() == 0 and end < len(text) and not _CONTROL.match(text, end):
                self._begin_new_text()
        self._draw(text[end:], done)
        return done

    def settle(self) -> list[str]:
        """Return the lines above the cursor, unless a live display runs."""
        done: list[str] = []
        if not self._is_hidden:
            self._complete(self._row, done)
        return done

    def take(self) -> str:
        """Return the text of the last line, with blanks at its end, and forget everything."""
        text = self._rows[-1].text
        self.end()
        return text

    def end(self) -> list[str]:
        """Return all lines that are left."""
        done: list[str] = []
        self._separate()
        self._complete(len(self._rows), done)
        self._row = self._column = 0
        self._begun, self._is_hidden, self._has_moved_up, self._is_moving = "", False, False, False
        return done

    def _draw(self, text: str, done: list[str]) -> None:
        if text:
            self._end_movement(done)
            self._rows[self._row].draw(self._column, text)
            self._column = min(self._column + len(text), MAX_COLUMNS)

    def _control(self, match: re.Match[str], done: list[str]) -> None:
        first, final, row = match.group()[0], match.group(2), self._rows[self._row]
        if first == "\n":
            self._next_line(done)
        elif first == "\r":
            if not match.string.startswith("\n", match.end()):
                self._return(row, done)
            self._column = 0
        elif first == "\b":
            row.mark()
            self._column = max(0, self._column - 1)
        elif match.group(1) == _CURSOR:
            # The display that ends here may still be erased. So its lines are complete with the next text.
            self._is_hidden, self._is_moving = final == "l", final == "h"
        elif final and not match.group(1).startswith("?"):
            count = int(match.group(1)) if match.group(1).isdecimal() else 0
            self._sequence(final, min(count, MAX_COLUMNS), done)

    def _return(self, row: _Row, done: list[str]) -> None:
        """Process a carriage return. The row is drawn again, so those above it are complete if nothing has moved up."""
        if row.text and not self._has_moved_up and not self._is_hidden:
            self._complete(self._row, done)
        self._returned = ""
        row.mark()

    def _begin_new_text(self) -> None:
        """Begin a text that replaces the row, because the text before it ended with a carriage return."""
        row = self._rows[self._row]
        self._returned = row.text.rstrip()
        row.replace("")

    def _separate(self) -> None:
        """Put a replaced text into a row above the present one, unless the new text covers it."""
        row, before = self._rows[self._row], self._returned
        self._returned = ""
        if len(row.text) < len(before):
            above = _Row(before)
            above.mark()
            self._rows.insert(self._row, above)
            self._row += 1

    def _sequence(self, final: str, count: int, done: list[str]) -> None:
        """Erase (J, K), or move the cursor."""
        steps = max(count, 1)
        if final in "JK":
            self._returned = ""
            self._rows[self._row].erase(self._column, count)
            if final == "J":
                del self._rows[self._row + 1 :]
        elif final in "AF":
            self._move_up(steps)
        elif final in "BE":
            for _ in range(min(steps, MAX_ROWS)):
                self._next_line(done, keep_column=final == "B")
        elif final == "C":
            self._column = min(self._column + steps, MAX_COLUMNS)
        elif final == "D":
            self._column = max(0, self._column - steps)
        if final in "FG":
            self._column = 0 if final == "F" else steps - 1

    def _move_up(self, steps: int) -> None:
        self._returned, self._has_moved_up, self._is_moving = "", True, True
        self._row = max(0, self._row - steps)
        for row in self._rows:
            row.mark()

    def _end_movement(self, done: list[str]) -> None:
        """Complete the lines above the one that a movement has reached, because a display does not return to them."""
        if self._is_moving:
            self._is_moving, has_moved_up = False, self._has_moved_up
            self._complete(self._row, done)
            self._has_moved_up = has_moved_up

    def _next_line(self, done: list[str], *, keep_column: bool = False) -> None:
        self._separate()
        self._end_movement(done)
        row = self._rows[self._row]
        is_plain = not (row.may_change or self._is_hidden)
        if row.text and not self._has_moved_up and not self._is_hidden:
            self._complete(self._row, done)
        self._row += 1
        if not keep_column:
            self._column = 0
        if self._row == len(self._rows):
            self._rows.append(_Row())
        if is_plain:
            self._complete(self._row, done)
        elif self._row > MAX_ROWS:
            self._complete(1, done)

    def _complete(self, count: int, done: list[str]) -> None:
        """Complete the first `count` lines."""
        done += [row.text.rstrip() for row in self._rows[:count]]
        self._rows = self._rows[count:] or [_Row()]
        self._row = max(0, self._row - count)
        if len(self._rows) == 1 and not self._rows[0].text:
            self._has_moved_up = False
