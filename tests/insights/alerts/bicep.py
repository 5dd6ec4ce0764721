"""A parser for the Bicep that amllog writes."""

from __future__ import annotations

import re
from typing import Any

_TEXT = r"'(?P<{}>(?:[^'\\\n$]|\$(?!{{)|\\['\\nrt$])*)'"  # an unescaped ${ begins an expression
_TOKEN = re.compile(
    rf"(?P<nothing>\s+|//[^\n]*|@description\({_TEXT.format('about')}\)|@allowed\(\[[^\]]*\]\))"
    rf"|'''\n(?P<block>.*?)'''|{_TEXT.format('text')}|(?P<number>-?\d+)"
    r"|(?P<word>[A-Za-z_]\w*(?:\([^()'\n]*(?:\(\)[^()'\n]*)?\))?(?:\.\w+)*)|(?P<sign>[{}\[\]:=])",
    re.DOTALL,
)
_ENDS, _ESCAPES = {"{": "}", "[": "]"}, {"n": "\n", "r": "\r", "t": "\t"}


class Bicep:
    """The parameters, variables and resource of a Bicep file. Raises SyntaxError for other syntax than ours."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match:
                raise SyntaxError(text[position : position + 40])
            position, kind = match.end(), str(match.lastgroup)
            if match["nothing"] is None:
                self._tokens.append((kind, match[kind]))
        self.parameters: dict[str, Any] = {}
        self.variables: dict[str, Any] = {}
        while self._tokens:
            self._declaration(self._take(), self._take())

    def _declaration(self, keyword: str, name: str) -> None:
        if keyword == "param":
            declared = self._take()
            has_default = self._tokens[:1] == [("sign", "=")] and bool(self._take("="))
            self.parameters[name] = (declared, self._value() if has_default else None)
        elif keyword == "var" and self._take("="):
            self.variables[name] = self._value()
        elif keyword == "resource":
            self.type = self._take()
            self._take("=")
            self.resource = self._value()
        else:
            raise SyntaxError(keyword)

    def _take(self, sign: str = "") -> str:
        kind, text = self._tokens.pop(0)
        if sign and (kind, text) != ("sign", sign):
            raise SyntaxError(f"expected {sign}, not {text}")
        return text

    def _value(self) -> Any:
        kind, text = self._tokens.pop(0)
        if kind == "text":
            return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text)
        if kind == "number":
            return int(text)
        if kind == "word":
            return {"true": True, "false": False}.get(text, f"={text}")
        if kind == "block":
            return text
        items: Any = {} if text == "{" else []
        while self._tokens[0] != ("sign", _ENDS[text]):
            if isinstance(items, list):
                items.append(self._value())
            else:
                kind, key = self._tokens.pop(0)
                self._take(":")
                items[re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), key)] = self._value()
        self._take(_ENDS[text])
        return items
