"""The writing half of a `Run`: every call becomes records in the journal, and the exporter performs it later.

The methods have the argument names of azureml's online and offline class, positional or by keyword. Only programming
errors raise (MetricError, TypeError, FileNotFoundError), at the call.
"""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from amllog.errors import MetricError
from amllog.exporters.run_metrics import artifact_contents, metric_values
from amllog.record import text
from amllog.sources.run.backend import Source
from amllog.sources.run.reads import Reads

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_CHILDREN = 100


class Run(Reads):
    """azureml's `Run`, online and offline. Writes go through the journal, reads to the service."""

    def log(self, name: str, value: object, description: str = "", step: object = None) -> None:
        """Log one value: a number (also of numpy or torch), a string, a bool or None."""
        name = metric_values.metric_name(name)
        values = metric_values.from_scalar(name, value)
        number, step_number = values.rows[0][0], metric_values.step_number(step)
        data: dict[str, Any] = {"columns": values.columns, "rows": values.rows}
        if isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number):
            self._backend.metric(name, number, step_number, self._run_id)
        else:
            data = data if step_number is None else {**data, "step": step_number}
            self._backend.run_record("scalar", name, data, run_id=self._run_id)
        self.memory.keep("scalar", name, data)

    def log_list(self, name: str, value: object, description: str = "") -> None:
        """Log many values of one metric. An empty list logs nothing."""
        name = metric_values.metric_name(name)
        self._cells("list", name, metric_values.from_list(name, value))

    def log_row(self, name: str, description: str | None = None, **kwargs: object) -> None:
        """Log one row of a table. Each further keyword is a column."""
        self._cells("row", metric_values.metric_name(name), metric_values.from_row(kwargs))

    def log_table(self, name: str, value: object, description: str = "") -> None:
        """Log a table: a dict of columns, each a list of equal length or one value."""
        name = metric_values.metric_name(name)
        self._cells("table", name, metric_values.from_table(name, value))

    def log_image(self, name: str, path: str | None = None, plot: Any = None, description: str = "") -> None:
        """Log an image file, or a matplotlib figure or pyplot."""
        name = metric_values.metric_name(name)
        if (path is None) == (plot is None):
            raise MetricError(f"{name}: log_image takes either path or plot")
        source: Source
        if path is not None:
            artifact, source = os.fspath(path).replace(os.sep, "/").lstrip("/"), path
        else:  # unlike azureml's name, this one distinguishes two plots within a second
            artifact, source = (
                f"{name}_{int(time.time())}_{uuid.uuid4().hex[:6]}.png",
                artifact_contents.png_image(name, plot),
            )
        self._artifact("log_image", name, artifact, source)

    def log_confusion_matrix(self, name: str, value: object, description: str | None = None) -> None:
        """Log a confusion matrix: azureml's dict or its JSON."""
        self._document("log_confusion_matrix", name, value)

    def log_accuracy_table(self, name: str, value: object, description: str | None = None) -> None:
        """Log an accuracy table: azureml's dict or its JSON."""
        self._document("log_accuracy_table", name, value)

    def log_residuals(self, name: str, value: object, description: str | None = None) -> None:
        """Log residuals: azureml's dict or its JSON."""
        self._document("log_residuals", name, value)

    def log_predictions(self, name: str, value: object, description: str | None = None) -> None:
        """Log predictions: azureml's dict or its JSON."""
        self._document("log_predictions", name, value)

    def tag(self, key: str | None = None, value: object = None, *, name: str | None = None) -> None:
        """Set one tag, also without a value. `name`: the keyword of azureml's offline class."""
        self.set_tags({key if key is not None else name: value})

    def set_tags(self, tags: Mapping[Any, object]) -> None:
        """Add or change tags."""
        for group in metric_values.label_groups(tags):
            self.memory.tags.update(group)
            self._call("set_tags", tags=group)

    def remove_tags(self, tags: Iterable[object] | str) -> None:
        """Remove tags by their keys."""
        keys = list(metric_values.label_groups(dict.fromkeys([tags] if isinstance(tags, str) else tags)))
        for group in keys:
            for key in group:
                self.memory.tags.pop(key, None)
            self._call("remove_tags", tags=list(group))

    def add_properties(self, properties: Mapping[Any, object]) -> None:
        """Add properties, which cannot be changed later."""
        for group in metric_values.label_groups(properties):
            for key, value in group.items():
                self.memory.properties.setdefault(key, value)
            self._call("add_properties", properties=group)

    def upload_file(self, name: str, path_or_stream: Source, datastore_name: str | None = None) -> None:
        """Copy the file in its present state for the run."""
        self._artifact("upload_file", name, name, path_or_stream, datastore_name)

    def upload_files(
        self,
        names: Sequence[str] | None = None,
        paths: Sequence[str] = (),
        return_artifacts: bool = False,
        timeout_seconds: float | None = None,
        datastore_name: str | None = None,
        *,
        name: Sequence[str] | None = None,
    ) -> None:
        """Call `upload_file` for each file. `name`: the keyword of azureml's offline class."""
        wanted = list(names if names is not None else name or ())
        if len(wanted) != len(paths):
            raise TypeError(f"upload_files takes as many names as paths, got {len(wanted)} and {len(paths)}")
        for artifact, path in zip(wanted, paths):
            self.upload_file(artifact, path, datastore_name)

    def upload_folder(self, name: str, path: str, datastore_name: str | None = None) -> None:
        """Call `upload_file` for every file below a folder."""
        if not os.path.isdir(path):
            raise NotADirectoryError(f"upload_folder takes a folder, got {path!r}")
        for file in sorted(file for file in Path(path).rglob("*") if file.is_file()):
            self.upload_file(f"{name.rstrip('/')}/{file.relative_to(path).as_posix()}", file, datastore_name)

    def child_run(
        self, name: str | None = None, run_id: str | None = None, outputs: str | None = None
    ) -> Run:
        """Create a child run. Its id is known at once, and its creation is a record in the journal."""
        unique = uuid.uuid4()
        child_id = run_id or (str(unique) if self._backend.online else f"{self.id}.{name or unique}")
        self._call("child_run", child=child_id, name=name)
        child = Run(self._backend, child_id, name or "", parent=self, outputs=outputs)
        self.memory.children.append(child)
        return child

    def create_children(
        self, count: int | None = None, tag_key: str | None = None, tag_values: Sequence[object] | None = None
    ) -> list[Run]:
        """Create at most 100 child runs, each with one of `tag_values` under `tag_key`."""
        if (count is None) == (tag_key is None or tag_values is None):
            raise TypeError("create_children takes either count, or tag_key and tag_values")
        values: Sequence[object] = range(count or 0) if tag_values is None else tag_values
        if len(values) > MAX_CHILDREN:
            raise TypeError(f"create_children creates at most {MAX_CHILDREN} runs, got {len(values)}")
        children = [self.child_run() for _ in values]
        for child, value in zip(children, values):
            child.tag(tag_key or "azureml.batch_child_number", value)
        return children

    def flush(self, timeout_seconds: float = 300) -> None:
        """Wait until all records have arrived, for at most `timeout_seconds`. Never raises."""
        self._backend.flush(timeout_seconds)

    def complete(self, **_: object) -> None:
        """Complete the run and flush. Azure ML sets the status of a job."""
        self._end("complete", "Completed")
        self.flush(timeout_seconds=30)

    def fail(self, error_details: object = None, error_code: str | None = None, **_: object) -> None:
        """Set the error of the run, mark it as failed, and flush. Azure ML sets the status of a job."""
        self._end(
            "fail", "Failed", error_details=metric_values.error_message(error_details), error_code=error_code
        )
        self.flush(timeout_seconds=30)

    def cancel(self) -> None:
        """Cancel a child run. As in azureml, a job cannot cancel itself."""
        self._end("cancel", "Canceled")

    @property
    def parent(self) -> Run | None:
        """The run that this run is a step of, for metrics and tags. None online if it has no parent."""
        if self._run_id is not None:
            parent: Run | None = self._parent
            return parent
        parent_id = self._backend.identity.parent_run_id
        if not parent_id or (self._backend.online and parent_id == self.id):
            return None
        return Run(self._backend, parent_id)

    @property
    def display_name(self) -> str:
        """The name that the studio shows."""
        return self.name

    @display_name.setter
    def display_name(self, display_name: str) -> None:
        self._name = display_name
        self._call("display_name", value=text.truncate(text.to_text(display_name), 256))

    @property
    def description(self) -> str:
        """The description that the studio shows."""
        return str(self._request(lambda run: run.description, self.memory.description) or "")

    @description.setter
    def description(self, description: str) -> None:
        self.memory.set_description(text.truncate(text.to_text(description), 5_000))
        self._call("description", value=self.memory.description)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is None:
            self.complete()
        else:
            self.fail(error)

    def __repr__(self) -> str:
        return f"Run(Experiment: {self._backend.identity.experiment_name}, Id: {self.id})"

    def _cells(self, kind: str, name: str, values: metric_values.Cells) -> None:
        for data in metric_values.record_data(values):
            self._backend.run_record(kind, name, data, run_id=self._run_id)
            self.memory.keep(kind, name, data)

    def _call(self, method: str, **data: object) -> None:
        self._backend.run_record("call", f"run.{method}", data, run_id=self._run_id)

    def _document(self, method: str, name: str, value: object) -> None:
        name = metric_values.metric_name(name)
        self._artifact(method, name, name, artifact_contents.json_document(name, value))

    def _artifact(
        self, method: str, name: str, artifact: str, source: Source, datastore: str | None = None
    ) -> None:
        if (file := self._backend.spool(source, artifact)) is not None:  # otherwise it is refused and counted
            self.memory.files[artifact] = file
            self._call(method, name=name, artifact=artifact, file=file, datastore_name=datastore)

    def _end(self, method: str, status: str, **data: object) -> None:
        self.memory.set_status(status)
        if self._outputs and os.path.isdir(self._outputs):
            self.upload_folder(self._outputs, self._outputs)
        if self._run_id is not None or method == "fail":
            self._call(method, **data)
