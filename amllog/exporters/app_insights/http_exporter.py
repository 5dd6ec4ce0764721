"""Application Insights: the sending of batches.

In: journal lines, from the courier. Out: the same bytes at the ingestion service, over one kept connection; a verdict
for each. The only room that touches requests.
"""

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
SCOPE = "https://monitor.azure.com//.default"  # the double slash is the service's


class AppInsightsExporter:
    """The outlet: posts journal lines, as they are, to one resource's ingestion endpoint."""

    name = APP_INSIGHTS
    # The service takes 64,000 items (its limits page). A batch costs a round trip whatever its size, and memory.
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
        """`since`: lines from this time on that were written before any key was known belong to us as well.

        `notice`: prints a text once, in the driver log.
        """
        self._key = target.instrumentation_key.encode("ascii")
        self._mark = b'"iKey":"' + self._key + b'"'
        self._endpoint = target.endpoint
        self._credential = credential
        self._asked: BackgroundCall | None = None  # for a token
        self._since = None if since is None else format_timestamp(since)
        self._notice = notice
        self._session: Any = None
        self._pid = 0

    def concerns(self, segment: Segment) -> bool:
        """Whether the segment is addressed to our resource, or to none yet and of our own time."""
        key = segment.key()
        return key == self._key or (not key and self.wants(segment.line_at(0)))

    def wants(self, line: bytes) -> bool:
        """Whether the line is addressed to our resource."""
        if line.startswith(self._mark, KEY_OFFSET):
            return True
        return instrumentation_key(line) == b"" and self._since is not None and read_time(line) >= self._since

    def counts(self, line: bytes) -> bool:
        """Whether the line counts in the account: also one for another resource, for which it waits."""
        return is_meant_for(APP_INSIGHTS, line)

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Send the lines; those that the service would refuse for their age are not sent at all."""
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
        """Post `part` of `lines`, in halves where one item spoils the rest; fills `exceptions`; seconds to pause."""
        if not part:
            return 0.0
        answer = self._post([lines[index] for index in part], deadline)
        if answer is ingestion_protocol.SPLIT:
            middle = len(part) // 2
            pauses = [
                self._send(lines, half, exceptions, deadline) for half in (part[:middle], part[middle:])
            ]
            return max(pauses)
        assert isinstance(answer, ExportResult)
        for place, index in enumerate(part):
            verdict = answer.exceptions.get(place, answer.default)
            if verdict.state != "delivered":
                exceptions[index] = verdict
        return answer.pause_seconds

    def _post(self, lines: Sequence[bytes], deadline: float) -> ExportResult | str:
        import requests  # already loaded by the handler's own package

        if time.monotonic() >= deadline:
            return ExportResult(waiting("no time left"))
        url = self._endpoint + ingestion_protocol.PATH
        data = ingestion_protocol.body(lines, self._key)
        try:
            headers = {**ingestion_protocol.HEADERS, **self._authorization(deadline - time.monotonic())}
            for _ in range(MAX_REDIRECTS):
                left = deadline - time.monotonic()
                if left <= 0:
                    return ExportResult(waiting("no time left"))
                response = self.connection().post(
                    url,
                    data=data,
                    headers=headers,
                    timeout=(min(CONNECT_SECONDS, left), max(0.1, left)),
                    allow_redirects=False,
                )
                if response.status_code not in (307, 308):
                    return ingestion_protocol.judge(
                        response.status_code, response.headers, response.content, len(lines)
                    )
                there = ingestion_protocol.redirected(url, response.headers.get("location", ""))
                if there is None:
                    return ExportResult(waiting("redirect to another host, not followed"), pause_seconds=60.0)
                url = there
            return ExportResult(waiting("too many redirects"), pause_seconds=60.0)
        except TimeoutError:  # of the credential: a request's is one of requests
            return ExportResult(waiting("the credential gives no token in time"))
        except requests.Timeout:
            return ExportResult(waiting("timeout"))
        except requests.RequestException as error:
            return ExportResult(waiting(_reason(error)))

    def connection(self) -> Any:
        """What posts, in the shape of a requests.Session: opened with the first batch, kept until `close()`."""
        if self._session is None or self._pid != os.getpid():  # a forked child must not speak on its parent's
            import requests

            self._pid = os.getpid()
            self._session = bound_responses(
                requests.Session(), self._notice, ingestion_protocol.MAX_ANSWER_BYTES
            )
        return self._session

    def _authorization(self, seconds: float) -> dict[str, str]:
        """The header with a token. Raises what the credential raises, or TimeoutError if it takes longer."""
        if self._credential is None:
            return {}
        asked = self._asked = self._asked or BackgroundCall(
            lambda: self._credential.get_token(SCOPE).token, or_here=True
        )
        try:
            return {"Authorization": f"Bearer {asked.result(seconds)}"}
        finally:
            if asked.over:  # else it goes on, and the next offer waits for it
                self._asked = None


def _reason(error: Exception) -> str:
    """A transport error in a few words: the innermost reason, without addresses and objects."""
    text = str(error)
    for sign, reason in (
        ("Connection refused", "connection refused"),
        ("timed out", "timeout"),
        ("Name or service not known", "host not found"),
        ("name resolution", "host not found"),
        ("NameResolutionError", "host not found"),
        ("CERTIFICATE", "TLS certificate not accepted"),
        ("SSL", "TLS failure"),
        ("reset", "connection reset"),
        ("descriptor", "the script closed the connection's descriptor"),
        ("RemoteDisconnected", "connection closed by the far side"),
        ("IncompleteRead", "answer cut off"),
    ):
        if sign in text:
            return reason
    return type(error).__name__
