"""The identity of a process in each runtime and outside of all."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from amllog.config.settings import Settings
from amllog.config.variables import LOCAL_RUN
from amllog.context import identity
from amllog.context.identity import ProcessInfo, resolve_identity
from amllog.exporters.run_metrics.run_info import RunInfo

HOST = ProcessInfo(script="train.py", folder="digits", node="laptop", url="file:///j")
WORKSPACE = {
    "AZUREML_ARM_SUBSCRIPTION": "sub",
    "AZUREML_ARM_RESOURCEGROUP": "rg",
    "AZUREML_ARM_WORKSPACE_NAME": "ws",
}
CONTEXT = {"run_id": "r", "root_run_id": "root", "experiment_name": "e", "subscription_id": "sub",
           "resource_group": "rg", "workspace_name": "ws"}  # fmt: skip


def identify(environ: dict[str, str], run_info: RunInfo | None = None, **settings: Any) -> Any:
    """Return the identity in an environment."""
    return resolve_identity(environ, HOST, Settings(**settings), run_info or RunInfo())


def test_identity_in_a_job() -> None:
    """The variables of the old runtime contain run, root, experiment and workspace."""
    who = identify(
        {"AZUREML_RUN_ID": "r", "AZUREML_ROOT_RUN_ID": "root", "AZUREML_ARM_PROJECT_NAME": "e", **WORKSPACE}
    )
    assert (who.step_id, who.parent_run_id, who.root_run_id, who.experiment_name) == (
        "r",
        "root",
        "root",
        "e",
    )
    assert (
        who.run_url
        == "https://ml.azure.com/runs/root?wsid=/subscriptions/sub/resourcegroups/rg/workspaces/ws"
    )
    assert who.in_job and who.step_name == "train.py"


def test_identity_in_the_common_runtime() -> None:
    """The context variable of the common runtime contains the same."""
    who = identify({"AZUREML_CR_AZUREML_CONTEXT": json.dumps(CONTEXT)})
    assert (who.step_id, who.root_run_id, who.experiment_name, who.in_job) == ("r", "root", "e", True)
    assert who.run_url.startswith("https://ml.azure.com/runs/root?")


def test_a_step_on_this_machine_has_no_page() -> None:
    """The address of the local Azure answers only as long as the run continues, and there is no page in the studio."""
    environ = {"AZUREML_RUN_ID": "r", **WORKSPACE, "AMLLOG_LOCAL_AZURE": "true"}
    assert identify(environ, RunInfo(run_url="http://127.0.0.1:33459/runs/r")).run_url == HOST.url


def test_precedence_of_sources() -> None:
    """Settings win over run history, and run history wins over the environment."""
    environ = {"AZUREML_RUN_ID": "r", "AZUREML_ROOT_RUN_ID": "root", "AZUREML_ARM_PROJECT_NAME": "e",
               "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "8", "GITHUB_SHA": "abc"}  # fmt: skip
    run_info = RunInfo(
        "parent", "top", "step of run history", "experiment of run history", "https://history", {}
    )
    who = identify(environ, run_info)
    assert (who.parent_run_id, who.root_run_id, who.step_name, who.run_url) == (
        "parent", "top", "step of run history", "https://history",
    )  # fmt: skip
    assert (who.build_url, who.build_version) == ("https://github.com/o/r/actions/runs/8", "abc")
    settings = {"step_name": "mine", "experiment_name": "also mine", "build_url": "u", "build_version": "v"}
    who = identify(environ, run_info, **settings)
    assert {name: getattr(who, name) for name in settings} == settings


def test_identity_outside_azure_ml() -> None:
    """Outside Azure ML every field has a local value, and a child process belongs to its parent's run."""
    who = identify({})
    assert who.step_id == who.parent_run_id == who.root_run_id and who.step_id.startswith("local_")
    assert (who.step_name, who.experiment_name, who.node, who.run_url) == (
        "train.py",
        "digits",
        "laptop",
        "file:///j",
    )
    assert not who.in_job and who.parent_span_id == "" and who.rank is None
    environ = {LOCAL_RUN: identity.local_run_value(who)}
    step = identify(environ)
    assert (step.parent_run_id, step.root_run_id) == (
        who.step_id,
        who.step_id,
    ) and step.step_id != who.step_id
    worker = resolve_identity(environ, HOST._replace(is_worker=True), Settings(), RunInfo())
    assert (worker.step_id, worker.operation_id) == (who.step_id, who.operation_id)


def test_a_run_named_by_the_user() -> None:
    """A value of AMLLOG_LOCAL_RUN without a step is the name of a run, with its spaces, and each script is a step."""
    for value in ("monday", " my run of monday ", "local 2 x"):
        step = identify({LOCAL_RUN: value})
        assert step.parent_run_id == step.root_run_id == value.strip() and step.step_id.startswith("local_")
        passed = {LOCAL_RUN: identity.local_run_value(step)}
        worker = resolve_identity(passed, HOST._replace(is_worker=True), Settings(), RunInfo())
        assert (worker.step_id, worker.parent_run_id) == (step.step_id, step.parent_run_id)
    assert len(identify({LOCAL_RUN: "x" * 1000}).parent_run_id) == identity.MAX_LOCAL_RUN


@given(st.text())
def test_any_name_of_a_run_comes_back(name: str) -> None:
    """The value for child processes has the name and the step of its process again, for any name."""
    step = identify({LOCAL_RUN: name})
    value = identity.local_run_value(step)
    assert identity.split_local_run(value) == (step.root_run_id, step.step_id)


NAMES = ["AZUREML_RUN_ID", "AZUREML_ROOT_RUN_ID", "AZUREML_CR_AZUREML_CONTEXT", "AZUREML_CR_COMPUTE_CONTEXT",
         "TF_CONFIG",
         "RANK", LOCAL_RUN, "AZUREML_CR_NODE_RANK", "BUILD_BUILDID", "AZ_BATCH_NODE_ID"]  # fmt: skip
values = st.text() | st.sampled_from([
    '{"run_id": 7}', "[]", '{"cluster": 1, "task": {"index": {}}}', '{"node_id": null}', "null", "²", "9" * 5000,
    '{"cluster": {"chief": 5}, "task": {"type": "worker", "index": 1}}',
    '{"cluster": {"chief": []}, "task": {"type": "chief", "index": "²"}}',
])  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), values))
def test_any_environment_has_an_identity(environ: dict[str, str]) -> None:
    """Any values of the variables give an identity, with the five dimensions of Microsoft's guide as strings."""
    who = identify(environ)
    dimensions = who.dimensions()
    assert set(dimensions) >= {"parent_run_id", "step_id", "step_name", "experiment_name", "run_url"}
    assert all(isinstance(value, str) for value in dimensions.values())
    assert who.step_id and len(who.operation_id) == 32 and len(who.span_id) == 16
