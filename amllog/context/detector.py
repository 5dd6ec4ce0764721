"""Finds the run this process belongs to, with at most the one request of `Run.get_context()`, bounded in time.

In: the process and its environment. Out: the identity, and azureml's own run where run history answers.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import Any

from amllog.config.settings import Settings
from amllog.context import environment, identity as identities
from amllog.context.identity import Identity, ProcessInfo
from amllog.exporters.run_metrics.run_info import RunInfo
from amllog.process.background import BackgroundCall
from amllog.process.interrupts import is_from_signal
from amllog.process.workers import is_worker

CONTEXT_SECONDS = 5.0


class RunDetector:
    """What was found of the run, kept for the life of the process."""

    def __init__(self, environ: Mapping[str, str], notice: Callable[[str], None]) -> None:
        self._environ = environ
        self.azureml_run: Any = None  # azureml's online run
        self._notice = notice
        self._run_info: RunInfo | None = None
        self._known: Identity | None = None
        self._attempt: BackgroundCall | None = None

    def detect(self, settings: Settings, metrics: str, url: str) -> Identity:
        """The identity under `settings`; `url` is where a local run's records can be seen."""
        if self._run_info is None and metrics == "azureml" and identities.may_be_online(self._environ):
            self.connect(CONTEXT_SECONDS)
        run_info = self._run_info or RunInfo()
        self._known = identities.resolve_identity(
            self._environ, process_info(self._known, url), settings, run_info
        )
        return self._known

    def from_environment(self, settings: Settings) -> Identity:
        """The identity as the environment alone tells it, before setup(); a local run's id stays what it is here."""
        self._known = identities.resolve_identity(
            self._environ, process_info(self._known), settings, RunInfo()
        )
        return self._known

    def connect(self, seconds: float) -> Any:
        """azureml's run, if run history answers within `seconds`; without it the environment's identity is used."""
        from amllog.exporters.run_metrics import azureml_sdk

        try:
            azureml_sdk.load()  # before the clock starts: it bounds the service, not a cold disk
            # One attempt at a time: azureml asks without a timeout, and may never come back.
            self._attempt = self._attempt or BackgroundCall(azureml_sdk.run_context)
            self.azureml_run, self._run_info = self._attempt.result(seconds)
        except Exception as error:  # said once; the courier tries again while metrics wait
            if is_from_signal(error):
                raise
            if self._attempt is not None and self._attempt.over:
                self._attempt = None
            self._notice(f"run history does not answer ({type(error).__name__}): metrics wait in the journal")
            return None
        return self.azureml_run


def process_info(known: Identity | None = None, url: str = "") -> ProcessInfo:
    """What this process knows of itself; a run's local id stays what it was."""
    script, here = environment.script_name() or "python", environment.working_directory()
    return ProcessInfo(
        script="notebook" if "ipykernel" in script else script,
        folder=(here.name if here is not None else "") or "/",
        node=platform.node(),
        is_worker=is_worker(),
        url=url,
        local_run=known.step_id if known is not None and not known.in_job else "",
    )
