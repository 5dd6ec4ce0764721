"""Detect the run of this process, with at most the requests of azureml's `Run.get_context()`, in limited time."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from amllog.config.settings import Settings
from amllog.context import environment, step_process
from amllog.context.identity import Identity, ProcessInfo, may_be_online, resolve_identity, resolve_node
from amllog.exporters.run_metrics.run_info import RunInfo
from amllog.process.background import BackgroundCall
from amllog.process.interrupts import is_from_signal
from amllog.process.process_token import process_token
from amllog.process.workers import is_worker
from amllog.record.error_cause import describe

CONTEXT_SECONDS = 5.0  # that setup() waits for run history


class RunDetector:
    """The run of this process, detected once and kept for the life of the process."""

    def __init__(self, environ: Mapping[str, str], notice: Callable[[str], None], number: int = 0) -> None:
        """`number`: that of the session in this process."""
        self._environ, self._number, self._pid = environ, number, os.getpid()
        self.azureml_run: Any = None  # once run history has answered
        self._notice = notice
        self._run_info: RunInfo | None = None
        self._identity: Identity | None = None
        self._is_adopted, self._local_run = False, ""
        self._call: BackgroundCall | None = None

    def detect(self, settings: Settings, metrics: str, url: str) -> Identity:
        """Return the identity under `settings`. Takes up to `CONTEXT_SECONDS` if `metrics` is "azureml".

        `url`: of the records, for a local run.
        """
        if self._run_info is None and metrics == "azureml" and may_be_online(self._environ):
            self.connect(CONTEXT_SECONDS)
        run_info = self._run_info or RunInfo()
        self._identity = resolve_identity(self._environ, self._process(url), settings, run_info)
        return self._identity

    def from_environment(self, settings: Settings) -> Identity:
        """Return the identity from the environment alone, before setup(). A local run keeps the id of this identity."""
        self._identity = resolve_identity(self._environ, self._process(), settings, RunInfo())
        return self._identity

    def adopt(self, identity: Identity) -> Identity:
        """Use the identity of the step that this process works for, with the node and the rank of this process."""
        rank = environment.rank(self._environ)
        self._identity = replace(
            identity,
            node=self.node,
            rank=identity.rank if rank is None else rank,
            span_id=step_process.span_of_worker(self._environ, identity.step_id, identity.span_id),
        )
        self._is_adopted = True
        return self._identity

    def use_local_run(self, run_id: str) -> None:
        """Use this id if the run is a local one, instead of a new one."""
        self._local_run = run_id

    @property
    def node(self) -> str:
        """The id of the node that this process runs on."""
        return resolve_node(self._environ, platform.node())

    def reach_run(self) -> Any:
        """Return azureml's run, or None. A process that has adopted an identity connects with the first call."""
        if self._is_adopted and self._run_info is None and may_be_online(self._environ):
            self._is_adopted = False
            self.connect(CONTEXT_SECONDS)
        return self.azureml_run

    @property
    def token(self) -> str:
        """Identifies this session of this process. "" in a worker and in a fork, which end with their parent."""
        if is_worker() or os.getpid() != self._pid:
            return ""
        return f"{process_token()}.{self._number}@{platform.node().replace(' ', '_')}"

    def _process(self, url: str = "") -> ProcessInfo:
        """Return names from this process. `url`: see `detect`. A local run keeps the id of the previous identity."""
        directory, previous = environment.working_directory(), self._identity
        return ProcessInfo(
            script=environment.script_name() or "python",
            folder=(directory.name if directory is not None else "") or "/",
            node=platform.node(),
            is_worker=is_worker(),
            token=self.token,
            url=url,
            local_run=previous.step_id if previous is not None and not previous.in_job else self._local_run,
        )

    def connect(self, seconds: float) -> Any:
        """Return azureml's run if run history answers within `seconds`. Otherwise print a notice and return None."""
        from amllog.exporters.run_metrics import azureml_sdk

        try:
            # Imported before the time starts, because the limit is for the service and not for a slow disk.
            azureml_sdk.load()
            # One call at a time, because azureml sends requests without a timeout.
            self._call = self._call or BackgroundCall(azureml_sdk.run_context)
            self.azureml_run, self._run_info = self._call.result(seconds)
        # Any error of azureml. The delivery worker connects again while metrics wait.
        except Exception as error:
            if is_from_signal(error):
                raise
            if self._call is not None and self._call.over:
                self._call = None
            self._notice(f"run history does not answer ({describe(error)}): metrics wait in the journal")
            return None
        return self.azureml_run
