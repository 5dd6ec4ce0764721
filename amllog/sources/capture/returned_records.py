"""Recognize records that come back and are recorded already.

The listener of a QueueHandler, a MemoryHandler or a log server passes records to a logger again. A record counts as
recorded only if that is certain. A false positive loses a record, and a false negative duplicates one.

Nothing is written to the record. An attribute would appear in the output of every formatter that prints unknown
attributes (docs/decisions/0034-records-that-come-back-by-content.md).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from amllog.process import interrupts
from amllog.record import envelope, log_call

# Records that may be on their way back. At most twice as many are remembered.
MAX_REMEMBERED = 50_000
# Messages of one place that a returned one is compared with word by word, and how many characters of each.
MAX_LIKE = 20
LIKE_CHARACTERS = 200
# How a record may come back: as it is, or changed. MADE: it does not come from a log call.
UNCHANGED, CHANGED, MADE = 1, 2, 3
LONGER = "longer"
# Positions in a message at which a traceback may begin.
_MAX_CUTS = 200
# Handlers of the standard library that do not pass a record on.
_FINAL_HANDLERS = frozenset(
    (
        "StreamHandler",
        "_StderrHandler",
        "FileHandler",
        "NullHandler",
        "RotatingFileHandler",
        "TimedRotatingFileHandler",
        "WatchedFileHandler",
    )
)
_WORD = re.compile(r"\w+")


def may_return(handler: logging.Handler) -> bool:
    """Return whether records may come back from this handler, as from a queue or a socket."""
    kind = type(handler)
    return kind.__name__ not in _FINAL_HANDLERS or kind.__module__ not in ("logging", "logging.handlers")


def return_path(handlers: tuple[logging.Handler, ...], ours: logging.Handler | None) -> int:
    """Return how handlers may bring a record back: 0 for not at all, UNCHANGED, or CHANGED by a format or filter."""
    path = 0
    for handler in handlers:
        if handler is not ours and may_return(handler):
            if getattr(handler, "formatter", None) is not None or getattr(handler, "filters", None):
                return CHANGED
            path = UNCHANGED
    return path


def sent_message(entry: logging.LogRecord) -> str:
    """Return the message of a record as the handlers of the standard library send it. Never raises."""
    if type(entry.msg) is str:
        return log_call.format_record(entry)
    message = log_call.format_call("%s", (entry.msg,))[0]
    if not entry.args:
        return message
    return log_call.format_call(message, entry.args if isinstance(entry.args, tuple) else (entry.args,))[0]


def contains_words(returned: str, recorded: str) -> bool:
    """Return whether a message contains the words of a recorded one in sequence. `LIKE_CHARACTERS` are compared."""
    words = _WORD.findall(recorded[:LIKE_CHARACTERS])
    if len(recorded) >= LIKE_CHARACTERS:
        words = words[:-1]  # the last word may be truncated
    return bool(words) and f" {' '.join(words)} " in f" {' '.join(_WORD.findall(returned))} "


class Recorded:
    """Remember messages by their place. Threads need no lock, because each step is one operation.

    The keys are hashes of 64 bits. A tuple for each record would take several times the memory.
    """

    def __init__(self) -> None:
        self.recent: dict[int, Any] = {}
        self._old: dict[int, Any] = {}

    def add(self, place: tuple[object, ...], message: str, *, longer: bool) -> None:
        """Remember a message. `longer`: it may come back followed by a traceback."""
        if len(self.recent) >= MAX_REMEMBERED:
            self.renew()
        self.recent[hash((*place, message))] = None
        if longer:
            self.recent[hash((*place, message, LONGER))] = None

    def renew(self) -> None:
        """Forget the older half."""
        self._old, self.recent = self.recent, {}

    def has(self, place: tuple[object, ...], message: str) -> bool:
        """Return whether the message was remembered for this place."""
        if self._knows(hash((*place, message))):
            return True
        return any(self._knows(hash((*place, message[:end], LONGER))) for end in _cuts(message))

    def put(self, key: tuple[object, ...], value: object) -> None:
        """Remember another value for this key."""
        self.recent[hash(key)] = value

    def get(self, key: tuple[object, ...]) -> Any:
        """Return the last value for this key, or None."""
        return self.recent.get(hash(key)) or self._old.get(hash(key))

    def _knows(self, key: int) -> bool:
        return key in self.recent or key in self._old


def _cuts(message: str) -> Iterator[int]:
    """Yield the positions at which the original message may end."""
    end = message.find("\n")
    for _ in range(_MAX_CUTS):
        if not 0 <= end < envelope.MAX_VALUE:
            break
        yield end
        end = message.find("\n", end + 1)
    if len(message) > envelope.MAX_VALUE:
        yield envelope.MAX_VALUE  # as in a record of an exception


class ReturnableRecords(Recorded):
    """The recorded records of this process that other handlers may bring back."""

    def add_record(self, entry: logging.LogRecord, message: str, path: int) -> None:
        """Remember a record. `path`: the result of `return_path`, or MADE.

        Different log calls have different times or different messages. Records that a script makes from the lines of a
        file may have whole seconds and the same line number. For these, the time at which the object was made is
        compared as well.
        """
        made = entry.relativeCreated if path == MADE else None
        if len(self.recent) >= MAX_REMEMBERED:
            self.renew()
        try:
            place = entry.created, entry.thread, entry.process, entry.name, entry.lineno, entry.levelno
            key = (*place, made, message)
            self.recent[hash(key)] = None
            if path == CHANGED:
                like = self.get(place) or []
                if len(like) < MAX_LIKE:
                    self.put(place, [*like, message[:LIKE_CHARACTERS]])
            if entry.exc_info or entry.exc_text or entry.stack_info:
                self.recent[hash((*key, LONGER))] = None
        except TypeError as error:  # parts that cannot be hashed: the record is not recognized
            interrupts.pass_on(error)

    def __contains__(self, entry: logging.LogRecord) -> bool:
        message = sent_message(entry)
        place = entry.created, entry.thread, entry.process, entry.name, entry.lineno, entry.levelno
        try:
            return (
                self.has((*place, None), message)
                or self.has((*place, entry.relativeCreated), message)
                or any(contains_words(message, recorded) for recorded in self.get(place) or ())
            )
        except TypeError as error:
            interrupts.pass_on(error)
            return False
