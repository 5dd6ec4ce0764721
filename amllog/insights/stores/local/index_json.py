"""Read the JSON of the index and of a manifest in bounded memory.

Any program can write such a file. A file of nothing but brackets would take twenty times its size as Python objects. So
the reader accepts only the one form that amllog writes, and raises ValueError at the first other character. It decodes
one value of a limited length at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Of an index or a manifest: enough for 30,000 files. amllog writes no larger one.
MAX_BYTES = 16 * 1024 * 1024
MAX_VALUE_CHARACTERS = 1024 * 1024  # of the entry of one file
_WINDOWS = (4 * 1024, 64 * 1024, MAX_VALUE_CHARACTERS)  # most values fit into the first one
_DECODER = json.JSONDecoder()


class JsonReader:
    """A parser of JSON text, from its start to its end."""

    def __init__(self, data: bytes) -> None:
        self._text, self._position = data.decode("ascii"), 0  # json.dumps writes ASCII only

    def accept(self, literal: str) -> bool:
        """Consume this string if it is next. Return whether it was."""
        is_next = self._text.startswith(literal, self._position)
        self._position += len(literal) * is_next
        return is_next

    def expect(self, literal: str) -> None:
        """Consume this string. Raises ValueError if it is not next."""
        if not self.accept(literal):
            raise ValueError(f"no {literal} at {self._position}")

    def value(self) -> Any:
        """Consume and return the next JSON value. Raises ValueError if it is invalid or too long."""
        for window in _WINDOWS:
            part = self._text[self._position : self._position + window]
            try:
                value, length = _DECODER.raw_decode(part)
            except RecursionError:
                raise ValueError("nested too deeply") from None
            except ValueError:
                if window == MAX_VALUE_CHARACTERS or len(part) < window:
                    raise
            else:
                if length < window or len(part) < window:  # a number at the end of the window may continue
                    self._position += length
                    return value
        raise ValueError("a value that is too long")

    def string(self) -> str:
        """Consume and return the next string. Raises ValueError if the next value is not one."""
        self.expect('"')
        value: str
        scan = json.decoder.scanstring  # type: ignore[attr-defined]  # it is there
        value, self._position = scan(self._text, self._position)
        return value

    def items(self, end: str) -> Iterator[None]:
        """Iterate once for each item of a list or an object, up to `end`. The caller consumes the item."""
        if self.accept(end):
            return
        yield
        while not self.accept(end):
            self.expect(", ")
            yield

    def end(self) -> None:
        """Raise ValueError if there is more text."""
        if self._position != len(self._text):
            raise ValueError(f"more text at {self._position}")
