"""Azure on this machine, put together: the servers, the services behind them, what a job needs to find them.

In: a directory, a port. Out: addresses, environments for jobs, and everything that arrived.
"""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, final
from urllib.request import getproxies

from amllog.local.app_insights import query_service
from amllog.local.app_insights.ingestion import Envelope, track, with_time_and_key_first
from amllog.local.app_insights.query_response import ROWS_MAX, ResponseLimits
from amllog.local.app_insights.query_service import QueryService
from amllog.local.azureml import job_environment
from amllog.local.azureml.artifact_service import ArtifactService
from amllog.local.azureml.artifacts import Artifact, ArtifactStore
from amllog.local.azureml.metrics import Metric, MetricStore
from amllog.local.azureml.run_history import RunHistory
from amllog.local.azureml.runs import Run, RunStore
from amllog.local.fault_service import FaultService
from amllog.local.faults import Faults
from amllog.local.http import certificate
from amllog.local.http.access import Access
from amllog.local.http.gateway import TRACKS, Gateway, service_of_path
from amllog.local.http.request import Request, Response
from amllog.local.http.routes import Credential, Names, Route
from amllog.local.http.server import LoopbackServer, ServerCallbacks
from amllog.local.storage import (
    JsonLinesFile,
    make_private_directory,
    new_file_name,
    prepare_directory,
    read_lines,
)

INSTRUMENTATION_KEY = "00000000-0000-0000-0000-0000000010ca"


@final
class AzureOnThisMachine:
    """Application Insights' ingestion and queries, Azure ML's run history, metrics and artifacts, over loopback HTTP.

    A context manager; `start()` and `stop()` do the same by hand, and may be repeated: the port stays, and what
    is in the directory is read again. `strict` keeps the services' limits. `authorities` is a file of the
    certificate authorities that jobs trust besides ours (default: those of requests). An answer to a query has at most
    `query_rows_max` rows. Queries may be about `resource_id`, `workspace_id` or `app_id`, which are always the same.

    Each object makes its own tokens, one for each service, and rejects every request without the right one. They are
    in `connection_string`, `query_endpoint`, `faults_url` and `job_environment()`, and stay the same when it is
    stopped and started again. No file contains them.
    """

    resource_id, workspace_id = query_service.RESOURCE_ID, query_service.WORKSPACE_ID
    app_id = query_service.APP_ID

    def __init__(
        self,
        directory: str | Path,
        *,
        port: int = 0,
        faults: Faults | None = None,
        strict: bool = True,
        authorities: Path | None = None,
        query_rows_max: int = ROWS_MAX,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.faults = faults or Faults()
        self._port, self._strict, self._authorities = port, strict, authorities
        self._limits = ResponseLimits(query_rows_max)
        self._access = Access()
        self._gateway = Gateway(self._access)
        self.requests_log = self._gateway.requests_log
        self._side = ServerCallbacks(self._gateway.admit, self.faults, service_of_path, self._gateway.served)
        self._lock = threading.Lock()
        self._server: LoopbackServer | None = None
        self._tls_server: LoopbackServer | None = None

    def start(self) -> AzureOnThisMachine:
        """Open the directory and begin to answer."""
        received = self.directory / "received"
        prepare_directory(self.directory)
        make_private_directory(received)
        self._received = JsonLinesFile(received / f"{new_file_name()}.jsonl")
        self._runs, self._artifacts = RunStore(self.directory), ArtifactStore(self.directory)
        self._metrics = MetricStore(self.directory, strict=self._strict)
        self._server = LoopbackServer(self._port, self._side)
        self._port = self._server.port
        routes = [
            *(Route("POST", path, Credential.INGESTION, self._track) for path in TRACKS),
            *FaultService(self.faults).routes(),
            *RunHistory(self._runs, self._metrics, self._access.run_tokens, self.url).routes(),
            *ArtifactService(self._artifacts, self._access, lambda: self.url, self._upload_url).routes(),
            *QueryService(received, strict=self._strict, limits=self._limits).routes(),
        ]
        self._gateway.open(routes, self._runs)
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop answering, break off what is under way, close the files; what arrived can still be read."""
        if self._server is None:
            return
        self._server.stop()
        if self._tls_server:
            self._tls_server.stop()
        self.faults.clear()
        self._tls_server = None
        for part in (self._received, self._runs, self._metrics, self._artifacts):
            part.close()

    def __enter__(self) -> AzureOnThisMachine:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers: `http://127.0.0.1:<port>`."""
        if self._server is None:
            raise RuntimeError("not started: use start() or a with statement")
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def routes(self) -> list[Route]:
        """Every operation of every service, with the token that it requires; empty before the first start."""
        return list(self._gateway.routes)

    @property
    def ingestion_endpoint(self) -> str:
        """The address of ingestion, with its token: `<address>/v2.1/track` takes envelopes."""
        return self._address(Credential.INGESTION)

    @property
    def query_endpoint(self) -> str:
        """The address of the query service, with its token, as `endpoint=` or AMLLOG_QUERY_ENDPOINT take it."""
        return self._address(Credential.QUERY)

    @property
    def faults_url(self) -> str:
        """The address, with its token, where GET lists the faults and PUT replaces them. No job has it."""
        return f"{self._address(Credential.FAULTS)}/faults"

    @property
    def connection_string(self) -> str:
        """The connection string of its Application Insights; the path of the addresses is ingestion's token."""
        address = f"{self.ingestion_endpoint}/"
        return f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={address};LiveEndpoint={address}"

    def run_token(self, run_id: str, seconds: float = job_environment.TOKEN_SECONDS) -> str:
        """A run token that expires after `seconds`, for requests to run history, metrics and artifacts."""
        return self._access.run_tokens.issue(run_id, seconds)[0]

    def job_environment(
        self,
        *,
        run_id: str,
        step_name: str,
        experiment_name: str = "local",
        parent_run_id: str | None = None,
        root_run_id: str | None = None,
    ) -> dict[str, str]:
        """Register the run (and its parent, if nobody did) and give the variables that a job of it runs with.

        Added to the environment of a child process, azureml-core's `Run.get_context()` is online there, uploads
        included, and `APPLICATIONINSIGHTS_CONNECTION_STRING` is set.
        """
        above = parent_run_id or root_run_id
        parent = above if above != run_id else None
        root = root_run_id if root_run_id != run_id else None
        for ancestor, above_it in ((root, None), (parent, root if root != parent else None)):
            if ancestor and not self._runs.knows(ancestor):
                fields = {"runType": "azureml.PipelineRun", "status": "Running", "parentRunId": above_it}
                self._runs.add(ancestor, experiment_name, **fields)
        self._runs.add(
            run_id,
            experiment_name,
            name=step_name,
            displayName=step_name,
            parentRunId=parent,
            rootRunId=root_run_id,
            runType="azureml.StepRun" if parent else "azureml.scriptrun",
            status="Running",
        )
        self._upload_url()
        return {
            **job_environment.variables(
                self._runs.get(run_id), self.url, self._address(Credential.DISCOVERY), self._access.run_tokens
            ),
            **job_environment.no_proxy(getproxies()),
            "APPLICATIONINSIGHTS_CONNECTION_STRING": self.connection_string,
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
            "REQUESTS_CA_BUNDLE": str(self._bundle),
        }

    @property
    def envelopes(self) -> list[Envelope]:
        """What ingestion accepted, in the order of arrival, read back from `received/`."""
        return list(read_lines((self.directory / "received").glob("*.jsonl")))

    @property
    def runs(self) -> dict[str, Run]:
        """Every run that run history knows, by id."""
        return {run["runId"]: run for run in self._runs.all()}

    def metrics(self, run_id: str) -> list[Metric]:
        """The metrics of a run, as they were posted."""
        return self._metrics.of(run_id)

    def values(self, run_id: str) -> dict[str, list[Any]]:
        """The metrics of a run by name: numbers of scalars and lists, dictionaries of rows and tables."""
        return {name: self._values(run_id, name) for name in self._metrics.names(run_id)}

    def tags(self, run_id: str) -> dict[str, str]:
        """The tags of a run."""
        return dict(self._runs.get(run_id)["tags"])

    def artifacts(self, run_id: str) -> dict[str, Artifact]:
        """The artifacts of a run by name; `.file` is where the bytes are."""
        container = self._runs.get(run_id)["dataContainerId"]
        return {one.path: one for one in self._artifacts.listed("ExperimentRun", container)}

    @property
    def _bundle(self) -> Path:
        return self.directory / "ca-bundle.pem"

    def _values(self, run_id: str, name: str) -> list[Any]:
        rows = (self._metrics.full(run_id, name) or {"value": []})["value"]
        return [row["data"][name] if list(row["data"]) == [name] else row["data"] for row in rows]

    def _address(self, need: Credential) -> str:
        return self.url + self._access.path(need)

    def _upload_url(self) -> str:
        """The address of the TLS port, opened on first use."""
        with self._lock:
            if self._tls_server is None:
                self._tls_server = LoopbackServer(
                    0, self._side, certificate.make(self._bundle, self._authorities)
                )
                self._tls_server.start()
        return f"https://this-machine.blob.local@127.0.0.1:{self._tls_server.port}"

    def _track(self, request: Request, names: Names) -> Response:
        now = datetime.now(timezone.utc)
        verdict = request.fault.verdict if request.fault else None
        content_type = request.headers.get("content-type", "application/json")
        result = track(request.body, content_type, now, strict=self._strict, fault=verdict)
        self._received.append(with_time_and_key_first(envelope) for envelope in result.accepted)
        return Response.of(result.reply, result.status)
