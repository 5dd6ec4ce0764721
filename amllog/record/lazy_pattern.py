"""Regular expressions that are compiled on first use.

The expressions that find secrets take 18 ms to compile, a third of the time of `import amllog`. Most processes use
few of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


class LazyPattern:
    """A regular expression with the methods of `re.Pattern` that amllog uses."""

    # The first use sets these attributes, so that later calls go to the compiled expression directly.
    search: Callable[[str], re.Match[str] | None]
    match: Callable[[str], re.Match[str] | None]
    fullmatch: Callable[[str], re.Match[str] | None]
    split: Callable[[str], list[str]]
    sub: Callable[[str | Callable[[re.Match[str]], str], str], str]

    def __init__(self, text: str, flags: int = 0) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        if name not in ("search", "match", "fullmatch", "split", "sub"):
            raise AttributeError(name)
        compiled = re.compile(self._text, self._flags)
        self.search, self.match = compiled.search, compiled.match
        self.fullmatch, self.split, self.sub = compiled.fullmatch, compiled.split, compiled.sub
        return getattr(compiled, name)
