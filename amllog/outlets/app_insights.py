"""Application Insights: the AzureLogHandler on the root logger, and the sending of batches.

In: stdlib records (the handler hands them on), journal lines (from the courier). Out: envelopes at the ingestion
service over one kept connection; a verdict for each. The only room that touches OpenCensus and requests.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from amllog.delivery import Answer, Verdict, refused, waiting
from amllog.outlets import ingestion
from amllog.record import MAX_AGE_SECONDS, key_of, time_of, timestamp
from amllog.values import ConnectionString

MAX_REDIRECTS = 5
CONNECT_SECONDS = 5.0
SCOPE = "https://monitor.azure.com//.default"  # the double slash is the service's


class AppInsights:
    """The outlet: posts journal lines, as they are, to one resource's ingestion endpoint."""

    name = "app_insights"
    max_records = 5_000
    max_bytes = 4 * 1024 * 1024

    def __init__(
        self, target: ConnectionString, *, credential: Any = None, since: float | None = None
    ) -> None:
        """`since`: lines from this time on that were written before any key was known belong to us as well."""
        self._key = target.instrumentation_key.encode("ascii")
        self._endpoint = target.endpoint
        self._credential = credential
        self._since = None if since is None else timestamp(since)
        self._session: Any = None

    def wants(self, line: bytes) -> bool:
        """Whether the line is addressed to our resource."""
        key = key_of(line)
        if key == self._key:
            return True
        return key == b"" and self._since is not None and time_of(line) >= self._since

    def offer(self, lines: Sequence[bytes], seconds: float) -> Answer:
        """Send the lines; those that the service would refuse for their age are not sent at all."""
        oldest = timestamp(time.time() - MAX_AGE_SECONDS)
        odd: dict[int, Verdict] = {}
        fresh = list(range(len(lines)))
        if any(time_of(line) < oldest for line in lines):
            odd = {index: refused(ingestion.TOO_OLD) for index in fresh if time_of(lines[index]) < oldest}
            fresh = [index for index in fresh if index not in odd]
        pause = self._send(lines, fresh, odd, time.monotonic() + seconds)
        return Answer(odd=odd, pause_seconds=pause)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _send(
        self, lines: Sequence[bytes], part: list[int], odd: dict[int, Verdict], deadline: float
    ) -> float:
        """Post `part` of `lines`, in halves where one item spoils the rest; fills `odd`; seconds to pause."""
        if not part:
            return 0.0
        answer = self._post([lines[index] for index in part], deadline)
        if answer is ingestion.SPLIT:
            middle = len(part) // 2
            pauses = [self._send(lines, half, odd, deadline) for half in (part[:middle], part[middle:])]
            return max(pauses)
        assert isinstance(answer, Answer)
        for place, index in enumerate(part):
            verdict = answer.odd.get(place, answer.default)
            if verdict.state != "delivered":
                odd[index] = verdict
        return answer.pause_seconds

    def _post(self, lines: Sequence[bytes], deadline: float) -> Answer | str:
        import requests  # already loaded by the handler's own package

        left = deadline - time.monotonic()
        if left <= 0:
            return Answer(waiting("no time left"))
        url = self._endpoint + ingestion.PATH
        data = ingestion.body(lines, self._key)
        try:
            headers = {**ingestion.HEADERS, **self._authorization()}
            for _ in range(MAX_REDIRECTS):
                response = self._connection().post(
                    url,
                    data=data,
                    headers=headers,
                    timeout=(min(CONNECT_SECONDS, left), max(0.1, left)),
                    allow_redirects=False,
                )
                location = response.headers.get("location", "")
                if response.status_code not in (307, 308):
                    return ingestion.judge(
                        response.status_code, response.headers, response.content, len(lines)
                    )
                if not ingestion.may_follow(url, location):
                    return Answer(waiting("redirect to another host, not followed"), pause_seconds=60.0)
                url = location
            return Answer(waiting("too many redirects"), pause_seconds=60.0)
        except requests.Timeout:
            return Answer(waiting("timeout"))
        except requests.RequestException as error:
            return Answer(waiting(_reason(error)))

    def _connection(self) -> Any:
        if self._session is None:
            import requests

            self._session = requests.Session()
        return self._session

    def _authorization(self) -> dict[str, str]:
        if self._credential is None:
            return {}
        return {"Authorization": f"Bearer {self._credential.get_token(SCOPE).token}"}


def make_handler(
    take: Callable[[logging.LogRecord], None],
    flush: Callable[[float], object],
    target: ConnectionString,
) -> logging.Handler:
    """The one handler for the root logger: an AzureLogHandler by type, whose queue is the journal.

    Its options, filters, level and telemetry processors are those of the stock one; it has no queue, thread or
    storage of its own, and outlives `close()`, which other libraries' `dictConfig` calls.
    """
    from opencensus.ext.azure.common import Options
    from opencensus.ext.azure.common.protocol import BaseObject
    from opencensus.ext.azure.log_exporter import AzureLogHandler

    class JournalingAzureLogHandler(AzureLogHandler):  # type: ignore[misc]  # OpenCensus has no types
        """Hands each record to amllog's intake; amllog's courier does the sending."""

        def __init__(self) -> None:
            logging.Handler.__init__(self)
            # Not Options(…): its own parser refuses strings that the portal gives, and reads the environment.
            self.options = Options.__new__(Options)
            BaseObject.__init__(
                self.options, instrumentation_key=target.instrumentation_key, endpoint=target.endpoint
            )
            self.storage = None
            self._telemetry_processors: list[Callable[[Any], object]] = []

        def emit(self, record: logging.LogRecord) -> None:
            take(record)

        def flush(self, timeout: float | None = None) -> None:
            if (
                timeout
            ):  # without one it is logging.shutdown or dictConfig: everything is in the journal already
                flush(timeout)

        def close(self, timeout: float | None = None) -> None:
            """Nothing to close: the session ends with `amllog.shutdown()`."""

        def __repr__(self) -> str:
            return "<JournalingAzureLogHandler of amllog>"

    return JournalingAzureLogHandler()


class Processors:
    """Telemetry processors of our handler and of those that we stand in for, as live lists.

    They see OpenCensus' own objects (`envelope.data.baseData.properties`); one that raises is passed over, as the
    stock handler does.
    """

    def __init__(self) -> None:
        self._lists: list[list[Callable[[Any], object]]] = []

    def __bool__(self) -> bool:
        return any(self._lists)

    def follow(self, handler: logging.Handler) -> None:
        """Apply what is, or will be, added to this AzureLogHandler."""
        found = getattr(handler, "_telemetry_processors", None)
        if isinstance(found, list):
            self._lists.append(found)

    def __call__(self, envelope: dict[str, Any]) -> bool:
        """Run all over an envelope, in place; False if one of them wants it not to be sent."""
        from opencensus.ext.azure.common.protocol import BaseObject

        wrapped = _wrap(BaseObject, envelope)
        wanted = all(_passes(processor, wrapped) for found in self._lists for processor in found)
        envelope.clear()
        envelope.update(wrapped)
        return wanted


def _passes(processor: Callable[[Any], object], envelope: Any) -> bool:
    try:
        return processor(envelope) is not False
    except Exception as error:  # said through logging, as by the stock handler; the record goes on
        logging.getLogger("opencensus.ext.azure").warning("Telemetry processor failed with: %s.", error)
        return True


def is_foreign(handler: logging.Handler, ours: logging.Handler | None) -> bool:
    """Whether `handler` is an AzureLogHandler that the script made itself."""
    module = sys.modules.get("opencensus.ext.azure.log_exporter")
    return module is not None and handler is not ours and isinstance(handler, module.AzureLogHandler)


def mute(handler: logging.Handler) -> None:
    """Let a handler pass nothing any more."""
    handler.addFilter(_nothing)


def _nothing(entry: logging.LogRecord) -> bool:
    return False


def target_of(handler: Any) -> ConnectionString:
    """Where an AzureLogHandler sends to."""
    options = handler.options
    return ConnectionString(options.instrumentation_key.lower(), options.endpoint.rstrip("/"))


def credential_of(handler: Any) -> Any:
    """The token credential an AzureLogHandler was given, or None."""
    return handler.options.credential


def _wrap(kind: Any, value: Any) -> Any:
    if isinstance(value, dict):
        wrapped = kind()
        for key, item in value.items():
            wrapped[key] = _wrap(kind, item) if key in ("data", "baseData") else item
        return wrapped
    return value


def _reason(error: Exception) -> str:
    """A transport error in a few words: the innermost reason, without addresses and objects."""
    text = str(error)
    for sign, reason in (
        ("Connection refused", "connection refused"),
        ("Name or service not known", "host not found"),
        ("name resolution", "host not found"),
        ("NameResolutionError", "host not found"),
        ("CERTIFICATE", "TLS certificate not accepted"),
        ("SSL", "TLS failure"),
        ("reset", "connection reset"),
        ("RemoteDisconnected", "connection closed by the far side"),
        ("IncompleteRead", "answer cut off"),
    ):
        if sign in text:
            return reason
    return type(error).__name__
