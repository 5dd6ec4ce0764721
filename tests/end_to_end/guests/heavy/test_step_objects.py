"""Pipelines of both SDKs on this machine. The SDKs are large: azureml-pipeline-steps has 0.6 GB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.local import Pipeline

SCRIPT = """
import os, sys
from azureml.core import Run

run = Run.get_context()
print("parent", run.parent.id)
for word in sys.argv[1:]:
    if os.path.isdir(word):
        print("found", sorted(os.listdir(word)))
    if "outputs" in word:
        os.makedirs(word, exist_ok=True)
        open(os.path.join(word, "file.txt"), "w").close()
print("rate", sys.argv[-1])
"""
BATCH = """
def init():
    pass

def run(mini_batch):
    return [name for name in mini_batch]
"""
PLAIN = "import os, sys; open(os.path.join(sys.argv[1], 'file.txt'), 'w').close(); print('rate', sys.argv[2])"


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A folder with scripts."""
    folder = tmp_path / "src"
    folder.mkdir()
    for name, text in (("script.py", SCRIPT), ("batch.py", BATCH), ("plain.py", PLAIN)):
        (folder / name).write_text(text)
    return "src"


def test_steps_of_sdk_v1(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps that were built without a workspace run with their data, parameters and the parent run."""
    pytest.importorskip("azureml.pipeline.steps")
    from azureml.core import Environment
    from azureml.data import OutputFileDatasetConfig
    from azureml.pipeline.core import PipelineData, PipelineParameter
    from azureml.pipeline.steps import CommandStep, ParallelRunConfig, ParallelRunStep, PythonScriptStep
    from azureml.telemetry import set_diagnostics_collection

    set_diagnostics_collection(send_diagnostics=False)  # the SDK's own telemetry goes to Azure

    raw, scores, rate = PipelineData("raw"), PipelineData("scores"), PipelineParameter("rate", 0.5)
    model = OutputFileDatasetConfig(name="model")
    common: dict[str, Any] = {"source_directory": source, "compute_target": "cpu"}
    PythonScriptStep(
        script_name="script.py",
        name="prepare",
        arguments=["--out", raw, "--rate", rate],
        outputs=[raw],
        **common,
    )
    train = PythonScriptStep(
        script_name="script.py", name="train", arguments=[raw, "--model", model, "x"], inputs=[raw], **common
    )
    score = CommandStep(
        name="score", command=["python script.py", model.as_input("m"), "&& echo end"], **common
    )
    config = ParallelRunConfig(
        environment=Environment("e"), entry_script="batch.py", source_directory=source, error_threshold=1,
        output_action="append_row", compute_target="cpu", node_count=1, mini_batch_size="5",
    )  # fmt: skip
    batch = ParallelRunStep(
        name="batch", parallel_run_config=config, inputs=[model.as_input("files")], output=scores
    )
    result = Pipeline([train, score, batch], inputs={"rate": 0.125}).run()
    output = capsys.readouterr().out
    assert result.exit_code == 0, output
    assert f"prepare | parent {result.run_id}\n" in output and "prepare | rate 0.125\n" in output
    assert "train   | found ['file.txt']\n" in output and "train   | found []\n" in output
    assert "score   | end\n" in output
    assert "file.txt" in (result.folder / "steps/batch/outputs/scores/parallel_run_step.txt").read_text()


def test_a_job_of_sdk_v2(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that @pipeline builds runs with components, literals and local data."""
    pytest.importorskip("azure.ai.ml")
    from azure.ai.ml import Input, Output, command, dsl

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").touch()
    fit = command(
        name="fit",
        command="ls ${{inputs.data}} && python plain.py ${{outputs.model}} ${{inputs.rate}}",
        code=source,
        environment="azureml:env:1",
        inputs={"data": Input(type="uri_folder"), "rate": Input(type="number", default=0.5)},
        outputs={"model": Output(type="uri_folder")},
    )

    @dsl.pipeline(name="demo", default_compute="cpu")
    def build(data, rate=0.25):  # type: ignore[no-untyped-def]  # annotations would be types of the SDK
        first = fit(data=data, rate=rate)
        second = fit(data=first.outputs.model)
        return {"model": second.outputs.model}

    job = build(data=Input(type="uri_folder", path="./data"))
    result = Pipeline(job).run()
    output = capsys.readouterr().out
    assert result.exit_code == 0, output
    assert "first  | rows.csv\n" in output and "first  | rate 0.25\n" in output
    assert "second | file.txt\n" in output and "second | rate 0.5\n" in output
    assert (result.outputs["model"] / "file.txt").is_file()
