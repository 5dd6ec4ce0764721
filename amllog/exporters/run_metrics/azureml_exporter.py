"""The outlet `run_metrics`: what the journal holds for run history, sent through azureml-core's own Run.

In: lines of the journal. Out: requests to run history, bounded in time, and a verdict per line.

Metrics go 45 to a request, the calls (tags, files, child runs) between them in their order. What the service refuses
as a whole is halved, so that one bad metric never takes its neighbours along.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from amllog.delivery.exporter import DELIVERED, ExportResult, Verdict, refused, waiting
from amllog.exporters.app_insights.ingestion_protocol import pause_seconds
from amllog.exporters.http_deadline import CONNECT_SECONDS
from amllog.exporters.run_metrics import azureml_sdk, metric_lines
from amllog.exporters.run_metrics.azureml_calls import Target, perform
from amllog.exporters.run_metrics.azureml_errors import response_of, without_answer
from amllog.exporters.run_metrics.metric_lines import Call, MetricPost
from amllog.journal import artifact_copies
from amllog.journal.outlets import RUN_METRICS, is_meant_for
from amllog.journal.segment import Segment

BATCH = 45  # metrics of one request: the service's 50, less azureml's own cushion
PAUSE_SECONDS = 5.0  # while there is no run to send to


class Known(NamedTuple):
    """What an outlet keeps from offer to offer."""

    runs: dict[str, Any]  # by id: those that calls were for, besides the own
    addresses: dict[str, str]  # of uploads that are under way


class AzureMLExporter:
    """The outlet `run_metrics`, by way of azureml. It sends records for run history through a run's own clients.

    `directory`: of the journal, which has copies of the files that lines name. `directories`: if the journal may move.
    `run`: azureml's online run, or None. Without one, `connect` is called as long as records wait, with the seconds
    that it may take.
    """

    name = RUN_METRICS
    max_records = 450
    max_bytes = 4 * 1024 * 1024

    def __init__(
        self,
        directory: str | Path,
        run: Any = None,
        connect: Callable[[float], Any] | None = None,
        directories: artifact_copies.Directories | None = None,
    ) -> None:
        self._directories = directories or (lambda: [Path(directory)])
        self._run: Any = None
        self._post: azureml_sdk.MetricPost | None = None
        self._known = Known({}, {})
        self._connect = connect
        if run is not None:
            self.attach(run)

    def attach(self, run: Any) -> None:
        """Send through this run from now on."""
        self._run = azureml_sdk.private(run)
        self._post = azureml_sdk.poster(self._run)

    def concerns(self, segment: Segment) -> bool:
        """Every segment: run metrics carry their run's id."""
        return True

    def wants(self, line: bytes) -> bool:
        """Whether the line is meant for run history."""
        return is_meant_for(RUN_METRICS, line)

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Post the metrics, 45 at a time, and perform the calls, in their order."""
        deadline = time.monotonic() + seconds
        if self._run is None and self._connect is not None:
            run = self._connect(min(seconds, CONNECT_SECONDS))
            if run is not None:
                self.attach(run)
        if self._run is None:
            return ExportResult(waiting("run history was not reached yet"), pause_seconds=PAUSE_SECONDS)
        return _Offer(self._run, self._post, self._known, self._directories, deadline).of(lines)

    def close(self) -> None:
        """Let go of connections."""
        if self._post is not None:
            azureml_sdk.close(self._run)


class _Offer:
    """One batch of lines on its way: what became of each, and whether to go on."""

    def __init__(
        self,
        run: Any,
        post: azureml_sdk.MetricPost | None,
        known: Known,
        directories: artifact_copies.Directories,
        deadline: float,
    ) -> None:
        self.run, self.post, self.known = run, post, known
        self.directories, self.deadline = directories, deadline
        self.verdicts: dict[int, Verdict] = {}
        self.pause_seconds = 0.0
        self.trouble: Verdict | None = None  # of the service as a whole: nothing more is tried
        self.held: set[str] = set()  # runs that could not be begun yet
        self.calls_held: Verdict | None = None  # calls keep their order

    def of(self, lines: Sequence[bytes]) -> ExportResult:
        pending: dict[str, list[tuple[int, MetricPost]]] = {}
        for index, line in enumerate(lines):
            wish = metric_lines.decode(line)
            if wish is None:
                self.verdicts[index] = refused("not readable as a run metric")
            elif isinstance(wish, MetricPost):
                post = metric_lines.within_limits(wish)
                pending.setdefault(post.run_id or self.run.id, []).append((index, post))
            else:
                self._post_all(pending)
                pending = {}
                self.verdicts[index] = self._call(wish)
        self._post_all(pending)
        exceptions = {index: verdict for index, verdict in self.verdicts.items() if verdict is not DELIVERED}
        return ExportResult(exceptions=exceptions, pause_seconds=self.pause_seconds)

    def _post_all(self, pending: Mapping[str, list[tuple[int, MetricPost]]]) -> None:
        for run_id, numbered in pending.items():
            for start in range(0, len(numbered), BATCH):
                self._post(run_id, numbered[start : start + BATCH])

    def _post(self, run_id: str, numbered: list[tuple[int, MetricPost]]) -> None:
        """Post some metrics; halved where the service refuses the whole, so that a bad one goes alone."""
        left = self.deadline - time.monotonic()
        if run_id in self.held or self.trouble or left <= 0:
            verdict = self.trouble or waiting(
                "the run is not begun yet" if run_id in self.held else "no time left"
            )
            self.verdicts.update((index, verdict) for index, _ in numbered)
            return
        try:
            errors = self._send(run_id, [post for _, post in numbered], left)
        except Exception as error:  # whatever the far side does: the verdict says it
            self._failed(run_id, numbered, error)
            return
        reasons = metric_lines.refusals([post for _, post in numbered], errors)
        for position, (index, _) in enumerate(numbered):
            self.verdicts[index] = refused(reasons[position]) if position in reasons else DELIVERED

    def _failed(self, run_id: str, numbered: list[tuple[int, MetricPost]], error: Exception) -> None:
        verdict, status = self._verdict(error, run_id)
        # Refused before it was sent: by msrest, for instance. Public methods may have logged a part.
        unsent = status is None and verdict.state == "refused" and self.post is not None
        if (unsent or status in metric_lines.SPLIT) and len(numbered) > 1:
            self._post(run_id, numbered[: len(numbered) // 2])
            self._post(run_id, numbered[len(numbered) // 2 :])
            return
        if verdict.state == "waiting":
            self.trouble = verdict
        self.verdicts.update((index, verdict) for index, _ in numbered)

    def _send(self, run_id: str, posts: Sequence[MetricPost], seconds: float) -> Sequence[Any]:
        if self.post is None:
            azureml_sdk.log_publicly(self.run, run_id, posts, seconds)
            return []
        reply = self.post(run_id, posts, seconds)
        if not reply.content:
            return []
        try:
            errors = (reply.json() or {}).get("errors") or []
        except (ValueError, AttributeError) as error:  # some proxy's page: nobody knows whether it arrived
            raise ConnectionError("unreadable answer") from error
        return errors if isinstance(errors, list) else []

    def _call(self, call: Call) -> Verdict:
        run_id, seconds = call.run_id or self.run.id, self.deadline - time.monotonic()
        if self.trouble or self.calls_held or run_id in self.held or seconds <= 0:
            return self.trouble or self.calls_held or waiting("an earlier call waits")
        azureml_sdk.bound(self.run, seconds)
        addresses = self.known.addresses
        try:
            run = self._find(run_id)
            find, post = self._find, self._post_one
            perform(Target(run, run is self.run, self.directories, addresses, seconds, find, post), call)
        except Exception as error:  # as above
            # A file's own 403 and 404 are the storage's, and final: its address is given once.
            verdict, _ = self._verdict(error, "" if call.file else run_id)
            if verdict.state == "refused" and call.file:
                addresses.pop(call.record_id, None)
                artifact_copies.delete_copy(self.directories(), call.file)
            elif verdict.state == "waiting" and not isinstance(error, artifact_copies.CopyBusy):
                self.calls_held = verdict
                self.held.add(str(call.data.get("child")))
            return verdict
        return DELIVERED

    def _find(self, run_id: str) -> Any:
        if run_id == self.run.id:
            return self.run
        if run_id not in self.known.runs:
            self.known.runs[run_id] = azureml_sdk.other(self.run, run_id)
        return self.known.runs[run_id]

    def _post_one(self, post: MetricPost) -> None:
        errors = self._send(post.run_id or self.run.id, [post], max(1.0, self.deadline - time.monotonic()))
        if errors:
            raise _Refused(metric_lines.refusals([post], errors).get(0) or "run history: no reason given")

    def _verdict(self, error: Exception, run_id: str) -> tuple[Verdict, int | None]:
        """What an error means for what was sent to `run_id`, and the answer's status if there was one."""
        if isinstance(error, _Refused):
            return refused(str(error)), None
        response = response_of(error)
        if response is None:
            return without_answer(error), None
        status = int(response.status_code)
        # Whoever may write to the own run may do so again: a network rule, a gateway, a role that is being changed.
        outage = (status == 403 and run_id) or (status == 404 and run_id == self.run.id)
        if outage or status < 400 or status in metric_lines.RETRIED or status >= 500:
            self.pause_seconds = max(self.pause_seconds, pause_seconds(response.headers))
            return waiting(f"run history: {status}"), status
        try:
            body = response.json()
        except (ValueError, AttributeError):
            body = None
        return refused(metric_lines.reason(body, status)), status


class _Refused(Exception):
    """The service refused a metric that belongs to a call."""
