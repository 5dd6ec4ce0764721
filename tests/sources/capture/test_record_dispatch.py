"""Our handler gets each record first, and all other handlers get it as without amllog."""

from __future__ import annotations

import inspect
import io
import logging
import logging.handlers
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import amllog

Recorded = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def guest(tmp_path: Path, received: Any) -> Iterator[logging.Logger]:
    """Return a logger of a script after setup(), with another handler on the root logger."""
    amllog.setup(directory=tmp_path / "j", capture="logging")
    yield logging.getLogger("guest")
    amllog.shutdown(0)


def messages(recorded: Recorded) -> list[str]:
    """Return the recorded messages of the script's loggers."""
    return [message for logger, message in recorded() if logger.startswith("guest")]


def our_handler() -> logging.Handler:
    """Return our handler on the root logger."""
    (ours,) = [h for h in logging.getLogger().handlers if type(h).__module__.startswith("amllog.")]
    return ours


class Colour(logging.Formatter):
    """A formatter that changes the record, as those of many libraries do."""

    def format(self, record: logging.LogRecord) -> str:
        """Add ANSI codes."""
        record.msg, record.levelname = f"\x1b[31m{record.msg}\x1b[0m", f"\x1b[1m{record.levelname}\x1b[0m"
        return super().format(record)


def changing(entry: logging.LogRecord) -> bool:
    """Change a record in a filter."""
    entry.msg, entry.args = "changed", ()
    return True


@pytest.mark.parametrize("place", ["", "guest", "guest.child"])
@pytest.mark.parametrize("filtered", [False, True])
def test_our_record_is_the_original(
    guest: logging.Logger, recorded: Recorded, place: str, filtered: bool
) -> None:
    """A formatter or filter of another handler changes the record after amllog has taken it."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(Colour())
    handler.addFilter(changing)
    logging.getLogger(place).handlers.insert(0, handler)
    calls = []
    if filtered:
        our_handler().addFilter(lambda entry: bool(calls.append(entry.getMessage())) or True)
    try:
        logging.getLogger("guest.child").warning("plain %s", "text")
    finally:
        logging.getLogger(place).removeHandler(handler)
    assert messages(recorded) == ["plain text"]
    assert handler.stream.getvalue() == "\x1b[31mchanged\x1b[0m\n"
    assert calls == ["plain text"] * filtered


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_handler_that_raises(
    guest: logging.Logger, recorded: Recorded, capsys: Any, error: type[BaseException]
) -> None:
    """The error of a handler reaches the script as without amllog. The record and its line exist."""

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise error("of the handler")

    guest.addHandler(Failing())
    with pytest.raises(error):
        guest.warning("taken before")
    assert messages(recorded) == ["taken before"]
    assert capsys.readouterr().out.count("taken before") == 1


def test_filters_are_called_once(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """Filters of other handlers, of the logger and of ours are called once for each record."""
    calls: list[str] = []
    for name, owner in (("ours", our_handler()), ("logger", guest), ("other", received)):
        owner.addFilter(lambda entry, name=name: bool(calls.append(name)) or name != "other")
    guest.warning("one")
    assert calls == ["logger", "ours", "other"]
    assert (received.messages, messages(recorded)) == ([], ["one"])


def test_a_filter_on_our_handler_decides(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """A record that a filter on our handler rejects is not recorded. Other handlers get it."""
    our_handler().addFilter(lambda entry: "secret" not in entry.getMessage())
    our_handler().setLevel(logging.ERROR)
    for level in (logging.WARNING, logging.ERROR):
        guest.log(level, "secret %d", level)
        guest.log(level, "plain %d", level)
    assert received.messages == ["secret 30", "plain 30", "secret 40", "plain 40"]
    assert messages(recorded) == ["plain 40"]


def test_a_filter_that_rejects_hides_no_line(guest: logging.Logger, capsys: Any) -> None:
    """If a filter of the console rejects a record, amllog writes its line."""
    console = logging.StreamHandler(sys.stdout)
    console.addFilter(lambda entry: "shown" in entry.getMessage())
    guest.addHandler(console)
    guest.warning("shown by the console")
    guest.warning("written by amllog")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shown by the console"
    assert (len(lines), lines[1].endswith("guest: written by amllog")) == (2, True)


HOOKS = ["before setup()", "after setup()", "before a second setup()"]


@pytest.mark.parametrize("place", HOOKS)
@pytest.mark.parametrize("alone", [False, True])
def test_the_hook_of_another_library(
    tmp_path: Path, received: Any, recorded: Recorded, place: str, alone: bool
) -> None:
    """Beside a hook over or under ours, each record is recorded once, and the hook sees what it saw before."""
    seen = []

    def put_hook() -> None:
        before = logging.Logger.callHandlers

        def hook(logger: logging.Logger, entry: logging.LogRecord) -> None:
            seen.append(entry.getMessage())
            before(logger, entry)

        logging.Logger.callHandlers = hook  # type: ignore[method-assign]

    guest = logging.getLogger("guest")
    if alone:  # without the handlers of pytest
        guest.propagate = False
    if place == HOOKS[0]:
        put_hook()
    amllog.setup(directory=tmp_path / "j", capture="logging")
    if alone:
        guest.addHandler(our_handler())
    if place != HOOKS[0]:
        put_hook()
    if place == HOOKS[2]:
        amllog.setup(directory=tmp_path / "j", capture="logging")
    guest.warning("one")
    guest.info("two")
    guest.warning("three")
    assert messages(recorded) == ["one", "two", "three"]
    assert (seen, received.messages) == (["one", "three"], [] if alone else ["one", "three"])


def test_a_hook_that_is_kept_records_nothing_twice(
    guest: logging.Logger, received: Any, recorded: Recorded
) -> None:
    """After shutdown(), a hook of another library that still calls ours passes records on."""
    ours = logging.Logger.callHandlers
    amllog.shutdown(0)
    logging.Logger.callHandlers = ours  # type: ignore[method-assign]
    guest.warning("not recorded")
    amllog.setup(directory="j", capture="logging")
    guest.warning("recorded")
    assert received.messages == ["not recorded", "recorded"]
    assert messages(recorded) == ["recorded"]


def test_records_during_a_dispatch(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """A handler that logs gets its own record dispatched inside the first one, and both are recorded once."""

    class Talking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "inner" not in record.getMessage():
                guest.warning("inner of %s", record.getMessage())

    guest.addHandler(Talking())
    guest.warning("outer")
    guest.warning("next")
    assert messages(recorded) == ["outer", "inner of outer", "next", "inner of next"]
    assert received.messages == ["inner of outer", "outer", "inner of next", "next"]


def test_records_that_come_back(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """A MemoryHandler that returns records to a handler, and a queue that returns them to a logger, add none."""
    queue: Any = __import__("queue").Queue()
    guest.addHandler(logging.handlers.QueueHandler(queue))
    guest.propagate = False
    guest.warning("of the queue")
    logging.getLogger("guest.listener").propagate = True
    guest.propagate = True
    guest.handlers.clear()
    guest.handle(queue.get())
    memory = logging.handlers.MemoryHandler(10, target=received)
    guest.addHandler(memory)
    guest.warning("of the buffer")
    memory.flush()
    assert messages(recorded) == ["of the queue", "of the buffer"]
    assert received.messages == ["of the queue", "of the buffer", "of the buffer"]


def test_no_handler(guest: logging.Logger, recorded: Recorded, capsys: Any) -> None:
    """A record that reaches no handler is shown by logging's last resort, once, and recorded."""
    guest.propagate = False
    guest.warning("of the last resort")
    captured = capsys.readouterr()
    assert (captured.err, captured.out) == ("of the last resort\n", "")
    assert messages(recorded) == ["of the last resort"]


def test_handlers_that_change_the_lists(guest: logging.Logger, received: Any, recorded: Recorded) -> None:
    """A handler that removes ours and adds another one during a dispatch works as without amllog."""

    class Changing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger().removeHandler(our_handler())
            guest.removeHandler(self)

    guest.addHandler(Changing())
    guest.warning("one")
    guest.warning("two")
    assert received.messages == ["one", "two"]
    assert messages(recorded) == ["one", "two"]


def test_the_methods_of_logging_look_as_before(tmp_path: Path) -> None:
    """The two hooked methods have the names, the signatures and the sources of logging's, and take its keywords."""
    methods = ("callHandlers", "isEnabledFor")

    def looks() -> list[tuple[object, ...]]:
        found = [getattr(logging.Logger, name) for name in methods]
        return [
            (one.__module__, one.__qualname__, inspect.signature(one), inspect.getsource(one))
            for one in found
        ]

    before = looks()
    amllog.setup(directory=tmp_path / "j", driver_level="CRITICAL")
    try:
        assert looks() == before
        logging.getLogger("keywords").callHandlers(
            record=logging.makeLogRecord({"msg": "kept", "levelno": 30})
        )
        assert not logging.getLogger("keywords").isEnabledFor(level=1)
    finally:
        amllog.shutdown(timeout=0)
    assert '"kept"' in "".join(file.read_text("utf-8") for file in (tmp_path / "j").glob("*.jsonl"))
