"""The only composer and the holder of the global: setup, flush, shutdown, fork, exit, signals.

In: `setup()`'s arguments and the process's environment. Out: a gate that keeps every record, a courier that carries
them, and an end of the process that takes at most `grace_seconds` more than the script.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.config.settings import Settings, find_secrets, resolve_settings, with_connection
from amllog.config.variables import LOCAL_RUN
from amllog.context import environment
from amllog.context.detector import RunDetector
from amllog.context.identity import Identity, default_directory, local_run_value
from amllog.delivery.account import Account
from amllog.delivery.exporter import Exporter
from amllog.delivery.outbox import Outbox
from amllog.exporters.driver_log import DriverLog
from amllog.exporters.notices import Notices
from amllog.journal.refused_counts import RefusedCounts
from amllog.process import exits, interrupts
from amllog.process.events import ProcessEvents
from amllog.process.forks import ForkHooks, Forks
from amllog.process.released_locks import releasing
from amllog.process.workers import is_worker
from amllog.record.dimensions import to_dimensions
from amllog.record.redaction import Redactor
from amllog.session import compose, worker_settings
from amllog.sources.artifact_copying import Copying
from amllog.sources.capture.azure_handler_takeover import HandlerTakeover
from amllog.sources.capture.capture import Capture
from amllog.sources.capture.logging_lock import call_releasing
from amllog.sources.capture.root_handler import plain_handler
from amllog.sources.recorder import Gate
from amllog.sources.resource import resource_of


class Session:
    """What lives between setup() and the end of the process."""

    def __init__(self) -> None:
        self._events: ProcessEvents | None = None
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._setting_up = False
        self._refused = RefusedCounts()
        self.settings = Settings()
        self._notice = Notices(lambda: self.settings).print
        self.gate = Gate(self.flush, self._refused, lambda: self._in_child(in_c=True), self._notice)
        self.pinned: dict[str, object] = {}  # settings that no setup() changes (amllog.testing)
        self._forget()
        # From now on, not from setup() on: a fork without a call of these hooks is taken for one that was made in C.
        forks = Forks(
            lambda: self._post.before_fork(),  # noqa: PLW0108  # shutdown() makes another post
            lambda: self._post.after_fork(),  # noqa: PLW0108  # the same
            self._in_child,
        )
        ForkHooks(forks).register()

    def _forget(self) -> None:
        self.gate.reset()
        self.gate.redactor = Redactor((), find_secrets(os.environ))  # for what is said before setup()
        self.settings = Settings()
        self.arguments: dict[str, object] = {}  # of the last setup()
        self.identity: Identity | None = None
        self._post = Outbox(self._notice, self._refused)
        self._capture: Capture | None = None
        self._adoption: Any = None
        self._began, self._ticks, self._since = 0.0, 0.0, time.time()
        self._credential: Any = None
        self._stands_in = HandlerTakeover(self._notice, self._stand_in)
        self.detector = RunDetector(os.environ, self._notice)
        self._directory = Path()
        self._owner = os.getpid()  # the process that speaks for the step
        self._failure = ""  # why the step failed, where no exception tells

    # -- setup ---------------------------------------------------------------------------------------------------

    @releasing("_lock")
    def setup(self, arguments: dict[str, object]) -> None:
        """Configure, or reconfigure; raises ConfigError before anything is changed.

        A signal that interrupts it either comes before anything is changed or is raised after everything is.
        """
        self._check_process()
        with self._lock:
            settings = resolve_settings({**arguments, **self.pinned}, os.environ)
            compose.check(settings)
            # No telemetry about telemetry, also in handlers that the script makes itself (docs/decisions/0004).
            os.environ.setdefault("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
            began, ticks = time.time(), time.perf_counter()
            identity, directory = self._find_identity(settings)
            self._post.drain_previous(directory, settings.grace_seconds)

            def apply() -> None:
                self._setting_up = True
                if not self._began:
                    self._began, self._ticks = began, ticks
                self.settings, self.arguments, self.identity = settings, arguments, identity
                self._directory = directory
                self._post.open(directory, identity.node, settings.journal_max_bytes)
                self.gate.directory = self._post.directory
                self.gate.copying = Copying(
                    self._post.current_journal, self._post.directory, settings.journal_max_bytes
                )
                self._compose()
                self._watch_process()
                worker_settings.leave(os.environ, arguments, directory, self._notice)
                self._setting_up = False

            interrupts.finish(lambda: call_releasing(apply))

    def _find_identity(self, settings: Settings) -> tuple[Identity, Path]:
        """The identity and the journal directory under `settings`; takes as long as run history takes to answer."""
        directory = environment.absolute_path(settings.directory or default_directory(os.environ))
        kind = compose.metrics_of(settings, os.environ)
        found = self.detector.detect(settings, kind, environment.file_uri(directory))
        self.gate.real_run = self.detector.azureml_run
        if not found.in_job:
            os.environ.setdefault(LOCAL_RUN, local_run_value(found))
        return found, directory

    def _reach_run(self, seconds: float) -> Any:
        self.gate.real_run = self.detector.connect(seconds)
        return self.gate.real_run

    def _compose(self) -> None:
        """Outlets, stamp, driver log and capture from settings and identity."""
        assert self.identity is not None
        settings, identity = self.settings, self.identity
        exporter, metrics = compose.exporter_of(settings), compose.metrics_of(settings, os.environ)
        outlets: list[Exporter] = []
        if exporter != "none":
            about = self._since, self._credential, self._notice  # records before setup() are ours, too
            outlets.append(compose.insights_outlet(settings, exporter, *about))
        elif settings.exporter != "none":
            self._notice("no connection string (APPLICATIONINSIGHTS_CONNECTION_STRING): records stay in the journal,"
                         f" {self._post.directory}")  # fmt: skip
        if metrics != "none":
            run = self.gate.real_run, self._reach_run, identity.step_id, os.environ
            places = self.gate.copying.directories if self.gate.copying is not None else None
            outlets.append(compose.metrics_outlet(metrics, self._post.directory, *run, places))
        self.gate.online = metrics != "none" and compose.writes_run_metrics(settings, identity)
        self.gate.ends_run = self.gate.online and metrics == "mlflow"
        redactor = Redactor(settings.redact, find_secrets(os.environ, settings.connection_string))
        common = to_dimensions(identity.dimensions(), redactor)
        driver = DriverLog(settings.driver_format, settings.driver_level, common)
        driver.continue_counts(self.gate.driver)
        self._post.set_key(
            settings.connection_string.instrumentation_key if settings.connection_string else ""
        )
        self.gate.open(resource_of(identity, settings, redactor), self._post.append, driver, redactor)
        self._install_capture(exporter)
        self._adopt_script_metrics(metrics)
        self._post.set_exporters(outlets)

    def _install_capture(self, exporter: str) -> None:
        # The one that is installed stays: what other threads log meanwhile would be lost.
        capture = self._capture = self._capture or Capture(self.gate, meet=self._meet)
        handler: logging.Handler | None = None
        target = self.settings.connection_string
        if exporter == "opencensus" and target is not None:
            from amllog.sources.capture import azure_log_handler

            handler = azure_log_handler.handler_for(capture, self.flush, target, self._notice)
            processors = azure_log_handler.Processors()
            for one in filter(None, (handler, *self._stands_in.muted)):
                processors.follow(one)
            self.gate.process(processors)
        capture.install(self.settings.capture, handler or plain_handler(capture.handler, capture.take))

    def _adopt_script_metrics(self, metrics: str) -> None:
        if self._adoption is not None:
            self._adoption.undo()
            self._adoption = None
        if metrics == "azureml":
            from amllog.sources.capture.azureml_metrics import capture_script_metrics

            self._adoption = capture_script_metrics(self.gate.adopt, self.flush)

    def _watch_process(self) -> None:
        if self._events is None:
            self._events = ProcessEvents(
                self._at_exit, self._at_term, lambda: self._post.set_exporters(self._post.exporters)
            )
        if not is_worker():
            self._events.watch_sigterm()

    def _meet(self, handler: logging.Handler) -> bool:
        own = self._capture.handler if self._capture is not None else None
        return self._stands_in.meet(handler, own, self.settings)

    @releasing("_lock")
    def _stand_in(self, target: ConnectionString, credential: Any) -> None:
        """Send to where a script's own handler would have sent."""
        with self._lock:
            self._credential = credential or self._credential
            if self.settings.connection_string is None:
                self.settings = with_connection(self.settings, target)
            call_releasing(self._compose)

    # -- the end -------------------------------------------------------------------------------------------------

    def flush(self, timeout: float) -> Account:
        """Deliver what waits, at most `timeout` seconds; what still waits is in the account."""
        self._check_process()
        self._post.drain(timeout)
        if self.gate.copying is not None:
            self.gate.copying.recheck_space()
        return self.status()

    def status(self) -> Account:
        """The account of this process."""
        self._check_process()
        return self._complete(self._post.status())

    @releasing("_lock")
    def shutdown(self, timeout: float | None) -> Account:
        """End the session: the step's request, what waits, hooks given back.

        A signal that interrupts the delivery leaves the session as it is: shutdown() may be called again.
        """
        self._check_process()
        with self._lock:
            if self.identity is None:
                return self.status()
            deadline = time.monotonic() + (self.settings.grace_seconds if timeout is None else timeout)
            self._end_step(exits.in_flight())
            if self._adoption is not None:
                self._adoption.drain()
            self._post.drain(deadline - time.monotonic(), with_orphans=True)
            final: list[Account] = []

            def end() -> Account:
                if not final:
                    self._release()
                    final.append(self._complete(self._post.end(deadline - time.monotonic())))
                self._forget()
                return final[0]

            return interrupts.finish(lambda: call_releasing(end))

    def _release(self) -> None:
        """Give back every hook and variable."""
        if self._adoption is not None:
            self._adoption.undo()
        if self._capture is not None:
            self._capture.remove()
        if self._events is not None:
            self._events.unwatch_sigterm()
        self._stands_in.end()
        self.gate.close()
        if self.identity and os.environ.get(LOCAL_RUN) == local_run_value(self.identity):
            del os.environ[LOCAL_RUN]
        worker_settings.take_back(os.environ)

    def _complete(self, found: Account) -> Account:
        found.outlets[DriverLog.name] = self.gate.driver.account()
        return found

    def fail(self, reason: str) -> None:
        """The step will end unsuccessfully for this reason, though no exception tells."""
        self._failure = reason

    def _end_step(self, result: str) -> None:
        """Write the step's one request: only the process that called setup() speaks for the step."""
        if self._owner == os.getpid() and multiprocessing.parent_process() is None:
            ended = self._capture.failure if self._capture is not None else ""
            result = result or ended or self._failure
            self.gate.end_step(self._began, time.perf_counter() - self._ticks, result)

    def _at_exit(self) -> None:
        """Deliver within the grace; the journal stays open for what other exit handlers still log."""
        self._check_process()
        if self.identity is not None:
            self._end_step("")
            if self._adoption is not None:
                self._adoption.drain()
            self._post.drain(self.settings.grace_seconds, with_orphans=True, last=True)

    def _at_term(self) -> None:
        self._end_step("terminated (SIGTERM)")
        self._post.drain(self.settings.grace_seconds, last=True)

    def _check_process(self) -> None:
        """Notice a fork that was made in C: Python has called no hook."""
        if os.getpid() != self._process:
            self._in_child(in_c=True)

    def _in_child(self, *, in_c: bool = False) -> None:
        """In a forked child: drop the parent's journal, worker and record ids. Safe to repeat."""
        self._process = os.getpid()
        self._lock = threading.RLock()  # another thread of the parent may have had it
        self._post.forked(in_c=in_c)
        self.gate.forked()
        if self._events is not None and not in_c:
            self._events.forked()
        if self._setting_up:  # by a thread that this process does not have
            self._setting_up, self.identity = False, None
