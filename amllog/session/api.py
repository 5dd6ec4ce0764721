"""The public functions and the one global: the session of this process.

Nothing happens at import. The session and its modules are loaded with the first call.
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
    from typing_extensions import Unpack  # type checkers know it in every environment

    from amllog.config.arguments import Arguments
    from amllog.context.identity import Identity
    from amllog.delivery.account import Account
    from amllog.session.session import Session

F = TypeVar("F", bound=Callable[..., Any])
_NO_DESCRIPTOR = 2**31 - 1
_CLUSTERS = {"ray", "pyspark", "distributed"}  # packages that send pickled objects to other machines
_LOCK = threading.RLock()
# The one global. It is filled once, so that no caller can hold an older session.
_SESSION: list[Session] = []


def session() -> Session:
    """Return the session of this process."""
    if not _SESSION:
        released_locks.call_releasing(_LOCK, _begin)
    return _SESSION[0]


def _begin() -> None:
    with _LOCK:
        if not _SESSION:
            _check_interpreter()
            from amllog.session.session import Session

            _SESSION.append(Session(unpickle_taker, accept_invitation))


def _check_interpreter() -> None:
    """Raise AmllogError in a sub-interpreter: it has no signals, no forks and no daemon threads."""
    # Set a descriptor that cannot exist. Other interpreters reject the call before they look at the descriptor.
    try:
        signal.set_wakeup_fd(_NO_DESCRIPTOR)
    except (OSError, ValueError) as error:
        interrupts.pass_on(error)
        if isinstance(error, OSError):  # the descriptor was rejected
            return
    # A sub-interpreter or a thread. Loading the module that distinguishes them takes 0.3 ms.
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    try:
        interpreters = importlib.import_module(name)
    except ImportError:  # a build without sub-interpreters
        return
    if interpreters.get_current() != interpreters.get_main():
        raise AmllogError("amllog works in the main interpreter only, and this is a sub-interpreter")


def wrapped_logger(name: object) -> WrappedLogger:
    """Return the wrapped logger of a name. As in `logging`, None is the root logger. Other objects become strings."""
    shown = "root" if name is None else text.to_text(name)
    return WrappedLogger(shown, session().recorder, unpickle_logger, carried_step)


def unpickle_logger(name: str, step: str = "") -> WrappedLogger:
    """Return the wrapped logger of a logger that was pickled. `step`: see `carried_step`."""
    join_step(step)
    return wrapped_logger(name)


def unpickle_taker() -> Any:
    """Return the filter of our handler in loguru, for a logger of loguru that was pickled."""
    join_step()
    return session().captures.loguru.taker


def join_step(step: str = "") -> None:
    """In a worker process without a setup(), join its step. `step`: the one in an object that was unpickled."""
    from amllog.process.workers import is_worker

    if is_worker():
        session().join(step)


def join_at_import() -> None:
    """At the end of the import of amllog: in a worker, join its step. It loads modules only if it may be one."""
    from amllog.config.variables import WORKERS
    from amllog.process.worker_programs import worker_program

    if WORKERS in os.environ or "multiprocessing.process" in sys.modules or worker_program():
        with interrupts.suppress(AmllogError):  # a sub-interpreter
            join_step()


def accept_invitation(step: str) -> object:
    """Join the step of the process that started this worker, and return the invitation for the workers of this one."""
    from amllog.session.published_step import Invitation

    join_step(step)
    return Invitation(step, accept_invitation)


def carried_step() -> tuple[str, ...]:
    """Return the step for a pickled object, if there may be workers that do not find it: those of a cluster.

    Otherwise, a pickled object is the same in each run. Caches and saved models depend on that.
    """
    text = session().joining.publication.text
    return (text,) if text and not _CLUSTERS.isdisjoint(sys.modules) else ()


def setup(**settings: Unpack[Arguments]) -> Logger:
    """Return a logger that writes to run metrics, the driver log and Application Insights.

    Settings that are not given here come from the environment. docs/settings.md lists their variables and defaults. A
    further call changes the settings and records nothing twice.

    * connection_string: the Application Insights resource, as the portal shows it.
    * exporter: auto, opencensus, opentelemetry or none.
    * metrics: auto, azureml, mlflow or none, for run metrics.
    * metrics_ranks: 0 or all, the ranks that write run metrics.
    * level, driver_level, insights_level: the least level of records, of the driver log and of Application Insights.
    * driver_format: auto, console, plain or json.
    * directory: the directory of the journal.
    * run_type, build_url, build_version: dimensions on every record.
    * step_name, experiment_name: the names of the step and the experiment.
    * dimensions: more dimensions on every record, as a dict.
    * capture: which records of others are recorded, such as logging, warnings, exceptions and prints.
    * redact: regular expressions of more keys whose values are masked.
    * grace_seconds: how long the end of the process may take for the delivery.
    * journal_max_bytes: the maximum size of the journal.
    * debug, debug_address, debug_seconds: whether to wait for a debugger, where and how long (see `amllog.debug`).
    * strict: whether invalid environment variables raise, also in a job.

    Raises ConfigError with every problem of the settings, except invalid variables in a job. It never raises because of
    a remote service.
    """
    session().setup({**settings})
    if session().settings.debug:
        _debug_step()
    caller = sys._getframe(1).f_globals.get("__name__", "__main__")
    return get_logger(caller)


def get_logger(name: str = "__main__", **dimensions: object) -> Logger:
    """Return a logger, also before setup(). `dimensions` are bound to it."""
    return Logger(wrapped_logger(name), (), dict(dimensions))


def flush(timeout: float = 10.0) -> Account:
    """Deliver waiting records for at most `timeout` seconds. Return the account, with those that still wait."""
    return session().flush(timeout)


def shutdown(timeout: float | None = None) -> Account:
    """End amllog in this process within `timeout` seconds (default: grace_seconds). Records that wait stay on disk.

    In a `finally` or `except`, the exception that is being handled is recorded as the reason why the step ended.
    """
    return session().shutdown(timeout)


def status() -> Account:
    """Return the account: the records accepted in this process, and how many are delivered, waiting or refused."""
    return session().status()


def carry(function: F) -> F:
    """Return `function` for a call in another thread or worker process, with the bound dimensions and the present span.

    Examples: `pool.submit(amllog.carry(work), …)`, `threading.Thread(target=amllog.carry(work))`. Each call runs in a
    copy of this context. The result can be pickled if `function` can.
    """
    from amllog.context.carry import CarriedFunction

    return cast("F", CarriedFunction(function, session().recorder.emitter.parent(), join_step, carried_step))


def trace_environment() -> dict[str, str]:
    """Return the environment for one child process under the innermost span (W3C `TRACEPARENT`).

    Example: `subprocess.run(command, env=amllog.trace_environment())`. Before setup(), it is that of this process.
    """
    from amllog.context import traceparent

    operation, span = session().recorder.emitter.parent()
    known = session().identity
    step = known.step_id if known is not None else ""
    return {
        **os.environ,
        **(traceparent.child_variables(operation, span, step) if operation and span else {}),
    }


def debug(address: str | int | None = None, seconds: float | None = None) -> bool:
    """Listen for a debugger, print how to attach, and wait for it. Return whether a debugger is attached.

    * address: host:port, or a port on this machine (default: AMLLOG_DEBUG_ADDRESS, otherwise 127.0.0.1:5678). Whoever
      reaches the port can run code in this process.
    * seconds: the limit of the wait (default: AMLLOG_DEBUG_SECONDS, otherwise 300). Then the script continues at full
      speed, and a debugger can still attach.

    Only rank 0 listens, and no worker process. A second call does not wait again. Raises ConfigError if an argument is
    invalid, and MissingExtraError if debugpy is not installed. In a job, the latter is printed instead.
    """
    from amllog.session import compose, debugging

    ours = session()
    known = ours.settings if ours.identity is not None else compose.read_settings({}, os.environ)
    settings = debugging.with_arguments(known, address, seconds)
    return debugging.wait(ours, settings, identity(), os.environ)


def _debug_step() -> None:
    from amllog.session import debugging

    if debugging.is_for_setup(session()):
        debugging.wait(session(), session().settings, identity(), os.environ)


def identity() -> Identity:
    """Return the run, step, experiment, node and rank of this process, before setup() from the environment alone."""
    join_step()
    known = session().identity
    if known is not None:
        return known
    from amllog.session import compose

    return session().detector.from_environment(compose.read_settings({}, os.environ))
