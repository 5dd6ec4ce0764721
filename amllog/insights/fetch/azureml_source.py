"""The runs of a workspace through azureml-core.

The workspace is that of the job in which the command runs, or the one of the options, of the environment or of a
`config.json`. The login is azureml's own: the token of the job, a service principal, or that of the Azure CLI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import requests

from amllog.errors import UsageError
from amllog.insights.fetch.remote_runs import RemoteRun

_IN_JOB = "AZUREML_RUN_TOKEN"
# The variables of a job, and the names of `config.json` and of `az ml`.
_VARIABLES = {
    "subscription_id": "AZUREML_ARM_SUBSCRIPTION",
    "resource_group": "AZUREML_ARM_RESOURCEGROUP",
    "workspace_name": "AZUREML_ARM_WORKSPACE_NAME",
}
_PLAIN = {"_rehydrate_runs": False}  # children as objects of the base class
_CHUNK_BYTES = 1024 * 1024
_SECONDS = (10, 60)  # to connect, and without a byte


class WorkspaceNames(NamedTuple):
    """The names of a workspace, all empty or none. `config`: a `config.json`, or the folder above which it is."""

    subscription_id: str = ""
    resource_group: str = ""
    workspace_name: str = ""
    config: Path | None = None


def find_workspace(given: WorkspaceNames, environ: Mapping[str, str]) -> WorkspaceNames:
    """Return the names of the arguments, or else those of the environment. UsageError if some are missing."""
    names: tuple[str, ...] = given[:3]
    if not any(names) and given.config is None:
        names = tuple(environ.get(variable, "").strip() for variable in _VARIABLES.values())
    if any(names) and not all(names):
        missing = [
            f"--{name.replace('_', '-').replace('workspace-name', 'workspace')} or {variable}"
            for (name, variable), value in zip(_VARIABLES.items(), names)
            if not value
        ]
        raise UsageError(f"the workspace is incomplete: also set {', '.join(missing)}")
    subscription_id, resource_group, workspace_name = names
    return WorkspaceNames(subscription_id, resource_group, workspace_name, given.config)


class AzureMLRuns:
    """The runs of a workspace. It is connected at the first call."""

    def __init__(self, given: WorkspaceNames, environ: Mapping[str, str]) -> None:
        is_given = any(given[:3]) or given.config is not None
        self._names = None if environ.get(_IN_JOB) and not is_given else find_workspace(given, environ)
        self._runs: dict[str, Any] = {}
        self._addresses: dict[str, dict[str, str]] = {}

    def run(self, run_id: str) -> RemoteRun:
        """Return a run."""
        return self._remote(self._run(run_id))

    def descendants(self, run_id: str) -> Sequence[RemoteRun]:
        """Return the runs below a run, at any depth."""
        children = list(self._run(run_id).get_children(recursive=True, **_PLAIN))
        self._runs.update({child.id: child for child in children})
        return [self._remote(child) for child in children]

    def files(self, run_id: str) -> Sequence[str]:
        """Return the names of all artifacts and logs of a run."""
        run = self._run(run_id)
        details = run.get_details()
        self._addresses[run_id] = dict(details.get("logFiles") or {})
        return [*run.get_file_names(), *self._addresses[run_id]]

    def download(self, run_id: str, name: str, target: Path) -> None:
        """Write the content of a file to a path."""
        address = self._addresses.get(run_id, {}).get(name)
        if address is None:
            self._run(run_id).download_file(name, str(target))
        else:
            _load(address, target)

    def _run(self, run_id: str) -> Any:
        if run_id not in self._runs:
            self._runs[run_id] = _plain_run(self._workspace(), run_id)
        return self._runs[run_id]

    def _workspace(self) -> Any:
        from azureml.core import Run, Workspace

        if self._names is None:
            return Run.get_context(allow_offline=False).experiment.workspace
        if self._names.config is not None or not self._names.workspace_name:
            return Workspace.from_config(str(self._names.config) if self._names.config else None)
        return Workspace.get(
            self._names.workspace_name,
            subscription_id=self._names.subscription_id,
            resource_group=self._names.resource_group,
        )

    @staticmethod
    def _remote(run: Any) -> RemoteRun:
        details = run.get_details()
        name = getattr(run, "display_name", None) or run.name or run.id
        state, started = str(details.get("status") or ""), str(details.get("startTimeUtc") or "")
        return RemoteRun(run.id, str(name), state.lower(), started)


def _plain_run(workspace: Any, run_id: str) -> Any:
    """Return a run as an object of azureml's base class, whatever its type is.

    `Run.get` returns objects of azureml-pipeline-core if that is installed, which send requests to other services.
    """
    from azureml._restclient.workspace_client import WorkspaceClient
    from azureml.core import Experiment, Run

    client = WorkspaceClient(workspace.service_context)
    dto = client.get_run(run_id)
    name = client.get_experiment_by_id(dto.experiment_id).name
    experiment = Experiment(workspace, name, _id=dto.experiment_id, _create_in_cloud=False)
    return Run(experiment, run_id, _run_dto=dto)


def _load(address: str, target: Path) -> None:
    """Write the content at an address to a path. The address is not in the errors, because it has a signature."""
    try:
        with requests.get(address, stream=True, timeout=_SECONDS, allow_redirects=False) as response:
            if response.status_code != requests.codes.ok:
                raise OSError(f"status {response.status_code}")
            with target.open("wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
    except requests.RequestException as error:
        raise OSError(type(error).__name__) from None
