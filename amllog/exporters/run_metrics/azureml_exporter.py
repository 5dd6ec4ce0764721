"""Export run metrics and calls to run history through azureml-core's `Run`, within the time limit of the export.

Metrics are sent 45 per request, with the calls (tags, files, child runs) between them in their order. A request that
the service rejects as a whole is repeated in halves, so that one invalid metric never affects the others.

If a request with metrics has to wait, the export sends nothing more. If a call has to wait, later calls wait, too,
because calls keep their order. Metrics continue then, except those of a child run that could not be created.
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
from amllog.exporters.run_metrics.azureml_errors import response_of, verdict_without_response
from amllog.exporters.run_metrics.metric_lines import Call, MetricPost
from amllog.journal import artifact_copies
from amllog.journal.outlets import RUN_METRICS, is_meant_for
from amllog.journal.segment import Segment

BATCH = 45  # metrics of one request: the 50 of the service, minus the margin that azureml keeps
PAUSE_SECONDS = 5.0  # between exports without a connected run


class _Cache(NamedTuple):
    """The data that an exporter keeps between exports."""

    runs: dict[str, Any]  # other runs with calls, by id
    addresses: dict[str, str]  # of unfinished uploads, by record id
    authorities: str  # the file of certificate authorities for uploads, or empty


class AzureMLExporter:
    """The exporter for the outlet `run_metrics` that uses azureml.

    `directory`: of the journal, which contains the copies of files that lines name. `directories`: for a journal that
    may move. `run`: azureml's online run, or None. Without a run, `connect` is called while records wait, with the
    seconds that it may take. `authorities`: a file of certificate authorities for uploads.
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
        authorities: str = "",
    ) -> None:
        self._directories = directories or (lambda: [Path(directory)])
        self._run: Any = None
        self._post: azureml_sdk.PostMetrics | None = None
        self._cache = _Cache({}, {}, authorities)
        self._connect = connect
        if run is not None:
            self.attach(run)

    def attach(self, run: Any) -> None:
        """Send records through this run from now on."""
        self._run = azureml_sdk.private_copy(run)
        self._post = azureml_sdk.metric_poster(self._run)

    def concerns(self, segment: Segment) -> bool:
        """Return True for every segment, because run metrics contain the id of their run."""
        return True

    def wants(self, line: bytes) -> bool:
        """Return whether the line is for run history."""
        return is_meant_for(RUN_METRICS, line)

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Post the metrics, 45 per request, and perform the calls, in their order."""
        deadline = time.monotonic() + seconds
        if self._run is None and self._connect is not None:
            run = self._connect(min(seconds, CONNECT_SECONDS))
            if run is not None:
                self.attach(run)
        if self._run is None:
            return ExportResult(waiting("run history was not reached yet"), pause_seconds=PAUSE_SECONDS)
        return _Export(self._run, self._post, self._cache, self._directories, deadline).run_all(lines)

    def close(self) -> None:
        """Close the connections."""
        if self._post is not None:
            azureml_sdk.close(self._run)


class _Export:
    """The export of one batch of lines, and the verdicts so far."""

    def __init__(
        self,
        run: Any,
        post: azureml_sdk.PostMetrics | None,
        cache: _Cache,
        directories: artifact_copies.Directories,
        deadline: float,
    ) -> None:
        self.run, self.post, self.cache = run, post, cache
        self.directories, self.deadline = directories, deadline
        self.verdicts: dict[int, Verdict] = {}
        self.pause_seconds = 0.0
        self.failure: Verdict | None = None  # of the service, after which nothing more is sent
        self.missing_runs: set[str] = set()  # child runs that could not be created yet
        self.waiting_call: Verdict | None = None  # later calls wait, too, because calls keep their order

    def run_all(self, lines: Sequence[bytes]) -> ExportResult:
        """Return the result for all lines."""
        pending: dict[str, list[tuple[int, MetricPost]]] = {}
        for index, line in enumerate(lines):
            entry = metric_lines.decode_metric_line(line)
            if entry is None:
                self.verdicts[index] = refused("not readable as a run metric")
            elif isinstance(entry, MetricPost):
                post = metric_lines.with_short_name(entry)
                pending.setdefault(post.run_id or self.run.id, []).append((index, post))
            else:
                self._post_all(pending)
                pending = {}
                self.verdicts[index] = self._call(entry)
        self._post_all(pending)
        exceptions = {index: verdict for index, verdict in self.verdicts.items() if verdict is not DELIVERED}
        return ExportResult(exceptions=exceptions, pause_seconds=self.pause_seconds)

    def _post_all(self, pending: Mapping[str, list[tuple[int, MetricPost]]]) -> None:
        for run_id, numbered in pending.items():
            for start in range(0, len(numbered), BATCH):
                self._post(run_id, numbered[start : start + BATCH])

    def _post(self, run_id: str, numbered: list[tuple[int, MetricPost]]) -> None:
        """Post metrics. If the service rejects the request, post them in halves, until the invalid one is alone."""
        remaining = self.deadline - time.monotonic()
        if run_id in self.missing_runs or self.failure or remaining <= 0:
            verdict = self.failure or waiting(
                "the run is not created yet" if run_id in self.missing_runs else "no time left"
            )
            self.verdicts.update((index, verdict) for index, _ in numbered)
            return
        try:
            errors = self._send(run_id, [post for _, post in numbered], remaining)
        except Exception as error:  # any error of azureml becomes a verdict
            self._failed(run_id, numbered, error)
            return
        reasons = metric_lines.rejected_posts([post for _, post in numbered], errors)
        for position, (index, _) in enumerate(numbered):
            self.verdicts[index] = refused(reasons[position]) if position in reasons else DELIVERED

    def _failed(self, run_id: str, numbered: list[tuple[int, MetricPost]], error: Exception) -> None:
        verdict, status = self._verdict(error, run_id)
        # msrest, for example, rejects a request before sending it. Public methods may have logged a part.
        unsent = status is None and verdict.state == "refused" and self.post is not None
        if (unsent or status in metric_lines.SPLIT) and len(numbered) > 1:
            self._post(run_id, numbered[: len(numbered) // 2])
            self._post(run_id, numbered[len(numbered) // 2 :])
            return
        if verdict.state == "waiting":
            self.failure = verdict
        self.verdicts.update((index, verdict) for index, _ in numbered)

    def _send(self, run_id: str, posts: Sequence[MetricPost], seconds: float) -> Sequence[Any]:
        if self.post is None:
            azureml_sdk.log_publicly(self.run, run_id, posts, seconds)
            return []
        response = self.post(run_id, posts, seconds)
        if not response.content:
            return []
        try:
            errors = (response.json() or {}).get("errors") or []
        except (ValueError, AttributeError) as error:
            # Perhaps the page of a proxy, so it is unknown whether the metrics arrived.
            raise ConnectionError("unreadable response") from error
        return errors if isinstance(errors, list) else []

    def _call(self, call: Call) -> Verdict:
        run_id, seconds = call.run_id or self.run.id, self.deadline - time.monotonic()
        if self.failure or self.waiting_call or run_id in self.missing_runs or seconds <= 0:
            return self.failure or self.waiting_call or waiting("an earlier call waits")
        azureml_sdk.limit_requests(self.run, seconds)
        addresses, authorities = self.cache.addresses, self.cache.authorities
        try:
            run = self._find(run_id)
            find, post = self._find, self._post_one
            target = Target(
                run, run is self.run, self.directories, addresses, seconds, authorities, find, post
            )
            perform(target, call)
        except Exception as error:  # any error of azureml becomes a verdict
            # For a file, 403 and 404 are from the storage, and final, because its address is created once.
            verdict, _ = self._verdict(error, "" if call.file else run_id)
            if verdict.state == "refused" and call.file:
                addresses.pop(call.record_id, None)
                artifact_copies.delete_copy(self.directories(), call.file)
            elif verdict.state == "waiting" and not isinstance(error, artifact_copies.CopyBusy):
                self.waiting_call = verdict
                self.missing_runs.add(str(call.data.get("child")))
            return verdict
        return DELIVERED

    def _find(self, run_id: str) -> Any:
        if run_id == self.run.id:
            return self.run
        if run_id not in self.cache.runs:
            self.cache.runs[run_id] = azureml_sdk.other_run(self.run, run_id)
        return self.cache.runs[run_id]

    def _post_one(self, post: MetricPost) -> None:
        errors = self._send(post.run_id or self.run.id, [post], max(1.0, self.deadline - time.monotonic()))
        if errors:
            raise _RejectedMetric(
                metric_lines.rejected_posts([post], errors).get(0) or "run history: no reason given"
            )

    def _verdict(self, error: Exception, run_id: str) -> tuple[Verdict, int | None]:
        """Return the verdict of an error after a request to `run_id`, and the status of the response or None."""
        if isinstance(error, _RejectedMetric):
            return refused(str(error)), None
        response = response_of(error)
        if response is None:
            return verdict_without_response(error), None
        status = int(response.status_code)
        # The job may write to its run. So 403 and 404 there are temporary, for example from a gateway or a role change.
        outage = (status == 403 and run_id) or (status == 404 and run_id == self.run.id)
        if outage or status < 400 or status in metric_lines.RETRIED or status >= 500:
            self.pause_seconds = max(self.pause_seconds, pause_seconds(response.headers))
            return waiting(f"run history: {status}"), status
        try:
            body = response.json()
        except (ValueError, AttributeError):
            body = None
        return refused(metric_lines.error_reason(body, status)), status


class _RejectedMetric(Exception):
    """The service rejected a metric that belongs to a call."""
