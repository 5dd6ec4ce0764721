"""One KQL query to the query service, by way of azure-monitor-query's client: paced, patient, bounded.

In: a scope, KQL, a time range. Out: a `Reply`; errors of amllog only. Nothing is imported, and no token is asked for,
before the first query.
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
from amllog.insights.stores.service.rate_limit import SHARED, RateLimit
from amllog.insights.stores.service.responses import QueryResponse
from amllog.insights.stores.service.scope import Scope
from amllog.process.released_locks import releasing
from amllog.record import response_body
from amllog.record.retry_after import retry_after_seconds

RETRY_SECONDS = 120.0
SERVER_TIMEOUT_SECONDS, MAX_SERVER_TIMEOUT_SECONDS = 180, 600  # the service's own default and maximum
_CONNECT_SECONDS, _GRACE_SECONDS = 20, 30
_TURNS = 6
# The service's own limit of an answer is 64 MB of compressed rows and 100 MB in all.
MAX_ANSWER_BYTES = 128 * 1024 * 1024
_HOURS = 3600


class Token(NamedTuple):
    """A token as azure-core takes it."""

    token: str
    expires_on: int


class LoopbackCredential:
    """The credential for a query service on this machine: not one of Azure's."""

    def get_token(self, *scopes: str, **options: Any) -> Token:
        """A token that opens nothing."""
        return Token("this-machine", int(datetime.now(timezone.utc).timestamp()) + _HOURS)


class QueryClient:
    """Asks the service. `retry_seconds` is how long one query may wait where the service says "later"."""

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
        # Azure counts by user, for all of a process's stores; a service on this machine counts nobody.
        self._credential, self._rate_limit = (
            credential,
            rate_limit or (RateLimit() if scope.is_loopback else SHARED),
        )
        self._server_timeout_seconds, self._retry_seconds = server_timeout_seconds, retry_seconds
        self._lock = threading.RLock()
        self._client: Any = None

    def query(self, kql: str, timespan: str | None) -> QueryResponse:
        """The service's reply; `timespan` is ISO 8601, None for all that the service keeps."""
        left = self._retry_seconds
        for turn in count():
            with self._rate_limit.slot():
                status, headers, body = self._sent({"query": kql, "timespan": timespan})
            if status not in responses.RETRYABLE:
                return responses.parse_response(status, body, self.scope)
            asked = retry_after_seconds(headers)
            pause = 2.0**turn if asked is None else asked
            if pause > left or turn + 1 >= _TURNS:
                break
            left -= pause
            self._rate_limit.sleep(pause)
        told = "connections break off" if status == responses.DISCONNECTED else f"HTTP {status}"
        told += f"; it asks to wait {asked:g} s" if asked is not None else ""
        times = f"{turn + 1} times" if turn else "once"
        raise ServiceError(
            f"the query service does not answer now ({told}; asked {times}): ask again later. "
            "It takes 5 queries at once and 200 in 30 s from each user"
        )

    def _sent(self, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of one request."""
        client = self._connected()
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
            answer = client.send_request(
                request,
                stream=True,  # read below, up to a limit
                enforce_https=not self.scope.is_loopback,
                connection_timeout=_CONNECT_SECONDS,
                read_timeout=self._server_timeout_seconds + _GRACE_SECONDS,
            )
            with answer:
                return answer.status_code, dict(answer.headers), _text(answer)
        except ClientAuthenticationError as error:
            raise UsageError(
                f"no token for {self.scope}: az login, or give connect() a credential= ({_first(error)})"
            ) from error
        except ServiceRequestError as error:
            raise ServiceError(
                f"{self.scope.endpoint} is not reached ({_first(error)}): check the network and "
                f"{QUERY_ENDPOINT}"
            ) from error
        except AzureError as error:
            if "timeout" in f"{type(error).__name__} {error}".lower() or "timed out" in str(error):
                return 504, {}, ""
            return responses.DISCONNECTED, {}, ""

    @releasing("_lock")
    def _connected(self) -> Any:
        """The client, made once."""
        with self._lock:
            if self._client is None:
                try:
                    from azure.monitor.query import LogsQueryClient
                except ImportError:
                    raise MissingExtraError("azure-monitor-query", "insights") from None
                self._client = LogsQueryClient(
                    self._credential or (LoopbackCredential() if self.scope.is_loopback else _usual()),
                    endpoint=self.scope.endpoint,
                    audience=self.scope.audience,
                    retry_total=0,  # it would wait as long as the service says, be it an hour
                )
            return self._client


def _usual() -> Any:
    """Who we are, as azure-identity finds it out: variables, a managed identity, az login."""
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise MissingExtraError("azure-identity", "insights") from None
    return DefaultAzureCredential()


def _text(answer: Any) -> str:
    """The body of an answer that was not read yet. IncompleteReadError if bytes are missing, ServiceError beyond the
    limit."""
    from azure.core.exceptions import IncompleteReadError

    headers, arrived, ended = answer.headers, 0, False

    def pieces() -> Iterator[bytes]:
        nonlocal arrived, ended
        for piece in answer.iter_raw():
            arrived += len(piece)
            yield piece
        ended = True

    body = response_body.decode_body(pieces(), headers.get("Content-Encoding", ""), MAX_ANSWER_BYTES)
    announced = headers.get("Content-Length", "")
    if ended and announced.isdigit() and arrived < int(announced):  # urllib3 before 2 does not say so
        raise IncompleteReadError("the answer is cut off")
    if body is None:
        raise ServiceError(
            f"the answer of the query service has more than {MAX_ANSWER_BYTES:,} bytes, or an encoding that was not"
            " asked for: ask for less at once"
        )
    return body.decode("utf-8", "replace")


def _first(error: BaseException) -> str:
    """An error's first line."""
    return next(iter(str(error).splitlines()), type(error).__name__)
