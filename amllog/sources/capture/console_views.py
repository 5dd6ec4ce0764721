"""The views of a record: one for each handler that may show it on the driver log.

A handler whose class does not show where it writes is watched while it handles the record (`write_probe`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from amllog.record import log_call
from amllog.sources.capture.held_streams import HeldStreams, return_streams
from amllog.sources.capture.write_probe import WriteWatch

_MAX_REMEMBERED = 1_000


class View:
    """A handler that shows the records that it accepts. It handles the record in a `with` block."""

    def __init__(self) -> None:
        self.is_shown = False

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, *error: object) -> None:
        """Do nothing. A handler that has raised an exception has shown nothing."""

    def accept(self, result: object) -> None:
        """Note the result of `handle`. That of some classes returns nothing."""
        self.is_shown = result is None or bool(result)


class WatchedView(View):
    """A handler that is watched. The result is remembered in `shown` for the key, unless that is None."""

    def __init__(
        self, entry: logging.LogRecord, handler: logging.Handler, shown: dict[object, bool], key: object
    ) -> None:
        super().__init__()
        # Before another handler changes the record.
        self._message = log_call.format_record(entry)
        self._handler, self._shown, self._key = handler, shown, key
        self._is_accepted = False

    def __enter__(self) -> None:
        self._held = HeldStreams([self._handler])
        self._watch = WriteWatch(self._held.places)
        self._watch.begin()

    def accept(self, result: object) -> None:
        """Note the result of `handle`."""
        self._is_accepted = result is None or bool(result)

    def __exit__(self, *error: object) -> None:
        """Compare the strings that the thread has written with the message."""
        self._watch.end()
        return_streams([self._handler])
        shown = self._watch.shows(self._message)
        if shown is False and not self._watch.strings and self._is_accepted:
            shown = self._held.are_written_later
        self.is_shown = bool(shown)
        if shown is not None and self._is_accepted:
            self.remember(shown)

    def remember(self, shown: bool) -> None:
        """Remember whether the handler shows records of this level and logger."""
        if self._key is not None:
            if len(self._shown) >= _MAX_REMEMBERED:
                self._shown.clear()
            self._shown[self._key] = shown


class HookView(View):
    """All handlers of a record that the hook of another library calls. It does not return whether they accept it.

    If there is a console without filters, the record is taken for shown.
    """

    def __init__(
        self, entry: logging.LogRecord, handlers: tuple[logging.Handler, ...], views: Mapping[int, View]
    ) -> None:
        """`views`: those of the handlers that may show the record."""
        super().__init__()
        self._message = log_call.format_record(entry)
        self._doubtful = [
            handler
            for handler in handlers
            if id(handler) in views and (handler.filters or isinstance(views[id(handler)], WatchedView))
        ]
        self._views = views
        self.is_shown = len(self._doubtful) < len(views)
        self._watch: WriteWatch | None = None

    def __enter__(self) -> None:
        if not self.is_shown:
            self._watch = WriteWatch(HeldStreams(self._doubtful).places)
            self._watch.begin()

    def __exit__(self, *error: object) -> None:
        """Compare the strings that the thread has written with the message."""
        if self._watch is None:
            return
        self._watch.end()
        return_streams(self._doubtful)
        shown = self._watch.shows(self._message)
        self.is_shown = bool(shown)
        view = self._views[id(self._doubtful[0])]
        is_only = len(self._doubtful) == 1 and not self._doubtful[0].filters
        if is_only and shown is not None and isinstance(view, WatchedView):
            view.remember(shown)
