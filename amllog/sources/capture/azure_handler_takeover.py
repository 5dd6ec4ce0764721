"""Take over the AzureLogHandlers that a script creates, as Microsoft's old guide recommends.

Otherwise, each record would be sent twice. Such a handler is disabled, with one notice. Its telemetry processors
continue to work. If no connection string is configured, the handler's is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.config.settings import Settings
from amllog.sources.capture import azure_log_handler


class HandlerTakeover:
    """Disable AzureLogHandlers of the script and send in their place."""

    def __init__(
        self, notice: Callable[[str, int], None], take_over: Callable[[ConnectionString, Any], None]
    ) -> None:
        """`take_over` gets the resource that a disabled handler sends to, and its token credential or None."""
        self.disabled: list[logging.Handler] = []
        self._ignored: list[logging.Handler] = []
        self._notice = notice
        self._send_to = take_over

    def on_handler(self, handler: logging.Handler, ours: logging.Handler | None, settings: Settings) -> None:
        """Take `handler` over if it is an AzureLogHandler of the script that was not seen before."""
        if (
            not azure_log_handler.is_foreign(handler, ours)
            or handler in self.disabled
            or handler in self._ignored
        ):
            return
        target = azure_log_handler.target_of(handler)
        configured = settings.connection_string
        if settings.exporter not in ("auto", "opencensus"):
            self._ignored.append(handler)
        elif configured is not None and configured.instrumentation_key != target.instrumentation_key:
            self._ignored.append(handler)
            self._notice(
                "an AzureLogHandler of this script sends to another resource: amllog does not change it",
                logging.WARNING,
            )
        else:
            self._take_over(handler, target)

    def end(self) -> None:
        """Enable the handlers of the script again."""
        for handler in self.disabled:
            azure_log_handler.enable(handler)

    def _take_over(self, handler: logging.Handler, target: ConnectionString) -> None:
        self.disabled.append(handler)
        azure_log_handler.disable(handler)
        self._notice(
            "this script adds an AzureLogHandler; amllog replaces it, so it can be removed",
            logging.WARNING,
        )
        self._send_to(target, azure_log_handler.credential_of(handler))
