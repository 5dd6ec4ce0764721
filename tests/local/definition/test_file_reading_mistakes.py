"""Tests of files with mistakes: each gives exactly one finding at its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from amllog.local.definition.file_reading import read_file
from tests.local.definition.conftest import Reader

PIPELINE = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
settings: {default_compute: azureml:cpu}
inputs:
  data: {type: uri_folder, path: ./data}
  rate: 0.5
outputs:
  model: {type: uri_folder}
jobs:
  prep:
    type: command
    command: >-
      python prep.py
      --data ${{inputs.data}}
      --out ${{outputs.clean}}
    code: ./src
    environment: azureml:e@latest
    inputs:
      data: ${{parent.inputs.data}}
    outputs:
      clean:
  train:
    type: command
    component: ./train.yml
    inputs:
      data: ${{parent.jobs.prep.outputs.clean}}
      rate: ${{parent.inputs.rate}}
    outputs:
      model: ${{parent.outputs.model}}
"""
TRAIN = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: train
inputs:
  data: {type: uri_folder}
  rate: {type: number, min: 0, max: 1}
  kind: {type: string, default: a, enum: [a, b]}
  note: {type: string, optional: true}
outputs:
  model: {type: uri_folder}
environment: azureml:e@latest
command: |
  python train.py --data ${{inputs.data}} \\
    --rate ${{inputs.rate}} --kind ${{inputs.kind}} \\
    $[[--note ${{inputs.note}}]] --model ${{outputs.model}}
"""
PARENT = "${{parent.inputs.data}} is not allowed in a command: bind it to an input or output, and use ${{inputs.NAME}}"
EXPRESSION_KINDS = "${{parent.inputs.NAME}}, ${{parent.outputs.NAME}} and ${{parent.jobs.STEP.outputs.NAME}}"


def test_a_correct_file_has_no_findings(read: Reader) -> None:
    """The file without a mistake gives a plan and no finding."""
    result = read(PIPELINE, train=TRAIN)
    assert (result.findings, result.pipeline is not None) == ([], True)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("jobs.prep.outputs", "jobs.perp.outputs",
         "26: ${{parent.jobs.perp.outputs.clean}}: the pipeline has no step 'perp'. Did you mean 'prep'?"),
        ("outputs.clean}}\n      rate", "outputs.clear}}\n      rate",
         "26: the step 'prep' has no output 'clear'. Did you mean 'clean'?"),
        ("data: ${{parent.inputs.data}}", "data: ${{parent.inputs.date}}",
         "19: ${{parent.inputs.date}}: the pipeline has no input 'date'. Did you mean 'data'?"),
        ("${{parent.outputs.model}}", "${{parent.outputs.best}}",
         "29: ${{parent.outputs.best}}: the pipeline has no output 'best': allowed is model"),
        ("--data ${{inputs.data}}", "--data ${{inputs.dta}}",
         "14: ${{inputs.dta}} is used, and inputs has no 'dta'. Did you mean 'data'?"),
        ("--out ${{outputs.clean}}", "--out ${{outputs.x}}",
         "15: ${{outputs.x}} is used, and outputs has no 'x': declared is clean"),
        ("--out ${{outputs.clean}}", "--out ${outputs.clean}",
         "15: '${outputs.clean}' has single braces: write '${{outputs.clean}}'"),
        ("--out ${{outputs.clean}}", "--out ${{outputs.clean}", "15: '${{' has no '}}'"),
        ("--data ${{inputs.data}}", "--data ${{parent.inputs.data}}",
         f"14: {PARENT}"),
        ("--data ${{inputs.data}}", "--data ${{input.data}}",
         "14: unknown expression ${{input.data}}: allowed in a command are ${{inputs.NAME}}, ${{outputs.NAME}}"),
        ("      --out", "      # the output\n      --out",
         "15: the comment hides the rest of the command from the shell: put it above the key"),
        ("prep.py\n", "prep.py \\\n",
         "13: the backslash continues no line, because YAML folds the lines: remove it, or write '|'"),
        ("      --out", "      --seed ${SEED}\n      --out",
         "15: the placeholder ${SEED} is not replaced: set SEED in environment_variables, or fill it in"),
        ("path: ./data", "path: 'azureml:${DATASET}@latest'",
         "5: the placeholder ${DATASET} of a template is not replaced"),
        ("azureml:e@latest\n    inputs", "azureml:#{ENV}#@latest\n    inputs",
         "17: the placeholder #{ENV}# of a template is not replaced"),
        ("azureml:cpu", "'${COMPUTE}'", "3: warning: the placeholder ${COMPUTE} of a template is not replaced"),
        ("      rate: ${{parent.inputs.rate}}\n", "",
         "22: the input 'rate' of the component has no value. See train.yml:6"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: x",
         "27: input rate = 'x': allowed is a value of the type number"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: 3", "27: input rate = 3: the maximum is 1"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: 0\n      kind: c",
         "28: input kind = 'c': allowed is one of a, b"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: 0\n      kid: a",
         "28: the component has no input 'kid'. Did you mean 'kind'?"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: 0\n      color: a",
         "28: warning: the component has no input 'color': declared are data, kind, note, rate"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: [1]",
         "27: an input is a list: allowed is a value or a mapping"),
        ("      rate: ${{parent.inputs.rate}}", "      rate:", "27: the input 'rate' is null, and it is not optional"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: ${{inputs.rate}}",
         "27: ${{inputs.rate}} is not allowed here: write ${{parent.inputs.rate}}"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: ${{rate}}",
         f"27: unknown expression ${{{{rate}}}}: allowed are {EXPRESSION_KINDS}"),
        ("./train.yml", "./trian.yml",
         "24: the component file DIR/trian.yml does not exist. Did you mean 'train.yml'?"),
        ("    type: command\n    component", "    type: comand\n    component",
         "23: unknown type 'comand'. Did you mean 'command'?"),
        ("    type: command\n    component", "    type: parallel\n    component",
         "23: type = 'parallel': the component has the type 'command'"),
        ("      model: ${{parent.outputs.model}}", "      model:",
         "8: warning: no step writes the output 'model': bind one with ${{parent.outputs.model}}"),
        ("      --out", "      $[[--x ${{inputs.data}}]\n      --out", "15: '$[[' has no ']]'"),
        ("    code: ./src", "    cod: ./src", "16: unknown key 'cod'. Did you mean 'code'?"),
        ("outputs:\n  model", "output:\n  model", "7: unknown key 'output'. Did you mean 'outputs'?"),
        ("    code: ./src", "    code: ./src\n    code: ./other", "17: duplicate key 'code': it is also in line 16"),
        ("  rate: 0.5", "  rate: {type: numbr, default: 1}", "6: unknown type 'numbr'. Did you mean 'number'?"),
        ("  rate: 0.5", "  rate: {type: number, defualt: 1}", "6: unknown key 'defualt'. Did you mean 'default'?"),
        ("  rate: 0.5", "  rate: {type: number, default: 1, min: x}", "6: min = 'x': allowed is a number"),
        ("    code: ./src", "    limits: {timeout: soon}",
         "16: timeout = 'soon': allowed is a number of at least 0"),
        ("    code: ./src", "    distribution: {type: torch}",
         "16: unknown distribution 'torch'. Did you mean 'pytorch'?"),
        ("    code: ./src", "    resources: {instance_count: two}",
         "16: instance_count = 'two': allowed is a number of at least 1"),
        ("    code: ./src", "    tags: [a]", "16: tags = a list: allowed is a mapping"),
        ("    code: ./src", "    compute: {name: x}", "16: compute = a mapping: allowed is a string"),
        ("azureml:e@latest\n    inputs", "e@latest\n    inputs",
         "17: warning: azure-ai-ml rejects the environment 'e@latest': write 'azureml:e@latest'"),
        ("path: ./data", "path: ./data, mode: ro_mout", "5: unknown mode 'ro_mout'. Did you mean 'ro_mount'?"),
        ("model: {type: uri_folder}", "model: {type: uri_folder, mode: uplod}",
         "8: unknown mode 'uplod'. Did you mean 'upload'?"),
        ("      rate: ${{parent.inputs.rate}}", "      rate: '{{parent.inputs.rate}}'",
         "27: '{{parent.inputs.rate}}' has no '$': write '${{parent.inputs.rate}}'"),
        ("${{parent.outputs.model}}", "${{parent.output.model}}",
         f"29: unknown expression ${{{{parent.output.model}}}}: allowed are {EXPRESSION_KINDS}"),
        ("--data ${{inputs.data}}", "--data {{inputs.data}}",
         "14: '{{inputs.data}}' has no '$': write '${{inputs.data}}'"),
        ("  train:\n", "  train:a:\n",
         "22: the step name 'train:a' is invalid: allowed are letters, digits, '_' and '-'"),
        ("  train:\n", "  Train:\n",
         "22: warning: azure-ai-ml rejects the step name 'Train': it allows a-z, 0-9 and '_'"),
        ("settings: {", "settings: {force: true, ", "3: warning: unknown setting 'force'. Did you mean 'force_rerun'?"),
        ("settings: {default_compute: azureml:cpu}", "settings: {continue_on_step_failure: maybe}",
         "3: continue_on_step_failure = 'maybe': allowed is true or false"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_finding(read: Reader, tmp_path: Path, old: str, new: str, expected: str) -> None:
    """A file with one mistake gives one finding at the line of the mistake."""
    assert old in PIPELINE
    findings = [str(finding) for finding in read(PIPELINE.replace(old, new, 1), train=TRAIN).findings]
    line, _, message = expected.replace("DIR", str(tmp_path)).partition(": ")
    assert findings[:1] == [f"pipeline.yml:{line}: {message}"]
    assert len(findings) == 1 or "step name" in expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("$[[--note ${{inputs.note}}]]", "--note ${{inputs.note}}",
         "train.yml:12: the optional input 'note' has no value, and the command uses it outside of $[[ ]]"),
        ("    --rate", "    # rates\n    --rate",
         "train.yml:14: the comment hides the rest of the command from the shell: put it above the key"),
        ("command: |", "comand: |", "train.yml:12: unknown key 'comand'. Did you mean 'command'?"),
        ("  data: {type: uri_folder}", "  data: {type: integer}",
         "pipeline.yml:26: input data = 'data': allowed is a value of the type integer"),
        ("type: command", "type: [", "train.yml:4: invalid YAML: expected ',' or ']', but got ':'"),
        ("type: command", "- x", "train.yml:2"),
        ("type: command", "type: comand", "train.yml:2: unknown type 'comand'. Did you mean 'command'?"),
        ("command: |", "description: |", "train.yml:1: the step has no command"),
    ],
)  # fmt: skip
def test_mistakes_in_components(read: Reader, old: str, new: str, expected: str) -> None:
    """The finding of a component has the component's file and line."""
    findings = [str(finding) for finding in read(PIPELINE, train=TRAIN.replace(old, new, 1)).findings]
    assert findings[0].startswith(expected)


def test_cycles_are_named(read: Reader) -> None:
    """Steps that need each other give one finding with all of them."""
    text = PIPELINE.replace("${{parent.inputs.data}}", "${{parent.jobs.train.outputs.model}}")
    assert [str(finding) for finding in read(text, train=TRAIN).findings] == [
        "pipeline.yml:19: the steps need each other: prep → train → prep"
    ]


def test_all_mistakes_are_reported_in_file_order(read: Reader) -> None:
    """Several mistakes in two files give all findings in one pass, those of the pipeline first."""
    text = PIPELINE.replace("jobs.prep.outputs", "jobs.perp.outputs").replace("code:", "cod:")
    findings = read(text, train=TRAIN.replace("name: train", "name: train\ndisply_name: x")).findings
    assert [str(finding.position) for finding in findings] == [
        "pipeline.yml:16",
        "pipeline.yml:26",
        "train.yml:4",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# nothing", "pipeline.yml:1: the file is empty: allowed are automl, command, parallel, pipeline"),
        ("- a\n", "pipeline.yml:1: the file is not a mapping"),
        ("type: pipelin\n", "pipeline.yml:1: unknown type 'pipelin'. Did you mean 'pipeline'?"),
        ("name: x\n", "pipeline.yml:1: the file has no type and is no job"),
        ("type: pipeline\n", "pipeline.yml:1: the pipeline has no jobs"),
        ("type: pipeline\njobs: []\n", "pipeline.yml:2: jobs = a list: allowed is a mapping"),
        ("type: pipeline\njobs: {a: 1}\n", "pipeline.yml:2: step a = '1': allowed is a mapping"),
        ("type: pipeline\njobs: {a: }\n", "pipeline.yml:2: step a = null: allowed is a mapping"),
        ("type: pipeline\njobs: {a: {}}\n", "pipeline.yml:2: the step has no type, command or component"),
        ("type: pipeline\nendpoint_name: x\n", "pipeline.yml:2: the file is a deployment of an endpoint"),
        ("command: ' '\nenvironment: azureml:e\n", "pipeline.yml:1: the command is empty"),
        ("type: command\nenvironment: azureml:e\n", "pipeline.yml:1: the step has no command"),
        ("command: echo ${{parent.inputs.x}}\nenvironment: azureml:e\n",
         "pipeline.yml:1: ${{parent.inputs.x}} is not all"),
        ("command: 'true'\nenvironment: azureml:e\ninputs: {a: '${{parent.inputs.x}}'}\n",
         "pipeline.yml:3: ${{parent.inputs.x}}: this job is not in a pipeline"),
        ("command: echo ${{inputs.x}}\nenvironment: azureml:e\n",
         "pipeline.yml:1: ${{inputs.x}} is used, and inputs has no 'x': nothing is declared here"),
        ("command: 'true'\nenvironment: azureml:e\nenvironment_variables: {A: '${{secret}}'}\n",
         "pipeline.yml:3: unknown expression ${{secret}}: in a job, write the value"),
        ("command: 'true'\nenvironment: azureml:e\ninputs: {a: '${{inputs.b}}'}\n",
         "pipeline.yml:3: ${{inputs.b}} is not allowed here: write the value"),
    ],
)  # fmt: skip
def test_files_that_are_no_jobs(read: Reader, text: str, expected: str) -> None:
    """A file that is no job gives a finding that names what is allowed."""
    findings = [str(finding) for finding in read(text).findings]
    assert findings[0].startswith(expected)


def test_an_expression_that_does_not_end_is_one_finding_at_its_line(read: Reader) -> None:
    """The next expression of the command is not a part of it."""
    [finding] = read(PIPELINE.replace("${{inputs.data}}", "${{inputs.data}"), train=TRAIN).findings
    assert str(finding) == "pipeline.yml:14: '${{' has no '}}'"


def test_an_expression_without_a_dollar_is_one_finding(read: Reader) -> None:
    """YAML reads it as a mapping in a mapping."""
    [finding] = read(
        PIPELINE.replace("${{parent.outputs.model}}", "{{parent.outputs.model}}"), train=TRAIN
    ).findings
    assert str(finding).startswith("pipeline.yml:29: a key is a list or a mapping: ")


def test_an_environment_file_that_is_missing_is_a_finding_of_its_step(read: Reader, tmp_path: Path) -> None:
    """The finding is at the line that names the file."""
    [finding] = read(PIPELINE.replace("azureml:e@latest", "env.yml"), train=TRAIN).findings
    assert str(finding) == f"pipeline.yml:17: environment: {tmp_path / 'env.yml'}: the file does not exist"


def test_inputs_of_the_command_line_are_checked(read: Reader) -> None:
    """Unknown and invalid values of `--input` are findings that name the option."""
    result = read(PIPELINE, {"rat": "1", "rate": "fast"}, train=TRAIN)
    assert [str(finding) for finding in result.findings] == [
        "--input rat=1: the file has no input 'rat'. Did you mean 'rate'?",
        "--input rate=fast: input rate = 'fast': allowed is a value of the type number",
    ]


KEYS = st.sampled_from(
    ["type", "jobs", "inputs", "outputs", "command", "component", "path", "a", "environment", "settings", "trial",
     "task", "limits", "search_space", "objective", "code", "entry", "default", "distribution", "resources", "value",
     "conf", "input_data", "environment_variables", "args", "sampling_algorithm", "enum", "retry_settings"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["pipeline", "command", "sweep", "parallel", "spark", "automl", "${{parent.inputs.a}}", "./a.yml", "number",
     "${{parent.jobs.a.outputs.a}}", "${{parent.outputs.a}}", "${{inputs.a}} # x", "uri_file", "${A}", "$[[", "${{}}",
     "azureml:x@latest", "\x00", "a" * 300, "${{parent.inputs.a}}/x"]
) | st.none() | st.booleans() | st.integers() | st.floats()  # fmt: skip
DOCUMENTS = st.recursive(
    WORDS, lambda part: st.lists(part, max_size=2) | st.dictionaries(KEYS, part, max_size=5), max_leaves=25
)


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(["pipeline", "command", "sweep", "parallel", "spark", "component"]), body=DOCUMENTS
)
def test_any_document_gives_findings(
    kind: str, body: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random documents in the format give findings or a plan, and no exception."""
    import yaml

    path = tmp_path_factory.getbasetemp() / "any.yml"
    steps = {"type": "pipeline", "inputs": {"a": 1}, "outputs": {"a": None}}
    document = {**steps, "jobs": {"a": body, "b": {"type": kind, "command": "x", "inputs": body}}}
    if kind == "component":
        document = {"type": "command", **body} if isinstance(body, dict) else body  # type: ignore[dict-item]
    elif isinstance(body, dict):
        document["jobs"]["b"] = {"type": kind, **body}  # type: ignore[index]
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    result = read_file(path, {"a": "1"})
    assert result.findings or result.pipeline is not None
