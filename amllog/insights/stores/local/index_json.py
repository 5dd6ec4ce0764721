"""The JSON of the index and of a manifest, read piece by piece in the one form in which amllog writes it.

In: bytes of a file that any program can have written. Out: strings and small values, one at a time. Raises ValueError
at the first character that amllog would not have written. At most one value of a limited length is decoded at once, so
that a file of nothing but brackets does not take twenty times its size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 16 * 1024 * 1024  # of an index or a manifest: some 30,000 files; amllog writes no larger one
MAX_VALUE_CHARACTERS = 1024 * 1024  # characters of what is known of one file
_LOOKED_AT = (4 * 1024, 64 * 1024, MAX_VALUE_CHARACTERS)  # most values are short
_DECODER = json.JSONDecoder()


class JsonReader:
    """A text that is read from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._text, self._at = data.decode("ascii"), 0  # json.dumps writes nothing else

    def accept(self, literal: str) -> bool:
        """Pass this text if it comes next. Return whether it did."""
        found = self._text.startswith(literal, self._at)
        self._at += len(literal) * found
        return found

    def expect(self, literal: str) -> None:
        """Pass this. ValueError if something else comes next."""
        if not self.accept(literal):
            raise ValueError(f"no {literal} at {self._at}")

    def value(self) -> Any:
        """The JSON value that comes next."""
        for most in _LOOKED_AT:
            part = self._text[self._at : self._at + most]
            try:
                found, length = _DECODER.raw_decode(part)
            except RecursionError:
                raise ValueError("nested too deeply") from None
            except ValueError:
                if most == MAX_VALUE_CHARACTERS or len(part) < most:
                    raise
            else:
                if length < most or len(part) < most:  # a number may go on
                    self._at += length
                    return found
        raise ValueError("a value that is too long")

    def string(self) -> str:
        """The string that comes next."""
        self.expect('"')
        found: str
        found, self._at = json.decoder.scanstring(self._text, self._at)  # type: ignore[attr-defined]  # it is there
        return found

    def items(self, end: str) -> Iterator[None]:
        """One turn for each item of a list or an object, up to its end. The caller reads the item."""
        if self.accept(end):
            return
        yield
        while not self.accept(end):
            self.expect(", ")
            yield

    def end(self) -> None:
        """ValueError if anything comes next."""
        if self._at != len(self._text):
            raise ValueError(f"more text at {self._at}")
