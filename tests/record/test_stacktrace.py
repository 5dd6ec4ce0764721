"""What an exception shows: its chain, its frames and its text, bounded, whatever it is made of."""

from __future__ import annotations

from typing import Any

import pytest

from amllog.record import stacktrace
from amllog.record.redaction import Redactor

same = Redactor()


def raised(error: BaseException, depth: int = 0) -> BaseException:
    """The exception after it was raised from so far below."""

    def down(left: int) -> None:
        if left:
            down(left - 1)
        else:
            raise error

    try:
        down(depth)
    except BaseException as found:
        return found
    raise AssertionError


def test_chain() -> None:
    """Causes follow their effects and point to them; the stack is the whole traceback, of the first alone."""
    error = raised(ValueError("outer"))
    error.__cause__ = raised(KeyError("inner"))
    outer, inner = stacktrace.exception_details(error, same)
    assert [(one["id"], one["outerId"], one["typeName"]) for one in (outer, inner)] == [
        (1, 0, "ValueError"), (2, 1, "KeyError"),
    ]  # fmt: skip
    assert "direct cause" in outer["stack"] and inner["stack"] == ""
    assert [frame["method"] for frame in outer["parsedStack"]] == ["down", "raised"]
    assert [frame["level"] for frame in outer["parsedStack"]] == [0, 1]


def test_context() -> None:
    """What was being handled is told, unless it is suppressed."""
    error, before = ValueError("now"), KeyError("before")
    error.__context__ = before
    assert [one["typeName"] for one in stacktrace.exception_details(error, same)] == [
        "ValueError",
        "KeyError",
    ]
    error.__suppress_context__ = True
    assert [one["typeName"] for one in stacktrace.exception_details(error, same)] == ["ValueError"]


def test_group() -> None:
    """The members of an exception group are told, below it."""
    group = pytest.importorskip("builtins").__dict__.get("ExceptionGroup")
    if group is None:
        pytest.skip("no exception groups before Python 3.11")
    found = stacktrace.exception_details(
        group("several", [ValueError("a"), group("inner", [KeyError("b")])]), same
    )
    assert [(one["typeName"], one["outerId"]) for one in found] == [
        ("ExceptionGroup", 0), ("ValueError", 1), ("ExceptionGroup", 1), ("KeyError", 3),
    ]  # fmt: skip


def test_bounds() -> None:
    """Chains, stacks, messages and notes without end come to one."""
    error: Any = raised(ValueError("x" * 1_000_000), 300)
    error.__notes__ = ["n" * 1_000_000, 7]
    for _ in range(50):
        outer: Any = raised(ValueError("y" * 1_000_000), 300)
        outer.__cause__, error = error, outer
    found = stacktrace.exception_details(error, same)
    assert len(found) == stacktrace.MAX_EXCEPTIONS
    assert all(len(one["message"]) <= 8_192 and len(one["stack"]) <= stacktrace.MAX_STACK for one in found)
    assert all(len(one["parsedStack"]) <= stacktrace.MAX_FRAMES for one in found)
    levels = [frame["level"] for frame in found[0]["parsedStack"]]
    assert levels[0] == 0 and levels[-1] == 301 and levels == sorted(levels)


def test_cycles() -> None:
    """Exceptions that led to each other are told once each."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    one.__context__ = one
    assert len(stacktrace.exception_details(one, same)) == 2


def test_hostile() -> None:
    """An exception whose own methods fail is told by its type and its frames."""

    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

        @property
        def __notes__(self) -> Any:
            raise RuntimeError("no")

        @property
        def exceptions(self) -> Any:
            raise RuntimeError("no")

    (found,) = stacktrace.exception_details(raised(Hostile()), same)
    assert "Hostile" in found["typeName"] and found["parsedStack"]
    assert stacktrace.problem_id(raised(Hostile())).endswith("test_stacktrace.py:down")


def test_without_a_traceback() -> None:
    """An exception that was never raised has no frames, and is told all the same."""
    (found,) = stacktrace.exception_details(ValueError(), same)
    assert (found["message"], found["hasFullStack"], found["parsedStack"]) == ("ValueError", False, [])
    assert stacktrace.problem_id(ValueError()) == "ValueError"


def test_masked() -> None:
    """Messages, notes and stacks go through the mask."""
    error: Any = raised(ValueError("correct horse"))
    error.__notes__ = ["correct horse note"]
    error.__cause__ = KeyError("correct horse")
    found = str(stacktrace.exception_details(error, Redactor((), ["correct horse"])))
    frames = "raise error"
    assert "correct horse" not in found and frames in found
