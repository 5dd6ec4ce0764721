"""Find the streams and handlers that a handler holds in its attributes, and in those of its attributes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from amllog.process import interrupts
from amllog.process.hooks import Hook
from amllog.sources.capture import console_streams
from amllog.sources.capture.write_probe import Probe, StreamPlace

_MAX_OBJECTS, _MAX_DEPTH, _MAX_ITEMS = 60, 3, 10
# Methods of objects that a handler passes its text to, as a rich Console has.
_PRINTERS = ("write", "print", "echo", "emit", "handle")
# The usual names of a stream. The class of a proxy does not show that it is one.
_STREAMS = ("stream", "_stream", "file", "_file")
# Values that lead to no stream of the handler.
_PLAIN = (str, bytes, int, float, type, logging.Formatter, logging.Logger, threading.Thread)


class HeldStreams:
    """The streams that handlers hold."""

    def __init__(self, handlers: Iterable[object]) -> None:
        # Those that may be the driver log.
        self.places: list[StreamPlace] = []
        self._has_other = self._has_standard = self._has_queue = False
        for handler in handlers:
            for place in _attributes(handler):
                self._add(place)

    def _add(self, place: StreamPlace) -> None:
        kind: Any = type(place.stream)
        owner: Any = type(place.owner)
        if hasattr(kind, "put") and hasattr(kind, "get"):
            self._has_queue = True
        elif hasattr(kind, "write") or place.name in _STREAMS:
            is_console = console_streams.is_console(place.stream)
            self._has_other = self._has_other or is_console is False
            self._has_standard = self._has_standard or is_console is True
            # Items of a list have no name, and a class may reject assignments.
            if is_console is not False and place.name and owner.__setattr__ is object.__setattr__:
                self.places.append(place)

    @property
    def are_written_later(self) -> bool:
        """Return whether another thread of the handler writes to the driver log."""
        return self._has_queue and self._has_standard and not self._has_other


def return_streams(handlers: Iterable[object]) -> None:
    """Replace the stand-ins that handlers have kept, for example as the stream of their first record."""
    for place in HeldStreams(handlers).places:
        if type(place.stream) is Probe:
            Hook(place.owner, place.name, place.stream.stream).put()


def _attributes(handler: object) -> Iterator[StreamPlace]:
    """Yield each value with its owner and name. No attribute is read that a class computes."""
    seen, waiting = {id(handler)}, [(handler, 0)]
    for _ in range(_MAX_OBJECTS):
        if not waiting:
            return
        owner, depth = waiting.pop(0)
        for name, value in _values(owner):
            if id(value) in seen or issubclass(type(value), _PLAIN):
                continue
            seen.add(id(value))
            yield StreamPlace(owner, name, value)
            if depth < _MAX_DEPTH and any(hasattr(type(value), printer) for printer in _PRINTERS):
                waiting.append((value, depth + 1))


def _values(owner: object) -> Iterator[tuple[str, object]]:
    """Yield the names and values of the attributes, and the items of lists without a name."""
    attributes: dict[str, object] = {}
    with interrupts.suppress(AttributeError):  # a class with slots
        attributes = object.__getattribute__(owner, "__dict__")
    for name, value in list(attributes.items()):
        if type(value) in (list, tuple):
            yield from (("", item) for item in value[:_MAX_ITEMS])  # type: ignore[index]  # of these types
        else:
            yield name, value
