"""Literals of KQL: strings in which no character can end the literal, times and durations."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNITS = {
    "d": timedelta(1),
    "h": timedelta(0, 3600),
    "m": timedelta(0, 60),
    "s": timedelta(0, 1),
    "ms": timedelta(0, 0, 1000),
}


def literal(text: str) -> str:
    """Return `text` as a string literal. Characters that could end the literal are escaped."""
    return '"' + "".join(_ESCAPES.get(character) or _printable(character) for character in text) + '"'


def instant(time: datetime) -> str:
    """Return a datetime literal in UTC."""
    naive = time.astimezone(timezone.utc).replace(tzinfo=None)
    return f"datetime({naive.isoformat(timespec='microseconds')}Z)"


def ago(span: timedelta) -> str:
    """Return a call such as `ago(7d)`, in the greatest unit that divides the duration."""
    for unit, size in _UNITS.items():
        if span >= size and not span % size:
            return f"ago({span // size}{unit})"
    seconds, rest = divmod(span, timedelta(seconds=1))
    return f"ago({seconds}.{rest.microseconds:06d}s)"


def _printable(character: str) -> str:
    """Return a character, escaped if an editor could hide it or KQL could misread it."""
    if character.isprintable() or ord(character) > 0xFFFF:
        return character
    return f"\\u{ord(character):04x}"
