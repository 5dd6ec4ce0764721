"""Records that come back: a QueueHandler's listener, a MemoryHandler or a log server hands them to a logger again.

In: stdlib records. Out: whether this process has recorded the line already. A record counts as recorded only where that
is certain: a wrong answer loses a record, and in the other case a line is there twice.

Nothing is written to the record: an attribute would appear in the output of every formatter that prints unknown
attributes (docs/decisions/0034-records-that-come-back-by-content.md).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from amllog.process import interrupts
from amllog.record import envelope, log_call

MAX_CARRIED = 50_000  # records that may be on their way back; twice as many are remembered at most
MAX_LIKE = 20  # messages of one place that a returned one is compared with word by word
UNCHANGED, CHANGED, MADE = 1, 2, 3  # how a record may come back; MADE: it comes from no log call
LONGER = "longer"
LIKE_CHARACTERS = 200  # of each of them
_MAX_CUTS = 200  # places in a message where a traceback may begin
# Handlers of the standard library that a record ends at.
_ENDS = frozenset(
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
    return kind.__name__ not in _ENDS or kind.__module__ not in ("logging", "logging.handlers")


def return_path(way: tuple[logging.Handler, ...], own: logging.Handler) -> int:
    """Return whether handlers on a record's way may bring it back: 0, UNCHANGED, or CHANGED by a format or filter."""
    found = 0
    for one in way:
        if one is not own and may_return(one):
            if getattr(one, "formatter", None) is not None or getattr(one, "filters", None):
                return CHANGED
            found = UNCHANGED
    return found


def sent_message(entry: logging.LogRecord) -> str:
    """A record's message as the handlers of the standard library send it. Never raises."""
    if type(entry.msg) is str:
        return log_call.format_record(entry)
    message = log_call.format_call("%s", (entry.msg,))[0]
    if not entry.args:
        return message
    return log_call.format_call(message, entry.args if isinstance(entry.args, tuple) else (entry.args,))[0]


def contains_words(returned: str, recorded: str) -> bool:
    """Whether a message has the words of a recorded one, of which `LIKE_CHARACTERS` are enough, one after another."""
    words = _WORD.findall(recorded[:LIKE_CHARACTERS])
    if len(recorded) >= LIKE_CHARACTERS:
        words = words[:-1]  # it may be cut
    return bool(words) and f" {' '.join(words)} " in f" {' '.join(_WORD.findall(returned))} "


class Recorded:
    """Messages by their place: of which record they are. Threads need no lock: each step is one operation.

    The keys are hashes of 64 bits: a tuple for each record would take several times the memory.
    """

    def __init__(self) -> None:
        self.recent: dict[int, Any] = {}
        self._old: dict[int, Any] = {}

    def add(self, place: tuple[object, ...], message: str, *, longer: bool) -> None:
        """Remember a message. `longer`: it may come back with a traceback behind it."""
        if len(self.recent) >= MAX_CARRIED:
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
        """Remember something else."""
        self.recent[hash(key)] = value

    def get(self, key: tuple[object, ...]) -> Any:
        """The last value for this key, or None."""
        return self.recent.get(hash(key)) or self._old.get(hash(key))

    def _knows(self, key: int) -> bool:
        return key in self.recent or key in self._old


def _cuts(message: str) -> Iterator[int]:
    """The positions at which the original message may end."""
    end = message.find("\n")
    for _ in range(_MAX_CUTS):
        if not 0 <= end < envelope.MAX_VALUE:
            break
        yield end
        end = message.find("\n", end + 1)
    if len(message) > envelope.MAX_VALUE:
        yield envelope.MAX_VALUE  # as a line about an exception has it


class ReturnableRecords(Recorded):
    """Recorded records of this process that other handlers may bring back."""

    def take(self, entry: logging.LogRecord, message: str, how: int) -> None:
        """Remember a record. `how`: the result of `return_path`, or MADE.

        Different log calls have different times, or different messages. What a script makes from the lines of a file
        may have whole seconds and one line number: there, the time at which the object was made counts as well.
        """
        made = entry.relativeCreated if how == MADE else None
        if len(self.recent) >= MAX_CARRIED:
            self.renew()
        try:
            key = (
                entry.created, entry.thread, entry.process, entry.name, entry.lineno, entry.levelno, made, message
            )  # fmt: skip
            self.recent[hash(key)] = None
            if how == CHANGED:
                like = self.get(key[:6]) or []
                if len(like) < MAX_LIKE:
                    self.put(key[:6], [*like, message[:LIKE_CHARACTERS]])
            if entry.exc_info or entry.exc_text or entry.stack_info:
                self.recent[hash((*key, LONGER))] = None
        except TypeError as error:  # parts that cannot be compared: nothing of it is recognised
            interrupts.pass_on(error)

    def __contains__(self, entry: logging.LogRecord) -> bool:
        message = sent_message(entry)
        place = entry.created, entry.thread, entry.process, entry.name, entry.lineno, entry.levelno
        try:
            return (
                self.has((*place, None), message)
                or self.has((*place, entry.relativeCreated), message)
                or any(contains_words(message, one) for one in self.get(place) or ())
            )
        except TypeError as error:
            interrupts.pass_on(error)
            return False
