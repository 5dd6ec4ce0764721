"""Post batches of journal lines to Application Insights with `requests`, over one kept connection."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.delivery.exporter import ExportResult, Verdict, refused, waiting
from amllog.exporters.app_insights import ingestion_protocol
from amllog.exporters.http_deadline import CONNECT_SECONDS, bound_responses
from amllog.journal.outlets import APP_INSIGHTS, is_meant_for
from amllog.journal.segment import Segment
from amllog.process.background import BackgroundCall
from amllog.record.envelope import (
    KEY_OFFSET,
    MAX_AGE_SECONDS,
    TIME_SLICE,
    format_timestamp,
    instrumentation_key,
    read_time,
)

MAX_REDIRECTS = 5
Notice = Callable[[str], object]
SCOPE = "https://monitor.azure.com//.default"  # the service requires the double slash


class AppInsightsExporter:
    """The exporter that posts journal lines unchanged to the ingestion endpoint of one resource."""

    name = APP_INSIGHTS
    # The service accepts 64,000 items (its limits page). A larger batch saves round trips, but needs more memory.
    max_records = 8_000
    max_bytes = 7 * 1024 * 1024

    def __init__(
        self,
        target: ConnectionString,
        *,
        credential: Any = None,
        since: float | None = None,
        notice: Notice | None = None,
    ) -> None:
        """Create the exporter for one resource.

        `credential`: of azure.identity, if the resource requires tokens. `since`: lines without a key from this time on
        are sent to this resource too. They were written before a key was known. `notice`: prints a message once.
        """
        self._key = target.instrumentation_key.encode("ascii")
        self._key_member = b'"iKey":"' + self._key + b'"'
        self._endpoint = target.endpoint
        self._credential = credential
        self._token_call: BackgroundCall | None = None
        self._since = None if since is None else format_timestamp(since)
        self._notice = notice
        self._session: Any = None
        self._pid = 0

    def concerns(self, segment: Segment) -> bool:
        """Return whether the segment is for this resource, or was written without a key since `since`."""
        key = segment.key()
        return key == self._key or (not key and self.wants(segment.line_at(0)))

    def wants(self, line: bytes) -> bool:
        """Return whether the line is for this resource."""
        if line.startswith(self._key_member, KEY_OFFSET):
            return True
        return instrumentation_key(line) == b"" and self._since is not None and read_time(line) >= self._since

    def counts(self, line: bytes) -> bool:
        """Return whether the account counts the line. A line for another resource counts as waiting."""
        return is_meant_for(APP_INSIGHTS, line)

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Send the lines, except those that the service would reject because of their age."""
        oldest = format_timestamp(time.time() - MAX_AGE_SECONDS).encode()
        too_old = [index for index, line in enumerate(lines) if line[TIME_SLICE] < oldest]
        exceptions = dict.fromkeys(too_old, refused(ingestion_protocol.TOO_OLD))
        fresh = [index for index in range(len(lines)) if index not in exceptions]
        pause = self._send(lines, fresh, exceptions, time.monotonic() + seconds)
        return ExportResult(exceptions=exceptions, pause_seconds=pause)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _send(
        self, lines: Sequence[bytes], part: list[int], exceptions: dict[int, Verdict], deadline: float
    ) -> float:
        """Post the lines with the indexes `part`. Add verdicts to `exceptions`, and return the seconds to pause.

        A rejected request is repeated in halves, until the invalid lines are found.
        """
        if not part:
            return 0.0
        result = self._post([lines[index] for index in part], deadline)
        if result is ingestion_protocol.SPLIT:
            middle = len(part) // 2
            pauses = [
                self._send(lines, half, exceptions, deadline) for half in (part[:middle], part[middle:])
            ]
            return max(pauses)
        assert isinstance(result, ExportResult)
        for position, index in enumerate(part):
            verdict = result.exceptions.get(position, result.default)
            if verdict.state != "delivered":
                exceptions[index] = verdict
        return result.pause_seconds

    def _post(self, lines: Sequence[bytes], deadline: float) -> ExportResult | str:
        import requests  # already loaded by the package of the handler

        if time.monotonic() >= deadline:
            return ExportResult(waiting("no time left"))
        url = self._endpoint + ingestion_protocol.PATH
        data = ingestion_protocol.request_body(lines, self._key)
        try:
            headers = {**ingestion_protocol.HEADERS, **self._authorization(deadline - time.monotonic())}
            for _ in range(MAX_REDIRECTS):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return ExportResult(waiting("no time left"))
                response = self.session().post(
                    url,
                    data=data,
                    headers=headers,
                    timeout=(min(CONNECT_SECONDS, remaining), max(0.1, remaining)),
                    allow_redirects=False,
                )
                if response.status_code not in (307, 308):
                    return ingestion_protocol.parse_response(
                        response.status_code, response.headers, response.content, len(lines)
                    )
                target = ingestion_protocol.redirect_target(url, response.headers.get("location", ""))
                if target is None:
                    return ExportResult(waiting("redirect to another host, not followed"), pause_seconds=60.0)
                url = target
            return ExportResult(waiting("too many redirects"), pause_seconds=60.0)
        except TimeoutError:  # from the credential, because requests has separate exceptions
            return ExportResult(waiting("the credential returned no token in time"))
        except requests.Timeout:
            return ExportResult(waiting("timeout"))
        except requests.RequestException as error:
            return ExportResult(waiting(_reason(error)))

    def session(self) -> Any:
        """The session, with the interface of requests.Session. Opened for the first batch, closed by `close()`."""
        # A forked child must not use its parent's connection.
        if self._session is None or self._pid != os.getpid():
            import requests

            self._pid = os.getpid()
            self._session = bound_responses(
                requests.Session(), self._notice, ingestion_protocol.MAX_RESPONSE_BYTES
            )
        return self._session

    def _authorization(self, seconds: float) -> dict[str, str]:
        """Return the header with a token. Raises errors of the credential, and TimeoutError after `seconds`."""
        if self._credential is None:
            return {}
        call = self._token_call = self._token_call or BackgroundCall(
            lambda: self._credential.get_token(SCOPE).token, or_here=True
        )
        try:
            return {"Authorization": f"Bearer {call.result(seconds)}"}
        finally:
            if call.over:  # otherwise it continues, and the next export waits for it
                self._token_call = None


def _reason(error: Exception) -> str:
    """Return the innermost reason of a transport error in a few words, without addresses and objects."""
    message = str(error)
    for part, reason in (
        ("Connection refused", "connection refused"),
        ("timed out", "timeout"),
        ("Name or service not known", "host not found"),
        ("name resolution", "host not found"),
        ("NameResolutionError", "host not found"),
        ("CERTIFICATE", "TLS certificate not accepted"),
        ("SSL", "TLS failure"),
        ("reset", "connection reset"),
        ("descriptor", "the script closed the connection's descriptor"),
        ("RemoteDisconnected", "connection closed by the service"),
        ("IncompleteRead", "response cut off"),
    ):
        if part in message:
            return reason
    return type(error).__name__
