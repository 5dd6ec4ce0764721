"""The public functions, and the one global behind them: the session of this process.

In: what scripts call. Out: loggers, accounts, the identity. Nothing happens at import: the session and what it is
made of are loaded with the first call.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from amllog.errors import AmllogError
from amllog.process import interrupts, released_locks
from amllog.record import text
from amllog.sources.logger import Logger, WrappedLogger

if TYPE_CHECKING:
    from typing_extensions import Unpack  # known to type checkers, wherever they run

    from amllog.config.arguments import Arguments
    from amllog.context.identity import Identity
    from amllog.delivery.account import Account
    from amllog.session.session import Session

F = TypeVar("F", bound=Callable[..., Any])
_NO_DESCRIPTOR = 2**31 - 1
_LOCK = threading.RLock()
_SESSION: list[Session] = []  # the one global; filled once, so that no caller can hold an older one


def session() -> Session:
    """The session of this process."""
    if not _SESSION:
        released_locks.call_releasing(_LOCK, _begin)
    return _SESSION[0]


def _begin() -> None:
    with _LOCK:
        if not _SESSION:
            _check_interpreter()
            from amllog.session.session import Session

            _SESSION.append(Session())


def _check_interpreter() -> None:
    """Raise AmllogError in a sub-interpreter: it has no signals, no forks and no daemon threads."""
    try:  # to set a descriptor that cannot exist: rejected first of all elsewhere than in the main interpreter
        signal.set_wakeup_fd(_NO_DESCRIPTOR)
    except (OSError, ValueError) as error:
        interrupts.pass_on(error)
        if isinstance(error, OSError):  # the descriptor was looked at
            return
    # A sub-interpreter, or a thread: loading the module that can tell takes 0.3 ms.
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    try:
        interpreters = importlib.import_module(name)
    except ImportError:  # a build without sub-interpreters
        return
    if interpreters.get_current() != interpreters.get_main():
        raise AmllogError("amllog works in the main interpreter only, and this is a sub-interpreter")


def wrapped_logger(name: object) -> WrappedLogger:
    """The voice of a logger's name. As in `logging`, None is the root logger. Any other object is named by its text."""
    shown = "root" if name is None else text.to_text(name)
    return WrappedLogger(shown, session().recorder, unpickle_logger)


def unpickle_logger(name: str) -> WrappedLogger:
    """The voice of a logger that was pickled."""
    setup_worker()
    return wrapped_logger(name)


def setup_worker() -> None:
    """A worker process sets up as its parent did, unless it has already."""
    if session().identity is None:
        from amllog.errors import ConfigError
        from amllog.process import interrupts
        from amllog.process.workers import is_worker
        from amllog.session import worker_settings

        arguments = worker_settings.read_arguments(os.environ) if is_worker() else None
        if arguments is not None:
            with interrupts.suppress(ConfigError):  # left by another amllog, or the environment has changed
                session().setup(arguments)


def setup(**settings: Unpack[Arguments]) -> Logger:
    """Return a logger that writes to run metrics, the driver log and Application Insights.

    The environment has the settings that are not given here. docs/settings.md lists all settings. A further call
    changes the settings and records nothing twice. Raises ConfigError with every problem of the settings. Problems of
    the services raise nothing.
    """
    session().setup({**settings})
    caller = sys._getframe(1).f_globals.get("__name__", "__main__")
    return get_logger(caller)


def get_logger(name: str = "__main__", **dimensions: object) -> Logger:
    """Return a logger, also before setup(). `dimensions` are bound to it."""
    return Logger(wrapped_logger(name), (), dict(dimensions))


def flush(timeout: float = 10.0) -> Account:
    """Deliver the records that wait, for at most `timeout` seconds. Return the account, with those that still wait."""
    return session().flush(timeout)


def shutdown(timeout: float | None = None) -> Account:
    """End amllog in this process within `timeout` seconds (default: grace_seconds). Records that wait stay on disk.

    An exception that is on its way here (in a `finally` or `except`) is why the step ended.
    """
    return session().shutdown(timeout)


def status() -> Account:
    """The account: what was accepted in this process, and what of it is delivered, waiting or refused."""
    return session().status()


def carry(function: F) -> F:
    """`function`, to be called in another thread or in a worker process with what is bound and the span that is open
    here: `pool.submit(amllog.carry(work), …)`, `threading.Thread(target=amllog.carry(work))`.

    Each call runs in a copy of this context. It can be pickled where `function` can.
    """
    from amllog.context.carry import CarriedFunction

    return cast("F", CarriedFunction(function, session().recorder.emitter.parent(), setup_worker))


def trace_environment() -> dict[str, str]:
    """The environment for one child process started here, under the innermost span (W3C `TRACEPARENT`):
    `subprocess.run(command, env=amllog.trace_environment())`. Before setup() it is the process's own."""
    from amllog.context import traceparent

    operation, span = session().recorder.emitter.parent()
    found = session().identity
    step = found.step_id if found is not None else ""
    return {
        **os.environ,
        **(traceparent.child_variables(operation, span, step) if operation and span else {}),
    }


def identity() -> Identity:
    """Which run, step, experiment, node and rank this process is; before setup(), as the environment tells."""
    found = session().identity
    if found is not None:
        return found
    from amllog.config.settings import resolve_settings

    return session().detector.from_environment(resolve_settings({}, os.environ))
