"""An exception → what Application Insights shows of it: the chain of errors, each with its frames.

In: an exception object. Out: `ExceptionDetails` as plain dicts (outermost first, causes after), bounded in
number and length; never an exception of its own, whatever the exception's methods do.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from amllog.process.exits import type_name
from amllog.process.interrupts import is_from_signal
from amllog.record import text
from amllog.record.redaction import Redactor

MAX_EXCEPTIONS = 10
MAX_FRAMES = 50  # of the first; of those that led to it, half as many each
MAX_STACK = 16_384
STACK_HEADER = (
    "Stack (most recent call last):"  # how logging begins the stack of a place without an exception
)
_MAX_TEXT = 8_192


def exception_details(error: BaseException, redactor: Redactor) -> list[dict[str, Any]]:
    """The exception and what led to it, in the order of the protocol: ids link a cause to its effect."""
    found = []
    for number, (outer, one) in enumerate(_chain(error), start=1):
        frames = _frames(one, MAX_FRAMES if number == 1 else MAX_FRAMES // number)
        found.append(
            {
                "id": number,
                "outerId": outer,
                "typeName": text.truncate(type_name(one), 1_024),
                "message": redactor.mask_and_truncate(_message(one), _MAX_TEXT),
                "hasFullStack": bool(frames),
                "stack": format_exception(one, redactor) if number == 1 else "",
                "parsedStack": frames,
            }
        )
    return found


def format_exception(error: BaseException, redactor: Redactor, limit: int = MAX_STACK) -> str:
    """The traceback as Python prints it, causes and notes included; the middle is cut if it is very long.

    It has no local variables.
    """
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except Exception as failure:  # a broken __str__, __cause__ or __notes__ must not cost the record
        if is_from_signal(failure):
            raise
        lines = [f"{type_name(error)} ({type(failure).__name__} while formatting its traceback)"]
    return redactor.mask_and_truncate_middle("".join(lines).rstrip(), limit)


def format_stack(frame: FrameType) -> str:
    """The stack of a place, as logging's `stack_info=True` writes it."""
    return "".join([STACK_HEADER, "\n", *traceback.format_stack(frame)]).rstrip()


def problem_id(error: BaseException) -> str:
    """What groups equal failures: the type and the innermost place."""
    frames = _frames(error, 2)
    if not frames:
        return text.truncate(type_name(error), 1_024)
    return text.truncate(f"{type_name(error)} at {frames[0]['fileName']}:{frames[0]['method']}", 1_024)


def _chain(error: BaseException) -> Iterator[tuple[int, BaseException]]:
    """(id of the effect, exception), breadth first; cycles and long chains end."""
    waiting: list[tuple[int, BaseException]] = [(0, error)]
    seen: set[int] = set()
    while waiting and len(seen) < MAX_EXCEPTIONS:
        outer, one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield outer, one
        waiting.extend((len(seen), led) for led in _led_to(one))


def _led_to(error: BaseException) -> list[BaseException]:
    members = _asked(lambda: getattr(error, "exceptions", ()))  # of an exception group
    led = [one for one in members if isinstance(one, BaseException)] if isinstance(members, tuple) else []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [cause, *led] if cause else led


def _message(error: BaseException) -> str:
    notes = _asked(lambda: getattr(error, "__notes__", None))
    parts = [_asked(lambda: str(error)), *map(text.to_text, notes if isinstance(notes, list) else ())]
    return "\n".join(parts) or type(error).__name__


def _asked(ask: Callable[[], Any]) -> Any:
    """What an exception's own method says, or that it failed: the type and the frames still tell."""
    try:
        return ask()
    except Exception as failure:
        if is_from_signal(failure):
            raise
        return f"<{type(failure).__name__} in its own methods>"


def _frames(error: BaseException, limit: int) -> list[dict[str, Any]]:
    """Innermost first, level 0 where it was raised; the middle of a very deep stack is left out."""
    stack = [
        (frame.f_code.co_name, frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    stack.reverse()
    levels = list(enumerate(stack))
    if len(levels) > limit:
        levels = levels[: limit - limit // 2] + levels[len(levels) - limit // 2 :]
    return [
        {
            "level": level,
            "method": text.truncate(method, 1_024),
            "fileName": text.truncate(file, 1_024),
            "line": line or 0,
        }
        for level, (method, file, line) in levels
    ]
