"""The outlet `run_metrics` where MLflow keeps the runs: journal lines → `MlflowClient`.

In: lines of the journal. Out: requests (or files) of the tracking store that MLflow itself is set to, and a verdict
per line. mlflow is imported with the first line, in a thread of ours.

mlflow's requests repeat themselves for minutes, which only the environment could change, for the script's own calls
too. So the work is done in a thread that is waited for as long as the courier has time; what it comes to later is
kept until its lines are offered again, so that nothing is sent twice (docs/decisions/0009).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from amllog.delivery.exporter import DELIVERED, ExportResult, Verdict, refused, waiting
from amllog.exporters.run_metrics import metric_lines, mlflow_values
from amllog.exporters.run_metrics.metric_lines import Call, MetricPost
from amllog.exporters.run_metrics.mlflow_runs import Runs
from amllog.journal import artifact_copies
from amllog.journal.outlets import RUN_METRICS, is_meant_for
from amllog.journal.segment import Segment
from amllog.process.background import BackgroundCall

BUSY_SECONDS = 5.0  # how long an offer waits for the work of an earlier one: other outlets wait with it
Line = bytes


class _Work:
    """The work of this process, whichever outlet began it: a second setup() makes another one while it goes on."""

    def __init__(self) -> None:
        self.settled: dict[Line, Verdict] = {}  # by work that nobody waited for any more
        self.trouble = ""
        self.attempt: BackgroundCall | None = None
        self.process = os.getpid()


_WORK = _Work()


class MLflowExporter:
    """The outlet `run_metrics`, by way of MLflow.

    `directory`: of the journal, which has copies of the files that lines name. `directories`: if the journal may move.
    `step_id`: of this process's own run. Its lines go to MLFLOW_RUN_ID of `environ`, else to the run that the script
    began. Other lines go to the MLflow run of their id, or to one that amllog makes for that id, once.
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
        self._runs = Runs(self._directories, step_id, {} if environ is None else environ)

    def concerns(self, segment: Segment) -> bool:
        """Every segment: run metrics carry their run's id."""
        return True

    def wants(self, line: bytes) -> bool:
        """Whether the line is meant for run history."""
        return is_meant_for(RUN_METRICS, line)

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        """Have the lines sent; what is not settled in time waits, and is asked for again."""
        started = time.monotonic()
        if _WORK.process != os.getpid():  # forked: the thread at work stayed with the parent
            _WORK.attempt, _WORK.process = None, os.getpid()
        if not self._is_over(min(seconds, BUSY_SECONDS)):
            return ExportResult(waiting("mlflow: no answer yet"))
        new = [line for line in lines if line not in _WORK.settled]
        left = max(0.1, seconds - (time.monotonic() - started))
        if new:
            deadline = time.monotonic() + left
            _WORK.attempt = BackgroundCall(lambda: self._work(new, deadline), or_here=True)
            if not self._is_over(left):
                _WORK.trouble = "mlflow: no answer in time"
        unsettled = waiting(_WORK.trouble or "mlflow: no time left")
        verdicts = {index: _WORK.settled.pop(line, unsettled) for index, line in enumerate(lines)}
        return ExportResult(
            exceptions={index: one for index, one in verdicts.items() if one is not DELIVERED}
        )

    def close(self) -> None:
        """Remove the hook from mlflow, which keeps its connections itself."""
        self._runs.close()

    def _is_over(self, seconds: float) -> bool:
        """Whether no work goes on any more, after at most so many seconds."""
        if _WORK.attempt is not None:
            try:
                _WORK.attempt.result(seconds)
            except TimeoutError:
                return False
            _WORK.attempt = None
        return True

    def _work(self, lines: Sequence[Line], deadline: float) -> None:
        """Settle what can be settled, and say why the rest waits."""
        sending = _Sending(self._runs, _WORK.settled, self._directories, deadline)
        sending.send(lines)
        _WORK.trouble = sending.trouble or sending.held or sending.busy


class _Sending:
    """One batch on its way: metrics together, calls between them in their order."""

    def __init__(
        self,
        runs: Runs,
        settled: dict[Line, Verdict],
        directories: artifact_copies.Directories,
        deadline: float,
    ) -> None:
        self.runs, self.settled, self.directories, self.deadline = runs, settled, directories, deadline
        self.trouble = ""  # of the store as a whole: nothing more is tried
        self.held = ""  # of the store of artifacts: no further file or document is tried, metrics are
        self.busy = ""  # why a file waits that others do not wait for
        self.pending: dict[str | None, list[tuple[Line, MetricPost]]] = {}

    def send(self, lines: Sequence[Line]) -> None:
        """Settle line by line, until trouble comes or time is up."""
        for line in lines:
            wish = metric_lines.decode(line)
            if wish is None:
                self.settled[line] = refused("not readable as a run metric")
            elif isinstance(wish, MetricPost):
                self.pending.setdefault(wish.run_id, []).append((line, wish))
            else:
                self._flush()
                self._call(line, wish)
        self._flush()

    def _call(self, line: Line, call: Call) -> None:
        found = self._settle([line], lambda: self.runs.perform(line, call), artifact=call.file is not None)
        if found is not None and found.state == "refused" and call.file:
            artifact_copies.delete_copy(self.directories(), call.file)

    def _flush(self) -> None:
        pending, self.pending = self.pending, {}
        documents: list[tuple[Line, MetricPost]] = []
        for posts in pending.values():
            for _, post in posts:
                self.runs.first(post)  # in the order of their lines
            documents += [one for one in posts if mlflow_values.has_document(one[1])]
            self._post([one for one in posts if not mlflow_values.has_document(one[1])])
        for one in documents:
            self._post([one], artifact=True)

    def _post(self, posts: list[tuple[Line, MetricPost]], *, artifact: bool = False) -> None:
        """Log metrics of one run; in halves where the store refuses the whole, so that a bad one goes alone."""
        if not posts:
            return
        lines, values = [line for line, _ in posts], [post for _, post in posts]
        found = self._settle(lines, lambda: self.runs.log(lines[0], values), whole=False, artifact=artifact)
        if found is None or found.state != "refused":
            return
        if len(posts) == 1 or mlflow_values.ABSENT in found.reason:
            self.settled.update(dict.fromkeys(lines, found))
            self.runs.forget(values)
            return
        for half in (posts[: len(posts) // 2], posts[len(posts) // 2 :]):
            self._post(half)

    def _settle(
        self, lines: list[Line], work: Callable[[], object], *, whole: bool = True, artifact: bool = False
    ) -> Verdict | None:
        """Do the work, and give the lines its verdict; `whole`: also if they are refused.

        `artifact`: it needs the store of artifacts, which is another one than that of metrics.
        """
        if self.trouble or (artifact and self.held) or time.monotonic() >= self.deadline:
            return None
        try:
            work()
        except Exception as error:  # of mlflow, of the network, of a file: the verdict says it
            verdict = mlflow_values.verdict(error)
        else:
            verdict = DELIVERED
        if verdict.state == "waiting":
            if verdict.reason.startswith(artifact_copies.BUSY):
                self.busy = verdict.reason
            elif artifact:
                self.held = verdict.reason
            else:
                self.trouble = verdict.reason
        elif verdict is DELIVERED or whole:
            self.settled.update(dict.fromkeys(lines, verdict))
        return verdict
