"""Any Python object → text of bounded length.

In: whatever a caller passed as message, argument, dimension key or value.
Out: `str`, never an exception; what is cut carries a mark that says how much there was.
"""

from __future__ import annotations

import datetime
import enum
import functools
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, cast

from amllog.process.interrupts import is_from_signal, pass_on

MAX_NODES = 1_000
MAX_CHARACTERS = 32_768  # of the texts inside a container; a text of its own is cut by who knows its limit
MAX_DEPTH = 8
MAX_BYTES = 131_072  # that are decoded: more than any text of a record has

# What acts on a terminal, for the class of a regular expression: C0 and C1 controls, line separators, direction marks
# and isolates, characters of no width, surrogates, annotations, tags. They move its cursor, start a line, or change how
# the text around them reads. The joiner U+200D and variation selectors are not among them: emoji are made with them.
CONTROLS = (
    "\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ud800-\\udfff\\ufeff"
    "\\ufff9-\\ufffb\\U000e0000-\\U000e007f"
)

_SCALARS = (str, bool, int, float, type(None))


def truncate(text: str, limit: int) -> str:
    """`text` in at most `limit` characters; what was cut is marked at its end."""
    if len(text) <= limit:
        return text
    mark = f"… [cut from {len(text)} characters]"
    return text[: max(0, limit - len(mark))] + mark[-limit:]


def truncate_middle(text: str, limit: int) -> str:
    """Like `cut`, but keeps a quarter of the head and the tail: of a traceback, the end explains."""
    if len(text) <= limit:
        return text
    mark = f"\n… [cut from {len(text)} characters] …\n"
    room = max(0, limit - len(mark))
    head = room // 4
    return text[:head] + mark[-limit:] + text[len(text) - (room - head) :]


def to_text(value: object) -> str:
    """The text of any object; containers become JSON text, numbers their shortest exact form."""
    kind = type(value)
    if kind is str:
        return str(value)
    convert = _KNOWN.get(kind)
    try:
        return convert(value) if convert else _other(value)
    except Exception as error:  # any object's own methods may fail: the record tells it and lives
        if is_from_signal(error):
            raise
        return f"<{_type_name(value)}: {type(error).__name__} while turning it into text>"


def replace_surrogates(text: str) -> str:
    """`text` without lone surrogates, which no UTF-8 can carry: they appear as `\\udc80`."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def escape_character(character: str) -> str:
    """A character as its number: `\\x9b`, `\\u202e`, `\\U000e0041`."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape_controls(text: str) -> str:
    """`text` on one line, with control characters written out."""
    return _controls().sub(lambda match: escape_character(match.group()), text)


def escape_json_controls(text: str) -> str:
    """JSON text without characters that act on a terminal, except line feeds between values. Its values stay."""
    return _acting().sub(lambda match: json.dumps(match.group())[1:-1], text)


def to_json_value(value: object) -> object:
    """`value` in terms of JSON (str, bool, int, finite float, None, list, dict), bounded in size."""
    return _Plain().of(value, 0)


def to_number(value: object) -> float | int | None:
    """The number behind an int, float, bool, Decimal, numpy or torch scalar; None if there is none."""
    try:
        if isinstance(value, (bool, int, float)):
            return value if type(value) in (bool, int, float) else float(value)
        if isinstance(value, (str, bytes, Mapping)):
            return None
        item = _item(value)
        if item is not value:
            return to_number(item)
        if hasattr(type(value), "__float__"):
            return float(cast(Any, value))
    except OverflowError:  # of a Fraction, say
        return math.inf if cast(Any, value) > 0 else -math.inf
    except Exception as error:  # an array of many, a complex, a broken __float__: no number
        if is_from_signal(error):
            raise
        return None
    return None


@functools.cache
def _controls() -> re.Pattern[str]:
    return re.compile(f"[{CONTROLS}]")


@functools.cache
def _acting() -> re.Pattern[str]:
    return re.compile(f"(?![\\x00-\\x1f])[{CONTROLS}]")  # json.dumps escapes those below


def _float(value: Any) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")


def _int(value: Any) -> str:
    try:
        return str(int(value))
    except ValueError as error:  # beyond sys.get_int_max_str_digits
        pass_on(error)
        return hex(value)


def _bytes(value: Any) -> str:
    if len(value) <= MAX_BYTES:
        return bytes(value).decode("utf-8", "backslashreplace")
    # Megabytes would take seconds, and nobody keeps so much of them: only the length is that of the whole.
    return bytes(value[:MAX_BYTES]).decode("utf-8", "backslashreplace").ljust(len(value))


def _json(value: object) -> str:
    return json.dumps(to_json_value(value), ensure_ascii=False, allow_nan=False)


def _item(value: Any) -> Any:
    """The Python scalar inside a numpy or torch scalar (0 dimensions or one element), else `value`."""
    item = getattr(value, "item", None)
    if item is None or getattr(value, "ndim", None) is None:
        return value
    size = getattr(value, "size", 1)
    if callable(size):
        size = value.numel()
    return item() if size == 1 else value


def _other(value: Any) -> str:
    """The general way: subclasses of known types, numpy and torch scalars, containers, then `str`."""
    if isinstance(value, enum.Enum):
        return to_text(value.value)
    for base, convert in _BY_BASE:
        if isinstance(value, base):
            return convert(value)
    item = _item(value)
    return str(value) if item is value else to_text(item)


def _is_named(kind: type) -> bool:
    """Whether a class of tuples names its values, as `collections.namedtuple` and `typing.NamedTuple` do."""
    fields = getattr(kind, "_fields", None)
    return kind is not tuple and isinstance(fields, tuple) and all(isinstance(one, str) for one in fields)


def _type_name(value: object) -> str:
    return type(value).__name__


_KNOWN: dict[type, Callable[[Any], str]] = {
    int: _int,
    float: _float,
    bool: str,
    type(None): str,
    dict: _json,
    list: _json,
    tuple: _json,
    bytes: _bytes,
}

_BY_BASE: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (str, str.__str__),
    (int, _int),
    (float, _float),
    ((bytes, bytearray, memoryview), _bytes),
    ((datetime.datetime, datetime.date, datetime.time), lambda value: str(value.isoformat())),
    (os.PathLike, lambda value: to_text(os.fspath(value))),
    (BaseException, lambda value: f"{_type_name(value)}: {value}"),
    ((Mapping, list, tuple, Set), _json),
)


class _Plain:
    """One walk through a container, bounded in depth and in the number of things it visits."""

    def __init__(self) -> None:
        self.left = MAX_NODES
        self.room = MAX_CHARACTERS

    def of(self, value: Any, depth: int) -> object:
        self.left -= 1
        try:
            if isinstance(value, _SCALARS) and not isinstance(value, enum.Enum):
                return self._scalar(value)
            if not isinstance(value, (Mapping, list, tuple, Set)):
                return self._short(to_text(value))
            return "… [too deep]" if depth >= MAX_DEPTH else self._container(value, depth)
        except Exception as error:  # a container's own methods may fail, its neighbours must not
            if is_from_signal(error):
                raise
            return f"<{_type_name(value)}: {type(error).__name__} while turning it into text>"

    def _short(self, value: str) -> str:
        value = truncate(value, max(200, self.room))
        self.room -= len(value)
        return value

    def _scalar(self, value: Any) -> object:
        if isinstance(value, str):
            return self._short(str.__str__(value))
        if isinstance(value, float) and not math.isfinite(value):
            return _float(value)
        if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
            return _int(value)
        return value

    def _container(self, value: Any, depth: int) -> object:
        if isinstance(value, tuple) and _is_named(type(value)):  # its names show which values are secret
            value = dict(zip(type(value)._fields, value))  # type: ignore[attr-defined]  # just seen
        if not isinstance(value, Mapping):
            items = [self.of(item, depth + 1) for item in self._bounded(value)]
            return [*items, "… [more left out]"] if len(items) < len(value) else items
        found = {
            self._short(to_text(key)): self.of(item, depth + 1) for key, item in self._bounded(value.items())
        }
        if self.left <= 0 and len(found) < len(value):
            found["…"] = "[more left out]"
        return found

    def _bounded(self, items: Iterable[Any]) -> Iterable[Any]:
        for item in items:
            if self.left <= 0:
                return
            yield item
