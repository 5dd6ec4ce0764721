"""Finds the handlers that a record of stdlib logging reaches, which of them are consoles, and which loggers transport.

In: loggers, handlers, records. Out: handlers, or whether something is true of them. It changes none of them.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

# Loggers whose chatter below WARNING is about transport, often our own: nobody asked for it in a run's records.
QUIET = (
    "opencensus", "urllib3", "requests", "requests_oauthlib", "azure.core", "azure.identity", "msrest", "msrestazure",
    "msal", "msal_extensions", "azureml",
)  # fmt: skip

# Handlers and streams that are the console and do not say so.
CONSOLES = ("RichHandler", "MlflowLoggingStream")


def is_log_call() -> bool:
    """Whether the record that is dispatched comes from a log call, and not from `logger.handle(record)`."""
    frame = sys._getframe(2)  # `handle`, or another library's hook over ours
    for _ in range(3):
        if frame.f_code.co_name == "_log":
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def logger_classes() -> list[type[logging.Logger]]:
    """logging.Logger, and those of before a reload: loggers made before it are of them, under a root of their own."""
    # Compared here and not in a function: a process has hundreds of classes.
    filterers = [
        kind
        for kind in object.__subclasses__()
        if kind.__name__ == "Filterer" and kind.__module__ == "logging"
    ]
    found: list[Any] = [kind for base in filterers for kind in base.__subclasses__()]
    return [kind for kind in found if kind.__name__ == "Logger" and kind.__module__ == "logging"]


def handlers_of(logger: logging.Logger) -> tuple[logging.Handler, ...]:
    """The handlers on a record's way, from its logger up."""
    found: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        if current.handlers:
            found += current.handlers
        current = current.parent if current.propagate else None
    if not found and logging.lastResort is not None:
        found.append(logging.lastResort)
    return tuple(found)


def is_only_handler(handler: logging.Handler, logger: logging.Logger) -> bool:
    """Return whether a handler is the only one that this logger's records reach."""
    found = False
    current: logging.Logger | None = logger
    while current is not None:
        if current.handlers:
            if found or len(current.handlers) > 1 or current.handlers[0] is not handler:
                return False
            found = True
        current = current.parent if current.propagate else None
    return found


def has_receiver(entry: logging.LogRecord, way: tuple[logging.Handler, ...]) -> bool:
    """Whether a handler takes the record: what ends at none, or at a NullHandler, was silenced on purpose."""
    return any(entry.levelno >= one.level and type(one).__name__ != "NullHandler" for one in way)


def is_console(handler: logging.Handler) -> bool:
    """Whether a handler writes to the driver log: to stdout or stderr, directly or through a known wrapper."""
    stream = getattr(handler, "stream", None)
    if type(handler).__name__ in CONSOLES or type(stream).__name__ in CONSOLES:
        return True
    names = ("stdout", "stderr", "__stdout__", "__stderr__")  # a script may have deleted some
    return stream is not None and any(stream is getattr(sys, name, None) for name in names)


def is_transport(name: str) -> bool:
    """Whether a logger is one of `QUIET` or below it."""
    return any(name == one or name.startswith(f"{one}.") for one in QUIET)
