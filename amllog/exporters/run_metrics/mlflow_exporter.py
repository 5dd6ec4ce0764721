"""Export run metrics and calls to MLflow, within the time limit of the export.

Lines go to the tracking store that MLflow is set to, which may be a service or files. mlflow is imported for the first
line, in a background thread.

mlflow repeats its requests for minutes. Only the environment could change that, and it would change the script's
requests too. So a background thread sends the lines, and the delivery worker waits for it until its time limit. Later
verdicts are kept until their lines are exported again, so that nothing is sent twice (docs/decisions/0009).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from amllog.delivery.exporter import DELIVERED, ExportResult, Verdict, refused, waiting
from amllog.exporters.run_metrics import metric_lines, mlflow_values
from amllog.exporters.run_metrics.metric_lines import Call, MetricPost
from amllog.exporters.run_metrics.mlflow_runs import MLflowRuns
from amllog.journal import artifact_copies
from amllog.journal.outlets import RUN_METRICS, is_meant_for
from amllog.journal.segment import Segment
from amllog.process.background import BackgroundCall

# An export waits so long for the call of an earlier one. The other outlets wait meanwhile.
BUSY_SECONDS = 5.0
Line = bytes


class _Calls:
    """The call in progress in this process, and the verdicts of calls so far.

    All exporters of the process share it, because a second `setup()` creates another one while a call continues.
    """

    def __init__(self) -> None:
        self.settled: dict[Line, Verdict] = {}
        self.reason = ""  # why other lines wait
        self._call: BackgroundCall | None = None
        self._process = os.getpid()

    def wait(self, seconds: float) -> bool:
        """Return whether no call is in progress, after at most so many seconds."""
        if self._process != os.getpid():  # forked, and the thread stayed with the parent
            self._call, self._process = None, os.getpid()
        call = self._call
        if call is None:
            return True
        try:
            call.result(seconds)
        except TimeoutError:
            return call.over  # without a result, if a library has ended its thread
        finally:
            if call.over:  # also if it raised, because the lines wait and need another call
                self._call = None
        return True

    def start(self, work: Callable[[], None], seconds: float) -> None:
        """Start `work` in a background thread, and wait for it at most so many seconds."""
        self._call = BackgroundCall(work, or_here=True)
        if not self.wait(seconds):
            self.explain("mlflow: no answer in time")

    def explain(self, reason: str) -> None:
        """Set the reason why lines wait. "" if none waits."""
        self.reason = reason


_CALLS = _Calls()


class MLflowExporter:
    """The exporter for the outlet `run_metrics` that uses MLflow.

    `directory`: of the journal, which contains the copies of files that lines name. `directories`: for a journal that
    may move. `step_id`: of the run of this process. Its lines go to MLFLOW_RUN_ID of `environ`, or else to the run that
    the script started. Other lines go to the MLflow run with their id, or to one that amllog creates once for the id.
    """

    name = RUN_METRICS
    max_records = 1_000
    max_bytes = 4 * 1024 * 1024

    def __init__(
        self,
        directory: str | Path,
        *,
        step_id: str = "",
        environ: Mapping[str, str] | None = None,
        directories: artifact_copies.Directories | None = None,
    ) -> None:
        self._directories = directories or (lambda: [Path(directory)])
        self._runs = MLflowRuns(self._directories, step_id, {} if environ is None else environ)

    def concerns(self, segment: Segment) -> bool:
        """Return True for every segment, because run metrics contain the id of their run."""
        return True

    def wants(self, line: bytes) -> bool:
        """Return whether the line is for run history."""
        return is_meant_for(RUN_METRICS, line)

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Send the lines in a background thread. Lines without a verdict within the time limit wait."""
        started = time.monotonic()
        if not _CALLS.wait(min(seconds, BUSY_SECONDS)):
            return ExportResult(waiting("mlflow: no answer yet"))
        new = [line for line in lines if line not in _CALLS.settled]
        remaining = max(0.1, seconds - (time.monotonic() - started))
        if new:
            deadline = time.monotonic() + remaining
            _CALLS.start(lambda: self._send(new, deadline), remaining)
        unsettled = waiting(_CALLS.reason or "mlflow: no time left")
        verdicts = {index: _CALLS.settled.pop(line, unsettled) for index, line in enumerate(lines)}
        return ExportResult(
            exceptions={index: verdict for index, verdict in verdicts.items() if verdict is not DELIVERED}
        )

    def close(self) -> None:
        """Remove the hook from mlflow. The connections belong to mlflow."""
        self._runs.close()

    def _send(self, lines: Sequence[Line], deadline: float) -> None:
        """Settle as many lines as possible, and set the reason of the others."""
        export = _Export(self._runs, _CALLS.settled, self._directories, deadline)
        export.send(lines)
        _CALLS.explain(export.failure or export.artifact_failure or export.busy)


class _Export:
    """The export of one batch: metrics together, with the calls between them in their order."""

    def __init__(
        self,
        runs: MLflowRuns,
        settled: dict[Line, Verdict],
        directories: artifact_copies.Directories,
        deadline: float,
    ) -> None:
        self.runs, self.settled, self.directories, self.deadline = runs, settled, directories, deadline
        self.failure = ""  # of the tracking store, after which nothing more is sent
        self.artifact_failure = ""  # of the artifact store, after which only metrics are sent
        self.busy = ""  # the reason of a file that waits alone
        self.pending: dict[str | None, list[tuple[Line, MetricPost]]] = {}

    def send(self, lines: Sequence[Line]) -> None:
        """Settle line by line, until the store fails or the time is over."""
        for line in lines:
            entry = metric_lines.decode_metric_line(line)
            if entry is None:
                self.settled[line] = refused("not readable as a run metric")
            elif isinstance(entry, MetricPost):
                self.pending.setdefault(entry.run_id, []).append((line, entry))
            else:
                self._flush()
                self._call(line, entry)
        self._flush()

    def _call(self, line: Line, call: Call) -> None:
        verdict = self._settle([line], lambda: self.runs.perform(line, call), artifact=call.file is not None)
        if verdict is not None and verdict.state == "refused" and call.file:
            artifact_copies.delete_copy(self.directories(), call.file)

    def _flush(self) -> None:
        pending, self.pending = self.pending, {}
        documents: list[tuple[Line, MetricPost]] = []
        for posts in pending.values():
            for _, post in posts:
                self.runs.first_step(post)  # steps are assigned in the order of the lines
            documents += [(line, post) for line, post in posts if mlflow_values.has_document(post)]
            self._post([(line, post) for line, post in posts if not mlflow_values.has_document(post)])
        for document in documents:
            self._post([document], artifact=True)

    def _post(self, posts: list[tuple[Line, MetricPost]], *, artifact: bool = False) -> None:
        """Log metrics of one run. If the store rejects them, log them in halves, until the invalid one is alone."""
        if not posts:
            return
        lines, values = [line for line, _ in posts], [post for _, post in posts]
        verdict = self._settle(
            lines, lambda: self.runs.log(lines[0], values), settle_refused=False, artifact=artifact
        )
        if verdict is None or verdict.state != "refused":
            return
        if len(posts) == 1 or mlflow_values.ABSENT in verdict.reason:
            self.settled.update(dict.fromkeys(lines, verdict))
            self.runs.forget(values)
            return
        for half in (posts[: len(posts) // 2], posts[len(posts) // 2 :]):
            self._post(half)

    def _settle(
        self,
        lines: list[Line],
        work: Callable[[], object],
        *,
        settle_refused: bool = True,
        artifact: bool = False,
    ) -> Verdict | None:
        """Do the work, settle the lines with its verdict, and return it. None if nothing was sent.

        `settle_refused`: a refusal settles the lines, too. `artifact`: the work needs the artifact store, which fails
        independently of the tracking store.
        """
        if self.failure or (artifact and self.artifact_failure) or time.monotonic() >= self.deadline:
            return None
        try:
            work()
        except Exception as error:  # any error of mlflow, the network or a file becomes a verdict
            verdict = mlflow_values.verdict_of(error)
        else:
            verdict = DELIVERED
        if verdict.state == "waiting":
            if verdict.reason.startswith(artifact_copies.BUSY):
                self.busy = verdict.reason
            elif artifact:
                self.artifact_failure = verdict.reason
            else:
                self.failure = verdict.reason
        elif verdict is DELIVERED or settle_refused:
            self.settled.update(dict.fromkeys(lines, verdict))
        return verdict
