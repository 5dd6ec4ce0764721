"""Find the step that this process works for.

A step publishes itself (`published_step`). A process without a setup() looks for it when it comes into contact with
amllog. A contact is the import in a worker, a pickled logger, function or process object, or the first record. Of
several steps, the newest is the right one. The others started a cluster, a pool or a daemon that lives longer.

A worker program that finds no step records for itself (it is *detached*), because no other process would. Outside a job
nobody knows the identity of the step. Then the records stay in the local journal, and one notice says so.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from amllog.config.settings import Settings
from amllog.config.variables import WORKERS
from amllog.context.identity import Identity, job_run_id
from amllog.delivery.exporter import Exporter
from amllog.delivery.outbox import Outbox
from amllog.process import ancestors, interrupts
from amllog.process.file_lock import try_lock
from amllog.process.process_token import process_token, started_at
from amllog.process.worker_programs import worker_program
from amllog.process.workers import is_worker
from amllog.session.published_step import Publication, PublishedStep, arguments_for_workers, read_step
from amllog.session.run_variables import RunVariables
from amllog.sources.emitter import Appender

MAX_SHARE = 0.1  # of the time of a process that makes records, which it spends with looking for its step
MAX_PICKLED_SECONDS = 48 * 3600  # a pickled object that is older was loaded from a file
DETACHED: Mapping[str, object] = {"exporter": "none", "metrics": "none"}  # settings outside a job


class Joining:
    """The relation of this process to a step that another process is, and the attempts to find that step.

    `step` is the one that it works for. `is_contact`: it has no setup(), but has come into contact with amllog.
    """

    def __init__(
        self,
        environ: MutableMapping[str, str],
        accept: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`accept` is called in a new worker process with the step that it works for. `clock` returns seconds."""
        self._environ, self._clock = environ, clock
        self.publication = Publication(environ, accept)
        self._variables = RunVariables(environ)
        self.step: PublishedStep | None = None
        self.is_contact = False
        self._process, self._next, self._text = 0, 0.0, ""
        self._paused = self._has_setup = False

    @property
    def is_closed(self) -> bool:
        """Return whether the process joins no step now: it is being set up, or has called setup() itself."""
        return self._paused or self._has_setup

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Join no step in the block, in which the process is set up and may make records."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def forked(self) -> None:
        """In a forked child: forget that a thread of the parent is setting it up."""
        if self._paused:
            self._paused = self._has_setup = False

    @property
    def framework(self) -> str:
        """The framework whose worker program this process runs without a known step, otherwise ""."""
        return worker_program() if self.step is None else ""

    @property
    def is_detached(self) -> bool:
        """Return whether the process records for itself, because it does not find its step."""
        return self.is_contact and self.step is None

    @property
    def has_joined(self) -> bool:
        """Return whether the process has no setup(), and works for a known step."""
        return self.is_contact and self.step is not None

    def begin_setup(self) -> bool:
        """Note that the process calls setup() itself. Return whether it was of another step before.

        Only in a worker, it then is of the step that it works for.
        """
        was_contact, self.is_contact, self._has_setup = self.is_contact, False, True
        self.step = find_step(self._environ) if is_worker() else None
        return was_contact and self.step is None

    def begin_contact(self, pickled: str, *, with_record: bool) -> bool:
        """Look for a step. Return whether the process has to be set up now. It looks seldom enough to cost little.

        `pickled`: the step in an object that was unpickled. The process may look for a new one at once. `with_record`:
        a worker program that does not find its step begins to record for itself.
        """
        now, process = self._clock(), os.getpid()
        is_due = now >= self._next or process != self._process or pickled not in ("", self._text)
        is_first = with_record and not self.is_contact and self.framework != ""
        if self.is_closed or not (is_due or is_first):
            return False
        self._process, self._text = process, pickled or self._text
        step = find_step(self._environ, pickled)
        self._next = now + (self._clock() - now) / MAX_SHARE
        if step is not None:
            is_new = self.step is None or step.made > self.step.made
        else:
            is_new = is_first
        if is_new:
            self.step, self.is_contact = step, True
        return is_new

    def arguments(self) -> dict[str, object]:
        """Return the arguments of setup() for a process without one, in addition to those of the step."""
        return dict(DETACHED) if self.is_detached and not job_run_id(self._environ) else {}

    def publish(
        self,
        arguments: Mapping[str, object],
        settings: Settings,
        identity: Identity,
        directory: Path,
        exporters: Sequence[Exporter],
        *,
        token: str,
        credential: object,
        notice: Callable[..., object],
    ) -> None:
        """Publish the step for worker processes. Print a notice if nobody will deliver the records of this one.

        `arguments`: of setup(). `token`: of this process, see `RunDetector`. `credential`: that of the resource, if it
        needs one.
        """
        self._variables.export(identity, "" if self.is_contact else token)
        if self.step is not None:
            self.publication.pass_on(self.step)
        else:
            passed = arguments_for_workers(arguments, settings, credential, notice)
            step = PublishedStep(passed, identity, directory, process_token(), time.time())
            self.publication.publish(step)
        reason = self._isolation(identity, is_connected=bool(exporters))
        if reason and _is_first(directory):
            notice(f"{reason[0]}: its records stay in {directory}. {reason[1]}", logging.WARNING)

    def end(self, identity: Identity | None) -> None:
        """Withdraw what `publish` has published, and leave the step. The process may join it again."""
        self._variables.remove(identity)
        self.publication.withdraw()
        self.step, self.is_contact, self._has_setup, self._next = None, False, False, 0.0

    def retrying(self, outbox: Outbox, join: Callable[[], object]) -> Appender:
        """Return what lines are written to. A worker without a step looks for it again after each line."""
        return Retrying(outbox, join) if self.is_detached else outbox

    def _isolation(self, identity: Identity, *, is_connected: bool) -> tuple[str, str] | None:
        """Return why the records of this process stay in its journal, and what the user can do. None if they do not."""
        if self.is_detached and not identity.in_job:
            return (
                f"this {self.framework} worker does not know its step",
                "Pass the step's logger to the task, or a function of amllog.carry",
            )
        if self.step is not None and self.step.identity.node != identity.node and not is_connected:
            return (
                "this worker has no connection string, and its step is on another node",
                "Set APPLICATIONINSIGHTS_CONNECTION_STRING where the workers are started",
            )
        return None


class Retrying:
    """The sink of the lines of a detached worker. After each line, the worker looks for its step again."""

    def __init__(self, outbox: Appender, join: Callable[[], Any]) -> None:
        self._outbox, self._join = outbox, join

    def append(self, line: bytes) -> bool:
        """Write a line. Return False if the session has ended."""
        accepted = self._outbox.append(line)
        self._join()
        return accepted


def find_step(environ: Mapping[str, str], pickled: str = "") -> PublishedStep | None:
    """Return the step that this process works for, or None. `pickled`: the step in an object that was unpickled.

    The note is read only in a worker, or if the variable is set: a user may unset the variable for other programs.
    """
    found = [read_step(environ.get(WORKERS, ""))]
    recognized = is_worker()
    if recognized or found[0] is not None:
        found.append(read_step(ancestors.find()))
    if recognized and pickled:
        step = read_step(pickled)
        # Its age is that of setup(), so that the pickled objects of one run are equal.
        found.append(step if step is not None and time.time() - step.made < MAX_PICKLED_SECONDS else None)
    own, run_id = process_token(), job_run_id(environ)
    steps = [
        step
        for step in found
        if step is not None and step.process != own and (not run_id or run_id == step.identity.step_id)
    ]
    # Of two equal ones, the note is the better one, because it has the connection string.
    newest = max(steps, key=lambda step: (step.made, len(step.arguments)), default=None)
    return None if newest is None else _with_secrets(newest)


def _with_secrets(step: PublishedStep) -> PublishedStep:
    """Return the step as in the note of its process, if that is on this machine, also if it is no ancestor."""
    process = step.process.partition(".")[0]
    note = read_step(ancestors.find_at(int(process))) if process.isdecimal() else None
    return note if note is not None and (note.process, note.made) == (step.process, step.made) else step


def arguments_of(step: PublishedStep, node: str) -> dict[str, object]:
    """Return the arguments of setup() for a process that works for the step, on the node with this id."""
    arguments = dict(step.arguments)
    arguments.pop("directory", None)
    with interrupts.suppress(OSError, ValueError):
        # On another node, the path may not exist, or be that of something else.
        if step.identity.node == node or step.directory.is_dir():
            arguments["directory"] = str(step.directory)
    return arguments


def detached_run(node: str) -> str:
    """Return the id of the local run of a worker that knows no step, equal for the workers of one parent.

    It has the form of other ids of local runs, with the time at which the parent started.
    """
    import hashlib  # here: `import amllog` must stay light

    parent = os.getppid()
    began = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started_at(parent)))
    digest = hashlib.sha256(f"{node} {process_token(parent)}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"local_{began}_{digest[:8]}"


def _is_first(directory: Path) -> bool:
    """Return whether no other running process has called this for the directory. It keeps a lock until it ends."""
    with interrupts.suppress(OSError):
        fd = os.open(directory, os.O_RDONLY)
        if try_lock(fd) is False:
            os.close(fd)
            return False
    return True
