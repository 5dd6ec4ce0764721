"""The `ExceptionDetails` of an exception: its chain, its frames and its messages, bounded and masked."""

from __future__ import annotations

from typing import Any

import pytest

from amllog.record import stacktrace
from amllog.record.redaction import Redactor

REDACTOR = Redactor()


def raised(error: BaseException, depth: int = 0) -> BaseException:
    """Return the exception after it was raised below `depth` calls."""

    def down(remaining: int) -> None:
        if remaining:
            down(remaining - 1)
        else:
            raise error

    try:
        down(depth)
    except BaseException as caught:
        return caught
    raise AssertionError


def test_chain() -> None:
    """A cause follows the exception that it led to and has its id. Only the first has a stack."""
    error = raised(ValueError("outer"))
    error.__cause__ = raised(KeyError("inner"))
    outer, inner = stacktrace.exception_details(error, REDACTOR)
    assert [(details["id"], details["outerId"], details["typeName"]) for details in (outer, inner)] == [
        (1, 0, "ValueError"), (2, 1, "KeyError"),
    ]  # fmt: skip
    assert "direct cause" in outer["stack"] and inner["stack"] == ""
    assert [frame["method"] for frame in outer["parsedStack"]] == ["down", "raised"]
    assert [frame["level"] for frame in outer["parsedStack"]] == [0, 1]


def test_context() -> None:
    """The exception that was being handled is in the chain unless it is suppressed."""
    error, before = ValueError("now"), KeyError("before")
    error.__context__ = before
    assert type_names(error) == ["ValueError", "KeyError"]
    error.__suppress_context__ = True
    assert type_names(error) == ["ValueError"]


def type_names(error: BaseException) -> list[str]:
    """Return the names of the types in the chain."""
    return [details["typeName"] for details in stacktrace.exception_details(error, REDACTOR)]


def test_group() -> None:
    """The members of an exception group follow it."""
    group = pytest.importorskip("builtins").__dict__.get("ExceptionGroup")
    if group is None:
        pytest.skip("no exception groups before Python 3.11")
    chain = stacktrace.exception_details(
        group("several", [ValueError("a"), group("inner", [KeyError("b")])]), REDACTOR
    )
    assert [(details["typeName"], details["outerId"]) for details in chain] == [
        ("ExceptionGroup", 0), ("ValueError", 1), ("ExceptionGroup", 1), ("KeyError", 3),
    ]  # fmt: skip


def test_bounds() -> None:
    """Very long chains, stacks, messages and notes are within their limits."""
    error: Any = raised(ValueError("x" * 1_000_000), 300)
    error.__notes__ = ["n" * 1_000_000, 7]
    for _ in range(50):
        outer: Any = raised(ValueError("y" * 1_000_000), 300)
        outer.__cause__, error = error, outer
    chain = stacktrace.exception_details(error, REDACTOR)
    assert len(chain) == stacktrace.MAX_EXCEPTIONS
    assert max(len(details["message"]) for details in chain) <= 8_192
    assert max(len(details["stack"]) for details in chain) <= stacktrace.MAX_STACK
    assert max(len(details["parsedStack"]) for details in chain) <= stacktrace.MAX_FRAMES
    levels = [frame["level"] for frame in chain[0]["parsedStack"]]
    assert levels[0] == 0 and levels[-1] == 301 and levels == sorted(levels)


def test_cycles() -> None:
    """Exceptions that are the causes of each other appear once each."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    first.__context__ = first
    assert len(stacktrace.exception_details(first, REDACTOR)) == 2


def test_hostile() -> None:
    """An exception whose methods fail has its type and its frames."""

    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

        @property
        def __notes__(self) -> Any:
            raise RuntimeError("no")

        @property
        def exceptions(self) -> Any:
            raise RuntimeError("no")

    (details,) = stacktrace.exception_details(raised(Hostile()), REDACTOR)
    assert "Hostile" in details["typeName"] and details["parsedStack"]
    assert stacktrace.problem_id(raised(Hostile())).endswith("test_stacktrace.py:down")


def test_without_a_traceback() -> None:
    """An exception that was never raised has no frames."""
    (details,) = stacktrace.exception_details(ValueError(), REDACTOR)
    assert (details["message"], details["hasFullStack"], details["parsedStack"]) == ("ValueError", False, [])
    assert stacktrace.problem_id(ValueError()) == "ValueError"


def test_secrets_are_masked() -> None:
    """Secrets in messages, notes and stacks are masked."""
    error: Any = raised(ValueError("correct horse"))
    error.__notes__ = ["correct horse note"]
    error.__cause__ = KeyError("correct horse")
    details = str(stacktrace.exception_details(error, Redactor((), ["correct horse"])))
    assert "correct horse" not in details and "raise error" in details
