"""Capture exceptions that nothing catches: of the main thread, of threads, of notebook cells, and those Python ignores.

At the end of the process, `record_end` records the exception that ended it, if no hook has seen that one.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import FrameType, TracebackType
from typing import Any

from amllog.process import exits, interrupts, worker_end
from amllog.process.exits import Exits
from amllog.process.hooks import Hooks
from amllog.process.module_hooks import ModuleHook
from amllog.record import log_call, text
from amllog.record.envelope import UNCAUGHT_LOGGER
from amllog.record.lazy_pattern import LazyPattern
from amllog.record.recorded_mark import is_recorded
from amllog.sources.capture.notebook import Notebook
from amllog.sources.recorder import Recorder

# The repr of a function, a generator or an instance in the message of an exception that Python ignores.
_REPR = LazyPattern(r" <(?:\w+ )*(\S+?)(?: object)? at 0x[0-9A-Fa-f]+>")


class ExceptionCapture:
    """The hooks for exceptions, and how the main thread ended."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder, self._messages = recorder, recorder.messages
        self._hooks, self._exits = Hooks(), Exits()
        self._notebook = Notebook(recorder.messages)
        self._failure = ""  # how the main thread ended, if by an exception
        self._is_installed = False
        self._former = getattr(sys, "last_value", None)  # of another exception, before this session
        self._recorded = 0  # the id of the exception that the hook has recorded

    @property
    def failure(self) -> str:
        """The reason why the main thread ended, empty at success."""
        return self._failure or self._notebook.failure or self._exits.result()

    def install(self) -> None:
        """Put the hooks."""
        self._is_installed = True
        self._exits.watch()
        self._capture_main_thread()
        self._capture_threads()
        self._capture_ignored()
        self._hooks.put(worker_end.hook(self._record_end_of_worker))
        cells = self._notebook.hook()
        if cells is not None:
            self._hooks.put(cells)

    def remove(self) -> None:
        """Remove the hooks."""
        self._is_installed = False
        self._hooks.remove()
        self._exits.remove()

    def record_end(self, reason: str, cause: Exception | None) -> None:
        """Record the exception that ends this process, if no hook has recorded it.

        `reason` and `cause` are those of an exit that no hook reports (`amllog run`), otherwise empty.
        """
        if not self._is_installed:
            return
        error = sys.exc_info()[1]
        worker = worker_end.name_of_ended(error)
        if not worker:
            worker, error = self._exits.worker_end()
        if worker:
            self._record_end_of_worker(worker, error)
            return
        last = exits.last_exception()
        if last is not None and last is not self._former and id(last) != self._recorded:
            self._record_uncaught(last)
        self._notebook.record_end()
        reason = self._exits.result() or reason
        if reason and not self._failure:
            cause = self._exits.cause or cause or self._shown_by_shell()
            self._record_cause(reason.capitalize(), cause)
            shown, file, line = self._exits.message
            if cause is None and shown:
                message, site = f"{reason.capitalize()}: {shown}", log_call.line_site(file, line)
                self._messages.captured_line(logging.CRITICAL, UNCAUGHT_LOGGER, message, site)

    def _record_end_of_worker(self, name: str, error: BaseException | None) -> None:
        self._record_cause(f"Uncaught exception in process {name}", exits.cause_of_exit(error))

    def _record_cause(self, message: str, cause: Exception | None) -> None:
        if cause is not None and not is_recorded(cause):
            self._messages.uncaught(message, cause, UNCAUGHT_LOGGER)

    def _shown_by_shell(self) -> Exception | None:
        """Return the exception that a shell (IPython, pdb) has caught and shown."""
        last = getattr(sys, "last_value", None)
        return (
            exits.cause_of_exit(last)
            if isinstance(last, BaseException) and last is not self._former
            else None
        )

    def _capture_main_thread(self) -> None:
        def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            try:
                self._record_uncaught(error)
            finally:
                hook.before(kind, error, trace)

        hook = ModuleHook(sys, "excepthook", uncaught)
        self._hooks.put(hook)

    def _record_uncaught(self, error: BaseException) -> None:
        """Record an exception that Python shows. It fails the step if it has ended the main thread."""
        is_interruption = isinstance(error, KeyboardInterrupt)
        if exits.has_left_first_frame(error):
            self._failure = exits.INTERRUPTED if is_interruption else exits.UNCAUGHT
        self._recorded = id(error)
        if not is_interruption:
            self._messages.uncaught("Uncaught exception", error, UNCAUGHT_LOGGER)

    def _capture_threads(self) -> None:
        def uncaught(args: Any) -> None:
            try:
                if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
                    name = args.thread.name if args.thread is not None else "?"
                    message = f"Uncaught exception in thread {name}"
                    self._messages.uncaught(message, args.exc_value, UNCAUGHT_LOGGER)
            finally:
                hook.before(args)

        hook = ModuleHook(threading, "excepthook", uncaught)
        self._hooks.put(hook)

    def _capture_ignored(self) -> None:
        """Capture exceptions that Python cannot raise, for example in `__del__`. The step continues."""

        def ignored(args: Any) -> None:
            try:
                try:
                    if isinstance(args.exc_value, Exception):
                        self._recorder.emitter.guarded(lambda: self._record_ignored(args))
                finally:
                    hook.before(args)
            except BaseException as interruption:  # Python discards exceptions of this hook
                interrupts.raise_later(interruption)

        hook = ModuleHook(sys, "unraisablehook", ignored)
        self._hooks.put(hook)

    def _record_ignored(self, args: Any) -> None:
        error = args.exc_value
        frame = sys._getframe()
        while frame.f_back is not None and _is_of_amllog(frame):
            frame = frame.f_back
        if _is_of_amllog(frame) and sys.is_finalizing():
            return  # at the very end of Python, where no code of the script runs any more
        frames = [frame, *(frame for frame, _ in traceback.walk_tb(error.__traceback__))]
        # The name, not the repr: the object may be destroyed in part, and its address would make each message unique.
        if args.object is not None:
            name = getattr(args.object, "__qualname__", type(args.object).__qualname__)
            message = f"{args.err_msg or 'Exception ignored in'}: {text.to_text(name)}"
        else:  # From Python 3.14 on, the message may contain the repr.
            message = _REPR.sub(r": \1", args.err_msg or "Exception ignored")
        values = {"exc_info": error}
        self._messages.log(logging.ERROR, UNCAUGHT_LOGGER, message, (), values, {}, frames[-1], shown=True)


def _is_of_amllog(frame: FrameType) -> bool:
    """Return whether a frame runs code of amllog."""
    package: str = frame.f_globals.get("__package__") or ""
    return package.partition(".")[0] == "amllog"
