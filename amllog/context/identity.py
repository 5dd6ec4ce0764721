"""`Identity`: the run, step, experiment, node and rank of this process.

It is resolved from the settings, the run's properties in run history, and the environment. The variables are those of
both generations of the Azure ML runtime, MPI, PyTorch, TensorFlow, Azure DevOps and GitHub Actions. docs/identity.md
lists them. Every field always has a value.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from amllog.config.variables import JOB_DIRECTORY, LOCAL_AZURE, LOCAL_DIRECTORY, LOCAL_RETRY, LOCAL_RUN
from amllog.context import environment, step_process, traceparent
from amllog.context.environment import first_non_empty, json_object
from amllog.exporters.run_metrics.run_info import RunInfo
from amllog.record.operation_id import operation_id_of, span_id_of

if TYPE_CHECKING:
    from amllog.config.settings import Settings


MAX_LOCAL_RUN = 256  # characters of a name in AMLLOG_LOCAL_RUN
_ONLINE = (
    "AZUREML_ARM_SUBSCRIPTION",
    "AZUREML_RUN_ID",
    "AZUREML_ARM_RESOURCEGROUP",
    "AZUREML_ARM_WORKSPACE_NAME",
    "AZUREML_ARM_PROJECT_NAME",
    "AZUREML_RUN_TOKEN",
    "AZUREML_SERVICE_ENDPOINT",
)
_LOCAL_RUN_VALUE = re.compile(r"(.+) (local_\d{8}T\d{6}_[0-9a-f]{8})", re.DOTALL)


class ProcessInfo(NamedTuple):
    """Names from the process itself, for the fields that Azure ML would provide in a job."""

    script: str
    folder: str
    node: str
    is_worker: bool = False  # a multiprocessing child, which is of the same step as its parent
    token: str = (
        ""  # identifies the process. "" for a worker and for a fork of the process that called setup().
    )
    url: str = ""  # of the records of a local run
    local_run: str = ""  # the id of the local run, if this process already has one


@dataclass(frozen=True)
class Identity:
    """The run, step, experiment, node and rank of this process."""

    step_id: str
    parent_run_id: str
    root_run_id: str
    step_name: str
    experiment_name: str
    run_url: str
    run_type: str
    build_url: str = field(repr=False)  # may contain credentials
    build_version: str
    node: str
    rank: int | None
    in_job: bool
    operation_id: str
    span_id: str
    parent_span_id: str
    has_retry: bool = False  # another attempt of the step follows if this one fails

    @property
    def is_child(self) -> bool:
        """Return whether another process is the step and records its end. This one is a span of it."""
        return self.span_id != span_id_of(self.step_id)

    def dimensions(self) -> dict[str, str]:
        """Return the dimensions of every record: the five of Microsoft's guide, then the others if they are known.

        A step has its root run only if that is another one than its parent, as for a trial in a pipeline.
        """
        dimensions = {
            "parent_run_id": self.parent_run_id,
            "step_id": self.step_id,
            "step_name": self.step_name,
            "experiment_name": self.experiment_name,
            "run_url": self.run_url,
        }
        optional = {
            "root_run_id": self.root_run_id if self.root_run_id != self.parent_run_id else "",
            "run_type": self.run_type,
            "build_url": self.build_url,
            "build_version": self.build_version,
            "rank": "" if self.rank is None else str(self.rank),
            "node": self.node,
        }
        dimensions.update((key, value) for key, value in optional.items() if value)
        return dimensions


def is_job(environ: Mapping[str, str]) -> bool:
    """Return whether this process runs in an Azure ML job, of either generation of the runtime."""
    return bool(job_run_id(environ))


def job_run_id(environ: Mapping[str, str]) -> str:
    """Return the run id of the Azure ML job that this process runs in, or "" outside a job."""
    return _run_id(environ, json_object(environ, "AZUREML_CR_AZUREML_CONTEXT"))


def default_directory(environ: Mapping[str, str]) -> str:
    """Return the default directory of the journal. In a job it is below `logs`, which Azure ML uploads."""
    return JOB_DIRECTORY if is_job(environ) else LOCAL_DIRECTORY


def may_be_online(environ: Mapping[str, str]) -> bool:
    """Return whether azureml's `Run.get_context()` would send requests. It does so only with all seven variables."""
    return all(environ.get(name) for name in _ONLINE)


def resolve_identity(
    environ: Mapping[str, str], process: ProcessInfo, settings: Settings, run_info: RunInfo
) -> Identity:
    """Return the identity. Settings come first, then run history, the environment, and names from the process."""
    context = json_object(environ, "AZUREML_CR_AZUREML_CONTEXT")
    run_id = _run_id(environ, context)
    if run_id:
        root = first_non_empty(
            run_info.root_run_id, environ.get("AZUREML_ROOT_RUN_ID"), context.get("root_run_id")
        )
        root = root or run_info.parent_run_id or run_id
        parent = run_info.parent_run_id or root
    else:
        run_id, parent, root = _local(environ, process)
    trace_parent = traceparent.read_parent(environ)
    operation_id = trace_parent[0] if trace_parent else operation_id_of(root)
    place = _place(environ, process, run_id, parent)
    build_url, build_version = environment.build_info(environ, run_info.properties)
    return Identity(
        step_id=run_id,
        parent_run_id=parent,
        root_run_id=root,
        step_name=first_non_empty(settings.step_name, run_info.step_name, process.script),
        experiment_name=first_non_empty(
            settings.experiment_name,
            run_info.experiment_name,
            environ.get("AZUREML_ARM_PROJECT_NAME"),
            context.get("experiment_name"),
            environ.get("MLFLOW_EXPERIMENT_NAME"),
            process.folder,
        ),
        run_url=process.url
        if environ.get(LOCAL_AZURE)
        else first_non_empty(run_info.run_url, _portal_url(environ, context, parent), process.url),
        run_type=settings.run_type,
        build_url=settings.build_url or build_url,
        build_version=settings.build_version or build_version,
        node=resolve_node(environ, process.node),
        rank=environment.rank(environ),
        in_job=is_job(environ),
        operation_id=operation_id,
        span_id=place.span_id,
        parent_span_id=place.parent_span_id,
        has_retry=bool(environ.get(LOCAL_RETRY)),
    )


def _place(environ: Mapping[str, str], process: ProcessInfo, run_id: str, parent: str) -> step_process.Place:
    """Return the span of this process, which is that of the step unless another process is the step."""
    span_id = span_id_of(run_id)
    below = step_process.place_below_step(environ, run_id, span_id, process.token)
    if below is not None:
        return below
    started_by = traceparent.read_parent(environ)
    if started_by is not None and started_by[1] != span_id:
        return step_process.Place(span_id, started_by[1])
    return step_process.Place(span_id, span_id_of(parent) if parent != run_id else "")


def local_run_value(identity: Identity) -> str:
    """Return the value of AMLLOG_LOCAL_RUN for child processes of a run outside Azure ML."""
    return f"{identity.root_run_id} {identity.step_id}"


def split_local_run(value: str) -> tuple[str, str]:
    """Return the run and the step in a value of AMLLOG_LOCAL_RUN. The value of a user is a run without a step."""
    value = value.strip()
    match = _LOCAL_RUN_VALUE.fullmatch(value)
    return (match[1], match[2]) if match else (value[:MAX_LOCAL_RUN], "")


def _run_id(environ: Mapping[str, str], context: Mapping[str, Any]) -> str:
    mlflow = environ.get("MLFLOW_TRACKING_URI", "").startswith("azureml://")
    return first_non_empty(
        environ.get("AZUREML_RUN_ID"),
        context.get("run_id"),
        environ.get("MLFLOW_RUN_ID") if mlflow else "",
    )


def _local(environ: Mapping[str, str], process: ProcessInfo) -> tuple[str, str, str]:
    """Return (step, parent, root) outside Azure ML. Children of a process that called setup() belong to its run."""
    root, step = split_local_run(environ.get(LOCAL_RUN, ""))
    if root and step and process.is_worker:
        return step, root, root
    run_id = (
        process.local_run or f"local_{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}_{os.urandom(4).hex()}"
    )
    return (run_id, root, root) if root else (run_id, run_id, run_id)


def _portal_url(environ: Mapping[str, str], context: Mapping[str, Any], run_id: str) -> str:
    """Return the URL of the run in the studio, in the format of azureml.core's HasRunPortal."""
    scope = [
        first_non_empty(environ.get(f"AZUREML_ARM_{name}"), context.get(key))
        for name, key in (
            ("SUBSCRIPTION", "subscription_id"),
            ("RESOURCEGROUP", "resource_group"),
            ("WORKSPACE_NAME", "workspace_name"),
        )
    ]
    if not all(scope):
        return ""
    subscription, group, workspace = scope
    workspace_id = f"/subscriptions/{subscription}/resourcegroups/{group}/workspaces/{workspace}"
    return f"https://ml.azure.com/runs/{run_id}?wsid={workspace_id}"


def resolve_node(environ: Mapping[str, str], name: str) -> str:
    """Return the id of this node. `name`: of the machine, which is the id outside Azure ML."""
    compute = json_object(environ, "AZUREML_CR_COMPUTE_CONTEXT")
    return first_non_empty(
        environ.get("AZ_BATCH_NODE_ID"), compute.get("node_id"), compute.get("vm_id"), name
    )
