"""AzureLogHandlers that the script makes itself, as the old guide has it: amllog stands in for them.

In: every handler on a record's way. Out: such a handler is muted, once, and told; its telemetry processors go on
working, and where no connection string was configured, its own is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.config.settings import Settings
from amllog.sources.capture import azure_log_handler


class HandlerTakeover:
    """Meets handlers; remembers those it stands in for, and those it leaves alone."""

    def __init__(
        self, notice: Callable[[str, int], None], adopt: Callable[[ConnectionString, Any], None]
    ) -> None:
        """`adopt`: takes over where such a handler sends to, and with which token credential (or None)."""
        self.disabled: list[logging.Handler] = []
        self._left_alone: list[logging.Handler] = []
        self._notice = notice
        self._adopt = adopt

    def on_handler(self, handler: logging.Handler, ours: logging.Handler | None, settings: Settings) -> None:
        """Take `handler` over if it is an AzureLogHandler of the script that was not seen before."""
        if (
            not azure_log_handler.is_foreign(handler, ours)
            or handler in self.disabled
            or handler in self._left_alone
        ):
            return
        target = azure_log_handler.target_of(handler)
        own = settings.connection_string
        if settings.exporter not in ("auto", "opencensus"):
            self._left_alone.append(handler)
        elif own is not None and own.instrumentation_key != target.instrumentation_key:
            self._left_alone.append(handler)
            self._notice(
                "an AzureLogHandler of this script sends to another resource: it is left alone",
                logging.WARNING,
            )
        else:
            self._take_over(handler, target)

    def end(self) -> None:
        """Leave the script's handlers as they were."""
        for handler in self.disabled:
            azure_log_handler.enable(handler)

    def _take_over(self, handler: logging.Handler, target: ConnectionString) -> None:
        self.disabled.append(handler)
        azure_log_handler.disable(handler)
        self._notice(
            "this script adds an AzureLogHandler of its own: amllog sends each record once, with the dimensions,"
            " in its stead; it can be removed",
            logging.WARNING,
        )
        self._adopt(target, azure_log_handler.credential_of(handler))
