"""Tells which exceptions a signal handler raised.

Python calls a handler with the number of the signal and the frame that it interrupts, at any instruction of the main
thread. An exception's traceback has the frames that it passed, and each of them the instruction that it was at.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the part of `signal` in C
import functools
import inspect
import opcode
import os
import signal
import sys
from collections.abc import Iterator
from types import BuiltinMethodType, CodeType, FrameType, FunctionType, MethodType, TracebackType
from typing import Any

# Instructions that raise nothing and call nothing, and at which Python runs signal handlers. -1: before the first one.
_RAISING_NOTHING = {"JUMP_ABSOLUTE", "JUMP_BACKWARD", "POP_BLOCK", "RESUME", "SETUP_FINALLY"}
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

# Our modules that call nothing of the script's and of libraries. An exception of a foreign class that has no frame
# below these was raised by a handler in C, or put into the thread (`PyThreadState_SetAsyncExc`).
_CLOSED = {
    "delivery.outbox", "delivery.worker", "journal.checkpoint", "journal.checkpoint_entries", "journal.directory",
    "journal.lock", "journal.own_files", "journal.refused_counts", "journal.segment", "journal.writer",
    "process.descriptors", "process.events", "process.exits", "process.fork_detection", "process.fork_safe_thread",
    "process.forks", "process.hooks", "process.interrupts", "record.envelope", "record.item_limit", "session.session",
    "sources.capture.stdlib_logging", "sources.emitter", "sources.encoder",
}  # fmt: skip
_OWN_KINDS = {"amllog", "builtins", "orjson", *sys.builtin_module_names}
_STDLIB = os.path.dirname(inspect.__file__)
_C_CODE_BYTES = 6  # of `PyCode_NewEmpty`; empty before Python 3.11
_MAX_WRAPPERS = 20  # of a handler, one in another


def origin(error: BaseException) -> BaseException | None:
    """Return the exception of a signal handler that `error` is, has in its group, or was raised in place of.

    It was raised in place of one that was caught in a frame that `error` has passed, by a `finally` or an `except`.
    """
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if _is_of_handler(one):
            return one
        passed = {id(trace.tb_frame) for trace in _traces(one)}
        for other in (_own(one, "__cause__"), _own(one, "__context__")):
            first = next(_traces(other), None) if other is not None else None
            if first is not None and id(first.tb_frame) in passed:
                pending.append(other)
        if any(kind.__name__ == "BaseExceptionGroup" for kind in type(one).__mro__):
            pending += one.exceptions  # type: ignore[attr-defined]  # Python 3.9 and 3.10 have no such class
    return None


def is_from_signal(error: BaseException) -> bool:
    """Return whether a signal handler raised `error`, or an exception that `error` stands for."""
    return origin(error) is not None


def _own(error: BaseException, name: str) -> Any:
    """Return an attribute as Python set it, whatever the class of the exception makes of it."""
    return BaseException.__dict__[name].__get__(error)


def _traces(error: BaseException) -> Iterator[TracebackType]:
    trace = _own(error, "__traceback__")
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _is_of_handler(error: BaseException) -> bool:
    kind = type(error)
    if not issubclass(kind, (Exception, GeneratorExit)):  # KeyboardInterrupt, SystemExit
        return True
    traces = list(_traces(error))
    called = [(trace.tb_frame, after.tb_frame) for trace, after in zip(traces, traces[1:])]
    if any(_has(frame, interrupted) for interrupted, frame in called):
        return True
    if any(_is_between_calls(trace) for trace in traces):
        return True
    handlers = _codes_of_handlers() if called else []
    if any(frame.f_code is code for _, frame in called for code in handlers):
        return True
    return bool(traces) and _is_closed(traces[-1].tb_frame) and _is_foreign(kind)


def _has(frame: FrameType, interrupted: FrameType) -> bool:
    """Return whether `frame` still has the frame that its handler was given."""
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # not of a function: its variables can be anything
        return False
    for value in frame.f_locals.values():
        kind = type(value)
        parts = value if kind in (tuple, list) else value.values() if kind is dict else (value,)
        if any(part is interrupted for part in parts):
            return True
    return False


def _is_between_calls(trace: TracebackType) -> bool:
    """Return whether the frame was at an instruction that itself raises nothing."""
    code = trace.tb_frame.f_code
    if code.co_flags & _GENERATORS:  # `throw()` raises where it was suspended
        return False
    if (
        len(code.co_code) <= _C_CODE_BYTES and not code.co_consts
    ):  # of C code, such as Cython's: no instructions
        return False
    return trace.tb_lasti < 0 or opcode.opname[code.co_code[trace.tb_lasti]] in _RAISING_NOTHING


def _codes_of_handlers() -> list[CodeType]:
    """Return the code of each handler that is registered now."""
    # Not signal.getsignal: that makes enumerations of what it finds, which takes 1 ms for all signals.
    found = (_code_of(_signal.getsignal(number)) for number in range(1, signal.NSIG))
    return [code for code in found if code is not None]


def _code_of(handler: Any) -> CodeType | None:
    if handler is None or type(handler) is int:  # none of Python's own
        return None
    for _ in range(_MAX_WRAPPERS):
        kind = type(handler)
        if kind is FunctionType:
            return handler.__code__  # type: ignore[no-any-return]  # of a function
        if issubclass(kind, functools.partial):
            handler = handler.func
        elif kind in (MethodType, staticmethod):
            handler = handler.__func__
        elif kind is BuiltinMethodType:  # such as `throw` of a generator
            return getattr(handler.__self__, "gi_code", None)
        elif issubclass(kind, type):
            handler = handler.__init__
        else:
            handler = next((vars(one)["__call__"] for one in kind.__mro__ if "__call__" in vars(one)), None)
    return None


def _is_closed(frame: FrameType) -> bool:
    package, _, module = str(frame.f_globals.get("__name__", "")).partition(".")
    return package == "amllog" and module in _CLOSED


def _is_foreign(kind: type[BaseException]) -> bool:
    """Return whether the class is neither ours nor one that Python or the libraries below us raise."""
    name = str(kind.__module__).partition(".")[0]
    if name in _OWN_KINDS:
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or "site-packages" in file or not file.startswith(_STDLIB)
