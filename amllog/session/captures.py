"""The captures of a session: Python's hooks, the script's own AzureLogHandlers, and metrics logged through azureml."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.config.settings import Settings
from amllog.process import safe_import
from amllog.record.error_cause import describe
from amllog.session import compose
from amllog.sources.capture import stdout
from amllog.sources.capture.azure_handler_takeover import HandlerTakeover
from amllog.sources.capture.capture import Capture
from amllog.sources.capture.loguru_capture import LoguruCapture, Taker
from amllog.sources.capture.mlflow_metrics import MLflowMetrics
from amllog.sources.capture.offline_runs import OfflineRuns
from amllog.sources.capture.root_handler import plain_handler
from amllog.sources.recorder import Recorder


class Captures:
    """Install and remove all captures."""

    def __init__(
        self,
        recorder: Recorder,
        settings: Callable[[], Settings],
        flush: Callable[[float], object],
        notice: Callable[..., None],
        take_over: Callable[[ConnectionString, Any], None],
        find_taker: Callable[[], Taker],
    ) -> None:
        """`settings` returns the present ones. See `HandlerTakeover` and `LoguruCapture` for the last two."""
        self._recorder, self._settings = recorder, settings
        self._flush, self._notice = flush, notice
        self._capture = Capture(recorder, on_handler=self._on_handler)
        self._takeover = HandlerTakeover(notice, take_over)
        taker = self._capture.taker
        self.loguru = LoguruCapture(recorder, taker.crossings, taker.events, find_taker)
        taker.use_other_library(self.loguru.shows)
        self._metrics: Any = None
        self._run_libraries = (OfflineRuns(recorder, notice), MLflowMetrics(recorder))

    @property
    def failure(self) -> str:
        """The reason why the main thread ended, empty at success."""
        return self._capture.failure

    def record_end(self, reason: str, cause: Exception | None) -> None:
        """Record the exception that ends this process. Parameters as for `ExceptionCapture.record_end`."""
        self._capture.record_end(reason, cause)

    def install(
        self, environ: Mapping[str, str], notices: Sequence[str] = (), *, plain: bool = False
    ) -> None:
        """Install the captures that the settings list. `plain`: without OpenCensus, which takes time to import.

        `notices` are printed when a stdout that logs its lines is recognized.
        An installed capture stays in place. Otherwise, records of other threads would be lost meanwhile.
        """
        settings = self._settings()
        capture = self._capture
        handler = plain_handler(capture.handler, capture.taker) if plain else self._root_handler(settings)
        if not plain:
            self._use_processors(handler)
        self._recorder.states.connect(self._on_handler, capture.taker.consoles.views)
        self._capture.install(settings.capture, handler)
        if "loguru" in settings.capture:
            self.loguru.install()
        else:
            self.loguru.remove()
        for notice in notices:
            self._notice(notice)
        for library in self._run_libraries:
            if settings.metrics == "none":
                library.remove()
            else:
                library.install()
        if self._metrics is not None:
            self._metrics.undo()
            self._metrics = None
        if compose.metrics_kind(settings, environ) == "azureml":
            self._metrics = safe_import.attempt(self._capture_metrics, self._report_azureml)

    def _capture_metrics(self) -> object:
        from amllog.sources.capture.azureml_metrics import capture_script_metrics

        return capture_script_metrics(self._recorder.run_backend.script_metric, self._flush)

    def _report_azureml(self, error: BaseException) -> None:
        reason = describe(error)
        self._notice(
            f"azureml cannot be imported ({reason}): metrics that the script logs through it are not captured"
        )

    def renew_processors(self) -> None:
        """Apply all telemetry processors after the recorder was opened again."""
        self._use_processors(self._capture.handler)

    def record_prints(self, *, unfinished: bool) -> None:
        """Record the printed lines that may change again, and on request the one that is not finished."""
        (stdout.record_unfinished if unfinished else stdout.record_finished)(self._recorder)

    def drain_metrics(self) -> None:
        """Record the metrics that wait in azureml's own queues."""
        if self._metrics is not None:
            self._metrics.drain()

    def remove(self) -> None:
        """Remove every hook."""
        if self._metrics is not None:
            self._metrics.undo()
        for library in self._run_libraries:
            library.remove()
        self.loguru.remove()
        self._capture.remove()
        self._takeover.end()

    def _root_handler(self, settings: Settings) -> logging.Handler:
        """Return the handler for the root logger. The one of an earlier setup() stays, if it is of the right class."""
        capture, target = self._capture, settings.connection_string
        handler: logging.Handler | None = None
        if compose.exporter_kind(settings) == "opencensus" and target is not None:
            from amllog.sources.capture import azure_log_handler

            handler = azure_log_handler.root_handler(capture, self._flush, target, self._notice)
        return handler or plain_handler(capture.handler, capture.taker)

    def _use_processors(self, handler: logging.Handler | None) -> None:
        """Apply the telemetry processors of our handler and of those that were taken over."""
        if compose.exporter_kind(self._settings()) == "opencensus":
            from amllog.sources.capture.azure_log_handler import Processors

            handlers = filter(None, (handler, *self._takeover.disabled))
            self._recorder.emitter.use_processors(Processors(handlers))

    def _on_handler(self, handler: logging.Handler) -> None:
        self._takeover.on_handler(handler, self._capture.handler, self._settings())
