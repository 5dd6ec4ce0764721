"""Step objects of SDK v1 as pipelines. The classes here have the attributes of the SDK, which is in guests/heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amllog.local.plan.planned_steps import (
    LocalData,
    NamedData,
    PlannedOutput,
    Severity,
    SourceLine,
    StepKind,
    StepOutput,
)
from amllog.local.step_objects.sdk_steps import plan_steps

HERE = SourceLine(Path("pipeline.py"), 30)


class Part:
    """An object with the given attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class PipelineData(Part):
    """A folder that the service does not create."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, _output_name=name, _producer=None)

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.name}"


class OutputFileDatasetConfig(Part):
    """A folder that the service creates."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, _producer=None, _origin=object())


class StepSequence(list):  # type: ignore[type-arg]
    """Steps that run one after the other."""


def step(name: str, *arguments: Any, inputs: Any = (), outputs: Any = (), **more: Any) -> Part:
    """Return a step that produces its outputs."""
    attributes = {
        "name": name,
        "step_type": "PythonScriptStep",
        "_script_name": f"{name}.py",
        "_source_directory": "src",
        "_arguments": list(arguments),
        "_inputs": list(inputs),
        "_outputs": list(outputs),
        "_allow_reuse": True,
        "run_after_steps": [],
    }
    made = Part(**{**attributes, **more})
    for output in outputs:
        output._producer = made
    return made


def test_steps_of_a_pipeline() -> None:
    """Data, parameters and strings with placeholders become templates, and producers come first."""
    raw, model, rate = (
        PipelineData("raw"),
        OutputFileDatasetConfig("model"),
        Part(name="rate", default_value=0.5),
    )
    prepare = step("prepare", "--out", raw, "--rate", rate, "-n", 3, outputs=[raw])
    train = step(
        "train", f"--in={raw}", "DatasetOutputConfig:model", inputs=[raw], outputs=[model], _allow_reuse=False
    )
    fitted = Part(name="fitted", dataset=model, arg_val="DatasetConsumptionConfig:fitted")
    score = step(
        "score it",
        "score.py",
        "DatasetConsumptionConfig:fitted",
        "&&",
        "ls",
        inputs=[fitted],
        step_type="CommandStep",
        _script_name=None,
        _command="python",
    )
    late = step("late", run_after_steps=[prepare])
    plan, findings = plan_steps([[late, score], [train]], {"rate": 0.25}, HERE)
    assert findings == []
    assert [planned.name for planned in plan.steps] == ["prepare", "late", "train", "score_it"]
    assert plan.steps[0].arguments == (
        "python",
        "prepare.py",
        "--out",
        "${{outputs.raw}}",
        "--rate",
        "0.25",
        "-n",
        "3",
    )
    assert dict(plan.steps[0].outputs) == {"raw": PlannedOutput(is_created=False)}
    assert plan.steps[1].after == ("prepare",)
    assert plan.steps[2].arguments == ("python", "train.py", "--in=${{inputs.raw}}", "${{outputs.model}}")
    assert dict(plan.steps[2].outputs) == {"model": PlannedOutput()}
    assert not plan.steps[2].is_reuse_allowed
    assert plan.steps[3].command == "python score.py ${{inputs.fitted}} && ls"
    assert dict(plan.steps[3].inputs) == {"fitted": StepOutput("train", "model")}
    assert plan.steps[0].code == Path("src").absolute()


def test_data_from_elsewhere() -> None:
    """Registered data sets and datastores are names for a map, and a parameter may be a local path."""
    registered = Part(name="a", dataset=Part(name="scores", version=2))
    latest = Part(name="b", dataset=Part(name="scores", version=None))
    store = Part(data_reference_name="c", datastore=Part(name="blob"), path_on_datastore="x/y")
    chosen = Part(name="d", dataset=Part(name="folder", default_value=Part(name="scores", version=1)))
    unnamed = Part(name="e", dataset=Part(name=None))
    reader = step("reader", registered, inputs=[registered, latest, store, chosen])
    plan, findings = plan_steps([reader, step("bad", inputs=[unnamed])], {"folder": "data"}, HERE)
    values = plan.steps[0].inputs
    assert plan.steps[0].arguments == ("python", "reader.py", "${{inputs.a}}")
    assert values["a"] == NamedData("azureml:scores:2", "uri_folder", HERE)
    assert values["b"] == NamedData("azureml:scores@latest", "uri_folder", HERE)
    assert values["c"] == NamedData("azureml://datastores/blob/paths/x/y", "uri_folder", HERE)
    assert values["d"] == LocalData(Path("data").absolute())
    assert [finding.message for finding in findings] == [
        "step bad: the input e is a Part without a name: register it, or pass its path as a PipelineParameter"
    ]


def test_other_steps() -> None:
    """A sequence orders its steps, steps of the service are skipped with a reason, and names are unique folders."""
    steps = StepSequence([[step("a"), step("a")], step("b/c", step_type="DatabricksStep")])
    plan, findings = plan_steps(steps, {"x": 1}, HERE)
    assert [(planned.name, planned.after) for planned in plan.steps] == [
        ("a", ()),
        ("a_2", ()),
        ("b_c", ("a", "a_2")),
    ]
    assert plan.steps[2].kind is StepKind.UNSUPPORTED
    assert plan.steps[2].skip_reason == "steps of type DatabricksStep run in Azure only"
    assert [finding.message for finding in findings] == ["no step has the pipeline parameter x of the inputs"]


def test_configuration() -> None:
    """The environment, its variables and the time limit are those of the RunConfiguration."""
    packages = Part(serialize_to_string=lambda: "dependencies: [pip, {pip: [pandas]}]")
    environment = Part(
        name="train-env",
        environment_variables={"EXAMPLE_ENV_VAR": "x", "A": 1},
        python=Part(conda_dependencies=packages),
    )
    configuration = Part(environment=environment, node_count=2, max_run_duration_seconds=60)
    plan, findings = plan_steps([step("a", _runconfig=configuration)], {}, HERE)
    (planned,) = plan.steps
    assert planned.environment is not None and planned.environment.name == "azureml:train-env"
    assert planned.environment.conda_file == {"dependencies": ["pip", {"pip": ["pandas"]}]}
    assert dict(planned.environment_variables) == {"A": "1"}
    assert planned.timeout_seconds == 60
    assert [(finding.severity, finding.message) for finding in findings] == [
        (Severity.WARNING, "step a: node_count is 2, and here it runs as one process")
    ]


def test_parallel_run_step() -> None:
    """The options of the ParallelRunConfig are separated from the user's own arguments."""
    files, scores = Part(name="files", dataset=Part(name="images", version=None)), PipelineData("scores")
    options = ["--client_sdk_version", "1.61", "--scoring_module_name", "batch.py", "--mini_batch_size", 5]
    options += ["--error_threshold", 10, "--output_action", "append_row", "--run_invocation_timeout", 30]
    options += ["--run_max_try", 3, "--output", scores, "--process_count_per_node", 2]
    options += ["--partition_keys", '["day"]', "--x", "1", "--input_fds_0", "files"]
    batch = step(
        "batch", *options, inputs=[files], outputs=[scores], step_type="ParallelRunStep", _node_count=2
    )
    plan, findings = plan_steps([batch], {}, HERE)
    task = plan.steps[0].parallel
    assert findings == [] and plan.steps[0].kind is StepKind.PARALLEL and task is not None
    assert (task.entry_script, task.input_data, task.program_arguments) == ("batch.py", "files", "--x 1")
    assert (task.mini_batch_size, task.mini_batch_error_threshold, task.max_retries) == ("5", 10, 2)
    assert (task.timeout_seconds, task.max_concurrency_per_instance, task.instance_count) == (30, 2, 2)
    assert task.append_row_to == "${{outputs.scores}}/parallel_run_step.txt"
    assert task.partition_keys == ("day",)
    assert plan.steps[0].outputs["scores"].is_created


def test_steps_that_need_each_other_are_a_finding() -> None:
    """A cycle of steps is an error with its steps in their order, and there is no plan."""
    first, second = step("first"), step("second")
    first.run_after_steps.append(second)
    second.run_after_steps.append(first)
    plan, findings = plan_steps([step("zero", run_after_steps=[first])], {}, HERE)
    assert plan is None
    assert [str(finding) for finding in findings] == [
        "pipeline.py:30: the steps need each other: first → second → first"
    ]
