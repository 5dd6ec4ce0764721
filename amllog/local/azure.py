"""`AzureOnThisMachine`: start and stop all services of the local Azure, and read the received data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, final

from amllog.local.app_insights import query_service
from amllog.local.app_insights.ingestion import Envelope, track, with_time_and_key_first
from amllog.local.app_insights.query_response import ROWS_MAX, ResponseLimits
from amllog.local.app_insights.query_service import QueryService
from amllog.local.azureml import job_environment
from amllog.local.azureml.artifact_service import ArtifactService
from amllog.local.azureml.artifacts import Artifact
from amllog.local.azureml.metrics import Metric
from amllog.local.azureml.run_history import RunHistory
from amllog.local.azureml.runs import Run
from amllog.local.fault_service import FaultService
from amllog.local.faults import Faults
from amllog.local.http import certificate
from amllog.local.http.access import Access
from amllog.local.http.gateway import TRACKS, Gateway, service_of_path
from amllog.local.http.request import Request, Response
from amllog.local.http.routes import Credential, Names, Route
from amllog.local.http.server import LoopbackServer, ServerCallbacks
from amllog.local.mlflow.artifact_proxy import MLflowArtifacts
from amllog.local.mlflow.logged_models import LoggedModels
from amllog.local.mlflow.model_registry import ModelRegistry
from amllog.local.mlflow.tracking import MLflowTracking
from amllog.local.storage import read_lines
from amllog.local.stored_data import StoredData

INSTRUMENTATION_KEY = "00000000-0000-0000-0000-0000000010ca"


@final
class AzureOnThisMachine:
    """Application Insights' ingestion and queries, Azure ML's run history, metrics and artifacts, over loopback HTTP.

    The object is a context manager. `start()` and `stop()` do the same and may be repeated: the port is kept, and the
    content of the directory is read again. `strict` applies the limits of the services. `authorities` is a file of the
    certificate authorities that jobs trust in addition to ours (default: those of `requests`). The response to a query
    has at most `query_rows_max` rows. `on_envelopes` gets the run and the envelopes of each accepted request, in
    threads of the server. `resource_id`, `workspace_id` and `app_id` can be queried and are constant.

    Each object creates its own tokens, one for each service, and rejects every request without a valid one. They are
    in `connection_string`, `query_endpoint`, `faults_url` and `job_environment()`, and are kept when the object is
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
        on_envelopes: Callable[[str, Sequence[Envelope]], None] | None = None,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.faults = faults or Faults()
        self._port, self._strict, self._authorities = port, strict, authorities
        self._limits, self._on_envelopes = ResponseLimits(query_rows_max), on_envelopes
        self._access = Access()
        self._gateway = Gateway(self._access)
        self.requests_log = self._gateway.requests_log
        self._callbacks = ServerCallbacks(
            self._gateway.admit, self.faults, service_of_path, self._gateway.log_request
        )
        self._lock = threading.Lock()
        self._server: LoopbackServer | None = None
        self._tls_server: LoopbackServer | None = None

    def start(self) -> AzureOnThisMachine:
        """Open the directory and answer requests."""
        self.data = data = StoredData(self.directory, strict=self._strict)
        self._server = LoopbackServer(self._port, self._callbacks)
        self._port = self._server.port
        received = self.directory / "received"
        artifacts = ArtifactService(data.artifacts, self._access, lambda: self.url, self._upload_url)
        history = RunHistory(
            data.runs, data.metrics, self._access.run_tokens, self.url, artifacts.log_addresses
        )
        routes = [
            *(Route("POST", path, Credential.INGESTION, self._track) for path in TRACKS),
            *FaultService(self.faults).routes(),
            *history.routes(),
            *artifacts.routes(),
            *MLflowArtifacts(data.runs, data.artifacts, self._access, lambda: self.url).routes(),
            *LoggedModels(data.runs, data.models).routes(),
            *ModelRegistry(data.models).routes(),
            *MLflowTracking(data.runs, data.metrics).routes(),
            *QueryService(received, strict=self._strict, limits=self._limits).routes(),
        ]
        self._gateway.open(routes, data.runs)
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop the servers, close all connections and files. The received data can still be read."""
        if self._server is None:
            return
        self._server.stop()
        if self._tls_server:
            self._tls_server.stop()
        self.faults.clear()
        self._tls_server = None
        self.data.close()

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
        """The address `http://127.0.0.1:<port>`. Raises RuntimeError before the first start."""
        if self._server is None:
            raise RuntimeError("not started: use start() or a with statement")
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def routes(self) -> list[Route]:
        """All operations of all services with the tokens that they require. Empty before the first start."""
        return list(self._gateway.routes)

    @property
    def ingestion_endpoint(self) -> str:
        """The address of ingestion with its token. Envelopes are posted to `<address>/v2.1/track`."""
        return self._address(Credential.INGESTION)

    @property
    def query_endpoint(self) -> str:
        """The address of the query service with its token, for `endpoint=` or AMLLOG_QUERY_ENDPOINT."""
        return self._address(Credential.QUERY)

    @property
    def faults_url(self) -> str:
        """The address, with its token, at which GET lists the faults and PUT replaces them. Jobs do not get it."""
        return f"{self._address(Credential.FAULTS)}/faults"

    @property
    def connection_string(self) -> str:
        """The connection string of Application Insights. The path of its addresses is the token of ingestion."""
        return self._connection_string(self.ingestion_endpoint)

    def _connection_string(self, address: str) -> str:
        address = f"{address}/"
        return f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={address};LiveEndpoint={address}"

    def run_token(self, run_id: str, seconds: float = job_environment.TOKEN_SECONDS) -> str:
        """Return a run token that expires after `seconds`, for run history, metrics and artifacts."""
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
        """Register the run and its missing ancestors, and return the environment variables of a job of it.

        In a child process with these variables, azureml-core's `Run.get_context()` is online and can upload files,
        MLflow logs to the same run, and `APPLICATIONINSIGHTS_CONNECTION_STRING` is set. `REQUESTS_CA_BUNDLE` names the
        file of `authorities` and ours.
        """
        from urllib.request import getproxies  # slow to import

        self.data.runs.add_job(run_id, step_name, experiment_name, parent_run_id, root_run_id)
        self._upload_url()
        return {
            **job_environment.variables(
                self.data.runs.get(run_id),
                self.url,
                self._address(Credential.DISCOVERY),
                self._access.run_tokens,
            ),
            **job_environment.no_proxy(getproxies()),
            "APPLICATIONINSIGHTS_CONNECTION_STRING": self._connection_string(
                self.url + self._access.ingestion_path(run_id)
                if self._on_envelopes
                else self.ingestion_endpoint
            ),
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
            "REQUESTS_CA_BUNDLE": str(self._bundle),
        }

    @property
    def envelopes(self) -> list[Envelope]:
        """The accepted envelopes in the order of arrival, read from `received/`."""
        return list(read_lines((self.directory / "received").glob("*.jsonl")))

    @property
    def runs(self) -> dict[str, Run]:
        """All runs of run history by id."""
        return {run["runId"]: run for run in self.data.runs.all()}

    def metrics(self, run_id: str) -> list[Metric]:
        """Return the metrics of a run as they were posted."""
        return self.data.metrics.of_run(run_id)

    def values(self, run_id: str) -> dict[str, list[Any]]:
        """Return the metrics of a run by name: numbers for scalars and lists, dictionaries for rows and tables."""
        return {name: self.data.values(run_id, name) for name in self.data.metrics.names(run_id)}

    def tags(self, run_id: str) -> dict[str, str]:
        """Return the tags of a run."""
        return dict(self.data.runs.get(run_id)["tags"])

    def artifacts(self, run_id: str) -> dict[str, Artifact]:
        """Return the artifacts of a run by name. `.file` is the path of the bytes."""
        return self.data.artifacts_of(run_id)

    @property
    def _bundle(self) -> Path:
        return self.directory / "ca-bundle.pem"

    def _address(self, need: Credential) -> str:
        return self.url + self._access.path(need)

    def _upload_url(self) -> str:
        """Return the address of the TLS server, which is started on first use."""
        with self._lock:
            if self._tls_server is None:
                self._tls_server = LoopbackServer(
                    0, self._callbacks, certificate.create_context(self._bundle, self._authorities)
                )
                self._tls_server.start()
        return f"https://this-machine.blob.local@127.0.0.1:{self._tls_server.port}"

    def _track(self, request: Request, names: Names) -> Response:
        now = datetime.now(timezone.utc)
        item_fault = request.fault.verdict if request.fault else None
        content_type = request.headers.get("content-type", "application/json")
        result = track(request.body, content_type, now, strict=self._strict, fault=item_fault)
        self.data.received.append(with_time_and_key_first(envelope) for envelope in result.accepted)
        if self._on_envelopes and result.accepted:
            self._on_envelopes(request.run_id, result.accepted)
        return Response.from_value(result.reply, result.status)
