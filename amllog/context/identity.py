"""Which run am I: step, run, experiment, node and rank of this process.

In: the environment as a mapping, what the run's own record says where the service answered, and settings.
Out: a frozen `Identity` with every field always present. Sources of the variables' names: both generations of the
Azure ML runtime, MPI, PyTorch, TensorFlow, Azure DevOps and GitHub Actions (docs/identity.md lists them).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from amllog.context import environment, traceparent
from amllog.context.environment import first_non_empty, json_object
from amllog.exporters.run_metrics.run_info import RunInfo

if TYPE_CHECKING:
    from amllog.config.settings import Settings

LOCAL_RUN = "AMLLOG_LOCAL_RUN"  # how a process outside Azure ML tells its children which run they belong to

_ONLINE = (
    "AZUREML_ARM_SUBSCRIPTION",
    "AZUREML_RUN_ID",
    "AZUREML_ARM_RESOURCEGROUP",
    "AZUREML_ARM_WORKSPACE_NAME",
    "AZUREML_ARM_PROJECT_NAME",
    "AZUREML_RUN_TOKEN",
    "AZUREML_SERVICE_ENDPOINT",
)
_GUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")


class ProcessInfo(NamedTuple):
    """What the process knows of itself: the names that stand in for a run outside Azure ML."""

    script: str
    folder: str
    node: str
    is_worker: bool = False  # a multiprocessing child: the same step as its parent
    url: str = ""  # where a local run's records can be seen
    local_run: str = ""  # the id that this process already has outside Azure ML


@dataclass(frozen=True)
class Identity:
    """Which run, step, experiment, node and rank this process is."""

    step_id: str
    parent_run_id: str
    root_run_id: str
    step_name: str
    experiment_name: str
    run_url: str
    run_type: str
    build_url: str = field(repr=False)  # may name who may fetch it
    build_version: str
    node: str
    rank: int | None
    in_job: bool
    operation_id: str
    span_id: str
    parent_span_id: str

    @property
    def is_child(self) -> bool:
        """Whether another process of the same step started this one, and speaks for the step."""
        return self.span_id != span_id_of(self.step_id)

    def dimensions(self) -> dict[str, str]:
        """The dimensions that stand on every record: the guide's five, then the others where known."""
        found = {
            "parent_run_id": self.parent_run_id,
            "step_id": self.step_id,
            "step_name": self.step_name,
            "experiment_name": self.experiment_name,
            "run_url": self.run_url,
        }
        known = {
            "run_type": self.run_type,
            "build_url": self.build_url,
            "build_version": self.build_version,
            "rank": "" if self.rank is None else str(self.rank),
            "node": self.node,
        }
        found.update((key, value) for key, value in known.items() if value)
        return found


def is_job(environ: Mapping[str, str]) -> bool:
    """Whether this process runs inside an Azure ML job, of either generation of runtime."""
    return bool(_run_id(environ, json_object(environ, "AZUREML_CR_AZUREML_CONTEXT")))


def default_directory(environ: Mapping[str, str]) -> str:
    """The default directory of the journal: below `logs` in a job, which the service uploads."""
    return "logs/amllog" if is_job(environ) else ".amllog"


def may_be_online(environ: Mapping[str, str]) -> bool:
    """Whether azureml's `Run.get_context()` would go online: it needs all of its seven variables."""
    return all(environ.get(name) for name in _ONLINE)


def resolve_identity(
    environ: Mapping[str, str], process: ProcessInfo, settings: Settings, run_info: RunInfo
) -> Identity:
    """The identity: settings first, then run history, then the environment, then the host's own names."""
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
    span_id = traceparent.child_span(environ, run_id) or span_id_of(run_id)
    above = traceparent.read_parent(environ)
    operation_id = above[0] if above else operation_id_of(root)
    parent_span_id = span_id_of(parent) if parent != run_id else ""
    if above and above[1] != span_id:  # else: started by this very step
        parent_span_id = above[1]
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
        run_url=first_non_empty(run_info.run_url, _portal_url(environ, context, parent), process.url),
        run_type=settings.run_type,
        build_url=settings.build_url or build_url,
        build_version=settings.build_version or build_version,
        node=_node(environ, process),
        rank=environment.rank(environ),
        in_job=is_job(environ),
        operation_id=operation_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
    )


def local_run_value(identity: Identity) -> str:
    """The value of AMLLOG_LOCAL_RUN for child processes of a run outside Azure ML."""
    return f"{identity.root_run_id} {identity.step_id}"


def operation_id_of(root_run_id: str) -> str:
    """The operation_Id (W3C trace id) that all processes of a run work out alike: a GUID's own 32 hex digits,
    otherwise the first 32 of the id's SHA-256."""
    lowered = root_run_id.lower()
    digits = lowered.replace("-", "")
    if _GUID.fullmatch(lowered) and digits.strip("0"):
        return digits
    return _digest(root_run_id)[:32]


def span_id_of(run_id: str) -> str:
    """The span id of a run: the first 16 hex digits of its id's SHA-256."""
    return _digest(run_id)[:16]


def _digest(text: str) -> str:
    import hashlib  # here: `import amllog` must stay light

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _run_id(environ: Mapping[str, str], context: Mapping[str, Any]) -> str:
    mlflow = environ.get("MLFLOW_TRACKING_URI", "").startswith("azureml://")
    return first_non_empty(
        environ.get("AZUREML_RUN_ID"),
        context.get("run_id"),
        environ.get("MLFLOW_RUN_ID") if mlflow else "",
    )


def _local(environ: Mapping[str, str], process: ProcessInfo) -> tuple[str, str, str]:
    """(step, parent, root) outside Azure ML: children of a process that called setup() belong to its run."""
    root, _, step = environ.get(LOCAL_RUN, "").partition(" ")
    if root and step and process.is_worker:
        return step, root, root
    own = process.local_run or f"local_{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}_{os.urandom(4).hex()}"
    return (own, root, root) if root else (own, own, own)


def _portal_url(environ: Mapping[str, str], context: Mapping[str, Any], run_id: str) -> str:
    """The run's page in the studio, as azureml.core's HasRunPortal writes it."""
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
    where = f"/subscriptions/{subscription}/resourcegroups/{group}/workspaces/{workspace}"
    return f"https://ml.azure.com/runs/{run_id}?wsid={where}"


def _node(environ: Mapping[str, str], process: ProcessInfo) -> str:
    compute = json_object(environ, "AZUREML_CR_COMPUTE_CONTEXT")
    return first_non_empty(
        environ.get("AZ_BATCH_NODE_ID"), compute.get("node_id"), compute.get("vm_id"), process.node
    )
