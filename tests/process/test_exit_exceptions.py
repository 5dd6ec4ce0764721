"""The exception that is handled when an exit of click is made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from amllog.process.exit_exceptions import ExitExceptions

click = pytest.importorskip("click")


@pytest.fixture
def exits() -> Iterator[ExitExceptions]:
    """Watch click's exits."""
    exits = ExitExceptions()
    exits.watch()
    yield exits
    exits.remove()


def frame_of(module: str) -> FrameType:
    """Return a frame of a module."""
    names: dict[str, Any] = {"__name__": module, "sys": sys}
    exec("frame = sys._getframe()", names)
    frame: FrameType = names["frame"]
    return frame


def make_exit(code: int) -> ValueError:
    """Make an exit while an exception is handled, and return that one."""
    try:
        raise ValueError("bad")
    except ValueError as error:
        assert click.exceptions.Exit(code).exit_code == code
        return error


def test_the_handled_exception(exits: ExitExceptions) -> None:
    """The exception is that of the last exit, for the same code and for click's own call of `sys.exit`."""
    error = make_exit(3)
    assert exits.handled(3, frame_of("click.core")) is error
    assert exits.handled(2, frame_of("click.core")) is None
    assert exits.handled(3, frame_of("__main__")) is None
    click.exceptions.Exit(3)
    assert exits.handled(3, frame_of("click.core")) is None


def test_a_success(exits: ExitExceptions) -> None:
    """Nothing is kept for code 0."""
    make_exit(0)
    assert exits.handled(0, frame_of("click.core")) is None


def test_removal(exits: ExitExceptions) -> None:
    """The class is click's again afterwards, and keeps no exception."""
    make_exit(3)
    exits.remove()
    make_exit(3)
    assert exits.handled(3, frame_of("click.core")) is None
    assert click.exceptions.Exit.__init__.__module__ == "click.exceptions"
    assert not hasattr(click.exceptions.Exit.__init__, "__wrapped__")


def test_click_imported_later(child: Any) -> None:
    """An import of click after `watch()` is noticed."""
    ran = child("from amllog.process.exit_exceptions import ExitExceptions\nExitExceptions().watch()\n"
                "import click.exceptions\nprint(hasattr(click.exceptions.Exit.__init__, '__wrapped__'))")  # fmt: skip
    assert ran.stdout == "True\n"
