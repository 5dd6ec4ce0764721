"""Send one KQL query to the service through azure-monitor-query's client, with retries and limits of time and size.

If the service is busy, the query is sent again for a limited time. Nothing is imported and no token is requested before
the first query. Raises only errors of amllog.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import count
from typing import Any, NamedTuple

from amllog.config.variables import QUERY_ENDPOINT
from amllog.errors import MissingExtraError, ServiceError, UsageError
from amllog.insights.stores.service import responses
from amllog.insights.stores.service.credentials import CheckedCredential, default_credential, no_token
from amllog.insights.stores.service.rate_limit import SHARED, RateLimit
from amllog.insights.stores.service.responses import QueryResponse
from amllog.insights.stores.service.scope import Scope
from amllog.process.released_locks import releasing
from amllog.record import response_body
from amllog.record.error_cause import cause
from amllog.record.retry_after import retry_after_seconds

RETRY_SECONDS = 120.0
SERVER_TIMEOUT_SECONDS, MAX_SERVER_TIMEOUT_SECONDS = 180, 600  # the service's own default and maximum
_CONNECT_SECONDS, _GRACE_SECONDS = 20, 30
_MAX_ATTEMPTS = 6
# The service limits a response to 64 MB of compressed rows and 100 MB in all.
MAX_RESPONSE_BYTES = 128 * 1024 * 1024
_HOUR_SECONDS = 3600


class Token(NamedTuple):
    """A token in the form that azure-core expects."""

    token: str
    expires_on: int


class LoopbackCredential:
    """The credential for a query service on loopback, which is not one of Azure."""

    def get_token(self, *scopes: str, **options: Any) -> Token:
        """Return a token that Azure does not accept."""
        return Token("this-machine", int(datetime.now(timezone.utc).timestamp()) + _HOUR_SECONDS)


class QueryClient:
    """A client of the query service for one scope.

    `retry_seconds`: the time for which a query is tried again if the service is busy. `server_timeout_seconds`: the
    service's own limit of one query.
    """

    def __init__(
        self,
        scope: Scope,
        credential: Any = None,
        *,
        server_timeout_seconds: int = SERVER_TIMEOUT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        rate_limit: RateLimit | None = None,
    ) -> None:
        if not 1 <= server_timeout_seconds <= MAX_SERVER_TIMEOUT_SECONDS:
            raise UsageError(
                f"server_timeout_seconds={server_timeout_seconds!r}: 1 to {MAX_SERVER_TIMEOUT_SECONDS}"
            )
        self.scope = scope
        # Azure counts requests by user, for all stores of a process. A service on loopback counts none.
        default_limit = RateLimit() if scope.is_loopback else SHARED
        self._credential, self._rate_limit = credential, rate_limit or default_limit
        self._server_timeout_seconds, self._retry_seconds = server_timeout_seconds, retry_seconds
        self._lock = threading.RLock()
        self._client: Any = None

    def query(self, kql: str, timespan: str | None) -> QueryResponse:
        """Send a query and return the response. `timespan`: ISO 8601, or None for all data of the service.

        Raises ServiceError if the service is busy for longer than `retry_seconds`.
        """
        remaining = self._retry_seconds
        for attempt in count(1):
            with self._rate_limit.slot():
                status, headers, body, error = self._send({"query": kql, "timespan": timespan})
            if status not in responses.RETRYABLE:
                return responses.parse_response(status, body, self.scope)
            retry_after = retry_after_seconds(headers)
            delay = 2.0 ** (attempt - 1) if retry_after is None else retry_after
            if delay > remaining or attempt >= _MAX_ATTEMPTS:
                break
            remaining -= delay
            self._rate_limit.sleep(delay)
        status_text = "disconnected" if status == responses.DISCONNECTED else f"HTTP {status}"
        status_text += f", Retry-After: {retry_after:g} s" if retry_after is not None else ""
        attempts = "1 attempt" if attempt == 1 else f"{attempt} attempts"
        reason = error or responses.message_of(body)
        reason = f". The error was: {reason}" if reason else ""
        raise ServiceError(
            f"the query service is not available ({status_text}, {attempts}): try again later. "
            f"It accepts 5 queries at once and 200 in 30 s from each user{reason}"
        )

    def _send(self, body: dict[str, Any]) -> tuple[int, dict[str, str], str, str]:
        """Return status, headers and body of the response to one request, and the error if there is no response."""
        client = self._connect()
        from azure.core.exceptions import (
            AzureError,
            ClientAuthenticationError,
            ServiceRequestError,
        )
        from azure.core.rest import HttpRequest

        request = HttpRequest(
            "POST",
            f"{self.scope.path}/query",
            json=body,
            headers={
                "Prefer": f"wait={self._server_timeout_seconds}",
                "Accept": "application/json",
                "Accept-Encoding": response_body.ACCEPTED,
            },
        )
        try:
            response = client.send_request(
                request,
                stream=True,  # read below, up to a limit
                enforce_https=not self.scope.is_loopback,
                connection_timeout=_CONNECT_SECONDS,
                read_timeout=self._server_timeout_seconds + _GRACE_SECONDS,
            )
            with response:
                return response.status_code, dict(response.headers), _read_body(response), ""
        except ClientAuthenticationError as error:
            raise no_token(error, self.scope) from error
        except ServiceRequestError as error:
            raise ServiceError(
                f"{self.scope.endpoint} cannot be reached ({cause(error)}): check the network and "
                f"{QUERY_ENDPOINT}"
            ) from error
        except AzureError as error:
            if "timeout" in f"{type(error).__name__} {error}".lower() or "timed out" in str(error):
                return 504, {}, "", ""
            return responses.DISCONNECTED, {}, "", cause(error)

    @releasing("_lock")
    def _connect(self) -> Any:
        """Return the client. The first call creates it."""
        with self._lock:
            if self._client is None:
                try:
                    from azure.monitor.query import LogsQueryClient
                except ImportError:
                    raise MissingExtraError("azure-monitor-query", "insights") from None
                local = LoopbackCredential() if self.scope.is_loopback else None
                credential = self._credential or local or default_credential(self.scope)
                self._client = LogsQueryClient(
                    CheckedCredential(credential, self.scope),
                    endpoint=self.scope.endpoint,
                    audience=self.scope.audience,
                    retry_total=0,  # its own retries wait for any Retry-After, even an hour
                )
            return self._client


def _read_body(response: Any) -> str:
    """Read the body of a streamed response.

    Raises IncompleteReadError if bytes are missing, and ServiceError beyond the limit.
    """
    from azure.core.exceptions import IncompleteReadError

    headers, received, is_complete = response.headers, 0, False

    def chunks() -> Iterator[bytes]:
        nonlocal received, is_complete
        for chunk in response.iter_raw():
            received += len(chunk)
            yield chunk
        is_complete = True

    body = response_body.decode_body(chunks(), headers.get("Content-Encoding", ""), MAX_RESPONSE_BYTES)
    length = headers.get("Content-Length", "")
    # urllib3 before version 2 does not report a body that is too short.
    if is_complete and length.isdigit() and received < int(length):
        raise IncompleteReadError("the response is incomplete")
    if body is None:
        raise ServiceError(
            f"the response of the query service has more than {MAX_RESPONSE_BYTES:,} bytes or an unsupported encoding: "
            "use a shorter time range or fewer columns"
        )
    return body.decode("utf-8", "replace")
