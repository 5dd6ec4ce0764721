"""Determine whether a signal handler raised an exception.

Python calls a handler with the number of the signal and the frame that it interrupts, at any instruction of the main
thread. The traceback of an exception has the frames that it passed, and the instruction of each frame.
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

# Instructions that do not raise and do not call, and at which Python runs signal handlers. -1 is before the first one.
_RAISING_NOTHING = {"JUMP_ABSOLUTE", "JUMP_BACKWARD", "POP_BLOCK", "RESUME", "SETUP_FINALLY"}
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

# Our folders and modules that call no C function of the script or of a library except orjson. A Python function that
# they call has a frame in the traceback. So if the last frame of an exception is in one of them and its class is
# foreign, a handler in C raised it, or it was set in the thread (`PyThreadState_SetAsyncExc`).
_CLOSED = {
    "delivery.outbox", "delivery.worker", "journal", "process.ancestors", "process.descriptors", "process.events",
    "process.exits", "process.file_lock", "process.fork_detection", "process.fork_safe_thread", "process.forks",
    "process.frames", "process.hooks", "process.interrupts", "process.module_hooks", "process.own_work",
    "process.process_objects", "process.process_token", "process.sigterm", "process.wake_up",
    "process.worker_programs", "process.workers", "record.envelope", "record.item_limit", "session.captures",
    "session.joining", "session.run_variables", "session.session", "session.step", "sources.capture.stdlib_logging",
    "sources.emitter", "sources.encoder",
}  # fmt: skip
_OWN_KINDS = {"amllog", "builtins", "orjson", *sys.builtin_module_names}
_STDLIB = os.path.dirname(inspect.__file__)
_C_CODE_BYTES = 6  # of `PyCode_NewEmpty`, which has none before Python 3.11
_MAX_WRAPPERS = 20  # nested, around a handler


def origin(error: BaseException) -> BaseException | None:
    """Return the exception of a signal handler that `error` is, contains as a group, or replaces. None otherwise.

    `error` replaces a cause or context that was caught by a `finally` or `except` in a frame that `error` has passed.
    """
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        candidate = pending.pop()
        if id(candidate) in seen:
            continue
        seen.add(id(candidate))
        if _is_of_handler(candidate):
            return candidate
        passed = {id(trace.tb_frame) for trace in _traces(candidate)}
        for other in (_attribute(candidate, "__cause__"), _attribute(candidate, "__context__")):
            first = next(_traces(other), None) if other is not None else None
            if first is not None and id(first.tb_frame) in passed:
                pending.append(other)
        if any(kind.__name__ == "BaseExceptionGroup" for kind in type(candidate).__mro__):
            pending += candidate.exceptions  # type: ignore[attr-defined]  # Python 3.9 and 3.10 have no such class
    return None


def is_from_signal(error: BaseException) -> bool:
    """Return whether a signal handler raised `error`, or an exception that `error` contains or replaces."""
    return origin(error) is not None


def _attribute(error: BaseException, name: str) -> Any:
    """Return an attribute as Python set it, even if the class of the exception defines a property for it."""
    return BaseException.__dict__[name].__get__(error)


def _traces(error: BaseException) -> Iterator[TracebackType]:
    trace = _attribute(error, "__traceback__")
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
    handlers = codes_of_handlers() if called else []
    if any(frame.f_code is code for _, frame in called for code in handlers):
        return True
    return bool(traces) and _is_closed(traces[-1].tb_frame) and _is_foreign(kind)


def _has(frame: FrameType, interrupted: FrameType) -> bool:
    """Return whether a variable of `frame` is the interrupted frame, which Python passes to a handler."""
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # not a function: its variables can be any objects
        return False
    for value in frame.f_locals.values():
        kind = type(value)
        parts = value if kind in (tuple, list) else value.values() if kind is dict else (value,)
        if any(part is interrupted for part in parts):
            return True
    return False


def _is_between_calls(trace: TracebackType) -> bool:
    """Return whether the instruction of the frame cannot raise an exception itself."""
    code = trace.tb_frame.f_code
    if code.co_flags & _GENERATORS:  # `throw()` raises at the instruction where the generator was suspended
        return False
    # A frame of C code, such as Cython's, has no instructions.
    if len(code.co_code) <= _C_CODE_BYTES and not code.co_consts:
        return False
    return trace.tb_lasti < 0 or opcode.opname[code.co_code[trace.tb_lasti]] in _RAISING_NOTHING


def codes_of_handlers() -> list[CodeType]:
    """Return the code of each handler that is registered now."""
    # Not signal.getsignal: it converts the results to enumerations, which takes 1 ms for all signals.
    codes = (_code_of(_signal.getsignal(number)) for number in range(1, signal.NSIG))
    return [code for code in codes if code is not None]


def _code_of(handler: Any) -> CodeType | None:
    if handler is None or type(handler) is int:  # not a handler in Python
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
            calls = (vars(base)["__call__"] for base in kind.__mro__ if "__call__" in vars(base))
            handler = next(calls, None)
    return None


def _is_closed(frame: FrameType) -> bool:
    package, _, module = str(frame.f_globals.get("__name__", "")).partition(".")
    return package == "amllog" and not _CLOSED.isdisjoint((module, module.partition(".")[0]))


def _is_foreign(kind: type[BaseException]) -> bool:
    """Return whether the class is neither ours nor one that Python or our libraries raise."""
    name = str(kind.__module__).partition(".")[0]
    if name in _OWN_KINDS:
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or "site-packages" in file or not file.startswith(_STDLIB)
