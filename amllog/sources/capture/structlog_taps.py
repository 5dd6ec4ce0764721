"""Our processors among those of a bound logger of structlog, which keep an event on its way.

The first keeps the exception, before another processor turns it into a string. The second comes before the last one,
which renders the event. It keeps message and keys, after the processors of the script have added, changed or removed
some. The third passes the rendered event on. A processor is not on the stack of another one, so processors that search
the call site find what they find without amllog.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from amllog.record import log_call, text
from amllog.record.log_call import CallSite

# (event, wrapped logger, name of the method, what the last processor returned, the frame that calls processors)
Ended = Callable[["StructlogEvent", Any, str, Any, Any], object]
Guarded = Callable[[Callable[[], object]], object]
# Keys that are parts of a record. Those that a processor adds, and those that structlog passes on.
_ADDED = ("level", "logger", "timestamp")
_NOT_VALUES = ("exc_info", "positional_args", "_record", "_from_structlog")


class StructlogEvent:
    """One event on its way through the processors."""

    __slots__ = (
        "_ended", "_first", "_given", "_guarded",
        "error", "is_recorded", "message", "name", "passed_on", "rendered", "site", "values",
    )  # fmt: skip

    def __init__(self, guarded: Guarded, ended: Ended) -> None:
        """`guarded` calls our work without a fault for the script. `ended` gets the event that was rendered."""
        self._guarded, self._ended = guarded, ended
        self._first: object = None
        self._given: frozenset[Any] = frozenset()
        self.error: BaseException | None = None
        # The message, the logger and the keys. None until the last processor is reached.
        self.message, self.name = "", ""
        self.values: dict[Any, object] | None = None
        # The result of the last processor.
        self.rendered: object = None
        # What the wrapped logger gets.
        self.passed_on: object = None
        # Whether it was recorded here, and not in logging.
        self.is_recorded = False
        # The call site. A logger of logging may find one inside structlog.
        self.site: CallSite | None = None

    def begin(self, wrapped: object, method: str, event: Any) -> Any:
        """Keep the exception and the original keys. A processor."""
        self._guarded(lambda: self._begin(method, event))
        return event

    def keep(self, wrapped: object, method: str, event: Any) -> Any:
        """Keep the message and the keys, before the last processor. A processor."""
        self._guarded(lambda: self._keep(event))
        return event

    def end(self, wrapped: object, method: str, event: Any) -> Any:
        """Record the event, or leave it to logging. A processor."""
        caller = sys._getframe(1)
        self.passed_on = event
        self._guarded(lambda: self._ended(self, wrapped, method, event, caller))
        return self.passed_on

    def render(self, rendered: object, *, is_recorded: bool) -> None:
        """Keep the result of the last processor."""
        self.rendered, self.is_recorded = rendered, is_recorded

    def pass_on(self, arguments: object) -> None:
        """Pass other arguments on to the wrapped logger, which is one of ours."""
        self.passed_on = arguments

    def place(self, site: CallSite) -> None:
        """Set the call site."""
        self.site = site

    def release(self) -> None:
        """Drop the exception and the values, whose frames and objects may be large."""
        self.error, self.values = None, {}

    def _begin(self, method: str, event: Any) -> None:
        if isinstance(event, Mapping):
            self._first, self._given = event.get("event"), frozenset(event)
            exc_info = event.get("exc_info", method == "exception")
            self.error = log_call.find_exception(exc_info)

    def _keep(self, event: Any) -> None:
        if not isinstance(event, Mapping):
            return
        values = dict(event)
        key = "event"
        if values.get(key) is not self._first:  # EventRenamer
            key = next((name for name, value in values.items() if value is self._first), key)
        args = values.get("positional_args")
        message = values.pop(key, "")
        self.message = (
            log_call.format_call(message, args)[0] if isinstance(args, tuple) else text.to_text(message)
        )
        self.name = text.to_text(values.get("logger") or "")
        dropped = {*_NOT_VALUES, *(name for name in _ADDED if name not in self._given)}
        if self.error is not None:
            dropped.add("exception")
        self.values = {name: value for name, value in values.items() if name not in dropped}


class TappedProcessors:
    """The processors of a bound logger, with ours among them. The list of the script may change later."""

    __slots__ = ("_ended", "_guarded", "processors")

    def __init__(self, processors: Any, guarded: Guarded, ended: Ended) -> None:
        """The last two as for `StructlogEvent`."""
        self.processors, self._guarded, self._ended = processors, guarded, ended

    def __iter__(self) -> Iterator[Any]:
        processors = tuple(self.processors)
        if not processors:
            return iter(())
        event = StructlogEvent(self._guarded, self._ended)
        return iter((event.begin, *processors[:-1], event.keep, processors[-1], event.end))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.processors, name)

    def __repr__(self) -> str:
        return repr(self.processors)

    def __eq__(self, other: object) -> bool:
        return bool(self.processors == getattr(other, "processors", other))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __len__(self) -> int:
        return len(self.processors)

    def __getitem__(self, index: Any) -> Any:
        return self.processors[index]


def first_part(rendered: Any) -> object:
    """Return the message among the arguments that the last processor has made for the logger."""
    if isinstance(rendered, tuple) and len(rendered) == 2:
        if rendered[0]:
            return rendered[0][0]
        rendered = rendered[1]
    return (
        rendered.get("msg", rendered.get("event"))
        if type(rendered) is dict and "msg" in rendered
        else rendered
    )
