"""Functions whose frames look like those of another module."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import pytest

from amllog.process.frames import disguised

CALLS: list[str] = []


def make(suffix: str) -> Any:
    """Return a disguised function that uses a closure, a default and a global name."""

    def called(text: str, count: int = 2) -> tuple[str, Any]:
        CALLS.append(text)
        return text * count + suffix, sys._getframe()

    return disguised(called, logging.Handler.handle)


def test_a_disguised_function() -> None:
    """It works as before. Its frame has the file and the module of the model, and its own name."""
    text, frame = make("!")("a")
    assert (text, CALLS.pop()) == ("aa!", "a")
    file = logging.Handler.handle.__code__.co_filename
    assert (frame.f_code.co_filename, frame.f_globals["__name__"]) == (file, "logging")
    assert frame.f_code.co_name == "called"
    assert make("?")("b", count=1)[0] == "b?"


def test_an_exception_that_passes_it() -> None:
    """A traceback through it can be formatted."""
    with pytest.raises(TypeError) as raised:
        make("!")(3)
    assert "in called" in "".join(traceback.format_exception(None, raised.value, raised.value.__traceback__))
