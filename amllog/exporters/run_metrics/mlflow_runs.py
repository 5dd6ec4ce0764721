"""MLflow's runs: which one a line belongs to, and what lines ask of it. The only file that imports mlflow.

In: the run ids that the journal knows, posts and calls. Out: requests of an `MlflowClient`, which raise what mlflow
raises. Everything here may be done a second time, if the answer to the first was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from amllog.exporters.http_deadline import verify_sockets
from amllog.exporters.run_metrics import mlflow_values
from amllog.exporters.run_metrics.line_validation import UPLOADS
from amllog.exporters.run_metrics.metric_lines import Call, MetricPost
from amllog.exporters.run_metrics.mlflow_artifact_path import under_name
from amllog.journal import artifact_copies
from amllog.process.hooks import Hook
from amllog.record import envelope

STATUSES = {"complete": "FINISHED", "fail": "FAILED", "cancel": "KILLED"}
PARENT_TAG, NAME_TAG, NOTE_TAG = "mlflow.parentRunId", "mlflow.runName", "mlflow.note.content"


_SESSIONS: list[Hook] = []  # over mlflow's own: one for all outlets, as a second setup() makes another outlet


class Runs:
    """The runs of this process and of those before it whose lines are still on their way."""

    def __init__(
        self, directories: artifact_copies.Directories, step_id: str, environ: Mapping[str, str]
    ) -> None:
        self._directories, self._step_id, self._environ = directories, step_id, environ
        self._found: dict[str, str] = {}  # the journal's run id → MLflow's
        self._made: set[str] = set()  # MLflow's ids of runs that amllog made, and so ends
        self._next: dict[tuple[str | None, str], int] = {}  # the next row of a list or table without steps
        self._firsts: dict[str, int] = {}  # by record that is on its way: the step of its first row
        self._taken: dict[str, int] = {}  # by record that is on its way: how many numbers the store has taken

    @property
    def _client(self) -> Any:
        """A client of the store that MLflow is set to now: a script may change its mind."""
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

        A number that is sent twice is there twice. So a repetition sends only those that were not taken.
        """
        from mlflow.entities import Metric, RunTag

        run_id = self._run_of(posts[0].run_id, line)
        wishes = [mlflow_values.wish(post, self.first(post)) for post in posts]
        metrics = (
            (
                post.record_id,
                Metric(number.key, number.value, mlflow_values.millis(post.created), number.step),
            )
            for post, wish in zip(posts, wishes)
            for number in wish.numbers[self._taken.get(post.record_id, 0) :]
        )
        tags = iter(RunTag(key, value) for wish in wishes for key, value in wish.tags.items())
        while batch := list(islice(metrics, mlflow_values.MAX_METRICS)):
            self._client.log_batch(run_id, metrics=[metric for _, metric in batch])
            for record_id, _ in batch:
                self._taken[record_id] = self._taken.get(record_id, 0) + 1
        while labels := list(islice(tags, mlflow_values.MAX_TAGS)):
            self._client.log_batch(run_id, tags=labels)
        for path, content in (wish.document for wish in wishes if wish.document):
            self._client.log_dict(run_id, content, path)
        self.forget(posts)

    def forget(self, posts: Sequence[MetricPost]) -> None:
        """Forget what was known of posts on their way: they are settled."""
        for post in posts:
            self._firsts.pop(post.record_id, None)
            self._taken.pop(post.record_id, None)

    def perform(self, line: bytes, call: Call) -> None:
        """Do what a call asks; LookupError for a method that nobody knows."""
        if call.method == "end":
            self._end_step(call)
            return
        run_id = self._run_of(call.run_id, line)
        if call.method in STATUSES:
            self._end(run_id, call)
        elif call.method in _METHODS:
            _METHODS[call.method](self, run_id, line, call)
        else:
            raise LookupError(f"run.{call.method} is no call that can be sent")

    def _end_step(self, call: Call) -> None:
        """The step's end is the end of the run that was made for it, if any was."""
        run_id = self._found.get(call.run_id or self._step_id)
        if run_id in self._made:
            self._client.set_terminated(run_id, call.data["status"])

    def _run_of(self, run_id: str | None, line: bytes) -> str:
        """MLflow's id of a run, found or made."""
        wanted = run_id or self._step_id
        if wanted not in self._found:
            own = wanted == self._step_id and (self._environ.get("MLFLOW_RUN_ID") or _begun_by_script())
            self._found[wanted] = own or self._known(wanted, line) or self._make(wanted, line, {})
        return self._found[wanted]

    def _known(self, wanted: str, line: bytes) -> str | None:
        """The run that has this very id (so it is in Azure ML), or that amllog made for it earlier."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_run(wanted).info.run_id)
        except MlflowException as error:
            if mlflow_values.code_of(error) not in (mlflow_values.ABSENT, "INVALID_PARAMETER_VALUE"):
                raise
        quoted = wanted.replace("'", "_")
        runs = self._client.search_runs(
            [self._experiment(line)], f"tags.`{mlflow_values.STEP_TAG}` = '{quoted}'", max_results=1
        )
        if runs:
            self._made.add(runs[0].info.run_id)
        return str(runs[0].info.run_id) if runs else None

    def _make(self, wanted: str, line: bytes, tags: Mapping[str, str]) -> str:
        labels = _properties(line)
        name = tags.get(NAME_TAG) or (labels.get("step_name") if wanted == labels.get("step_id") else None)
        tags = {**tags, mlflow_values.STEP_TAG: wanted.replace("'", "_")}
        made = self._client.create_run(self._experiment(line), tags=tags, run_name=name).info.run_id
        self._made.add(made)
        return str(made)

    def _experiment(self, line: bytes) -> str:
        """The id of the experiment that MLflow is told of by its environment, else of amllog's own name for it."""
        if self._environ.get("MLFLOW_EXPERIMENT_ID"):
            return self._environ["MLFLOW_EXPERIMENT_ID"]
        name = (
            self._environ.get("MLFLOW_EXPERIMENT_NAME")
            or _properties(line).get("experiment_name")
            or "amllog"
        )
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def first(self, post: MetricPost) -> int:
        """The step of a post's first row: rows of one name are counted on, scalars without a step are at 0."""
        if post.type.endswith(".scalar") or post.step is not None:
            return 0
        at = (post.run_id, post.name)
        if post.record_id not in self._firsts:
            self._firsts[post.record_id] = self._next.get(at, 0)
            self._next[at] = self._firsts[post.record_id] + len(post.rows)
        return self._firsts[post.record_id]

    def _tags(self, run_id: str, tags: Mapping[str, object]) -> None:
        from mlflow.entities import RunTag

        left = iter(RunTag(mlflow_values.key(key), mlflow_values.tag(value)) for key, value in tags.items())
        while batch := list(islice(left, mlflow_values.MAX_TAGS)):
            self._client.log_batch(run_id, tags=batch)

    def _set_tags(self, run_id: str, line: bytes, call: Call) -> None:
        self._tags(run_id, call.data.get("tags") or call.data.get("properties") or {})

    def _remove_tags(self, run_id: str, line: bytes, call: Call) -> None:
        from mlflow.exceptions import MlflowException

        for key in call.data["tags"]:
            try:
                self._client.delete_tag(run_id, mlflow_values.key(key))
            except MlflowException as error:
                if mlflow_values.code_of(error) != mlflow_values.ABSENT:
                    raise

    def _rename(self, run_id: str, line: bytes, call: Call) -> None:
        self._tags(run_id, {NAME_TAG: call.data["value"]})

    def _describe(self, run_id: str, line: bytes, call: Call) -> None:
        self._tags(run_id, {NOTE_TAG: call.data["value"]})

    def _child_run(self, run_id: str, line: bytes, call: Call) -> None:
        child, name = call.data["child"], call.data.get("name")
        if child not in self._found:
            tags = {PARENT_TAG: run_id, **({NAME_TAG: name} if name else {})}
            self._found[child] = self._known(child, line) or self._make(child, line, tags)

    def _upload(self, run_id: str, line: bytes, call: Call) -> None:
        """The copy under its artifact's name: mlflow takes the name from the file."""
        path = mlflow_values.artifact_path(call.data["artifact"])
        is_document = call.method not in ("upload_file", "log_image") and not path.endswith(".json")
        folder, _, name = (path + ".json" if is_document else path).rpartition("/")
        with artifact_copies.open_copy(self._directories(), call.file) as copy:
            with under_name(copy, name) as file:
                self._client.log_artifact(run_id, file, folder or None)
            copy.delete()

    def _end(self, run_id: str, call: Call) -> None:
        """The error, and the status, where no one else is to set it."""
        error = {"error_code": call.data.get("error_code"), "error": call.data.get("error_details")}
        self._tags(run_id, {f"amllog.{key}": value for key, value in error.items() if value})
        if run_id in self._made or call.run_id not in (None, self._step_id):
            self._client.set_terminated(run_id, STATUSES[call.method])


def _verify_sessions() -> None:
    """Verify the connections that mlflow keeps: it has one session for the script's requests and for ours."""
    from mlflow.utils import request_utils

    def session(*args: Any, **options: Any) -> Any:
        return verify_sockets(hook.before(*args, **options))

    if not hasattr(request_utils, "_get_request_session"):  # mlflow has changed
        return
    hook = Hook(request_utils, "_get_request_session", session)
    _SESSIONS.append(hook)
    hook.put()


def _begun_by_script() -> str | None:
    """The run that the script began with `mlflow.start_run`, in whichever thread; also one that has ended since."""
    from mlflow.tracking import fluent

    stacks = _values(getattr(fluent, "_active_run_stack", None))
    active = [run.info.run_id for stack in stacks for run in stack]
    ended = [run_id for run_id in _values(getattr(fluent, "_last_active_run_id", None)) if run_id]
    return next(iter([*reversed(active), *reversed(ended)]), None)


def _values(variable: Any) -> Iterator[Any]:
    """What mlflow holds per thread (a plain value in older versions)."""
    per_thread = getattr(variable, "get_all_thread_values", None)
    return iter(list(per_thread().values()) if per_thread else [variable] if variable else [])


def _properties(line: bytes) -> dict[str, str]:
    found: dict[str, str] = (envelope.decode_line(line) or {})["data"]["baseData"]["properties"]
    return found


_METHODS: Mapping[str, Callable[[Runs, str, bytes, Call], None]] = {
    "set_tags": Runs._set_tags,
    "add_properties": Runs._set_tags,
    "remove_tags": Runs._remove_tags,
    "display_name": Runs._rename,
    "description": Runs._describe,
    "child_run": Runs._child_run,
    **dict.fromkeys(UPLOADS, Runs._upload),
}
