"""Runs the pipeline files of Azure/azureml-examples: `python bench/example_files.py DIRECTORY --env PYTHON`.

The table has a row for each file: whether it ran from its first step to its last one, and why not. `--env` is the
interpreter of one environment, or of all. `--plan` counts the files that can be planned, and runs nothing.
`--data name=path` maps data that is not in the checkout, and so does an amllog.yml in a copy of the checkout. The exit
code is 1 if fewer files ran than the issue demands.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from amllog.local.checks.file_check import CheckOptions, check_file
from amllog.local.definition.yaml_nodes import YamlMap, plain, read_yaml
from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.runner import run
from amllog.local.execution.step_events import RunResult, RunState, RunStatus, StepState, StepStatus
from amllog.local.plan.planned_steps import PlannedPipeline, Severity, StepKind

# Pipeline components with required inputs. Paths are relative to the file. `RUN:file:step:output` is an output of the
# run of another file.
_HEART = "cli/endpoints/batch/deploy-pipelines/"
_NESTED = "cli/jobs/pipelines-with-components/pipeline_with_pipeline_component/"
_TAXI = "nyc_taxi_data_regression_with_pipeline_component/"
_TAXI_SDK = f"sdk/python/jobs/pipelines/1j_pipeline_with_pipeline_component/{_TAXI}"
INPUTS: dict[str, dict[str, str]] = {
    f"{_HEART}batch-scoring-with-preprocessing/pipeline.yml": {"input_data": "data/unlabeled"},
    f"{_HEART}training-with-components/deployment-onehot/pipeline.yml": {"input_data": "../data/train"},
    f"{_HEART}training-with-components/deployment-ordinal/pipeline.yml": {"input_data": "../data/train"},
    f"{_NESTED}pipeline_with_train_eval_pipeline_component/components/train_pipeline_component.yml": {
        "training_data": "../data", "test_data": "../data", "training_max_epochs": "2",
        "training_learning_rate": "0.1", "train_node_compute": "local",
    },
    **{
        f"{folder}data_pipeline/data_pipeline.yml": {"raw_data": "../data"}
        for folder in (f"{_NESTED}{_TAXI}", _TAXI_SDK)
    },
    **{
        f"{folder}train_pipeline/train_pipeline.yml": {
            "train_data": f"RUN:{folder}data_pipeline/data_pipeline.yml:transform_job:transformed_data",
            "compute_train_node": "local",
        }
        for folder in (f"{_NESTED}{_TAXI}", _TAXI_SDK)
    },
}  # fmt: skip
TARGETS = {"unchanged": 41, "with inputs": 48, "with parallel and sweep": 58}
REPORTED = 60  # characters of a reason


class FileResult(NamedTuple):
    """The result of one file. `kinds` are the types of its steps besides `command`."""

    name: str
    verdict: str  # ran, partly, failed, not started
    reason: str = ""
    kinds: tuple[str, ...] = ()
    has_inputs: bool = False
    seconds: float = 0.0
    run: RunResult | None = None


class _Silent:
    """An observer that prints nothing."""

    def started(self, run: RunStatus) -> None: ...

    def changed(self, step: StepStatus) -> None: ...

    def line(self, step_name: str, text: str) -> None: ...

    def ended(self, run: RunStatus) -> None: ...


def pipeline_files(directory: Path) -> Iterator[Path]:
    """Yield the YAML files of the type pipeline that have jobs, in the order of their names."""
    for path in sorted(directory.rglob("*.y*ml")):
        root = read_yaml(path).root
        if isinstance(root, YamlMap) and plain(root.get("type")) == "pipeline" and "jobs" in root.items:
            yield path


def _inputs(name: str, path: Path, results: Mapping[str, FileResult]) -> dict[str, str] | None:
    """Return the values of `--input`, or None if the run of another file has no such output."""
    values = {}
    for key, text in INPUTS.get(name, {}).items():
        folder = path.parent
        if text.startswith("RUN:"):
            _, other, step, output = text.split(":")
            result = results.get(other)
            run_result = result.run if result else None
            status = next((s for s in run_result.steps if s.name == step), None) if run_result else None
            if status is None or status.folder is None:
                return None
            values[key] = str(status.folder / "outputs" / output)
        else:
            values[key] = os.path.normpath(folder / text) if (folder / text).exists() else text
    return values


def _first_error(plan: PlannedPipeline, result: RunResult) -> str:
    """Return the reason of the first step that did not complete, with its last line."""
    for status in result.steps:
        if status.state not in {StepState.COMPLETED, StepState.SKIPPED}:
            return f"{status.name}: {status.reason or status.state.value} {status.last_line}"
    return next((f"{s.name}: {s.reason}" for s in result.steps if s.state is not StepState.COMPLETED), "")


def measure(
    path: Path, name: str, options: CheckOptions, seconds: float | None, results: Mapping[str, FileResult]
) -> FileResult:
    """Check and run one file. `seconds` is the limit of the run, and None runs nothing."""
    inputs = _inputs(name, path, results)
    if inputs is None:
        return FileResult(name, "not started", "the data of another run is not there", has_inputs=True)
    plan, findings = check_file(path, inputs, options)
    if plan is None:
        errors = [str(f.message) for f in findings if f.severity is Severity.ERROR]
        return FileResult(name, "not started", f"{errors[0]} ({len(errors)} errors)", has_inputs=bool(inputs))
    kinds = tuple(sorted({step.kind.value for step in plan.steps} - {"command"}))
    reasons = [step.skip_reason for step in plan.steps if step.kind is StepKind.UNSUPPORTED]
    if seconds is None or len(reasons) == len(plan.steps):
        verdict = "not started" if reasons else "planned"
        return FileResult(name, verdict, reasons[0] if reasons else "", kinds, bool(inputs))
    start = time.monotonic()
    try:
        run_options = RunOptions(directory=options.directory, timeout_seconds=seconds)
        result = run(plan, run_options, _Silent(), dict(os.environ))
    except Exception as error:
        return FileResult(name, "failed", repr(error), kinds, bool(inputs), time.monotonic() - start)
    took = time.monotonic() - start
    if result.state is RunState.COMPLETED and not reasons:
        return FileResult(name, "ran", "", kinds, bool(inputs), took, result)
    is_failed = any(status.state is StepState.FAILED for status in result.steps)
    verdict = "failed" if is_failed or not reasons else "partly"
    return FileResult(name, verdict, _first_error(plan, result), kinds, bool(inputs), took, result)


def totals(results: list[FileResult]) -> dict[str, int]:
    """Return the number of files that ran: unchanged, then also with inputs, then also parallel and sweep."""
    ran = [result for result in results if result.verdict in {"ran", "planned"}]
    other = {"parallel", "sweep", "spark"}
    unchanged = [result for result in ran if not result.has_inputs and not other & {*result.kinds}]
    inputs = [result for result in ran if result.has_inputs and not other & {*result.kinds}]
    more = [result for result in ran if {"parallel", "sweep"} & {*result.kinds}]
    spark = [result for result in ran if "spark" in result.kinds]
    counts = {"unchanged": len(unchanged), "with inputs": len(unchanged) + len(inputs)}
    counts["with parallel and sweep"] = counts["with inputs"] + len(more)
    return {**counts, "with spark": counts["with parallel and sweep"] + len(spark)}


def page(results: list[FileResult]) -> str:
    """Return the table in Markdown, with the totals below."""
    lines = ["| file | result | seconds | why not |", "|---|---|---|---|"]
    for result in results:
        reason = " ".join(result.reason.split()).replace("|", "\\|")[: 3 * REPORTED]
        lines.append(f"| {result.name} | {result.verdict} | {result.seconds:.1f} | {reason} |")
    counts = Counter(result.verdict for result in results)
    lines += ["", ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()), ""]
    lines += ["| files that ran | count | must reach |", "|---|---|---|"]
    lines += [f"| {what} | {count} | {TARGETS.get(what, '')} |" for what, count in totals(results).items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--env", action="append", default=[], metavar="[NAME=]PYTHON", help="an interpreter")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument(
        "--files", action="append", default=[], help="only files whose path contains this string"
    )
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one file")
    parser.add_argument("--plan", action="store_true", help="plan the files, and run nothing")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    arguments = parser.parse_args()
    root = arguments.directory.absolute()
    pairs = [item.rpartition("=") for item in arguments.env]
    environments = {name or "*": str(Path(path).absolute()) for name, _, path in pairs}
    data = {
        name: str(Path(path).absolute())
        for name, _, path in (item.rpartition("=") for item in arguments.data)
    }
    results: dict[str, FileResult] = {}
    with tempfile.TemporaryDirectory(prefix="amllog-examples-") as directory:
        options = CheckOptions(data, environments, Path(directory))
        for path in pipeline_files(root):
            name = path.relative_to(root).as_posix()
            if not arguments.files or any(part in name for part in arguments.files):
                seconds = None if arguments.plan else arguments.timeout
                results[name] = measure(path, name, options, seconds, results)
                print(
                    f"{results[name].verdict:12} {results[name].seconds:5.1f} {name}  {results[name].reason[:100]!r}",
                    flush=True,
                )
        text = page(list(results.values()))
    print(f"\n{text}")
    if arguments.markdown:
        arguments.markdown.write_text(text, encoding="utf-8")
    reached = totals(list(results.values()))
    return 0 if all(reached[what] >= count for what, count in TARGETS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
