"""Find or create the MLflow run of a line, and send its metrics and calls. The only module that imports mlflow.

The requests raise mlflow's errors. Each may be repeated, because the response to the first one may have been lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from amllog.exporters.http_deadline import verify_sockets
from amllog.exporters.run_metrics import mlflow_values
from amllog.exporters.run_metrics.line_validation import UPLOADS
from amllog.exporters.run_metrics.metric_lines import Call, MetricPost
from amllog.exporters.run_metrics.mlflow_artifact_path import path_with_name
from amllog.journal import artifact_copies
from amllog.process.hooks import Hook
from amllog.record import envelope

STATUSES = {"complete": "FINISHED", "fail": "FAILED", "cancel": "KILLED"}
PARENT_TAG, NAME_TAG, NOTE_TAG = "mlflow.parentRunId", "mlflow.runName", "mlflow.note.content"
# The hook over mlflow's sessions. All exporters share it, because a second setup() creates another exporter.
_SESSIONS: list[Hook] = []


class MLflowRuns:
    """The MLflow runs of this process, and of earlier ones with lines that are not delivered yet."""

    def __init__(
        self, directories: artifact_copies.Directories, step_id: str, environ: Mapping[str, str]
    ) -> None:
        self._directories, self._step_id, self._environ = directories, step_id, environ
        self._ids: dict[str, str] = {}  # MLflow's run id, by run id of the journal
        self._created: set[str] = set()  # MLflow's ids of runs that amllog created, and therefore ends
        self._next_steps: dict[tuple[str | None, str], int] = {}  # of lists and tables without steps
        self._first_steps: dict[str, int] = {}  # by id of an unsettled record: the step of its first row
        self._logged: dict[str, int] = {}  # by id of an unsettled record: its numbers in the store

    @property
    def _client(self) -> Any:
        """A client of the store that MLflow is set to now, because a script may change it."""
        from mlflow import MlflowClient

        if not _SESSIONS:
            _verify_sessions()
        return MlflowClient()

    def close(self) -> None:
        """Remove the hook from mlflow."""
        while _SESSIONS:
            _SESSIONS.pop().remove()

    def log(self, line: bytes, posts: Sequence[MetricPost]) -> None:
        """Log posts of one run: their numbers and tags together, then their documents.

        A number that is sent twice is stored twice. So a repetition sends only those that were not accepted.
        """
        from mlflow.entities import Metric, RunTag

        run_id = self._run_of(posts[0].run_id, line)
        entries = [mlflow_values.to_entries(post, self.first_step(post)) for post in posts]
        metrics = (
            (
                post.record_id,
                Metric(number.key, number.value, mlflow_values.milliseconds(post.created), number.step),
            )
            for post, entry in zip(posts, entries)
            for number in entry.numbers[self._logged.get(post.record_id, 0) :]
        )
        tags = iter(RunTag(key, value) for entry in entries for key, value in entry.tags.items())
        while batch := list(islice(metrics, mlflow_values.MAX_METRICS)):
            self._client.log_batch(run_id, metrics=[metric for _, metric in batch])
            for record_id, _ in batch:
                self._logged[record_id] = self._logged.get(record_id, 0) + 1
        while labels := list(islice(tags, mlflow_values.MAX_TAGS)):
            self._client.log_batch(run_id, tags=labels)
        for path, content in (entry.document for entry in entries if entry.document):
            self._client.log_dict(run_id, content, path)
        self.forget(posts)

    def forget(self, posts: Sequence[MetricPost]) -> None:
        """Forget the steps and counts of posts that are settled."""
        for post in posts:
            self._first_steps.pop(post.record_id, None)
            self._logged.pop(post.record_id, None)

    def perform(self, line: bytes, call: Call) -> None:
        """Perform a call. Raises LookupError for an unknown method."""
        if call.method == "end":
            self._end_step(call)
            return
        run_id = self._run_of(call.run_id, line)
        if call.method in STATUSES:
            self._end(run_id, call)
        elif call.method in _METHODS:
            _METHODS[call.method](self, run_id, line, call)
        else:
            raise LookupError(f"run.{call.method} is not a call that can be sent")

    def _end_step(self, call: Call) -> None:
        """End the run that amllog created for the step, if it did."""
        run_id = self._ids.get(call.run_id or self._step_id)
        if run_id in self._created:
            self._client.set_terminated(run_id, call.data["status"])

    def _run_of(self, run_id: str | None, line: bytes) -> str:
        """Return MLflow's id of a run, which is found or created."""
        wanted = run_id or self._step_id
        if wanted not in self._ids:
            current = wanted == self._step_id and (self._environ.get("MLFLOW_RUN_ID") or _run_of_script())
            self._ids[wanted] = current or self._find(wanted, line) or self._create(wanted, line, {})
        return self._ids[wanted]

    def _find(self, wanted: str, line: bytes) -> str | None:
        """Return the run with this id, as in Azure ML, or the one that amllog created for it earlier."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_run(wanted).info.run_id)
        except MlflowException as error:
            if mlflow_values.error_code(error) not in (mlflow_values.ABSENT, "INVALID_PARAMETER_VALUE"):
                raise
        quoted = wanted.replace("'", "_")
        runs = self._client.search_runs(
            [self._experiment(line)], f"tags.`{mlflow_values.STEP_TAG}` = '{quoted}'", max_results=1
        )
        if runs:
            self._created.add(runs[0].info.run_id)
        return str(runs[0].info.run_id) if runs else None

    def _create(self, wanted: str, line: bytes, tags: Mapping[str, str]) -> str:
        labels = _properties(line)
        name = tags.get(NAME_TAG) or (labels.get("step_name") if wanted == labels.get("step_id") else None)
        tags = {**tags, mlflow_values.STEP_TAG: wanted.replace("'", "_")}
        run_id = self._client.create_run(self._experiment(line), tags=tags, run_name=name).info.run_id
        self._created.add(run_id)
        return str(run_id)

    def _experiment(self, line: bytes) -> str:
        """Return the id of the experiment in MLflow's variables, or else of the one that amllog names."""
        if self._environ.get("MLFLOW_EXPERIMENT_ID"):
            return self._environ["MLFLOW_EXPERIMENT_ID"]
        name = (
            self._environ.get("MLFLOW_EXPERIMENT_NAME")
            or _properties(line).get("experiment_name")
            or "amllog"
        )
        experiment = self._client.get_experiment_by_name(name)
        return str(experiment.experiment_id if experiment else self._client.create_experiment(name))

    def first_step(self, post: MetricPost) -> int:
        """Return the step of the first row. Rows of one name are numbered on, and scalars without a step have 0."""
        if post.type.endswith(".scalar") or post.step is not None:
            return 0
        series = (post.run_id, post.name)
        if post.record_id not in self._first_steps:
            self._first_steps[post.record_id] = self._next_steps.get(series, 0)
            self._next_steps[series] = self._first_steps[post.record_id] + len(post.rows)
        return self._first_steps[post.record_id]

    def _tags(self, run_id: str, tags: Mapping[str, object]) -> None:
        from mlflow.entities import RunTag

        entries = iter(
            RunTag(mlflow_values.safe_key(key), mlflow_values.tag_value(value)) for key, value in tags.items()
        )
        while batch := list(islice(entries, mlflow_values.MAX_TAGS)):
            self._client.log_batch(run_id, tags=batch)

    def _set_tags(self, run_id: str, line: bytes, call: Call) -> None:
        self._tags(run_id, call.data.get("tags") or call.data.get("properties") or {})

    def _remove_tags(self, run_id: str, line: bytes, call: Call) -> None:
        from mlflow.exceptions import MlflowException

        for key in call.data["tags"]:
            try:
                self._client.delete_tag(run_id, mlflow_values.safe_key(key))
            except MlflowException as error:
                if mlflow_values.error_code(error) != mlflow_values.ABSENT:
                    raise

    def _rename(self, run_id: str, line: bytes, call: Call) -> None:
        self._tags(run_id, {NAME_TAG: call.data["value"]})

    def _describe(self, run_id: str, line: bytes, call: Call) -> None:
        self._tags(run_id, {NOTE_TAG: call.data["value"]})

    def _child_run(self, run_id: str, line: bytes, call: Call) -> None:
        child, name = call.data["child"], call.data.get("name")
        if child not in self._ids:
            tags = {PARENT_TAG: run_id, **({NAME_TAG: name} if name else {})}
            self._ids[child] = self._find(child, line) or self._create(child, line, tags)

    def _upload(self, run_id: str, line: bytes, call: Call) -> None:
        """Upload the copy under the name of its artifact, because mlflow uses the name of the file."""
        path = mlflow_values.artifact_path(call.data["artifact"])
        is_document = call.method not in ("upload_file", "log_image") and not path.endswith(".json")
        folder, _, name = (path + ".json" if is_document else path).rpartition("/")
        with artifact_copies.open_copy(self._directories(), call.file) as copy:
            with path_with_name(copy, name) as file:
                self._client.log_artifact(run_id, file, folder or None)
            copy.delete()

    def _end(self, run_id: str, call: Call) -> None:
        """Store the error, and set the status unless somebody else sets it."""
        error = {"error_code": call.data.get("error_code"), "error": call.data.get("error_details")}
        self._tags(run_id, {f"amllog.{key}": value for key, value in error.items() if value})
        if run_id in self._created or call.run_id not in (None, self._step_id):
            self._client.set_terminated(run_id, STATUSES[call.method])


def _verify_sessions() -> None:
    """Verify the connections that mlflow keeps, because the script's requests and ours share one session."""
    from mlflow.utils import request_utils

    def session(*args: Any, **options: Any) -> Any:
        return verify_sockets(hook.before(*args, **options))

    if not hasattr(request_utils, "_get_request_session"):  # mlflow has changed
        return
    hook = Hook(request_utils, "_get_request_session", session)
    _SESSIONS.append(hook)
    hook.put()


def _run_of_script() -> str | None:
    """Return the run that the script started with `mlflow.start_run` in any thread, even if it has ended."""
    from mlflow.tracking import fluent

    stacks = _values(getattr(fluent, "_active_run_stack", None))
    active = [run.info.run_id for stack in stacks for run in stack]
    ended = [run_id for run_id in _values(getattr(fluent, "_last_active_run_id", None)) if run_id]
    return next(iter([*reversed(active), *reversed(ended)]), None)


def _values(variable: Any) -> Iterator[Any]:
    """Return the values of mlflow's thread-local variable, which is a plain value in older versions."""
    per_thread = getattr(variable, "get_all_thread_values", None)
    return iter(list(per_thread().values()) if per_thread else [variable] if variable else [])


def _properties(line: bytes) -> dict[str, str]:
    properties: dict[str, str] = (envelope.decode_line(line) or {})["data"]["baseData"]["properties"]
    return properties


_METHODS: Mapping[str, Callable[[MLflowRuns, str, bytes, Call], None]] = {
    "set_tags": MLflowRuns._set_tags,
    "add_properties": MLflowRuns._set_tags,
    "remove_tags": MLflowRuns._remove_tags,
    "display_name": MLflowRuns._rename,
    "description": MLflowRuns._describe,
    "child_run": MLflowRuns._child_run,
    **dict.fromkeys(UPLOADS, MLflowRuns._upload),
}
