"""Faults of the far side, switched on and off while it runs.

In: `Fault` values, put by a test or through `PUT …/faults`. Out: for a request the fault that hits it, if any.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import orjson

from amllog.local.app_insights.validation import ItemError

SERVICES = ("ingestion", "run_history", "query")
HANGS = ("", "before headers", "after headers")
FOREVER_SECONDS = 3600.0
_RANGES = {
    "status": (200, 599),
    "seconds": (0, FOREVER_SECONDS),
    "drops": (0, FOREVER_SECONDS),
    "times": (1, 2**31),
}
_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)  # of a header

ItemMatch = Union[str, Callable[[Mapping[str, Any]], bool]]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, for the next `times` requests (None: until cleared).

    service: `ingestion`, `run_history` (run history, metrics, artifacts and blobs) or `query`.
    seconds: waits so long before anything else.
    status, headers, body: answered instead of the right answer (`body` alone: an unreadable 200).
    item: a regular expression over an item's JSON, or a function of the item: `status` and `message` are then the
        answer for these items only (envelopes; metrics of a batch), the others are taken. Of a query's answer, these
        rows are left out, and it is a partial one.
    hang: `before headers` or `after headers`: no more comes until the fault is cleared.
    close: the connection breaks in the middle of the answer.
    drops: the answer comes byte by byte, with so many seconds between them.
    carried_out: a request that hangs, breaks or is answered otherwise takes effect all the same: only its answer is
        lost or wrong.
    path: hits only requests whose path contains this text.
    """

    service: str = "ingestion"
    seconds: float = 0.0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    item: ItemMatch | None = None
    message: str = "switched on for a test"
    hang: str = ""
    close: bool = False
    drops: float = 0.0
    carried_out: bool = False
    path: str = ""
    times: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can never hit."""
        if self.service not in SERVICES:
            raise ValueError(f"service = {self.service!r}: allowed are {', '.join(SERVICES)}")
        if self.hang not in HANGS:
            raise ValueError(f"hang = {self.hang!r}: allowed are {HANGS}")
        if self.item is not None and self.status is None:
            raise ValueError("a fault on items needs the status that these items get")
        for name, value in self.headers.items():
            if not (_NAME.fullmatch(name) and str(value).isascii() and str(value).isprintable()):
                raise ValueError(f"headers: {name!r} = {value!r} is no name, or no ASCII text of one line")
        for field_name, (least, most) in _RANGES.items():
            value = getattr(self, field_name)
            if value is not None and not least <= value <= most:  # NaN is in no range
                raise ValueError(f"{field_name} = {value!r}: allowed are {least} to {most}")
        try:
            re.compile(self.item if isinstance(self.item, str) else "")
        except re.error as error:
            raise ValueError(f"item = {self.item!r}: {error}") from error

    @property
    def replaces(self) -> bool:
        """Whether the request gets this fault's answer in place of the right one."""
        return self.item is None and (self.status is not None or self.body is not None)

    @property
    def takes_effect(self) -> bool:
        """Whether the service gets to see the request."""
        return self.carried_out or not (self.replaces or self.hang or self.close)

    def verdict(self, item: Mapping[str, Any]) -> ItemError | None:
        """What this fault says to one item of a batch."""
        if self.item is None or self.status is None:
            return None
        if callable(self.item):
            hit = self.item(item)
        else:
            hit = re.search(self.item, orjson.dumps(item).decode()) is not None
        return ItemError(self.status, self.message) if hit else None

    @classmethod
    def from_json(cls, value: object) -> Fault:
        """A fault from a JSON object; ValueError names what is wrong."""
        if not isinstance(value, dict) or not set(value) <= set(_JSON_TYPES):
            raise ValueError(f"a fault is a JSON object with {', '.join(_JSON_TYPES)}")
        for name, one in value.items():
            kinds = _JSON_TYPES[name]
            if not isinstance(one, kinds) or (isinstance(one, bool) and bool not in kinds):
                raise ValueError(f"{name} = {one!r}: expected {_JSON_TYPES[name]}")
        return cls(**value)


_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "service": (str,),
    "seconds": (int, float),
    "status": (int,),
    "headers": (dict,),
    "body": (str,),
    "item": (str,),
    "message": (str,),
    "hang": (str,),
    "close": (bool,),
    "drops": (int, float),
    "carried_out": (bool,),
    "path": (str,),
    "times": (int,),
}


class Faults:
    """The faults that are switched on, first come first hit; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, list[float]]] = []
        self._cleared = threading.Event()

    def put(self, *faults: Fault) -> None:
        """Switch faults on, after those that are on already."""
        with self._lock:
            self._left += [(one, [one.times if one.times is not None else float("inf")]) for one in faults]

    def clear(self) -> None:
        """Switch all off, and let go of the requests that hang or wait."""
        with self._lock:
            self._left = []
            self._cleared.set()
            self._cleared = threading.Event()

    @property
    def active(self) -> list[Fault]:
        """What is switched on now."""
        with self._lock:
            return [fault for fault, left in self._left if left[0] > 0]

    def take(self, service: str, path: str) -> Fault | None:
        """The fault that hits this request, counted."""
        with self._lock:
            for fault, left in self._left:
                if fault.service == service and fault.path in path and left[0] > 0:
                    left[0] -= 1
                    return fault
        return None

    def wait(self, seconds: float) -> bool:
        """Pass time, until the faults are cleared at the latest; whether they were."""
        with self._lock:
            cleared = self._cleared
        return cleared.wait(seconds)
