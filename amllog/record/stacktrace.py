"""Convert an exception chain to the `ExceptionDetails` of Application Insights, with bounded frames.

The functions never raise, even if the methods of the exception do.
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
MAX_FRAMES = 50  # of the first exception. Exception number n of the chain has 50 / n.
MAX_STACK = 16_384
STACK_HEADER = "Stack (most recent call last):"  # the first line of `stack_info=True` in logging
_MAX_MESSAGE = 8_192


def exception_details(error: BaseException, redactor: Redactor) -> list[dict[str, Any]]:
    """Return the `ExceptionDetails` of the exception and then of its causes.

    `outerId` is the id of the exception that a cause led to, and 0 for the first. Messages and stacks are masked.
    """
    details = []
    for number, (outer, exception) in enumerate(_chain(error), start=1):
        frames = _frames(exception, MAX_FRAMES if number == 1 else MAX_FRAMES // number)
        details.append(
            {
                "id": number,
                "outerId": outer,
                "typeName": text.truncate(type_name(exception), 1_024),
                "message": redactor.mask_and_truncate(_message(exception), _MAX_MESSAGE),
                "hasFullStack": bool(frames),
                "stack": format_exception(exception, redactor) if number == 1 else "",
                "parsedStack": frames,
            }
        )
    return details


def format_exception(error: BaseException, redactor: Redactor, limit: int = MAX_STACK) -> str:
    """Return the traceback as Python prints it, masked, with causes and notes but without local variables.

    The middle is cut to fit into `limit` characters.
    """
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except Exception as failure:  # a broken __str__, __cause__ or __notes__ must not lose the record
        if is_from_signal(failure):
            raise
        lines = [f"{type_name(error)} ({type(failure).__name__} while formatting its traceback)"]
    return redactor.mask_and_truncate_middle("".join(lines).rstrip(), limit)


def format_stack(frame: FrameType) -> str:
    """Return the stack of a frame as logging writes it for `stack_info=True`."""
    return "".join([STACK_HEADER, "\n", *traceback.format_stack(frame)]).rstrip()


def problem_id(error: BaseException) -> str:
    """Return the string that groups equal exceptions: the type and the innermost function."""
    frames = _frames(error, 2)
    if not frames:
        return text.truncate(type_name(error), 1_024)
    return text.truncate(f"{type_name(error)} at {frames[0]['fileName']}:{frames[0]['method']}", 1_024)


def _chain(error: BaseException) -> Iterator[tuple[int, BaseException]]:
    """Yield each exception with the id of the one that it led to, breadth first, up to MAX_EXCEPTIONS.

    An exception that is its own cause appears once.
    """
    pending: list[tuple[int, BaseException]] = [(0, error)]
    seen: set[int] = set()
    while pending and len(seen) < MAX_EXCEPTIONS:
        outer, exception = pending.pop(0)
        if id(exception) in seen:
            continue
        seen.add(id(exception))
        yield outer, exception
        pending.extend((len(seen), cause) for cause in _causes(exception))


def _causes(error: BaseException) -> list[BaseException]:
    group = _call_guarded(lambda: getattr(error, "exceptions", ()))
    members = (
        [member for member in group if isinstance(member, BaseException)] if isinstance(group, tuple) else []
    )
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [cause, *members] if cause else members


def _message(error: BaseException) -> str:
    notes = _call_guarded(lambda: getattr(error, "__notes__", None))
    parts = [_call_guarded(lambda: str(error)), *map(text.to_text, notes if isinstance(notes, list) else ())]
    return "\n".join(parts) or type(error).__name__


def _call_guarded(method: Callable[[], Any]) -> Any:
    """Return the result of a method of the exception, or a placeholder if the method raises."""
    try:
        return method()
    except Exception as failure:
        if is_from_signal(failure):
            raise
        return f"<{type(failure).__name__} in its own methods>"


def _frames(error: BaseException, limit: int) -> list[dict[str, Any]]:
    """Return the frames, innermost first with level 0. The middle of a stack of more than `limit` frames is omitted."""
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
