"""Post batches to Application Insights through the client of the Azure Monitor OpenTelemetry exporter.

The client provides its authentication, proxies and user agent. A journal line is already the envelope that the exporter
would create, so it is posted unchanged: the model classes of the exporter could only lose data. Its storage, retries,
statistics and remote settings never start, because the journal, the delivery worker and the account replace them
(docs/decisions/0009-opentelemetry-and-mlflow-exporters.md).
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from amllog.config.parsers import ConnectionString
from amllog.errors import AmllogError
from amllog.exporters.app_insights import ingestion_protocol
from amllog.exporters.app_insights.http_exporter import SCOPE, AppInsightsExporter, Notice
from amllog.exporters.http_deadline import bound_responses

PACKAGE = "azure-monitor-opentelemetry-exporter"


class OpenTelemetryExporter(AppInsightsExporter):
    """The exporter for Application Insights that posts through the client of the OpenTelemetry exporter.

    Raises AmllogError if the installed package has no such client.
    """

    def __init__(
        self,
        target: ConnectionString,
        *,
        credential: Any = None,
        since: float | None = None,
        notice: Notice | None = None,
    ) -> None:
        # Without the credential, because the pipeline authorizes the requests.
        super().__init__(target, since=since, notice=notice)
        self._target, self._azure_credential = target, credential
        self._session: Any = _Pipeline(_client(target, credential, notice))
        self._pid = os.getpid()

    def session(self) -> Any:
        """The pipeline of the client. It is created again after `close()` and in a forked child."""
        if self._session is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._session = _Pipeline(_client(self._target, self._azure_credential, self._notice))
        return self._session


class _PipelineResponse(NamedTuple):
    """The parts of a response that determine the verdicts, with the names of requests."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _Pipeline:
    """The client with the interface of a requests.Session."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def post(
        self,
        url: str,
        *,
        data: bytes,
        headers: Mapping[str, str],
        timeout: tuple[float, float],
        allow_redirects: bool,
    ) -> _PipelineResponse:
        """Post the data without following redirects. Raises errors of requests, which is azure-core's transport."""
        import requests
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
        from azure.core.rest import HttpRequest

        request = HttpRequest("POST", url, headers=dict(headers), content=data)
        connect, read = timeout
        try:
            response = self._client.send_request(
                request,
                stream=True,  # otherwise the pipeline parses the response, even if it is not JSON
                connection_timeout=connect,
                read_timeout=read,
            )
            response.read()
        except HttpResponseError as error:
            if isinstance(error, ClientAuthenticationError) and error.response is None:
                # The credential returned no token, so nothing was sent.
                return _PipelineResponse(401, {}, b"")
            if error.response is None:
                raise requests.ConnectionError(str(error)) from error
            response = error.response  # not readable for the pipeline, for example the page of a proxy
        except AzureError as error:
            is_timeout = "Timeout" in type(error).__name__
            raise (requests.Timeout if is_timeout else requests.ConnectionError)(str(error)) from error
        return _PipelineResponse(response.status_code, response.headers, response.content)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _client(target: ConnectionString, credential: Any, notice: Notice | None) -> Any:
    """Return the client of the exporter without the exporter.

    The constructor of the exporter reads the connection string of the environment even if it gets another one. It fails
    on the trailing `;` that the portal adds. It also starts threads that send statistics and request remote settings.
    """
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, SansIOHTTPPolicy
    from azure.core.pipeline.transport import RequestsTransport

    transport = RequestsTransport()
    transport.open()
    bound_responses(transport.session, notice, ingestion_protocol.MAX_RESPONSE_BYTES)
    authorization = credential and BearerTokenCredentialPolicy(credential, SCOPE)
    try:
        from azure.monitor.opentelemetry.exporter._generated.exporter import AzureMonitorClient
    except ImportError as error:
        version = importlib.metadata.version(PACKAGE)
        raise AmllogError(
            f"{PACKAGE} {version} has no client that amllog can use ({error}): "
            "install a version from 1.0.0b50 to 1.0.0b58, or set exporter=opencensus"
        ) from error
    return AzureMonitorClient(
        host=target.endpoint,
        transport=transport,
        retry_total=0,
        permit_redirects=False,
        authentication_policy=authorization or SansIOHTTPPolicy(),
        http_logging_policy=SansIOHTTPPolicy(),  # otherwise the script's log gets two lines per request
    )
