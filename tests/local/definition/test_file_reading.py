"""Tests of reading files of Azure ML's format: each feature of the format, as a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.definition.file_reading import DefinitionResult, read_file
from amllog.local.plan.planned_steps import (
    EnvironmentReference,
    LiteralValue,
    LocalData,
    NamedData,
    PlannedPipeline,
    PlannedStep,
    SourceLine,
    StepKind,
    StepOutput,
)
from tests.local.definition.conftest import Reader

COMPONENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
name: train
type: command
inputs:
  data: {type: uri_folder}
  rate: {type: number, default: 0.1, min: 0, max: 1}
  note: {type: string, optional: true}
outputs:
  model: {type: uri_file}
code: ./src
environment: azureml:train-env@latest
command: >-
  python train.py --data ${{inputs.data}} --rate ${{ inputs.rate }}
  $[[--note ${{inputs.note}}]] --model ${{outputs.model}}
"""


def plan(result: DefinitionResult) -> PlannedPipeline:
    """Return the plan of a file without findings."""
    assert [str(finding) for finding in result.findings] == []
    assert result.pipeline is not None
    return result.pipeline


def only(result: DefinitionResult) -> PlannedStep:
    """Return the only step."""
    (step,) = plan(result).steps
    return step


def test_missing_file_is_a_finding(tmp_path: Path) -> None:
    """A file that does not exist gives a finding, not an exception."""
    result = read_file(tmp_path / "a.yml", {})
    assert (result.pipeline, [f.message for f in result.findings]) == (None, ["the file does not exist"])


def test_users_own_shape(read: Reader, tmp_path: Path) -> None:
    """The shape of users' files: inline commands without a type, null outputs, and outputs of the pipeline."""
    result = plan(
        read("""\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
experiment_name: taxi
settings: {default_compute: azureml:cpu, continue_on_step_failure: false}
inputs:
  input: {type: uri_folder, path: azureml:taxi-data@latest}
  split: 0.5
outputs:
  train_data:
  model: {type: mlflow_model}
jobs:
  train:
    command: python train.py --in ${{inputs.train_data}} --out ${{outputs.model}}
    code: ../../src/train
    environment: azureml:taxi-env@latest
    inputs: {train_data: "${{parent.jobs.prep.outputs.train_data}}"}
    outputs: {model: "${{parent.outputs.model}}"}
  prep:
    name: prep
    display_name: prep-data
    command: >-
      python prep.py --raw ${{inputs.raw}} --split ${{inputs.split}} --out ${{outputs.train_data}}
    code: ../../src/prep
    environment: azureml:taxi-env@latest
    inputs:
      raw: ${{parent.inputs.input}}
      split: ${{parent.inputs.split}}
    outputs: {train_data: "${{parent.outputs.train_data}}", "artifacts": }
""")
    )
    prep, train = result.steps
    assert (prep.name, train.name, train.requires) == ("prep", "train", ("prep",))
    assert prep.inputs["raw"] == NamedData(
        "azureml:taxi-data@latest", "uri_folder", SourceLine(Path("pipeline.yml"), 6)
    )
    assert prep.inputs["split"] == LiteralValue(0.5, "number")
    assert prep.code == tmp_path.parent.parent / "src" / "prep"
    assert prep.environment == EnvironmentReference(
        "azureml:taxi-env@latest", position=SourceLine(Path("pipeline.yml"), 24)
    )
    assert train.inputs == {"train_data": StepOutput("prep", "train_data", "uri_folder")}
    assert train.outputs["model"].type == "mlflow_model"
    assert "artifacts" in prep.outputs
    assert result.outputs["model"] == StepOutput("train", "model", "mlflow_model")
    assert (result.experiment_name, result.continue_on_step_failure) == ("taxi", False)
    assert (prep.position.line, train.input_positions["train_data"].line) == (18, 16)
    assert result.source == tmp_path / "pipeline.yml"
    assert not result.is_single


def test_components(read: Reader, tmp_path: Path) -> None:
    """A component file has its code and defaults, relative to itself, in both spellings of its path."""
    text = """\
type: pipeline
jobs:
  one: &step
    type: command
    component: ./parts/train.yml
    inputs: {data: {type: uri_folder, path: ./data}, rate: "0.5"}
  two:
    component: file:./parts/train.yml
    environment: {image: ubuntu, conda_file: ./conda.yml}
    environment_variables: {RATE: "${{inputs.rate}}", FIXED: 1}
    inputs: {data: ./data}
    outputs: {model: {mode: upload}}
"""
    one, two = plan(read(text, parts__train=COMPONENT)).steps
    assert one.inputs == {"data": LocalData(tmp_path / "data"), "rate": LiteralValue("0.5", "number")}
    assert two.inputs == {"data": LocalData(tmp_path / "data"), "rate": LiteralValue(0.1, "number")}
    assert one.code == tmp_path / "parts" / "src"
    assert one.outputs["model"].type == two.outputs["model"].type == "uri_file"
    assert one.command.startswith("python train.py --data ${{inputs.data}} --rate ${{inputs.rate}} $[[--note")
    assert two.environment and two.environment.conda_file == tmp_path / "conda.yml"
    assert two.environment_variables == {"RATE": "0.1", "FIXED": "1"}


NESTED = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
type: pipeline
name: inner
inputs:
  data: {type: uri_folder}
  count: {type: integer, default: 3}
outputs:
  result: {type: uri_file}
jobs:
  first:
    command: echo ${{inputs.n}} > ${{outputs.out}}
    environment: azureml:e:1
    inputs: {n: "${{parent.inputs.count}}", d: {path: "${{parent.inputs.data}}"}}
    outputs: {out: }
  last:
    command: cp ${{inputs.x}} ${{outputs.y}}
    environment: azureml:e:1
    inputs: {x: "${{parent.jobs.first.outputs.out}}"}
    outputs: {y: "${{parent.outputs.result}}"}
"""


def test_nested_pipelines(read: Reader, tmp_path: Path) -> None:
    """Nested pipelines become steps with dotted names, and chains of outputs end at the steps that write them."""
    result = plan(
        read(
            """\
type: pipeline
inputs: {data: {path: ./d}}
outputs: {final: }
jobs:
  use:
    command: cat ${{inputs.r.path}}
    environment: azureml:e:1
    inputs: {r: "${{parent.jobs.outer.outputs.result}}"}
  outer:
    type: pipeline
    component: ./middle.yml
    inputs: {data: "${{parent.inputs.data}}"}
    outputs: {result: "${{parent.outputs.final}}"}
""",
            middle=NESTED.replace("name: inner", "name: middle").partition("jobs:")[0]
            + """\
jobs:
  deep:
    type: pipeline
    component: file:nested.yml
    inputs: {data: "${{parent.inputs.data}}", count: 7}
    outputs: {result: "${{parent.outputs.result}}"}
""",
            nested=NESTED,
        )
    )
    assert [step.name for step in result.steps] == ["outer.deep.first", "outer.deep.last", "use"]
    assert result.groups == ("outer", "outer.deep")
    first, last, use = result.steps
    assert (first.group, first.inputs["n"]) == ("outer.deep", LiteralValue(7, "integer"))
    assert first.inputs["d"] == LocalData(tmp_path / "d")
    assert last.outputs["y"].type == "uri_file"
    assert use.inputs == {"r": StepOutput("outer.deep.last", "y", "uri_file")}
    assert use.command == "cat ${{inputs.r}}"
    assert result.outputs == {"final": StepOutput("outer.deep.last", "y", "uri_file")}


def test_steps_of_the_service_are_skipped(read: Reader) -> None:
    """Registry components, automl and code elsewhere are unsupported with a reason, and keep their outputs."""
    steps = plan(
        read("""\
type: pipeline
jobs:
  report:
    {type: command, environment: azureml:e, command: "cat ${{inputs.m}}", inputs: {m: "${{parent.jobs.a.outputs.x}}"}}
  a:
    type: command
    component: azureml://registries/azureml/components/y/versions/1
    inputs: {d: {type: uri_file, path: "azureml:data:1"}, m: "${{parent.jobs.b.outputs.best_model}}"}
  b: {type: automl, task: regression, outputs: {best_model: {type: mlflow_model}}}
  c: {component: "azureml:mine@latest"}
  d: {command: "true", code: "git+https://github.com/a/b", environment: azureml:e}
""")
    ).steps
    assert [(step.name, step.kind) for step in steps][:3] == [
        ("b", StepKind.UNSUPPORTED), ("a", StepKind.UNSUPPORTED), ("report", StepKind.COMMAND),
    ]  # fmt: skip
    assert steps[1].requires == ("b",)
    assert [step.skip_reason for step in (*steps[:2], *steps[3:])] == [
        "automl runs in the service only",
        "its component azureml://registries/azureml/components/y/versions/1 is in a registry, and not on this machine",
        "its component azureml:mine@latest is in a workspace, and not on this machine",
        "its code git+https://github.com/a/b is not on this machine",
    ]
    assert "x" in steps[1].outputs


def test_registered_components_map_to_files(tmp_path: Path) -> None:
    """A map of registered components makes their steps run."""
    (tmp_path / "c.yml").write_text(COMPONENT, encoding="utf-8")
    pipeline = tmp_path / "p.yml"
    pipeline.write_text("type: pipeline\njobs:\n  a: {component: 'azureml:t@latest', inputs: {data: ./d}}\n")
    assert only(read_file(pipeline, {}, {"t": tmp_path / "c.yml"})).kind is StepKind.COMMAND


@pytest.mark.parametrize("schema", ["$schema: https://x/commandJob.schema.json\n", "type: command\n", ""])
def test_command_jobs(read: Reader, schema: str) -> None:
    """A command job is a plan of one step without a parent, with and without its schema."""
    result = plan(
        read(
            f"{schema}command: echo ${{{{inputs.x}}}}\nenvironment: azureml:e:1\ninputs: {{x: 1, y: https://a/b}}\n"
            "limits: {timeout: 60}\ncompute: local\nresources: {instance_count: 2}\n"
            "distribution: {type: PyTorch, process_count_per_instance: 2}\n",
            {"x": "5"},
        )
    )
    (step,) = result.steps
    assert result.is_single
    assert step.inputs == {"x": LiteralValue("5", "number"), "y": LiteralValue("https://a/b", "string")}
    assert step.timeout_seconds == 60
    assert step.distribution and (step.distribution.process_count, step.distribution.instance_count) == (2, 2)


def test_components_run_with_inputs(read: Reader, tmp_path: Path) -> None:
    """A component file gets its inputs from the command line, relative to the working directory."""
    step = only(read(COMPONENT, {"data": "d", "rate": "0.25"}))
    assert step.inputs == {"data": LocalData(tmp_path / "d"), "rate": LiteralValue("0.25", "number")}
    result = plan(read(NESTED, {"data": "azureml:x:1"}))
    assert result.steps[0].inputs["d"] == NamedData(
        "azureml:x:1", "uri_folder", SourceLine(Path("--input data=azureml:x:1"), 0)
    )


def test_jobs_that_name_one_component(read: Reader, tmp_path: Path) -> None:
    """A job with `component:` in place of `jobs:` is its component, with the job's inputs."""
    job = "type: pipeline\ncomponent: ./c.yml\ninputs: {data: ./d}\n"
    result = plan(read(job, c=NESTED))
    assert [step.name for step in result.steps] == ["first", "last"]
    assert result.outputs["result"] == StepOutput("last", "y", "uri_file")
    assert only(read(job, c=COMPONENT)).inputs["data"] == LocalData(tmp_path / "d")
    skipped = only(read("type: pipeline\ncomponent: azureml:x:1\ninputs: {data: ./d}\n"))
    assert skipped.kind is StepKind.UNSUPPORTED


def test_environments(read: Reader, tmp_path: Path) -> None:
    """Named, inline and filed environments, also with an inline conda_file."""
    texts = {
        "azureml:e@latest": "azureml:e@latest",
        "{name: e, version: 2}": "azureml:e:2",
        "file:./env.yml": "ubuntu",
        "file:./%65nv.yml": "ubuntu",
        "{image: ubuntu, conda_file: {dependencies: [pip]}}": "ubuntu",
        "{build: {path: docker}}": "build docker",
    }
    for text, expected in texts.items():
        environment = only(
            read(f"command: 'true'\nenvironment: {text}\n", env="image: ubuntu\nconda_file: c.yml\n")
        ).environment
        assert environment is not None
        assert (environment.name or environment.image) == expected


def test_outputs_with_paths(read: Reader, tmp_path: Path) -> None:
    """Paths on a datastore stay in the folder of the run, and local paths are those of the user."""
    step = only(
        read("""\
command: "true"
environment: azureml:e
outputs:
  a: {type: uri_file, path: "azureml://datastores/x/paths/${{name}}/${{output_name}}", mode: upload}
  b: {path: "azureml://datastores/${{default_datastore}}/paths/b"}
  c: {path: ./local}
""")
    )
    assert [output.path for output in step.outputs.values()] == [None, None, tmp_path / "local"]


def test_dumped_jobs(read: Reader, tmp_path: Path) -> None:
    """A file that azure-ai-ml dumped: inline components, `azureml:./data`, and `code` as an absolute path."""
    step = only(
        read(f"""\
type: pipeline
jobs:
  s:
    type: command
    inputs: {{data: {{type: uri_folder, path: "azureml:./data"}}}}
    component:
      name: s
      type: command
      inputs: {{data: {{type: uri_folder}}}}
      code: {tmp_path}/src
      environment: azureml:e
      command: ls ${{{{inputs.data}}}}
""")
    )
    assert (step.inputs["data"], step.code) == (LocalData(tmp_path / "data"), tmp_path / "src")


def test_dumps_lose_null_outputs(tmp_path: Path) -> None:
    """A dump of azure-ai-ml has no outputs without keys. They are those that steps are bound to."""
    path = tmp_path / "dump.yml"
    output = "outputs: {x: '${{parent.outputs.y}}'}"
    path.write_text(f"type: pipeline\njobs: {{s: {{command: 'true', environment: azureml:e, {output}}}}}\n")
    assert "the pipeline has no output 'y'" in read_file(path, {}).findings[0].message
    assert plan(read_file(path, {}, is_dump=True)).outputs == {"y": StepOutput("s", "x", "uri_folder")}


def test_recursion_and_growth_are_bounded(read: Reader) -> None:
    """A component that contains itself is an error, and so is a pipeline of too many steps."""
    job = "type: pipeline\njobs: {a: {type: pipeline, component: ./c.yml}}\n"
    result = read(job, c="type: pipeline\njobs: {b: {type: pipeline, component: ./c.yml}}\n")
    assert [str(f) for f in result.findings] == ["c.yml:2: the pipeline component contains itself"]
    jobs = ", ".join(f"s{i}: {{type: pipeline, component: ./NEXT.yml}}" for i in range(9))
    files = {f"c{i}": f"type: pipeline\njobs: {{{jobs}}}\n".replace("NEXT", f"c{i + 1}") for i in range(5)}
    files["c5"] = "type: pipeline\njobs: {x: {command: 'true'}}\n"
    assert "more than 2,000 steps" in read(files["c0"], **files).findings[-1].message
