"""Which exceptions a signal handler raised: any kind of handler, and what stands for its exception."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amllog.process import signal_origin
from amllog.process.signal_origin import is_from_signal, origin

pytestmark = pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")


class Stop(Exception):
    """What a script's own signal handler raises."""


def star(number: int, *_: object) -> None:
    """A handler that names only the number."""
    raise Stop


def deleting(number: int, frame: object) -> None:
    """A handler that deletes what it does not use."""
    del number, frame
    raise Stop


def listing(*args: object) -> None:
    """A handler that copies its arguments."""
    args = list(args)
    raise Stop


def keeping(number: int, frame: object) -> None:
    """A handler that has its frame in a dictionary only."""
    frame = {"frame": frame}
    raise Stop


def late(first: object, *args: object) -> None:
    """A handler with an argument of its own."""
    raise Stop


def around(handler: Callable[..., None]) -> Callable[..., None]:
    """A decorator."""

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
    """A generator that raises when it is continued."""
    yield
    raise Stop


def continuing() -> Callable[..., None]:
    """A handler that continues a generator."""
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
    """What a registered handler raises is recognised, whatever its function does with its arguments."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises((Stop, SystemExit)) as raised:
            signal.raise_signal(signal.SIGINT)
        assert origin(raised.value) is raised.value
    finally:
        signal.signal(signal.SIGINT, before)


def interrupted() -> None:
    """A signal whose handler raises."""
    before = signal.signal(signal.SIGINT, star)
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def replacing() -> None:
    """Code that raises another exception in the place of the handler's, as `Thread.start()` can."""
    try:
        interrupted()
    except Stop:
        del {}["key"]


def test_an_exception_in_its_place() -> None:
    """What was raised while the handler's exception was handled stands for it."""
    with pytest.raises(KeyError) as raised:
        replacing()
    assert type(origin(raised.value)) is Stop


def test_an_exception_that_the_script_handles() -> None:
    """A fault while the script handles a signal's exception is no signal's."""
    try:
        interrupted()
    except Stop:
        recognised = in_a_guard()
    assert not recognised


def in_a_guard() -> bool:
    """A guard of ours, and a fault below it."""
    try:
        raise ValueError("own")
    except ValueError as error:
        return is_from_signal(error)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_a_group() -> None:
    """A group that has a handler's exception in it stands for it."""
    with contextlib.suppress(Stop):
        interrupted()
    try:
        interrupted()
    except Stop as stop:
        group = ExceptionGroup("two", [ValueError("own"), stop])  # noqa: F821  # Python 3.11
    assert type(origin(group)) is Stop


@pytest.mark.parametrize(
    ("room", "expected"), [("amllog.journal.writer", True), ("amllog.record.text", False)]
)
def test_without_a_frame(room: str, expected: bool) -> None:
    """A foreign class that C code raises is a signal's where we call nobody else, and a value's where we do."""
    loop = asyncio.new_event_loop()
    failed = loop.create_future()
    failed.set_exception(Stop())
    scope: dict[str, Any] = {"__name__": room}
    exec("def call(work): work()", scope)
    with pytest.raises(Stop) as raised:
        scope["call"](failed.result)
    loop.close()
    trace = raised.value.__traceback__
    assert trace is not None
    raised.value.__traceback__ = trace.tb_next  # without this test's own frame
    assert is_from_signal(raised.value) is expected


def test_generators_and_recursion() -> None:
    """An exception that is thrown into a generator, or that ends a recursion, is no signal's."""
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


def test_modules_that_call_nothing_foreign_exist() -> None:
    """Each module in the list exists, so that a renamed module does not silently leave it."""
    assert [
        name for name in signal_origin._CLOSED if importlib.util.find_spec(f"amllog.{name}") is None
    ] == []
