"""Split KQL into tokens with their positions. Source of the forms: the reference of KQL, scalar data types."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql

TICKS = {"d": 864_000_000_000, "h": 36_000_000_000, "m": 600_000_000, "s": 10_000_000, "ms": 10_000,
         "microsecond": 10, "tick": 1}  # fmt: skip
_UNIT_WORDS = {
    "d": ("day", "days"), "h": ("hour", "hours", "hr", "hrs"), "m": ("minute", "minutes", "min"),
    "s": ("second", "seconds", "sec"), "ms": ("millisecond", "milliseconds", "milli", "millis"),
    "microsecond": ("micro", "micros", "microseconds"), "tick": ("ticks",),
}  # fmt: skip
_UNITS = {word: TICKS[unit] for unit, words in _UNIT_WORDS.items() for word in (unit, *words)}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_TYPED = "datetime|date|timespan|time|guid|dynamic|int|long|real|double|bool|boolean|decimal"
_HYPHENATED = "by|expand|apply|away|keep|rename|reorder|where|kv|series|nested|hitters|distinct|graph"
_NEGATED = "(?:has|contains|startswith|endswith|hasprefix|hassuffix)(?:_cs)?|in~|in|between"
_TOKEN = re.compile(
    rf"""(?P<space>\s+|//[^\n]*)
    |(?P<multi>[hH]?(?:```[\s\S]*?```|~~~[\s\S]*?~~~))
    |(?P<verbatim>[hH]?@(?:"(?:[^"\n]|"")*"|'(?:[^'\n]|'')*'))
    |(?P<string>[hH]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<bracketed>\[\s*(?:'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")\s*\])
    |(?P<typed>\b(?:(?:{_TYPED})|dynamic[ \t]*)\()
    |(?P<timespan>\d+(?:\.\d+)?(?:{_UNIT})(?!\w))
    |(?P<hex>0[xX][0-9a-fA-F]+(?!\w))
    |(?P<real>\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)(?!\w))
    |(?P<long>\d+(?!\w))
    |(?P<list>in~)
    |(?P<name>[A-Za-z_$]\w*(?:-(?:{_HYPHENATED})\b)?)
    |(?P<negated>!(?:{_NEGATED})(?![\w~]))
    |(?P<symbol>\.\.|==|!=|<>|<=|>=|=~|!~|=>|[-+*/%<>=(){{}}\[\],;:.|?])""",
    re.VERBOSE | re.ASCII,
)
_QUOTED = re.compile(r'@"(?:[^"]|"")*"|@\'(?:[^\']|\'\')*\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'')
_ESCAPE = re.compile(
    r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|([0-7]{1,3})|([\\\"'abfnrtv])|(.))"
)
_ESCAPED = {"\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
            "v": "\v"}  # fmt: skip


class KqlToken(NamedTuple):
    """A token: its kind, its text, its value, and where it begins.

    The kinds are name, quoted (a name in brackets), string, long, real, timespan, literal (`long(1)`: its text is the
    type, its value what is in the brackets), symbol, and end.
    """

    kind: str
    text: str
    value: object
    start: int


def tokenize(text: str) -> list[KqlToken]:
    """Return the tokens of a query. The last one has the kind "end"."""
    tokens: list[KqlToken] = []
    start = 0
    while start < len(text):
        match = _TOKEN.match(text, start)
        if not match:
            raise InvalidKql(
                f"cannot read {text[start : start + 20]!r} at {place(text, start)}", code="SYN0002"
            )
        kind, end = str(match.lastgroup), match.end()
        is_member = bool(tokens) and tokens[-1].text == "."  # such as `x.time`
        if kind == "typed" and not is_member:
            end = _closing(text, end)
            name = match.group().rstrip("( \t\r\n")
            tokens.append(KqlToken("literal", name, text[match.end() : end - 1].strip(), start))
        elif kind == "typed":
            end = start + len(match.group().rstrip("( \t\r\n"))
            tokens.append(KqlToken("name", text[start:end], text[start:end], start))
        elif kind != "space":
            tokens += _tokens(kind, match.group(), start, text)
        start = end
    return [*tokens, KqlToken("end", "", None, len(text))]


def _tokens(kind: str, text: str, start: int, query: str) -> list[KqlToken]:
    """Return the tokens of one match. A name in brackets after a value is an index, which has three."""
    if kind in ("multi", "verbatim", "string"):
        return [KqlToken("string", text, _string(kind, text), start)]
    if kind == "bracketed":
        value = unescape(text[1:-1].strip()[1:-1])
        if not start or query[start - 1] in " \t\r\n(,[=|:;":
            return [KqlToken("quoted", text, value, start)]
        opening, closing = KqlToken("symbol", "[", "[", start), KqlToken("symbol", "]", "]", start)
        return [opening, KqlToken("string", text, value, start), closing]
    if kind == "timespan":
        return [KqlToken(kind, text, ticks(text), start)]
    if kind in ("hex", "long"):
        return [KqlToken("long", text, int(text, 16 if kind == "hex" else 10), start)]
    if kind == "real":
        return [KqlToken(kind, text, float(text), start)]
    return [KqlToken("name" if kind == "name" else "symbol", text, text, start)]


def _string(kind: str, text: str) -> str:
    plain = text[1:] if text[0] in "hH" else text
    if kind == "multi":
        return plain[3:-3]
    if kind == "verbatim":
        return plain[2:-1].replace(plain[1] * 2, plain[1])
    return unescape(plain[1:-1])


def unescape(text: str) -> str:
    """Return the content of a string literal with backslashes."""

    def character(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code or match[4]:
            number = int(code, 16) if code else int(match[4], 8)
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                raise UnsupportedKql(f"{match[0]} in a string, which is half of a character")
            return chr(number)
        if match[6]:
            advice = 'write @"…" for a string with backslashes'
            raise InvalidKql(f"\\{match[6]} in a string is not an escape: {advice}", code="SYN0002")
        return _ESCAPED[match[5]]

    return _ESCAPE.sub(character, text)


def ticks(text: str) -> int:
    """Return the number of 100 ns of `1.5h`. Raises KeyError or ValueError for other text."""
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)({_UNIT})", text, re.ASCII)
    if not match:
        raise ValueError(text)
    return int(Fraction(match[1]) * _UNITS[match[2]])


def _closing(text: str, start: int) -> int:
    """Return the position after the bracket that closes the one before `start`."""
    depth, index = 1, start
    while index < len(text) and depth:
        quoted = _QUOTED.match(text, index)
        if quoted:
            index = quoted.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        index += 1
    if depth:
        raise InvalidKql(f"the bracket at {place(text, start - 1)} is not closed", code="SYN0002")
    return index


def place(text: str, index: int) -> str:
    """Return a position in a query for a message."""
    line = text.count("\n", 0, index) + 1
    return f"line {line}, column {index - text.rfind(chr(10), 0, index)}"
