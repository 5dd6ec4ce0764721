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
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amllog import account, identities, settings as config
from amllog.account import Account
from amllog.capture import Capture, PlainHandler
from amllog.courier import Courier
from amllog.delivery import Outlet
from amllog.gate import Gate
from amllog.identities import Identity
from amllog.journal import Journal, spare_directory
from amllog.outlets import assembly
from amllog.outlets.driver_log import DriverLog, Line
from amllog.process import ProcessEvents
from amllog.redaction import Redactor
from amllog.settings import Settings
from amllog.stamp import stamp_of
from amllog.stand_in import StandIn
from amllog.values import ConnectionString
from amllog.whereabouts import Whereabouts

TERM_EXIT = "terminated (SIGTERM)"


class Session:
    """What lives between setup() and the end of the process."""

    def __init__(self) -> None:
        self.gate = Gate(self.flush)
        self._lock = threading.RLock()
        self._events: ProcessEvents | None = None
        self._said: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self.gate.reset()
        self.settings = Settings()
        self.identity: Identity | None = None
        self._journal: Journal | None = None
        self._courier: Courier | None = None
        self._capture: Capture | None = None
        self._outlets: list[Outlet] = []
        self._adoption: Any = None
        self._began = 0.0
        self._stands_in = StandIn(self._notice, self._stand_in)
        self._run = Whereabouts(os.environ, self._notice)
        self._wanted = self._opened_for = Path()
        self._owner = os.getpid()  # the process that speaks for the step
        self._forked = False

    # -- setup ---------------------------------------------------------------------------------------------------

    def setup(self, arguments: dict[str, object]) -> None:
        """Configure, or configure anew; raises ConfigError before anything is changed."""
        with self._lock:
            settings = config.resolve(arguments, os.environ)
            assembly.check(settings)
            # No telemetry about telemetry, here and in handlers that the script makes itself. Our own sending does
            # not go through the code that loses records under this switch (docs/decisions/0004).
            os.environ.setdefault("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
            self._began = self._began or time.time()
            self.settings = settings
            self._find_identity()
            self._open_journal()
            self._compose()
            self._watch_process()

    def _find_identity(self) -> None:
        default = Path("logs", "amllog") if identities.is_job(os.environ) else Path(".amllog")
        self._wanted = (self.settings.directory or default).absolute()
        kind = assembly.metrics_of(self.settings, os.environ)
        self.identity = self._run.identity(self.settings, kind, self._wanted.as_uri())
        self.gate.real_run = self._run.real
        if not self.identity.in_job:
            os.environ.setdefault(identities.LOCAL_RUN, identities.local_mark(self.identity))

    def _reach_run(self, seconds: float) -> Any:
        self.gate.real_run = self._run.reach(seconds)
        return self.gate.real_run

    def _open_journal(self) -> None:
        assert self.identity is not None
        wanted = self._wanted
        if self._journal is not None:
            if self._opened_for == wanted:
                return
            self._close_courier(self.settings.grace_seconds)
        self._opened_for = wanted
        self._journal = self._new_journal(lambda: wanted) or self._new_journal(spare_directory)
        if self._journal is not None:
            self.gate.directory = self._journal.directory
            self._courier = Courier(self._journal, self.identity.node)

    def _new_journal(self, find: Callable[[], Path]) -> Journal | None:
        assert self.identity is not None
        try:
            directory = find()
            return Journal(
                directory, max_bytes=self.settings.journal_max_bytes, node=self.identity.node,
                outlets=[outlet.name for outlet in self._outlets],
            )  # fmt: skip
        except OSError as error:
            self._notice(f"no journal in {error.filename or 'a temporary directory'}: {error.strerror}", 30)
            return None

    def _compose(self) -> None:
        """Outlets, stamp, driver log and capture from settings and identity."""
        assert self.identity is not None
        settings, identity = self.settings, self.identity
        exporter, metrics = assembly.exporter_of(settings), assembly.metrics_of(settings, os.environ)
        self._outlets = []
        if exporter != "none":
            self._outlets.append(assembly.insights_outlet(settings, exporter, self._began))
        elif settings.exporter != "none":
            self._notice("no connection string (APPLICATIONINSIGHTS_CONNECTION_STRING): records stay in the journal,"
                         f" {self._journal.directory if self._journal else 'which cannot be written'}")  # fmt: skip
        if metrics != "none":
            run = self.gate.real_run
            self._outlets.append(assembly.metrics_outlet(metrics, self.gate.directory, run, self._reach_run))
        self.gate.online = metrics != "none" and assembly.writes_run_metrics(settings, identity)
        redactor = Redactor(settings.redact, config.secrets(os.environ))
        driver = DriverLog(settings.driver_format, settings.driver_level, identity.dimensions())
        self.gate.open(stamp_of(identity, settings, redactor), self._append, driver, redactor)
        self._install_capture(exporter)
        self._adopt_script_metrics(metrics)
        if self._courier is not None:
            self._courier.serve(self._outlets)
            if self._outlets:
                self._courier.start()

    def _install_capture(self, exporter: str) -> None:
        if self._capture is not None:
            self._capture.remove()
        capture = Capture(self.gate, is_ours=self._in_courier, meet=self._meet)
        handler: logging.Handler
        target = self.settings.connection_string
        if exporter == "opencensus" and target is not None:
            from amllog.outlets import azure_handler

            handler = azure_handler.make_handler(capture.take, self.flush, target)
            processors = azure_handler.Processors()
            for one in (handler, *self._stands_in.muted):
                processors.follow(one)
            self.gate.processors = processors
        else:
            handler = PlainHandler(capture.take)
        capture.install(self.settings.capture, handler)
        self._capture = capture

    def _adopt_script_metrics(self, metrics: str) -> None:
        if self._adoption is not None:
            self._adoption.undo()
            self._adoption = None
        if metrics == "azureml":
            from amllog.outlets.run_metrics.adoption import adopt_script_metrics

            self._adoption = adopt_script_metrics(self.gate.adopt, self.flush)

    def _watch_process(self) -> None:
        if self._events is None:
            self._events = ProcessEvents(self._at_exit, self._at_term, self._in_child)
        self._events.watch_sigterm()

    # -- records -------------------------------------------------------------------------------------------------

    def _append(self, line: bytes) -> bool:
        """The journal's append; opens one first in a forked child, whose parent goes on with its own."""
        journal = self._journal
        if journal is None:
            return self._append_first(line)
        kept = journal.append(line)
        courier = self._courier
        if courier is not None and not courier.started and self._outlets:
            courier.start()
        return kept

    def _append_first(self, line: bytes) -> bool:
        with self._lock:
            if self._journal is None and self._forked:
                self._open_journal()
                if self._courier is not None:
                    self._courier.serve(self._outlets)
            self._forked = False
        if self._journal is None:
            self.gate.faults["the journal cannot be written"] += 1
            return False
        return self._append(line)

    def _meet(self, handler: logging.Handler) -> bool:
        own = self._capture.handler if self._capture is not None else None
        return self._stands_in.meet(handler, own, self.settings)

    def _in_courier(self) -> bool:
        return self._courier is not None and self._courier.is_current()

    def _stand_in(self, target: ConnectionString) -> None:
        """Send to where a script's own handler would have sent."""
        with self._lock:
            if self.settings.connection_string is None:
                self.settings = config.with_connection(self.settings, target)
            self._compose()

    def _notice(self, message: str, level: int = logging.INFO) -> None:
        """Tell the person who reads the driver log, once; it is no record of the run."""
        if message not in self._said and level >= self.settings.driver_level:
            self._said.add(message)
            name = logging.getLevelName(level)
            driver = DriverLog(self.settings.driver_format, self.settings.driver_level, {})
            driver.write(Line(time.time(), level, name, "amllog", message, {}))

    # -- the end -------------------------------------------------------------------------------------------------

    def flush(self, timeout: float) -> Account:
        """Deliver what waits, at most `timeout` seconds; what still waits is in the account."""
        if self._courier is not None and self._outlets:
            self._courier.drain(timeout)
        return self.status()

    def status(self) -> Account:
        """The account of this process."""
        journal = self._journal
        wants = {outlet.name: outlet.wants for outlet in self._outlets}
        lost = Counter(self.gate.faults)
        found = account.tally(
            journal.segments if journal else (),
            wants,
            lost + journal.unwritten if journal else lost,
            str(journal.directory) if journal else "",
        )
        if self._courier is not None:
            for route in self._courier.routes:
                found.outlets[route.outlet.name].trouble = route.trouble
            found.leftovers_delivered = self._courier.leftovers_delivered
        found.outlets[DriverLog.name] = self.gate.driver.account()
        return found

    def shutdown(self, timeout: float | None) -> Account:
        """End the session: the step's request, what waits, hooks given back."""
        with self._lock:
            if self.identity is None:
                return self.status()
            seconds = self.settings.grace_seconds if timeout is None else timeout
            self._end_step("")
            if self._adoption is not None:
                self._adoption.drain()
                self._adoption.undo()
            if self._capture is not None:
                self._capture.remove()
            if self._events is not None:
                self._events.unwatch_sigterm()
            found = self._close_courier(seconds)
            if os.environ.get(identities.LOCAL_RUN) == identities.local_mark(self.identity):
                del os.environ[identities.LOCAL_RUN]
            self._forget()
            return found

    def _close_courier(self, seconds: float) -> Account:
        deadline = time.monotonic() + seconds
        courier, journal = self._courier, self._journal
        if courier is not None and self._outlets:
            courier.drain(seconds, with_leftovers=True)
        found = self.status()
        if courier is not None:
            courier.stop(max(0.0, deadline - time.monotonic()))
        if journal is not None:
            journal.close()
        self._journal = self._courier = None
        return found

    def _end_step(self, result: str) -> None:
        """Write the step's one request: only the process that called setup() speaks for the step."""
        if self._owner == os.getpid() and multiprocessing.parent_process() is None:
            failed = self._capture is not None and self._capture.failed
            self.gate.end_step(self._began, result or ("uncaught exception" if failed else ""))

    def _at_exit(self) -> None:
        """Deliver within the grace; the journal stays open for what other exit handlers still log."""
        if self.identity is None:
            return
        self._end_step("")
        if self._adoption is not None:
            self._adoption.drain()
        if self._courier is not None and self._outlets:
            self._courier.drain(self.settings.grace_seconds, with_leftovers=True)

    def _at_term(self) -> None:
        self._end_step(TERM_EXIT)
        if self._courier is not None and self._outlets:
            self._courier.drain(self.settings.grace_seconds)

    def _in_child(self) -> None:
        """In a forked child: its own journal and courier with its first record, nothing of the parent's twice."""
        if self.identity is None:
            return
        self._lock = threading.RLock()
        journal, self._journal, self._courier = self._journal, None, None
        if journal is not None:
            journal.close()
        self.gate.renew()
        self._forked = True
