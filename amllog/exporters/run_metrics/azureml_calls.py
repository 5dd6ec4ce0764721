"""Replay the calls of the journal on azureml's runs: tags, properties, files, child runs and their end.

The calls use the methods of azureml's run, and their errors become verdicts in the exporter. A call is repeated if its
response was lost. It then changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

from amllog.exporters.run_metrics import line_validation
from amllog.exporters.run_metrics.azureml_upload import ORIGIN, upload
from amllog.exporters.run_metrics.metric_lines import Call, MetricPost
from amllog.journal import artifact_copies

IMAGE = "azureml.v2.image"
DOCUMENTS = {method: method.replace("log_", "azureml.v2.") for method in line_validation.DOCUMENTS}


class Target(NamedTuple):
    """The run of a call, with the functions and data for the call."""

    run: Any  # of azureml
    is_job_run: bool  # the run of this job, whose status Azure ML sets
    directories: artifact_copies.Directories  # that may contain the copies of files
    addresses: dict[str, str]  # of unfinished uploads, by record id
    seconds: float  # the time limit
    authorities: str  # the file of certificate authorities for uploads, or empty
    find: Callable[[str], Any]  # returns azureml's run of an id
    post: Callable[[MetricPost], None]


def perform(target: Target, call: Call) -> None:
    """Perform a call, and delete its file afterwards. Raises LookupError for an unknown method."""
    if call.method in _UPLOADS:
        with artifact_copies.open_copy(target.directories(), call.file) as copy:
            _UPLOADS[call.method](target, call, copy.stream)
            target.addresses.pop(call.record_id, None)
            copy.delete()
    elif call.method in _METHODS:
        _METHODS[call.method](target, call)
    else:
        raise LookupError(f"run.{call.method} is not a call that can be sent")


def _set_tags(target: Target, call: Call) -> None:
    target.run.set_tags(call.data["tags"])


def _remove_tags(target: Target, call: Call) -> None:
    target.run.remove_tags(call.data["tags"])


def _add_properties(target: Target, call: Call) -> None:
    target.run.add_properties(call.data["properties"])


def _display_name(target: Target, call: Call) -> None:
    target.run.display_name = call.data["value"]


def _description(target: Target, call: Call) -> None:
    target.run.description = call.data["value"]


def _upload_file(target: Target, call: Call, stream: BinaryIO) -> None:
    artifact, datastore = call.data["artifact"], call.data.get("datastore_name")
    addresses, authorities = target.addresses, target.authorities
    upload(target.run, stream, artifact, datastore, addresses, call.record_id, target.seconds, authorities)


def _log_artifact(target: Target, call: Call, stream: BinaryIO) -> None:
    """Upload the file, then log the metric that refers to it, as azureml's `log_image` does."""
    run, name = target.run, call.data["name"]
    _upload_file(target, call, stream)
    location = f"aml://artifactId/{ORIGIN}/{run._container}/{call.data['artifact']}"
    shape = DOCUMENTS.get(call.method, IMAGE)
    columns = {name: "Artifact"}
    target.post(MetricPost(run.id, shape, name, columns, [[location]], call.created, None, call.record_id))


def _child_run(target: Target, call: Call) -> None:
    """Create the child with the id that its records already contain, and start it."""
    client, data = target.run._client, call.data
    client.create_child_run(
        client.run_dto.name, client.run_dto.target or "sdk", child_name=data.get("name"), run_id=data["child"]
    )
    target.find(data["child"])._client.start()


def _complete(target: Target, call: Call) -> None:
    target.run._client.set_completed_status(_set_status=True)


def _fail(target: Target, call: Call) -> None:
    """Store the error, and set the status unless Azure ML sets it."""
    target.run._client.set_failed_status(
        _set_status=not target.is_job_run,
        error_details=call.data.get("error_details"),
        error_code=call.data.get("error_code"),
    )


def _cancel(target: Target, call: Call) -> None:
    target.run._client.run.post_event_canceled()


_METHODS: Mapping[str, Callable[[Target, Call], None]] = {
    "set_tags": _set_tags,
    "remove_tags": _remove_tags,
    "add_properties": _add_properties,
    "display_name": _display_name,
    "description": _description,
    "child_run": _child_run,
    "complete": _complete,
    "fail": _fail,
    "cancel": _cancel,
}
_UPLOADS: Mapping[str, Callable[[Target, Call, BinaryIO], None]] = {
    "upload_file": _upload_file,
    "log_image": _log_artifact,
    **dict.fromkeys(DOCUMENTS, _log_artifact),
}
