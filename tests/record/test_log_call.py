"""The message, the dimensions, the exception and the call site of a log call."""

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
def test_format_call(event: object, args: Any, message: str, dimensions: dict[str, object]) -> None:
    """Messages are formatted as in logging, wrong arguments are appended, and a single dict is dimensions."""
    assert log_call.format_call(event, args) == (message, dimensions)
    entry = logging.LogRecord("n", 20, "f", 1, event, args, None)
    assert log_call.format_record(entry) == message


def test_failing_arguments() -> None:
    """An argument that cannot be converted is named, and the message stays."""
    message, _ = log_call.format_call("m %s", (FAILING,))
    assert message.startswith("m %s") and "Failing" in message


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
def test_secrets_in_wrong_arguments_are_masked(event: str, args: Any, message: str) -> None:
    """An argument that does not match is masked if the name of a secret is before its placeholder."""
    assert log_call.format_call(event, args) == (message, {})


def test_find_exception() -> None:
    """Each form of `exc_info` is accepted."""
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


def test_call_sites() -> None:
    """A call site is the module, the file and the line of a frame or an exception."""
    site = log_call.frame_site(sys._getframe())
    assert (site.module, site.file) == ("test_log_call", __file__) and site.line > 50
    with pytest.raises(ZeroDivisionError) as raised:
        str(FAILING)
    assert log_call.exception_site(raised.value).module == "test_log_call"
    assert log_call.exception_site(ValueError()) == ("", "", 0)


@pytest.mark.parametrize(
    ("extra", "dimensions"),
    [({"a": 1}, {"a": 1}), ({"custom_dimensions": {"a": 1}, "b": 2}, {"a": 1, "b": 2}), ("x", {"extra": "x"}),
     ({"custom_dimensions": 7}, {"custom_dimensions": 7}), (None, {})],
)  # fmt: skip
def test_extra_dimensions(extra: object, dimensions: dict[str, object]) -> None:
    """The `extra` argument of logging is dimensions, including those in custom_dimensions."""
    assert log_call.extra_dimensions(extra) == dimensions


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"message": "loaded", "rows": 3}, ("loaded", {"rows": 3})),
        ({"event": "loaded", "message": 1}, ("loaded", {"message": 1})),
        ({"message": "first", "event": "second"}, ("first", {"event": "second"})),
        ({"message": 3}, None),
        ({"rows": 3}, None),
        ({}, None),
    ],
)
def test_messages_that_are_dicts(given: dict[str, Any], expected: Any) -> None:
    """A dict with a string under `message` or `event` has a message and values. Others are messages as a whole."""
    parts = log_call.dict_event(given)
    assert (parts and (parts.message, parts.values)) == expected
