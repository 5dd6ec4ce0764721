"""MLflow's artifact proxy: the artifacts of a run, by their names (`mlflow-artifacts:/<run>/<path>`)."""

from __future__ import annotations

from amllog.local.azureml.artifacts import ArtifactStore
from amllog.local.azureml.runs import RunStore
from amllog.local.http.access import check_related
from amllog.local.http.request import Request, Response
from amllog.local.http.routes import Credential, Names, Route
from amllog.local.mlflow import conversion
from amllog.local.mlflow.operations import PREFIX

_ARTIFACTS = f"{PREFIX}/mlflow-artifacts/artifacts"
_ORIGIN = "ExperimentRun"


class MLflowArtifacts:
    """The operations on the artifacts of a run, which azureml's Run sees, too."""

    def __init__(self, runs: RunStore, artifacts: ArtifactStore) -> None:
        self._runs, self._artifacts = runs, artifacts

    def routes(self) -> list[Route]:
        """Return the routes of the operations."""
        file = f"{_ARTIFACTS}/{{run}}/{{path*}}"
        return [
            Route("PUT", file, Credential.RUN, self._write),
            Route("GET", file, Credential.RUN, self._read),
            Route("GET", _ARTIFACTS, Credential.RUN, self._list),
        ]

    def _write(self, request: Request, names: Names) -> Response:
        """Write a file. As in MLflow, it may exist already."""
        container = self._runs.get(names["run"])["dataContainerId"]
        key = self._artifacts.find_key(_ORIGIN, container, names["path"])
        self._artifacts.write(key or self._artifacts.create(_ORIGIN, container, names["path"]), request.body)
        return Response.from_value({})

    def _read(self, request: Request, names: Names) -> Response:
        container = self._runs.get(names["run"])["dataContainerId"]
        key = self._artifacts.find_key(_ORIGIN, container, names["path"])
        if key is None:
            raise conversion.refusal(404, "RESOURCE_DOES_NOT_EXIST", f"No artifact {names['path'][:200]!r}")
        return Response(200, self._artifacts.read(key), content_type="application/octet-stream")

    def _list(self, request: Request, names: Names) -> Response:
        run_id, _, folder = conversion.text(request.query, "path").strip("/").partition("/")
        check_related(self._runs, request.run_id, run_id)
        container = self._runs.get(run_id)["dataContainerId"]
        listed = self._artifacts.list_container(_ORIGIN, container)
        return Response.from_value({"files": conversion.to_files(listed, folder)})
