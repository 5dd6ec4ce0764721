"""Read from stdlib logging which handlers a record reaches, and which loggers belong to transport.

Nothing is changed here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import FrameType
from typing import Any

# Loggers of libraries that send data, often for amllog. Their records below WARNING are not records of the run.
QUIET = (
    "opencensus", "urllib3", "requests", "requests_oauthlib", "azure.core", "azure.identity", "msrest", "msrestazure",
    "msal", "msal_extensions", "azureml", "azure.monitor", "opentelemetry",
)  # fmt: skip


def is_log_call(frame: FrameType) -> bool:
    """Return whether the record that is dispatched comes from a log call, and not from `logger.handle(record)`.

    `frame`: the caller of `callHandlers`, which is `handle` or the hook of another library.
    """
    for _ in range(3):
        if frame.f_code.co_name == "_log":
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def logger_classes() -> list[type[logging.Logger]]:
    """Return logging.Logger and its former versions. After a reload, older loggers have an older class and root."""
    # Without a call for each class, because a process has hundreds of them.
    filterers = [
        kind
        for kind in object.__subclasses__()
        if kind.__name__ == "Filterer" and kind.__module__ == "logging"
    ]
    kinds: list[Any] = [kind for base in filterers for kind in base.__subclasses__()]
    return [kind for kind in kinds if kind.__name__ == "Logger" and kind.__module__ == "logging"]


def handlers_of(logger: logging.Logger) -> tuple[logging.Handler, ...]:
    """Return the handlers that a record reaches, from its logger up to the root."""
    handlers: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        if current.handlers:
            handlers += current.handlers
        current = current.parent if current.propagate else None
    if not handlers and logging.lastResort is not None:
        handlers.append(logging.lastResort)
    return tuple(handlers)


def live_handlers(logger: logging.Logger) -> Iterator[logging.Handler]:
    """Yield the same handlers without the last resort, as logging does, while other handlers may change the lists."""
    current: logging.Logger | None = logger
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None


def has_handlers(logger: logging.Logger) -> bool:
    """Return whether a record reaches a handler that is not the last resort."""
    return next(live_handlers(logger), None) is not None


def is_only_handler(handler: logging.Handler, logger: logging.Logger) -> bool:
    """Return whether a handler is the only one that this logger's records reach."""
    reached = False
    current: logging.Logger | None = logger
    while current is not None:
        if current.handlers:
            if reached or len(current.handlers) > 1 or current.handlers[0] is not handler:
                return False
            reached = True
        current = current.parent if current.propagate else None
    return reached


def has_receiver(entry: logging.LogRecord, handlers: tuple[logging.Handler, ...]) -> bool:
    """Return whether a handler accepts the record. Otherwise, it was silenced on purpose, as by a NullHandler."""
    return any(
        entry.levelno >= handler.level and type(handler).__name__ != "NullHandler" for handler in handlers
    )


def is_transport(name: str) -> bool:
    """Return whether a logger is one of `QUIET` or below it."""
    return any(name == quiet or name.startswith(f"{quiet}.") for quiet in QUIET)
