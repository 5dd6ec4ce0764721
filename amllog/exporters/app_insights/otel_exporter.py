"""Application Insights by way of the Azure Monitor OpenTelemetry exporter: its client, our journal and our verdicts.

In: journal lines (from the courier). Out: the same bytes at the ingestion service, through the exporter's own
pipeline (its authentication, proxies and user agent), and a verdict for each.

A journal line already is the envelope that the exporter would make, so it is posted as it is: the exporter's model
classes could only lose something. The exporter's storage, retries, statistics and remote settings never start: the
journal, the courier and the account stand in their place (docs/decisions/0009-opentelemetry-and-mlflow-outlets.md).
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
    """The outlet of Application Insights that posts through the OpenTelemetry exporter's client.

    Raises AmllogError if the installed exporter has no client that takes a request.
    """

    def __init__(
        self,
        target: ConnectionString,
        *,
        credential: Any = None,
        since: float | None = None,
        notice: Notice | None = None,
    ) -> None:
        # No credential: the pipeline authorizes, not our own headers.
        super().__init__(target, since=since, notice=notice)
        self._target, self._identity = target, credential
        self._session: Any = _Pipeline(_client(target, credential, notice))
        self._pid = os.getpid()

    def connection(self) -> Any:
        """The exporter's pipeline; opened anew after `close()`, and in a forked child."""
        if self._session is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._session = _Pipeline(_client(self._target, self._identity, self._notice))
        return self._session


class _Answer(NamedTuple):
    """The parts of an answer that verdicts are made from, as requests has them."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _Pipeline:
    """The exporter's client in the shape of a requests.Session."""

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
    ) -> _Answer:
        """Post; raises what requests raises, of which azure-core's transport is made. Never redirects by itself."""
        import requests
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
        from azure.core.rest import HttpRequest

        request = HttpRequest("POST", url, headers=dict(headers), content=data)
        connect, read = timeout
        try:
            answer = self._client.send_request(
                request,
                stream=True,  # else the pipeline parses it, whatever it holds
                connection_timeout=connect,
                read_timeout=read,
            )
            answer.read()
        except HttpResponseError as error:
            if isinstance(error, ClientAuthenticationError) and error.response is None:
                return _Answer(401, {}, b"")  # the credential gave no token: the service was not even asked
            if error.response is None:
                raise requests.ConnectionError(str(error)) from error
            answer = error.response  # it came, but is not what the pipeline can read: a proxy's page
        except AzureError as error:
            late = "Timeout" in type(error).__name__
            raise (requests.Timeout if late else requests.ConnectionError)(str(error)) from error
        return _Answer(answer.status_code, answer.headers, answer.content)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _client(target: ConnectionString, credential: Any, notice: Notice | None) -> Any:
    """The exporter's own client, without the exporter around it.

    The exporter's constructor reads the environment's connection string whatever it is given, and fails on the
    trailing `;` that the portal gives; and it starts threads that report on it and ask for remote settings.
    """
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, SansIOHTTPPolicy
    from azure.core.pipeline.transport import RequestsTransport

    transport = RequestsTransport()
    transport.open()
    bound_responses(transport.session, notice, ingestion_protocol.MAX_ANSWER_BYTES)
    authorization = credential and BearerTokenCredentialPolicy(credential, SCOPE)
    try:
        from azure.monitor.opentelemetry.exporter._generated.exporter import AzureMonitorClient
    except ImportError as error:
        version = importlib.metadata.version(PACKAGE)
        raise AmllogError(
            f"{PACKAGE} {version} has no client that amllog can send through ({error}): 1.0.0b50 to 1.0.0b58 have;"
            " install one of them, or set exporter=opencensus"
        ) from error
    return AzureMonitorClient(
        host=target.endpoint,
        transport=transport,
        retry_total=0,
        permit_redirects=False,
        authentication_policy=authorization or SansIOHTTPPolicy(),
        http_logging_policy=SansIOHTTPPolicy(),  # else two lines per request in the script's own log
    )
