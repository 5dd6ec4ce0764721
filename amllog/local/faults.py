"""The faults of the local Azure, which a test can switch on and off while it runs.

Tests add `Fault` values with `Faults.put` or over HTTP. `Faults.take` returns the fault of a request.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import orjson

from amllog.local.app_insights.validation import ItemError

SERVICES = ("ingestion", "run_history", "mlflow", "query")
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
    """One fault, for the next `times` requests (None: until it is cleared).

    * `service`: `ingestion`, `query` or `run_history` (run history, metrics, artifacts and blobs).
    * `seconds`: a pause before the response.
    * `status`, `headers`, `body`: sent instead of the correct response. `body` alone is an invalid response with 200.
    * `item`: a regular expression over the JSON of an item, or a function of the item. `status` and `message` then
      apply only to these items (envelopes, or metrics of a batch). In the response to a query, these rows are omitted,
      and the response is a partial one.
    * `hang`: `before headers` or `after headers`. Nothing more is sent until the fault is cleared.
    * `close`: the connection is closed in the middle of the response.
    * `drops`: the response is sent byte by byte, with this many seconds between the bytes.
    * `carried_out`: the request takes effect although it hangs, breaks or gets another response.
    * `path`: applies only to requests whose path contains this string.
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
        """Raise ValueError for a fault that cannot occur."""
        if self.service not in SERVICES:
            raise ValueError(f"service = {self.service!r}: allowed are {', '.join(SERVICES)}")
        if self.hang not in HANGS:
            raise ValueError(f"hang = {self.hang!r}: allowed are {HANGS}")
        if self.item is not None and self.status is None:
            raise ValueError("a fault with `item` needs the `status` of these items")
        for name, value in self.headers.items():
            if not (_NAME.fullmatch(name) and str(value).isascii() and str(value).isprintable()):
                raise ValueError(
                    f"headers: {name!r} = {value!r} is not a valid name, or not a line of ASCII characters"
                )
        for field_name, (minimum, maximum) in _RANGES.items():
            value = getattr(self, field_name)
            if value is not None and not minimum <= value <= maximum:  # also for NaN
                raise ValueError(f"{field_name} = {value!r}: allowed are {minimum} to {maximum}")
        try:
            re.compile(self.item if isinstance(self.item, str) else "")
        except re.error as error:
            raise ValueError(f"item = {self.item!r}: {error}") from error

    @property
    def replaces(self) -> bool:
        """Return whether this fault replaces the correct response."""
        return self.item is None and (self.status is not None or self.body is not None)

    @property
    def takes_effect(self) -> bool:
        """Return whether the service handles the request."""
        return self.carried_out or not (self.replaces or self.hang or self.close)

    def verdict(self, item: Mapping[str, Any]) -> ItemError | None:
        """Return the error of this fault for an item of a batch, or None."""
        if self.item is None or self.status is None:
            return None
        if callable(self.item):
            is_match = self.item(item)
        else:
            is_match = re.search(self.item, orjson.dumps(item).decode()) is not None
        return ItemError(self.status, self.message) if is_match else None

    @classmethod
    def from_json(cls, value: object) -> Fault:
        """Return the fault of a JSON object. Raises ValueError, which names the invalid member."""
        if not isinstance(value, dict) or not set(value) <= set(_JSON_TYPES):
            raise ValueError(f"a fault is a JSON object with {', '.join(_JSON_TYPES)}")
        for name, member in value.items():
            kinds = _JSON_TYPES[name]
            if not isinstance(member, kinds) or (isinstance(member, bool) and bool not in kinds):
                raise ValueError(f"{name} = {member!r}: expected {_JSON_TYPES[name]}")
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
    """The active faults, in the order in which they apply. All methods are thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._remaining: list[tuple[Fault, list[float]]] = []
        self._cleared = threading.Event()

    def put(self, *faults: Fault) -> None:
        """Switch faults on. Faults that are already active apply before them."""
        with self._lock:
            self._remaining += [
                (fault, [fault.times if fault.times is not None else float("inf")]) for fault in faults
            ]

    def clear(self) -> None:
        """Switch all faults off and release the requests that hang or wait."""
        with self._lock:
            self._remaining = []
            self._cleared.set()
            self._cleared = threading.Event()

    @property
    def active(self) -> list[Fault]:
        """The faults that are active."""
        with self._lock:
            return [fault for fault, remaining in self._remaining if remaining[0] > 0]

    def take(self, service: str, path: str) -> Fault | None:
        """Return the fault that applies to a request, or None. A fault with `times` counts the request."""
        with self._lock:
            for fault, remaining in self._remaining:
                if fault.service == service and fault.path in path and remaining[0] > 0:
                    remaining[0] -= 1
                    return fault
        return None

    def wait(self, seconds: float) -> bool:
        """Wait for some seconds or until the faults are cleared. Return whether they were cleared."""
        with self._lock:
            cleared = self._cleared
        return cleared.wait(seconds)
