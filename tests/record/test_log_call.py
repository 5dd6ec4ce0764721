"""What a call said, and where."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from amllog.record import log_call

FAILING = type("Failing", (), {"__str__": lambda self: 1 / 0, "__repr__": lambda self: 1 / 0})()


@pytest.mark.parametrize(
    ("event", "args", "message", "dimensions"),
    [
        ("m", (), "m", {}),
        ("100%", (), "100%", {}),
        ("%d of %s", (1, "x"), "1 of x", {}),
        ("m", ({"a": 1},), "m", {"a": 1}),
        ("100%", ({"a": 1},), "100%", {"a": 1}),
        ("%(a)d", ({"a": 1},), "1", {}),
        ("%(b)d", ({"a": 1},), '%(b)d {"a": 1}', {}),
        ("got %s", ({"a": 1},), "got {'a': 1}", {"a": 1}),
        ("m", (1, 2), "m [1, 2]", {}),
        ("%d", ("x",), '%d ["x"]', {}),
        ("%s %s", (1,), "%s %s [1]", {}),
        ("m", ({},), "m", {}),
        (b"bytes", (), "bytes", {}),
        ({"a": 1}, (), '{"a": 1}', {}),
    ],
)  # fmt: skip
def test_messages(event: object, args: Any, message: str, dimensions: dict[str, object]) -> None:
    """Messages are formatted as in logging; what does not fit is kept beside; a lone dict is dimensions."""
    assert log_call.format_call(event, args) == (message, dimensions)
    entry = logging.LogRecord("n", 20, "f", 1, event, args, None)
    assert log_call.format_record(entry) == message


def test_failing_arguments() -> None:
    """An argument whose own text fails is told, and the message stays."""
    said, _ = log_call.format_call("m %s", (FAILING,))
    assert said.startswith("m %s") and "Failing" in said


@pytest.mark.parametrize(
    ("event", "args", "message"),
    [
        ("password=%d", ("hunter22",), 'password=%d ["***"]'),
        ("token %s", ("hunter22", "extra"), 'token %s ["***", "extra"]'),
        ("password", ("hunter22",), 'password ["***"]'),
        ("user %s has password '%d'", ("me", "hunter22"), 'user %s has password \'%d\' ["me", "***"]'),
        ("step %d of %d", ("one",), 'step %d of %d ["one"]'),
        ("%s tokens, max_tokens=%d", (3, "many"), '%s tokens, max_tokens=%d [3, "many"]'),
        ("password=%s %s", (None,), "password=%s %s [null]"),
        ("loss", (0.5, "a"), 'loss [0.5, "a"]'),
    ],
)
def test_secrets_among_arguments_that_do_not_fit(event: str, args: Any, message: str) -> None:
    """An argument whose place follows the name of a secret is masked where the arguments do not fit."""
    assert log_call.format_call(event, args) == (message, {})


def test_exceptions() -> None:
    """exc_info is taken in each of its forms."""
    error = ValueError("x")
    try:
        raise error
    except ValueError:
        assert log_call.find_exception(True) is error
        assert log_call.find_exception(sys.exc_info()) is error
    assert log_call.find_exception(error) is error
    assert [
        log_call.find_exception(given) for given in (None, False, (), (None, None, None), (1, 2), True)
    ] == [None] * 6


def test_place() -> None:
    """A place is the module, the file and the line of the call."""
    place = log_call.frame_site(sys._getframe())
    assert (place.module, place.file) == ("test_log_call", __file__) and place.line > 50
    with pytest.raises(ZeroDivisionError) as found:
        str(FAILING)
    assert log_call.exception_site(found.value).module == "test_log_call"
    assert log_call.exception_site(ValueError()) == ("", "", 0)


@pytest.mark.parametrize(
    ("given", "dimensions"),
    [({"a": 1}, {"a": 1}), ({"custom_dimensions": {"a": 1}, "b": 2}, {"a": 1, "b": 2}), ("x", {"extra": "x"}),
     ({"custom_dimensions": 7}, {"custom_dimensions": 7}), (None, {"extra": None})],
)  # fmt: skip
def test_extra(given: object, dimensions: dict[str, object]) -> None:
    """logging's `extra` is dimensions, those in custom_dimensions among them."""
    assert log_call.extra_dimensions(given) == dimensions
