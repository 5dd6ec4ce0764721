"""The position of a parser in the tokens of a query."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from amllog.insights.stores.local.kql.keywords import need_no_keyword
from amllog.insights.stores.local.kql.reasons import DEPTH_MAX, InvalidKql, too_deep
from amllog.insights.stores.local.kql.tokens import KqlToken, place, tokenize

_WORDS = ("name", "symbol")


class TokenCursor:
    """The tokens of a query and the present one."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens = text, tokenize(text)
        self._index = self._depth = 0

    @property
    def token(self) -> KqlToken:
        """The present token."""
        return self._tokens[self._index]

    @property
    def index(self) -> int:
        """The number of the present token."""
        return self._index

    def peek(self, count: int = 1) -> KqlToken:
        """Return a token after the present one."""
        return self._tokens[min(self._index + count, len(self._tokens) - 1)]

    def at(self, index: int) -> KqlToken:
        """Return a token by its number."""
        return self._tokens[min(index, len(self._tokens) - 1)]

    def step(self) -> KqlToken:
        """Return the present token, and go to the next one."""
        token = self.token
        self._index += token.kind != "end"
        return token

    def back(self) -> None:
        """Go back to the token before."""
        self._index -= 1

    def is_at(self, *texts: str) -> bool:
        """Return whether the present token is one of these words or symbols."""
        return self.token.kind in _WORDS and self.token.text in texts

    def is_before(self, *texts: str) -> bool:
        """Return whether the next token is one of these words or symbols."""
        return self.peek().kind in _WORDS and self.peek().text in texts

    def take(self, *texts: str) -> bool:
        """Go to the next token if the present one is one of these words or symbols. Return whether it is."""
        is_at = self.is_at(*texts)
        self._index += is_at
        return is_at

    def expect(self, text: str) -> None:
        """Go to the token after this word or symbol. Raises InvalidKql if it is another one."""
        if not self.take(text):
            raise self.error(f"{text!r} is expected")

    def name(self) -> str:
        """Return a name, also one in brackets, and go to the next token."""
        if self.token.kind not in ("name", "quoted"):
            raise self.error("a name is expected")
        return str(self.step().value)

    def declared(self, words: frozenset[str]) -> str:
        """Return a name. Raises InvalidKql for one of these words without brackets."""
        is_quoted = self.token.kind == "quoted"
        name = self.name()
        return name if is_quoted else need_no_keyword(name, words)

    def error(self, message: str, advice: str = "") -> InvalidKql:
        """Return the error for the present token. `advice` follows the place."""
        token = self.token
        text = "the end" if token.kind == "end" else repr(token.text[:30])
        where = place(self._text, token.start)
        service = f"Query could not be parsed at {text}, {where}"
        return InvalidKql(f"{message} instead of {text} at {where}{advice}", code="SYN0002", service=service)

    def joined(self) -> tuple[str, bool]:
        """Return words and stars without a space between them as one pattern, and whether it has a star."""
        text, end, is_pattern = "", self.token.start, False
        while self.token.start == end and (self.token.kind == "name" or self.is_at("*")):
            token = self.step()
            is_pattern = is_pattern or token.text == "*"
            text, end = text + token.text, token.start + len(token.text)
        return text, is_pattern

    @contextlib.contextmanager
    def nested(self) -> Iterator[None]:
        """Count the depth of expressions and queries in the block. Raises TooComplexKql if it is too large."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise too_deep()
        try:
            yield
        finally:
            self._depth -= 1
