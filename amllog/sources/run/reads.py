"""The reading half of a `Run`, with azureml's methods and attributes.

The service answers if azureml's run is reachable. Otherwise, the answer contains only the data of this process. A
service that fails is reported by a warning and never raises.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from amllog.errors import warn
from amllog.process.interrupts import is_from_signal
from amllog.sources.run.backend import RunBackend
from amllog.sources.run.memory import Memory

# Methods of azureml's Run that need the service and that its offline class does not have. Offline they return None.
ONLINE_ONLY = {
    *("clean", "get_detailed_status", "get_environment", "get_secret", "get_secrets", "get_snapshot_id"),
    *("register_model", "restore_snapshot", "start", "submit_child", "take_snapshot"),
}


class Experiment(NamedTuple):
    """The experiment of a run without a service: only its name."""

    name: str
    id: str = ""

    @property
    def workspace(self) -> Any:
        """Raise AttributeError, which scripts catch to call `Workspace.from_config()`."""
        raise AttributeError("there is no workspace without Azure ML: use Workspace.from_config()")


class Reads:
    """The reads of azureml's `Run`. `run_id` is None for the process's own run."""

    def __init__(
        self,
        backend: RunBackend,
        run_id: str | None = None,
        name: str = "",
        *,
        parent: Any = None,
        outputs: str | None = None,
    ) -> None:
        """`parent` and `outputs` (a folder that is uploaded at the end) are those of a child run."""
        self._backend = backend
        self._run_id = run_id
        self._name = name
        self._parent = parent
        self._outputs = outputs
        self.memory = Memory()

    @property
    def id(self) -> str:
        """The run id."""
        return self._run_id or self._backend.identity.step_id

    @property
    def name(self) -> str:
        """The display name, for a pipeline step the name of the step."""
        return self._name or ("" if self._run_id else self._backend.identity.step_name)

    @property
    def experiment(self) -> Any:
        """azureml's experiment if the service is reachable, otherwise one with only the name."""
        run = self._backend.azure_run()
        return run.experiment if run is not None else Experiment(self._backend.identity.experiment_name)

    @property
    def type(self) -> str:
        """The type of the run, such as azureml.StepRun."""
        return str(self._request(lambda run: run.type, self._backend.identity.run_type) or "")

    @property
    def number(self) -> int:
        """The number within the experiment, 0 without a service."""
        return int(self._request(lambda run: run._run_number, 0) or 0)

    @property
    def status(self) -> str:
        """The last known status."""
        return str(self._request(lambda run: run.status, self.memory.status))

    @property
    def tags(self) -> dict[str, str | None]:
        """The last known tags, and those that this process set."""
        return {**self._request(lambda run: run.tags, {}), **self.memory.tags}

    @property
    def properties(self) -> dict[str, str | None]:
        """The last known properties, and those that this process added."""
        return {**self._request(lambda run: run.properties, {}), **self.memory.properties}

    @property
    def input_datasets(self) -> Any:
        """azureml's dictionary of input datasets, empty without a service."""
        return self._request(lambda run: run.input_datasets, {})

    @property
    def output_datasets(self) -> Any:
        """azureml's dictionary of output datasets, empty without a service."""
        return self._request(lambda run: run.output_datasets, {})

    def get_status(self) -> str:
        """Request and return the status."""
        return str(self._request(lambda run: run.get_status(), self.memory.status))

    def get_tags(self) -> dict[str, str | None]:
        """Request and return the tags, after those that this process set were sent."""
        return dict(self._after_flush(lambda run: run.get_tags(), self.memory.tags))

    def get_properties(self) -> dict[str, str | None]:
        """Request and return the properties, after those that this process added were sent."""
        return dict(self._after_flush(lambda run: run.get_properties(), self.memory.properties))

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: Any = None, populate: bool = False
    ) -> dict[str, Any]:
        """Return the metrics of the service or of this process. `recursive`: by run id, including children."""
        mine = self.memory.metrics(name)
        if recursive:
            mine = {run.id: run.memory.metrics(name) for run in (self, *self.memory.children)}
        return dict(self._after_flush(lambda run: run.get_metrics(name, recursive, run_type, populate), mine))

    def get_file_names(self) -> list[str]:
        """Return the names of the run's files."""
        return list(self._after_flush(lambda run: run.get_file_names(), list(self.memory.files)))

    def get_details(self) -> dict[str, Any]:
        """Return a dict with status, properties, log files and other details."""
        mine = {"runId": self.id, "target": "local", "status": self.status, "properties": self.properties}
        return dict(
            self._request(lambda run: run.get_details(), {**mine, "inputDatasets": [], "logFiles": {}})
        )

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return the dict of `get_details` with the content of the log files."""
        return dict(self._request(lambda run: run.get_details_with_logs(), None) or self.get_details())

    def wait_for_completion(
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> dict[str, Any]:
        """Wait for another run. Without a service, return at once."""
        arguments = (show_output, wait_post_processing, raise_on_error)
        return dict(
            self._request(lambda run: run.wait_for_completion(*arguments), None) or self.get_details()
        )

    def get_all_logs(self, destination: str | None = None) -> list[str]:
        """Download the log files. Return their paths."""
        return list(self._request(lambda run: run.get_all_logs(destination), []))

    def get_children(self, recursive: bool = False, **filters: Any) -> list[Any]:
        """Return the child runs: azureml's objects, or those that this process began."""
        return list(
            self._after_flush(lambda run: run.get_children(recursive, **filters), self.memory.children)
        )

    def get_portal_url(self) -> str:
        """Return the URL of the run in the studio without a request, empty if there is none."""
        identity = self._backend.identity
        for known in (identity.parent_run_id, identity.root_run_id, identity.step_id):
            if known and f"/runs/{known}" in identity.run_url:
                return identity.run_url.replace(f"/runs/{known}", f"/runs/{self.id}")
        return ""

    def download_file(self, name: str, output_file_path: str | None = None, **options: Any) -> None:
        """Download a file of the run. Raises FileNotFoundError if neither the service nor this process has it."""
        target = output_file_path or os.path.basename(name)

        def fetch(run: Any) -> bool:
            run.download_file(name, target, **options)
            return True

        if not self._after_flush(fetch, False):
            self._copy(name, Path(target, os.path.basename(name)) if os.path.isdir(target) else Path(target))

    def download_files(
        self, prefix: str | None = None, output_directory: str | None = None, *rest: Any, **options: Any
    ) -> None:
        """Download all files whose names begin with the folder `prefix`."""

        def fetch(run: Any) -> bool:
            run.download_files(prefix, output_directory, *rest, **options)
            return True

        if not self._after_flush(fetch, False):
            folder = f"{prefix.rstrip('/')}/" if prefix else ""
            for name in [name for name in self.memory.files if name.startswith(folder)]:
                self._copy(name, Path(output_directory or ".", name))

    def __getattr__(self, name: str) -> Any:
        """Pass the other attributes of azureml's Run through. Without a service, some warn and return None."""
        if name.startswith("_"):
            raise AttributeError(name)
        run = self._azureml_run()
        if run is not None:
            return getattr(run, name)
        if name in ONLINE_ONLY:
            return lambda *_, **__: warn(f"{name} needs Azure ML: skipped")
        raise AttributeError(f"neither amllog's nor azureml's Run has {name!r}")

    def _azureml_run(self) -> Any:
        """Return azureml's object for this run, or None."""
        run = self._backend.azure_run()
        if run is None or self._run_id is None or self._run_id == run.id:
            return run
        return self._guarded(lambda run: type(run).get(run.experiment.workspace, self._run_id), run, None)

    def _request(self, request: Callable[[Any], Any], default: Any) -> Any:
        run = self._azureml_run()
        return default if run is None else self._guarded(request, run, default)

    def _after_flush(self, request: Callable[[Any], Any], default: Any) -> Any:
        if self._backend.azure_run() is not None:
            self._backend.flush(10.0)
        return self._request(request, default)

    def _guarded(self, request: Callable[[Any], Any], run: Any, default: Any) -> Any:
        try:
            return request(run)
        except Exception as error:  # the service, or azureml itself: the step continues with a warning
            if is_from_signal(error):
                raise
            warn(
                f"run history did not answer ({type(error).__name__}): the result has only the data of this process"
            )
            return default

    def _copy(self, name: str, target: Path) -> None:
        if name not in self.memory.files:
            raise FileNotFoundError(f"the run has no file {name!r}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._backend.copied(self.memory.files[name]) as copy, target.open("wb") as file:
            shutil.copyfileobj(copy.stream, file)
