"""The lifecycle of a process: setup, flush, shutdown, fork, exit and SIGTERM.

The end of the process takes at most `grace_seconds` more than the script.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.config.settings import Settings, find_secrets, with_connection
from amllog.context import environment
from amllog.context.detector import RunDetector
from amllog.context.identity import Identity, default_directory
from amllog.delivery.account import Account
from amllog.delivery.exporter import Exporter
from amllog.delivery.outbox import Outbox
from amllog.exporters.notices import Notices
from amllog.journal.refused_counts import RefusedCounts
from amllog.process import exits, interrupts
from amllog.process.events import ProcessEvents
from amllog.process.forks import ForkHooks, Forks
from amllog.process.released_locks import releasing
from amllog.process.workers import is_worker
from amllog.record.redaction import Redactor
from amllog.session import compose, environment_problems, worker_settings
from amllog.session.captures import Captures
from amllog.session.run_variables import RunVariables
from amllog.session.step import Step
from amllog.sources.capture.logging_lock import call_releasing
from amllog.sources.recorder import Recorder


class Session:
    """The state between setup() and the end of the process."""

    def __init__(self, find_taker: Callable[[], Any]) -> None:
        """`find_taker`: see `LoguruCapture`."""
        self._find_taker = find_taker
        self._events: ProcessEvents | None = None
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._number = 0  # of the sessions before this one
        self._setting_up = False
        self._variables = RunVariables(os.environ)
        self._refused = RefusedCounts()
        self._problems = environment_problems.EnvironmentProblems()
        self.settings = Settings()
        self.notice = Notices(lambda: self.settings, os.environ).print
        self.recorder = Recorder(
            self.flush,
            lambda: self.detector.azureml_run,
            self.notice,
            refused=self._refused,
            in_child=lambda: self._in_child(in_c=True),
            recheck=self._rewatch,
        )
        self._pinned: dict[str, object] = {}  # settings that no setup() changes (amllog.testing)
        self._forget()
        # From now on, not from setup() on: a fork without a call of these hooks is taken for one that was made in C.
        forks = Forks(
            lambda: self._outbox.before_fork(),  # noqa: PLW0108  # shutdown() makes another outbox
            lambda: self._outbox.after_fork(),  # noqa: PLW0108  # the same
            self._in_child,
        )
        ForkHooks(forks).register()

    def _forget(self) -> None:
        self.recorder.reset(Redactor((), find_secrets(os.environ)))
        self.settings = Settings()
        self.arguments: dict[str, object] = {}  # of the last setup()
        self.identity: Identity | None = None
        self._outbox = Outbox(self.notice, self._refused)
        self._captures = Captures(
            self.recorder, lambda: self.settings, self.flush, self.notice, self._take_over, self._find_taker
        )
        self.step, self._since = Step(self.recorder, self._captures), time.time()
        # The resource of a script's own handler, and its credential.
        self._taken_over: ConnectionString | None = None
        self._credential: Any = None
        self.detector = RunDetector(os.environ, self.notice, self._number)

    def pin(self, settings: dict[str, object], *, strict: bool) -> tuple[dict[str, object], bool]:
        """Fix settings that no setup() changes, and return the ones before. `strict`: raise faults of amllog."""
        before = self._pinned, self.recorder.emitter.strict
        self._pinned = settings
        self.recorder.emitter.set_strict(strict)
        return before

    @releasing("_lock")
    def setup(self, arguments: dict[str, object]) -> None:
        """Configure, or reconfigure. Raises ConfigError before anything is changed.

        A signal that interrupts it either comes before anything is changed or is raised after everything is.
        """
        self._check_process()
        with self._lock:
            settings = compose.read_settings({**arguments, **self._pinned}, os.environ, self._taken_over)
            # No telemetry about telemetry, also in handlers that the script makes itself (docs/decisions/0004).
            os.environ.setdefault("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
            began, ticks = time.time(), time.perf_counter()
            identity, directory = self._find_identity(settings)
            self._outbox.drain_previous(directory, settings.grace_seconds)

            def apply() -> None:
                self._setting_up = True
                self.step.begin(began, ticks)
                self.settings, self.arguments, self.identity = settings, arguments, identity
                self._outbox.open(directory, identity.node, settings.journal_max_bytes)
                exporters = self._open_recorder()
                self._captures.install(os.environ)
                self._outbox.set_exporters(exporters)
                self._watch_process()
                worker_settings.export_arguments(os.environ, arguments, directory, self.notice)
                self._problems.report(settings, os.environ, identity, self.recorder.messages)
                self._setting_up = False

            interrupts.finish(lambda: call_releasing(apply))

    def _find_identity(self, settings: Settings) -> tuple[Identity, Path]:
        """Return the identity and the journal directory. Takes as long as run history takes to answer."""
        directory = environment.absolute_path(settings.directory or default_directory(os.environ))
        kind = compose.metrics_kind(settings, os.environ)
        identity = self.detector.detect(settings, kind, environment.file_uri(directory))
        self._variables.export(identity, self.detector.token)
        return identity, directory

    def _open_recorder(self) -> Sequence[Exporter]:
        """Begin to record with the present settings and identity. Return the exporters."""
        assert self.identity is not None
        parts = compose.compose(
            self.settings, self.identity, os.environ, self._outbox, self.detector,
            since=self._since, credential=self._credential, notice=self.notice,
        )  # fmt: skip
        self._outbox.set_key(parts.resource.sender.key or "")
        self.recorder.open(parts.resource, self._outbox, parts.driver_log, parts.redactor)
        return parts.exporters

    def _watch_process(self) -> None:
        if self._events is None:
            self._events = ProcessEvents(
                self._at_exit, self._at_term, lambda: self._outbox.set_exporters(self._outbox.exporters)
            )
        if not is_worker():
            self._events.watch_sigterm()

    def _rewatch(self) -> float:
        """Handle SIGTERM again after a library has restored the default. Return when to call again, in seconds."""
        return self._events.rewatch_sigterm() if self._events is not None else 0.0

    @releasing("_lock")
    def _take_over(self, target: ConnectionString, credential: Any) -> None:
        """Send to the resource of a script's own handler.

        The installed capture stays, because it is dispatching a record.
        """
        with self._lock:
            self._taken_over, self._credential = target, credential or self._credential
            if self.settings.connection_string is None:
                self.settings = with_connection(self.settings, target)
            call_releasing(self._reopen_recorder)

    def _reopen_recorder(self) -> None:
        exporters = self._open_recorder()
        self._captures.renew_processors()
        self._outbox.set_exporters(exporters)

    @property
    def loguru_taker(self) -> Any:
        """The filter of our handler in loguru."""
        return self._captures.loguru.taker

    def flush(self, timeout: float) -> Account:
        """Deliver waiting records for at most `timeout` seconds. The account counts those that still wait."""
        self._check_process()
        self._captures.record_prints(unfinished=False)
        self._outbox.drain(timeout)
        self.recorder.run_backend.recheck_space()
        return self.status()

    def status(self) -> Account:
        """Return the account of this process."""
        self._check_process()
        self._rewatch()
        return self._complete(self._outbox.status())

    @releasing("_lock")
    def shutdown(self, timeout: float | None) -> Account:
        """End the session: record the end of the step, deliver waiting records, remove the hooks.

        A signal that interrupts the delivery leaves the session as it is. Then shutdown() may be called again.
        """
        self._check_process()
        with self._lock:
            if self.identity is None:
                return self.status()
            deadline = time.monotonic() + (self.settings.grace_seconds if timeout is None else timeout)
            self.step.end(exits.reason_in_flight())
            self._captures.drain_metrics()
            self._outbox.drain(deadline - time.monotonic(), with_orphans=True)
            final: list[Account] = []

            def end() -> Account:
                if not final:
                    self._release()
                    final.append(self._complete(self._outbox.end(deadline - time.monotonic())))
                    self._number += 1
                self._forget()
                return final[0]

            return interrupts.finish(lambda: call_releasing(end))

    def _release(self) -> None:
        """Remove every hook and variable."""
        self._captures.remove()
        if self._events is not None:
            self._events.unwatch_sigterm()
        self.recorder.emitter.close()
        self._variables.remove(self.identity)
        worker_settings.remove_arguments(os.environ)

    def _complete(self, account: Account) -> Account:
        return self._problems.complete(account, self.recorder.emitter.driver_log.account())

    def _at_exit(self) -> None:
        """Deliver within the grace. The journal stays open for records of other exit handlers."""
        self._check_process()
        if self.identity is not None:
            self._captures.record_end(self.step.failure, self.step.cause)
            self.step.end("")
            self._captures.drain_metrics()
            self._outbox.drain(self.settings.grace_seconds, with_orphans=True, last=True)

    def _at_term(self) -> None:
        if self.identity is not None:
            self.step.end_by_sigterm(self.identity)
        self._outbox.drain(self.settings.grace_seconds, last=True)

    def _check_process(self) -> None:
        """Detect a fork that was made in C, where Python calls no hook."""
        if os.getpid() != self._process:
            self._in_child(in_c=True)

    def _in_child(self, *, in_c: bool = False) -> None:
        """In a forked child: drop the parent's journal, worker and record ids. Safe to repeat."""
        self._process = os.getpid()
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._outbox.forked(in_c=in_c)
        self.recorder.emitter.forked()
        if self._events is not None and not in_c:
            self._events.forked()
        # A thread that this process does not have was in setup().
        if self._setting_up:
            self._setting_up, self.identity = False, None
