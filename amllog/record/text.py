"""Convert any object to a string of bounded length without raising.

The objects are messages, arguments, keys and values of dimensions, which can be anything. A truncated string ends with
a mark that has the original length.
"""

from __future__ import annotations

import datetime
import enum
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, cast

from amllog.process.interrupts import is_from_signal, pass_on
from amllog.record.lazy_pattern import LazyPattern

MAX_NODES = 1_000
MAX_CHARACTERS = 32_768  # of all strings in a container. The caller truncates a string alone.
MAX_DEPTH = 8
MAX_BYTES = 131_072  # to decode: more than the limit of any string in a record

# Characters that control a terminal, for the class of a regular expression: C0 and C1 controls, line separators,
# direction marks and isolates, characters without width, surrogates, annotations, tags. They move the cursor, begin a
# line, or change how the characters around them are displayed. The joiner U+200D and variation selectors are allowed,
# because emoji contain them.
CONTROLS = (
    "\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ud800-\\udfff\\ufeff"
    "\\ufff9-\\ufffb\\U000e0000-\\U000e007f"
)

_CONTROLS = LazyPattern(f"[{CONTROLS}]")
_CONTROLS_IN_JSON = LazyPattern(f"(?![\\x00-\\x1f])[{CONTROLS}]")  # json.dumps has escaped the others

_SCALARS = (str, bool, int, float, type(None))


def truncate(text: str, limit: int) -> str:
    """Return `text` in at most `limit` characters. A truncated string ends with a mark."""
    if len(text) <= limit:
        return text
    mark = f"… [cut from {len(text)} characters]"
    return text[: max(0, limit - len(mark))] + mark[-limit:]


def truncate_middle(text: str, limit: int) -> str:
    """Truncate in the middle, with a quarter of the result before the mark and the rest behind it.

    The end of a traceback is the part that explains the error.
    """
    if len(text) <= limit:
        return text
    mark = f"\n… [cut from {len(text)} characters] …\n"
    length = max(0, limit - len(mark))
    head = length // 4
    return text[:head] + mark[-limit:] + text[len(text) - (length - head) :]


def to_text(value: object) -> str:
    """Convert any object to a string: a container to JSON, a number to its shortest exact form."""
    kind = type(value)
    if kind is str:
        return str(value)
    convert = _KNOWN.get(kind)
    try:
        return convert(value) if convert else _other(value)
    except Exception as error:  # the methods of any object may fail
        if is_from_signal(error):
            raise
        return _failed(value, error)


def replace_surrogates(text: str) -> str:
    """Return `text` with lone surrogates replaced by `\\udc80` and the like. UTF-8 cannot encode them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def escape_character(character: str) -> str:
    """Return the escape sequence of a character: `\\x9b`, `\\u202e`, `\\U000e0041`."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape_controls(text: str) -> str:
    """Return `text` on one line, with control characters escaped."""
    return _CONTROLS.sub(lambda match: escape_character(match.group()), text)


def escape_json_controls(text: str) -> str:
    """Escape control characters in a JSON document, except line feeds. The values stay the same."""
    return _CONTROLS_IN_JSON.sub(lambda match: json.dumps(match.group())[1:-1], text)


def to_json_value(value: object) -> object:
    """Convert to JSON types (str, bool, int, finite float, None, list, dict) of bounded size."""
    return _JsonConverter().convert(value, 0)


def to_number(value: object) -> float | int | None:
    """Return the number in an int, float, bool, Decimal, numpy or torch scalar, or None for other objects."""
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
    except OverflowError:  # such as a large Fraction
        return math.inf if cast(Any, value) > 0 else -math.inf
    except Exception as error:  # an array of many values, a complex number, a broken __float__
        if is_from_signal(error):
            raise
        return None
    return None


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
    # Decoding megabytes takes seconds, and the result is truncated anyway. Only the length is that of all bytes.
    return bytes(value[:MAX_BYTES]).decode("utf-8", "backslashreplace").ljust(len(value))


def _json(value: object) -> str:
    return json.dumps(to_json_value(value), ensure_ascii=False, allow_nan=False)


def _item(value: Any) -> Any:
    """Return the Python scalar in a numpy or torch scalar (0 dimensions or one element), else `value`."""
    item = getattr(value, "item", None)
    if item is None or getattr(value, "ndim", None) is None:
        return value
    size = getattr(value, "size", 1)
    if callable(size):
        size = value.numel()
    return item() if size == 1 else value


def _other(value: Any) -> str:
    """Convert subclasses of known types, numpy and torch scalars and containers, and other objects with `str`."""
    if isinstance(value, enum.Enum):
        return to_text(value.value)
    for base, convert in _BY_BASE:
        if isinstance(value, base):
            return convert(value)
    item = _item(value)
    return str(value) if item is value else to_text(item)


def _is_named(kind: type) -> bool:
    """Return whether a class of tuples is one of `collections.namedtuple` or `typing.NamedTuple`."""
    fields = getattr(kind, "_fields", None)
    return kind is not tuple and isinstance(fields, tuple) and all(isinstance(name, str) for name in fields)


def _failed(value: object, error: Exception) -> str:
    return f"<{type(value).__name__}: {type(error).__name__} while converting it to a string>"


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
    (BaseException, lambda value: f"{type(value).__name__}: {value}"),
    ((Mapping, list, tuple, Set), _json),
)


class _JsonConverter:
    """The conversion of one container, with limits for the depth, the number of values and the characters."""

    def __init__(self) -> None:
        self._remaining_nodes = MAX_NODES
        self._remaining_characters = MAX_CHARACTERS

    def convert(self, value: Any, depth: int) -> object:
        self._remaining_nodes -= 1
        try:
            if isinstance(value, _SCALARS) and not isinstance(value, enum.Enum):
                return self._scalar(value)
            if not isinstance(value, (Mapping, list, tuple, Set)):
                return self._short(to_text(value))
            return "… [too deep]" if depth >= MAX_DEPTH else self._container(value, depth)
        except Exception as error:  # the methods of one value may fail, and the others are kept
            if is_from_signal(error):
                raise
            return _failed(value, error)

    def _short(self, value: str) -> str:
        value = truncate(value, max(200, self._remaining_characters))
        self._remaining_characters -= len(value)
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
        if isinstance(value, tuple) and _is_named(type(value)):  # the names show which values are secrets
            value = dict(zip(type(value)._fields, value))  # type: ignore[attr-defined]  # a named tuple
        if not isinstance(value, Mapping):
            items = [self.convert(item, depth + 1) for item in self._bounded(value)]
            return [*items, "… [more omitted]"] if len(items) < len(value) else items
        members = {
            self._short(to_text(key)): self.convert(item, depth + 1)
            for key, item in self._bounded(value.items())
        }
        if self._remaining_nodes <= 0 and len(members) < len(value):
            members["…"] = "[more omitted]"
        return members

    def _bounded(self, items: Iterable[Any]) -> Iterable[Any]:
        for item in items:
            if self._remaining_nodes <= 0:
                return
            yield item
