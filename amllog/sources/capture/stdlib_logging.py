"""Capture the records of all stdlib loggers, each exactly once.

A handler on the root logger is not enough. Records of loggers with `propagate = False` do not reach it, `dictConfig` of
other libraries removes it, and `importlib.reload(logging)` makes a new root logger and new classes. Therefore, each
generation of logging gets two hooks, `Logger.callHandlers` (`record_dispatch`) and `Logger.isEnabledFor`
(`level_gate`). No level of a logger is changed. `basicConfig` is hooked as well, because it does nothing if the root
logger has a handler. `remove()` undoes all hooks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from amllog.process.hooks import AfterReload, Hook, Hooks
from amllog.sources.capture import logging_lock
from amllog.sources.capture.level_gate import LevelGate
from amllog.sources.capture.logging_tree import logger_classes
from amllog.sources.capture.record_dispatch import RecordDispatch
from amllog.sources.capture.record_taker import RecordTaker
from amllog.sources.recorder import Recorder


class _Generation:
    """The hooks of one generation of logging."""

    def __init__(self, kind: Any, gate: LevelGate, dispatch: RecordDispatch) -> None:
        self.kind, self.gate, self.dispatch = kind, gate, dispatch

    @property
    def is_on_top(self) -> bool:
        """Return whether no other library has put its hooks over ours."""
        return self.dispatch.hook.is_on_top and self.gate.hook.is_on_top

    def use(self, dispatch: RecordDispatch) -> None:
        """Replace the hook of `callHandlers`."""
        self.dispatch.close()
        self.dispatch = dispatch


class LoggingCapture:
    """Capture all loggers of this process, also those made before logging was reloaded."""

    def __init__(self, recorder: Recorder, on_handler: Callable[[logging.Handler], object]) -> None:
        """`on_handler` is called for every other handler that a record reaches."""
        self._emitter, self._on_handler = recorder.emitter, on_handler
        self._hooks = Hooks()
        self._generations: list[_Generation] = []
        # The threshold at the last setup().
        self._threshold = logging.NOTSET
        # Former handlers of amllog that the root loggers may still have.
        self._former: list[logging.Handler] = []
        self.taker = RecordTaker(recorder)

    @property
    def handler(self) -> logging.Handler | None:
        """The handler on the root logger, if logging is captured."""
        return self.taker.handler

    def install(self, handler: logging.Handler) -> None:
        """Begin to capture, or continue with another handler. `handler` passes records to `taker.take`.

        The hooks stay in place, because other threads may log meanwhile.
        """
        if self.handler is not None and self.handler is not handler:
            self._former.append(self.handler)
        self.taker.use_handler(handler)
        self.taker.events.install()
        if not self._generations:
            self._hooks.put(AfterReload("logging", lambda: logging_lock.call_releasing(self._hook_all)))
            self._hook_all()
        else:
            self._put_on_top()
            for generation in self._generations:
                generation.gate.root.addHandler(handler)
            # A level that the script has set since applies to amllog, until setup() needs other records.
            if self._threshold != self._emitter.threshold:
                self._accept_levels()
        self._threshold = self._emitter.threshold
        self._remove_former()

    def remove(self) -> None:
        """Remove the handler and all hooks."""
        self.taker.events.remove()
        self._hooks.remove()
        if self.handler is not None:
            self._former.append(self.handler)
        self.taker.use_handler(None)
        self._remove_former()
        while self._generations:
            self._generations[-1].gate.close()
            self._generations[-1].dispatch.close()
            self._generations.pop()

    def _remove_former(self) -> None:
        while self._former:
            for generation in self._generations:
                generation.gate.root.removeHandler(self._former[-1])
            self._former.pop()

    def _hook_all(self) -> None:
        """Add the handler and the hooks to all generations of logging that do not have them."""
        assert self.handler is not None
        for kind in logger_classes():
            root = kind.root
            if any(root is generation.gate.root for generation in self._generations):
                continue
            gate = LevelGate(kind, self._emitter, self._put_on_top)
            generation = _Generation(kind, gate, RecordDispatch(kind, self.taker, gate, self._on_handler))
            self._generations.append(generation)
            root.addHandler(self.handler)
            self._hooks.put(generation.dispatch.hook)
            self._hooks.put(gate.hook)
        self._hooks.put(Hook(logging, "basicConfig", self._configure_over(logging.basicConfig)))

    def _put_on_top(self) -> None:
        """Put our hooks over those that another library has put over them since.

        Otherwise, that library would get the records that only amllog admits, and might change a record before.
        """
        for generation in self._generations:
            if not generation.is_on_top:
                gate = generation.gate
                generation.use(RecordDispatch(generation.kind, self.taker, gate, self._on_handler))
                self._hooks.put(generation.dispatch.hook)
                self._hooks.put(gate.new_hook())

    def _accept_levels(self) -> None:
        for generation in self._generations:
            generation.gate.accept_level()

    def _configure_over(self, configure: Callable[..., None]) -> Callable[..., None]:
        def configure_beside_ours(**options: Any) -> None:
            """Call basicConfig without our handler, because it does nothing if the root logger has a handler."""
            logging_lock.call_locked(self._configure, configure, options)

        return configure_beside_ours

    def _configure(self, configure: Callable[..., None], options: dict[str, Any]) -> None:
        """Call basicConfig without our handler, with the lock held. Otherwise, other threads would put it back."""
        ours, root = self.handler, logging.getLogger()
        if ours is not None:
            root.removeHandler(ours)
        try:
            configure(**options)
        finally:
            if ours is not None:
                root.addHandler(ours)
                self._accept_levels()
