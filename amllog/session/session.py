"""The lifecycle of a process: setup, flush, shutdown, fork, exit and SIGTERM.

The end of the process takes at most `grace_seconds` more than the script.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.config.settings import Settings, find_secrets, with_connection
from amllog.context.detector import RunDetector
from amllog.context.identity import Identity
from amllog.delivery.account import Account
from amllog.delivery.outbox import Outbox
from amllog.errors import AmllogError
from amllog.exporters.notices import Notices
from amllog.journal.refused_counts import RefusedCounts
from amllog.process import exits, interrupts
from amllog.process.events import ProcessEvents
from amllog.process.forks import ForkHooks, Forks
from amllog.process.released_locks import releasing
from amllog.record.redaction import Redactor
from amllog.session import compose, environment_problems
from amllog.session.captures import Captures
from amllog.session.configuration import find_configuration
from amllog.session.joining import Joining
from amllog.session.step import Step
from amllog.sources.capture.logging_lock import call_releasing
from amllog.sources.recorder import Recorder


class Session:
    """The state between setup() and the end of the process."""

    def __init__(self, find_taker: Callable[[], Any], accept: Callable[[str], object]) -> None:
        """`find_taker`: see `LoguruCapture`. `accept` is called in a new worker process with its step."""
        self._find_taker = find_taker
        self._events: ProcessEvents | None = None
        self._lock = threading.RLock()
        self._process, self._number = os.getpid(), 0  # of the sessions before this one
        self._setting_up, self._refused = False, RefusedCounts()
        self._problems = environment_problems.EnvironmentProblems()
        self.settings = Settings()
        self.notice = Notices(lambda: self.settings, os.environ).print
        self.recorder = Recorder(
            self.flush,
            lambda: self.detector.reach_run(),  # noqa: PLW0108  # shutdown() makes another detector
            self.notice,
            refused=self._refused,
            in_child=lambda: self._in_child(in_c=True),
            recheck=self._rewatch,
            join=lambda: self.join(with_record=True),
        )
        self.joining = Joining(os.environ, accept)
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
        self.captures = Captures(
            self.recorder, lambda: self.settings, self.flush, self.notice, self._take_over, self._find_taker
        )
        self.step, self._since = Step(self.recorder, self.captures, self.joining), time.time()
        self._taken_over: ConnectionString | None = None  # the resource of a script's own handler
        self._credential: Any = None  # that of the resource
        self.detector = RunDetector(os.environ, self.notice, self._number)

    def pin(self, settings: dict[str, object], *, strict: bool) -> tuple[dict[str, object], bool]:
        """Fix settings that no setup() changes, and return the ones before. `strict`: raise faults of amllog."""
        before, self._pinned = (self._pinned, self.recorder.emitter.strict), settings
        self.recorder.emitter.set_strict(strict)
        return before

    @releasing("_lock")
    def setup(self, arguments: dict[str, object]) -> None:
        """Configure, or reconfigure. Raises ConfigError before anything is changed.

        A signal that interrupts it comes before anything is changed, or is raised after everything is.
        """
        self._check_process()
        with self._lock:
            if self.joining.begin_setup():
                self.detector = RunDetector(os.environ, self.notice, self._number)
            self._configure(arguments)

    @releasing("_lock")
    def join(self, text: str = "", *, with_record: bool = False) -> None:
        """In a process without a setup(), join its step (`Joining.begin_contact`). It raises nothing."""
        if self._pinned or self.joining.is_closed:
            return
        with self._lock:
            try:
                if self.joining.begin_contact(text, with_record=with_record):
                    self._configure(self.joining.arguments())
            except AmllogError as error:  # of another version of amllog, or this worker has other packages
                interrupts.pass_on(error)
                self.notice(f"this worker records nothing: {error}", logging.WARNING)

    def _configure(self, arguments: dict[str, object]) -> None:
        with self.joining.paused():
            began, ticks = time.time(), time.perf_counter()
            arguments, settings, identity, directory = find_configuration(
                arguments, self._pinned, os.environ, self.detector, self.joining, self._taken_over
            )
            self._outbox.drain_previous(directory, settings.grace_seconds)

            def apply() -> None:
                self._setting_up = True
                self.step.begin(began, ticks)
                self.settings, self.arguments, self.identity = settings, arguments, identity
                limit, lazily = settings.journal_max_bytes, self.joining.has_joined
                self._outbox.open(directory, identity.node, limit, lazily=lazily)
                self.captures.install(os.environ, self._open_recorder(), plain=self.joining.is_contact)
                self._watch_process()
                self._problems.report(settings, os.environ, identity, self.recorder.messages, self.step)
                self._setting_up = False

            interrupts.finish(lambda: call_releasing(apply))

    def _open_recorder(self) -> Sequence[str]:
        """Begin to record and to deliver with the present settings and identity. Return the notices about that."""
        assert self.identity is not None
        parts = compose.compose(
            self.settings, self.identity, os.environ, self._outbox, self.detector,
            since=self._since, credential=self._credential, notice=self.notice, in_worker=self.joining.is_contact,
        )  # fmt: skip
        self._outbox.set_key(parts.resource.sender.key or "")
        lines = self.joining.retrying(self._outbox, self.join)
        self.recorder.open(parts.resource, lines, parts.driver_log, parts.redactor)
        self.joining.publish(
            self.arguments, self.settings, self.identity, self._outbox.directory, parts.exporters,
            token=self.detector.token, credential=self._credential, notice=self.notice,
        )  # fmt: skip
        self._outbox.set_exporters(parts.exporters)
        return parts.notices

    def _watch_process(self) -> None:
        if self._events is None:
            self._events = ProcessEvents(
                self._at_exit, self._at_term, lambda: self._outbox.set_exporters(self._outbox.exporters)
            )
        if self.step.is_here:
            self._events.watch_sigterm()

    def _rewatch(self) -> float:
        """Handle SIGTERM again after a library has restored the default. Return when to call again, in seconds."""
        return self._events.rewatch_sigterm() if self._events is not None else 1.0

    @releasing("_lock")
    def _take_over(self, target: ConnectionString, credential: Any) -> None:
        """Send to the resource of a script's own handler. The capture stays, because it is dispatching a record."""
        with self._lock:
            self._taken_over, self._credential = target, credential or self._credential
            if self.settings.connection_string is None:
                self.settings = with_connection(self.settings, target)
            call_releasing(self._reopen_recorder)

    def _reopen_recorder(self) -> None:
        self._open_recorder()
        self.captures.renew_processors()

    def flush(self, timeout: float) -> Account:
        """Deliver waiting records for at most `timeout` seconds. The account counts those that still wait."""
        self._check_process()
        self.captures.record_prints(unfinished=False)
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
            self.captures.drain_metrics()
            self.step.drain(self._outbox, self.identity.step_id, deadline)
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
        self.captures.remove()
        if self._events is not None:
            self._events.unwatch_sigterm()
        self.recorder.emitter.close()
        self.joining.end(self.identity)

    def _complete(self, account: Account) -> Account:
        return self._problems.complete(*self.recorder.emitter.complete(account))

    def _at_exit(self) -> None:
        """Deliver within the grace. The journal stays open for records of other exit handlers."""
        self._check_process()
        if self.identity is not None:
            self.captures.record_end(self.step.failure, self.step.cause)
            self.step.end("")
            self.captures.drain_metrics()
            deadline = time.monotonic() + self.settings.grace_seconds
            self.step.drain(self._outbox, self.identity.step_id, deadline, last=True)

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
        self.joining.forked()
        self._outbox.forked(in_c=in_c)
        self.recorder.emitter.forked()
        if self._events is not None and not in_c:
            self._events.forked()
        if self._setting_up:  # in a thread that this process does not have
            self._setting_up, self.identity = False, None
