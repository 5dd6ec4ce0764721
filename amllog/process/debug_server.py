"""Listen for a debugger, wait for it up to a limit, and continue at full speed if none comes.

The module imports nothing of amllog, so that `debug_launcher` can use it in interpreters without amllog.

debugpy has no access token for clients: whoever reaches the port can run code in this process. The default is loopback.

Before Python 3.12, a listener without a client makes Python up to twelve times slower. That includes new threads and
forked children, and debugpy's `trace_this_thread(False)` is for the calling thread only. Therefore, new threads are not
traced until a client has attached, and new processes are not changed. A thread of ours waits for the client.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

_POLL_SECONDS = 0.05
_LATE_POLL_SECONDS = 0.5
_REPORTS = 5  # lines about the remaining time
_PORT_SECONDS = 2.0  # the adapter of a process that has just ended may still have the port
_WILDCARDS = ("", "0.0.0.0", "::")


class DebugOptions(NamedTuple):
    """The place to listen at, the limit of the wait, and what the editor needs to know."""

    host: str = "127.0.0.1"
    port: int = 5678  # 0: any free one
    is_port_fixed: bool = False  # otherwise a free port replaces one that is in use
    seconds: float = 300.0
    source: str = ""  # the editor's folder with the code of the working directory. "": the same folder
    name: str = "amllog"  # in the editor's list


def ignore(error: BaseException) -> None:
    """Do nothing with an error, which is that of a system call."""


def wait_for_debugger(
    options: DebugOptions,
    report: Callable[[str], object],
    pass_on: Callable[[BaseException], None] = ignore,
) -> bool:
    """Listen, report how to attach, and wait. Return whether a debugger is attached.

    `report` gets each message. `pass_on` raises an exception of a signal handler. Raise ImportError if debugpy is not
    installed, OSError if the address cannot be used, and RuntimeError if debugpy cannot listen.
    """
    if is_in_use():
        return is_attached()
    debugpy = import_debugpy()
    debugpy.configure(subProcess=False)  # `_debug_all` changes it
    host, port = _listen(debugpy, options, pass_on)
    for line in describe(options._replace(host=host, port=port)):
        report(line)
    began = time.monotonic()
    if _wait(debugpy, options.seconds, f"{host}:{port}", report):
        _debug_all()
        report(f"debugger attached after {time.monotonic() - began:.0f} s")
        return True
    _trace_nothing(debugpy)
    threading.Thread(
        target=_wait_for_late_client, args=[debugpy], name="amllog debugger", daemon=True
    ).start()
    report(
        f"no debugger attached within {options.seconds:g} s. "
        f"The script continues, and {host}:{port} still accepts one"
    )
    return False


def import_debugpy() -> Any:
    """Return debugpy. Raise ImportError if it is not installed."""
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # three lines about frozen modules
    debugpy = importlib.import_module("debugpy")
    importlib.import_module("debugpy.server.api")
    return debugpy


def is_in_use() -> bool:
    """Return whether this process has a debugger, or listens for one, or its parent had one when it was forked."""
    pydevd = sys.modules.get("pydevd")
    constants = sys.modules.get("_pydevd_bundle.pydevd_constants")
    return pydevd is not None and (constants is None or constants.get_global_debugger() is not None)


def is_attached() -> bool:
    """Return whether a debugger is attached. In a forked child, the result is that of its parent."""
    debugpy = sys.modules.get("debugpy")
    return bool(debugpy.is_client_connected()) if debugpy is not None else is_in_use()


def show_exception(error: Exception) -> None:
    """Stop an attached debugger at an exception that ends the script, as it does at one that nobody catches."""
    debugpy = sys.modules.get("debugpy")
    if debugpy is None or not is_attached():
        return
    if hasattr(debugpy, "trigger_exception_handler"):  # from debugpy 1.8.22 on
        debugpy.trigger_exception_handler(error)
    else:
        _stop_at_exception(error)


def _stop_at_exception(error: Exception) -> None:
    """Do what `trigger_exception_handler` does, in a debugpy that has no such function."""
    debugger = sys.modules["_pydevd_bundle.pydevd_constants"].get_global_debugger()
    stop = importlib.import_module("_pydevd_bundle.pydevd_breakpoints").stop_on_unhandled_exception
    thread = threading.current_thread()
    state = debugger.set_additional_thread_info(thread)
    state.is_tracing += 1
    try:
        stop(debugger, thread, state, (type(error), error, error.__traceback__))
    finally:
        state.is_tracing -= 1


def is_loopback(host: str) -> bool:
    """Return whether only processes of this machine reach a host."""
    return host in ("localhost", "::1") or host.startswith("127.")


def launch_fragment(options: DebugOptions) -> dict[str, object]:
    """Return the configuration for launch.json of VS Code."""
    host = socket.gethostname() if options.host in _WILDCARDS else options.host
    fragment: dict[str, object] = {
        "name": options.name,
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": host, "port": options.port},
    }
    if options.source and options.source != os.getcwd():
        fragment["pathMappings"] = [{"localRoot": options.source, "remoteRoot": os.getcwd()}]
    return fragment


def describe(options: DebugOptions) -> list[str]:
    """Return the messages for the time when the process listens."""
    lines = [
        f"debugger listens on {options.host}:{options.port}. Attach within {options.seconds:g} s. For launch.json:",
        json.dumps(launch_fragment(options)),
    ]
    if not is_loopback(options.host):
        lines.insert(
            0, f"WARNING: whoever reaches {options.host}:{options.port} can run code in this process"
        )
    return lines


def _listen(debugpy: Any, options: DebugOptions, pass_on: Callable[[BaseException], None]) -> tuple[str, int]:
    """Listen, and return the address."""
    port = _usable_port(options, pass_on)
    try:
        host, port = debugpy.listen((options.host, port))
    except RuntimeError as error:
        pass_on(error)
        if options.is_port_fixed or port == 0:
            raise
        host, port = debugpy.listen((options.host, 0))  # another process was faster
    return str(host), int(port)


def _usable_port(options: DebugOptions, pass_on: Callable[[BaseException], None]) -> int:
    """Return the port, or 0 if it is in use and another one is allowed. Raise OSError if the address is unusable."""
    deadline = time.monotonic() + _PORT_SECONDS * options.is_port_fixed
    while True:
        error = _bind_error(options.host, options.port, pass_on)
        if error is None:
            return options.port
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
    if not options.is_port_fixed and _bind_error(options.host, 0, pass_on) is None:
        return 0
    raise OSError(error.errno, f"{options.host}:{options.port}: {error.strerror or error}")


def _bind_error(host: str, port: int, pass_on: Callable[[BaseException], None]) -> OSError | None:
    """Return the error of listening at an address, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as debugpy does
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            pass_on(error)
            return error
    return None


def _wait(debugpy: Any, seconds: float, address: str, report: Callable[[str], object]) -> bool:
    """Return whether a client has attached and sent its breakpoints within `seconds`."""
    deadline = time.monotonic() + seconds
    interval = max(seconds / _REPORTS, 10.0)
    next_report = deadline - seconds + interval
    while not debugpy.is_client_connected():
        now = time.monotonic()
        if now >= deadline:
            return False
        if now >= next_report:
            report(f"{deadline - now:.0f} s remain to attach a debugger to {address}")
            next_report += interval
        time.sleep(min(_POLL_SECONDS, deadline - now))
    return True


def _debug_all() -> None:
    """Trace all threads from now on, and debug child processes."""
    importlib.import_module("_pydev_bundle.pydev_monkey").enable_trace_thread_modules()
    pydevd = importlib.import_module("pydevd")
    pydevd.settrace(suspend=False, patch_multiprocessing=True, notify_stdin=False)


def _trace_nothing(debugpy: Any) -> None:
    """Continue at full speed in this thread and in new ones. From Python 3.12 on, an idle listener costs nothing."""
    if sys.version_info < (3, 12):
        importlib.import_module("_pydev_bundle.pydev_monkey").disable_trace_thread_modules()
        threading.settrace(None)  # type: ignore[arg-type]  # typeshed of 3.9 does not know None
        debugpy.trace_this_thread(False)


def _wait_for_late_client(debugpy: Any) -> None:
    while not debugpy.is_client_connected():
        time.sleep(_LATE_POLL_SECONDS)
    _debug_all()
