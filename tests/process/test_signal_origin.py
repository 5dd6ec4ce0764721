"""The origin of an exception: any kind of signal handler, and exceptions that replace a handler's."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amllog.process import signal_origin
from amllog.process.signal_origin import is_from_signal, origin

pytestmark = pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")

# The modules of `process` that may call functions in C of the script or of libraries.
CALLING = {
    "process.background": "the function of a BackgroundCall",
    "process.debug_launcher": "the script that is debugged",
    "process.debug_server": "debugpy",
    "process.exit_exceptions": "the method of click that it replaces",
    "process.import_hooks": "the finders and loaders of others",
    "process.other_tracers": "the contexts of OpenTelemetry and OpenCensus",
    "process.released_locks": "the function that acquires a lock",
    "process.safe_import": "`isatty` of the script's stdout",
    "process.signal_origin": "the attributes of handlers and of exceptions",
    "process.worker_end": "traceback.print_exc",
}


class Stop(Exception):
    """The exception of a script's signal handler."""


def star(number: int, *_: object) -> None:
    """Raise, with the frame in a tuple."""
    raise Stop


def deleting(number: int, frame: object) -> None:
    """Raise after the deletion of both arguments."""
    del number, frame
    raise Stop


def listing(*args: object) -> None:
    """Raise, with the frame in a list."""
    args = list(args)
    raise Stop


def keeping(number: int, frame: object) -> None:
    """Raise, with the frame in a dictionary."""
    frame = {"frame": frame}
    raise Stop


def late(first: object, *args: object) -> None:
    """Raise, with an additional first argument."""
    raise Stop


def around(handler: Callable[..., None]) -> Callable[..., None]:
    """Decorate a handler."""

    @functools.wraps(handler)
    def wrapper(*args: Any, **options: Any) -> None:
        handler(*args, **options)

    return wrapper


class Handler:
    """Handlers with a state."""

    def __call__(*args: object) -> None:
        raise Stop

    @around
    def decorated(self, number: int, frame: object) -> None:
        raise Stop

    def deleting(self, number: int, frame: object) -> None:
        del number, frame
        raise Stop

    @staticmethod
    def static(number: int, frame: object) -> None:
        del number, frame
        raise Stop


def suspended() -> Iterator[None]:
    """Yield once, then raise."""
    yield
    raise Stop


def continuing() -> Callable[..., None]:
    """Return a handler that continues a generator."""
    generator = suspended()
    next(generator)
    return lambda *_: next(generator)


HANDLERS = [
    star, deleting, listing, keeping, Handler(), Handler().decorated, Handler().deleting, Handler.static,
    functools.partial(late, 1), functools.partial(functools.partial(deleting)), continuing(),
    lambda *_: sys.exit(3),
]  # fmt: skip


@pytest.mark.parametrize("handler", HANDLERS)
def test_any_kind_of_handler(handler: Callable[..., object]) -> None:
    """The exception of a registered handler is recognized, whatever its function does with its arguments."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises((Stop, SystemExit)) as raised:
            signal.raise_signal(signal.SIGINT)
        assert origin(raised.value) is raised.value
    finally:
        signal.signal(signal.SIGINT, before)


def interrupted() -> None:
    """Raise a signal whose handler raises."""
    before = signal.signal(signal.SIGINT, star)
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def replacing() -> None:
    """Raise another exception in place of the handler's, as `Thread.start()` can."""
    try:
        interrupted()
    except Stop:
        del {}["key"]


def test_an_exception_that_replaces_a_handlers() -> None:
    """The origin of an exception from the `except` block for a handler's exception is the handler."""
    with pytest.raises(KeyError) as raised:
        replacing()
    assert type(origin(raised.value)) is Stop


def test_an_exception_that_the_script_handles() -> None:
    """An exception of amllog is not a signal's while the script handles a signal's exception."""
    try:
        interrupted()
    except Stop:
        recognized = is_recognized_in_a_guard()
    assert not recognized


def is_recognized_in_a_guard() -> bool:
    """Return whether a guard takes an ordinary exception for a signal's."""
    try:
        raise ValueError("own")
    except ValueError as error:
        return is_from_signal(error)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_a_group() -> None:
    """The origin of a group is the handler's exception in it."""
    with contextlib.suppress(Stop):
        interrupted()
    try:
        interrupted()
    except Stop as stop:
        group = ExceptionGroup("two", [ValueError("own"), stop])  # noqa: F821  # Python 3.11
    assert type(origin(group)) is Stop


@pytest.mark.parametrize(
    ("module", "expected"),
    [("amllog.journal.writer", True), ("amllog.process.events", True), ("amllog.record.text", False)],
)
def test_without_a_frame(module: str, expected: bool) -> None:
    """A foreign exception without a frame is a signal's only in modules that do not call foreign code."""
    loop = asyncio.new_event_loop()
    failed = loop.create_future()
    failed.set_exception(Stop())
    scope: dict[str, Any] = {"__name__": module}
    exec("def call(work): work()", scope)
    with pytest.raises(Stop) as raised:
        scope["call"](failed.result)
    loop.close()
    trace = raised.value.__traceback__
    assert trace is not None
    raised.value.__traceback__ = trace.tb_next  # without this test's own frame
    assert is_from_signal(raised.value) is expected


def test_generators_and_recursion() -> None:
    """An exception that is thrown into a generator, or that ends a recursion, is not a signal's."""
    for started in (False, True):
        generator = suspended()
        if started:
            next(generator)
        with pytest.raises(ValueError, match="own") as thrown:
            generator.throw(ValueError("own"))  # type: ignore[attr-defined]  # a generator
        assert not is_from_signal(thrown.value)

    def deeper() -> None:
        deeper()

    with pytest.raises(RecursionError) as raised:
        deeper()
    assert not is_from_signal(raised.value)


def test_the_modules_without_calls_of_foreign_code() -> None:
    """Each entry of the list exists, and a module of `process` is in it or calls foreign code."""
    closed = signal_origin._CLOSED
    assert [name for name in closed if importlib.util.find_spec(f"amllog.{name}") is None] == []
    files = Path(signal_origin.__file__).parent.glob("[!_]*.py")
    assert {f"process.{file.stem}" for file in files} - closed == CALLING.keys()
