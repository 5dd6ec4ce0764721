"""Log calls below the root logger's level are recorded, and no other code sees a difference."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import amllog

Recorded = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def guest(tmp_path: Path, received: Any) -> Iterator[logging.Logger]:
    """Return a logger of a script after setup(). The root logger has another handler and the level WARNING."""
    amllog.setup(directory=tmp_path / "j", capture="logging")
    yield logging.getLogger("guest")
    amllog.shutdown(0)


def messages(recorded: Recorded) -> list[str]:
    """Return the recorded messages of the script's loggers."""
    return [message for logger, message in recorded() if logger.startswith(("guest", "root"))]


def test_others_get_what_they_got_before(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """INFO is recorded. Another handler on the root logger, and its filters, get WARNING only."""
    guest.info("informed")
    logging.getLogger().info("informed too")
    guest.warning("warned")
    assert (received.messages, received.filtered) == (["warned"], ["warned"])
    assert messages(recorded) == ["informed", "informed too", "warned"]


def test_answers_are_those_without_amllog(guest: logging.Logger) -> None:
    """Code that reads a level gets the answers of the script's levels."""
    root = logging.getLogger()
    assert (type(root.level), root.level, guest.getEffectiveLevel()) == (int, 30, 30)
    adapter = logging.LoggerAdapter(guest, {})
    assert [each.isEnabledFor(20) for each in (root, guest, adapter)] == [False] * 3
    assert [each.isEnabledFor(30) for each in (root, guest, adapter)] == [True] * 3


def test_a_guard_of_the_script(guest: logging.Logger) -> None:
    """A function that guards its work with `isEnabledFor`, also if it has a method `_log` of its own, does no work."""

    class Service:
        done = 0

        def _log(self, text: str) -> None:
            guest.info(text)

        def work(self) -> None:
            if guest.isEnabledFor(logging.INFO):
                self.done += 1
                self._log("expensive")

    service = Service()
    service.work()
    guest.info("asked by a log method")
    service.work()
    assert service.done == 0


class Notices(logging.Logger):
    """A logger class with methods of its own."""

    def notice(self, text: str, *args: object) -> None:
        """Log at another level, as the usual recipe does."""
        if self.isEnabledFor(25):
            self._log(25, text, args)

    def remark(self, text: str) -> None:
        """Log through another method."""
        if self.isEnabledFor(25):
            self.log(25, text)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log with a prefix."""
        super().info(f"own {msg}", *args, **kwargs)


class Adapter(logging.LoggerAdapter):  # type: ignore[type-arg]
    """An adapter that overrides `log`, as the documentation of logging shows."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log with a prefix."""
        if self.isEnabledFor(level):
            msg, kwargs = self.process(f"adapted {msg}", kwargs)
            self.logger._log(level, msg, args, **kwargs)


def test_log_methods_of_the_script(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """The recipes for other levels, classes of loggers and adapters are recorded with their call site."""
    logging.setLoggerClass(Notices)
    try:
        own: Any = logging.getLogger("guest.own")
    finally:
        logging.setLoggerClass(logging.Logger)
    own.notice("one %d", 1)
    own.remark("two")
    own.info("three")
    plain = logging.LoggerAdapter(guest, {"key": "value"})
    plain.info("four")
    logging.LoggerAdapter(plain, {}).info("five")  # type: ignore[arg-type]
    Adapter(guest, {}).info("six")
    Adapter(plain, {}).debug("below the threshold")  # type: ignore[arg-type]
    guest.log(logging.INFO, "seven", stacklevel=1)
    expected = ["one 1", "two", "own three", "four", "five", "adapted six", "seven"]
    assert messages(recorded) == expected
    assert received.messages == []


def test_a_function_that_calls_log_directly(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """`_log` without a question reaches all handlers, as without amllog, also after an admitted call."""

    def echo(text: str) -> None:
        guest._log(logging.INFO, text, ())

    def notice(logger: logging.Logger, text: str) -> None:
        if logger.isEnabledFor(logging.INFO):
            logger._log(logging.INFO, text, ())

    echo("first")
    notice(guest, "second")
    echo("third")
    assert received.messages == ["first", "third"]
    assert messages(recorded) == ["first", "second", "third"]


def test_silent_loggers_stay_silent(guest: logging.Logger, recorded: Recorded) -> None:
    """`logging.disable`, `disabled`, a logger's own level and a logger without handlers apply to amllog too."""
    logging.disable(logging.INFO)
    guest.info("disabled by logging.disable")
    logging.disable(logging.NOTSET)
    guest.disabled = True
    guest.info("disabled")
    guest.disabled = False
    logging.getLogger("guest.own_level").setLevel(logging.WARNING)
    logging.getLogger("guest.own_level.below").info("its own level")
    silent = logging.getLogger("guest.silent")
    silent.propagate = False
    silent.addHandler(logging.NullHandler())
    silent.info("silenced")
    guest.addFilter(lambda entry: "filtered" not in entry.getMessage())
    guest.info("filtered")
    guest.debug("below the threshold")
    guest.info("recorded")
    assert messages(recorded) == ["recorded"]


def test_a_class_that_decides_itself(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """The records of a logger with its own `isEnabledFor` reach all handlers."""

    class Always(logging.Logger):
        def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # a method of logging
            return True

    logging.setLoggerClass(Always)
    try:
        logging.getLogger("guest.always").info("always")
    finally:
        logging.setLoggerClass(logging.Logger)
    assert (received.messages, messages(recorded)) == (["always"], ["always"])


def test_levels_that_the_script_sets(
    guest: logging.Logger, received: Any, recorded: Recorded, tmp_path: Path
) -> None:
    """A level that the script sets on the root logger later applies to amllog, until it is restored."""
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    guest.info("above neither")
    guest.warning("above neither")
    amllog.setup(directory=tmp_path / "j", capture="logging")
    guest.warning("above neither")
    root.setLevel(logging.WARNING)
    guest.info("recorded")
    root.setLevel(logging.INFO)
    guest.info("of both")
    assert (received.messages, messages(recorded)) == (["of both"], ["recorded", "of both"])


def test_another_threshold_accepts_the_level(
    guest: logging.Logger, recorded: Recorded, tmp_path: Path
) -> None:
    """A setup() that needs other records, and basicConfig, ignore the level that the root logger has then."""
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    amllog.setup(directory=tmp_path / "j", capture="logging", level="DEBUG")
    guest.debug("debugged")
    root.setLevel(logging.CRITICAL)
    logging.basicConfig(level="ERROR")
    guest.debug("debugged again")
    assert messages(recorded) == ["debugged", "debugged again"]


def test_a_received_record(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """`handle(record)` passes a record of another program to all handlers, whatever its level."""
    guest.handle(logging.makeLogRecord({"name": "guest", "msg": "received", "levelno": 20}))
    assert (received.messages, messages(recorded)) == (["received"], ["received"])


def test_nothing_is_admitted_after_shutdown(
    guest: logging.Logger, received: Any, recorded: Recorded, tmp_path: Path
) -> None:
    """After shutdown(), a hook of another library that still calls ours gets the plain answers."""
    ours = logging.Logger.isEnabledFor
    amllog.shutdown(0)
    assert logging.Logger.isEnabledFor is not ours
    logging.Logger.isEnabledFor = ours  # type: ignore[method-assign]
    guest.info("below")
    guest.warning("above")
    assert (received.messages, messages(recorded)) == (["above"], [])


def test_a_hook_over_ours(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """The hook of a library that is put over ours, as sentry does, sees no record that only amllog admits."""
    seen, before = [], logging.Logger.callHandlers

    def hook(logger: logging.Logger, entry: logging.LogRecord) -> None:
        seen.append(entry.getMessage())
        before(logger, entry)

    logging.Logger.callHandlers = hook  # type: ignore[method-assign]
    guest.warning("one")
    guest.info("two")
    guest.warning("three")
    assert (seen, received.messages) == (["one", "three"], ["one", "three"])
    assert messages(recorded) == ["one", "two", "three"]
