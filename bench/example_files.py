"""Runs the pipeline files of Azure/azureml-examples: `python bench/example_files.py DIRECTORY --environments FOLDER`.

DIRECTORY is a checkout, which is not changed. FOLDER has the interpreters that bench/example_environments.py builds.
`--env PYTHON` is one interpreter for all files, and `--env GROUP=PYTHON` for the files of one group instead.

The output begins with the totals, beside those that the issue demands:

* unchanged: only an interpreter is given.
* with inputs: also `--input` for components, and `--data` for data of the web or of a workspace.
* with parallel and sweep: also these kinds of steps, and `components:` of an amllog.yml.
* with spark: also spark steps, if the group `spark` has pyspark and Java is installed.

A file counts if it ran from its first step to its last one. No step is skipped or replaced, and there is no web access:
bench/example_data.py has the data. Then come the number of files for each cause, the files that do not run, each with
the reason, and the files that run. The exit code is 1 if fewer files ran than the issue demands.

MLflow imports everything again for each model that it saves, which is most of the time. In 1a_oj_sales_prediction, two
models must be saved in 60 seconds, which a busy machine misses. MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT=5 limits it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import example_data
from example_data import SUPPLIES, Supply
from example_report import TARGETS, FileResult, cause_of, page, totals

from amllog.local.checks.file_check import CheckOptions, check_file
from amllog.local.definition.file_reading import read_file
from amllog.local.definition.yaml_nodes import YamlMap, plain, read_yaml
from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.runner import run
from amllog.local.execution.step_events import RunResult, RunState, RunStatus, StepState, StepStatus
from amllog.local.plan.planned_steps import PlannedPipeline, Severity, StepKind


class Measurement(NamedTuple):
    """What all files share. `seconds` is the limit of one run, and None runs nothing."""

    root: Path
    work: Path
    environments: dict[str, str]
    data: dict[str, str]
    seconds: float | None
    results: dict[str, FileResult]


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


def _inputs(supply: Supply, path: Path, shared: Measurement) -> dict[str, str] | None:
    """Return the values of `--input`, or None if the run of another file has no such output."""
    values = {}
    for key, text in supply.inputs.items():
        if not text.startswith("RUN:"):
            values[key] = example_data.located(text, path.parent, shared.root, shared.work / "made")
            continue
        _, other, step, output = text.split(":")
        result = shared.results.get(other)
        steps = result.run.steps if result and result.run else ()
        folder = next((status.folder for status in steps if status.name == step), None)
        if shared.seconds is None:  # nothing runs, so any folder will do
            folder, output = shared.work, ""
        if folder is None:
            return None
        values[key] = str(folder / "outputs" / output) if output else str(folder)
    return values


def _first_error(result: RunResult) -> str:
    """Return the reason of the first step that did not complete, with its last line."""
    for status in result.steps:
        if status.state not in {StepState.COMPLETED, StepState.SKIPPED}:
            return f"{status.name}: {status.reason or status.state.value} {status.last_line}"
    return next((f"{s.name}: {s.reason}" for s in result.steps if s.state is not StepState.COMPLETED), "")


def _level(supply: Supply, kinds: set[StepKind]) -> str:
    """Return the first total that the file counts for."""
    if StepKind.SPARK in kinds:
        return "with spark"
    if supply.components or kinds & {StepKind.PARALLEL, StepKind.SWEEP}:
        return "with parallel and sweep"
    return "with inputs" if supply.inputs or supply.data or supply.files else "unchanged"


def measure(path: Path, name: str, shared: Measurement) -> FileResult:
    """Check and run one file."""
    supply = SUPPLIES.get(name, Supply())
    inputs = _inputs(supply, path, shared)
    if inputs is None:
        return FileResult(name, "not started", _level(supply, set()), "failed here", "no data of another run")
    path = example_data.copied(path, supply, shared.work / "made", shared.work / "copies")
    python = shared.environments.get(supply.environment) or shared.environments["main"]
    made = shared.work / "made"
    data = {
        **shared.data,
        **{
            key: example_data.located(text, path.parent, shared.root, made)
            for key, text in supply.data.items()
        },
    }
    options = CheckOptions(data, {"*": python}, shared.work)
    plan, findings = check_file(path, inputs, options)
    if plan is None:
        errors = [str(f.message) for f in findings if f.severity is Severity.ERROR]
        unsupported = _first_unsupported(path, inputs)
        reason = unsupported or f"{errors[0]} ({len(errors)} errors)"
        return FileResult(name, "not started", _level(supply, set()), cause_of(name, reason), reason)
    level = _level(supply, {step.kind for step in plan.steps})
    reasons = [step.skip_reason for step in plan.steps if step.kind is StepKind.UNSUPPORTED]
    if reasons:  # a run without these steps does not count
        return FileResult(name, "not started", level, cause_of(name, reasons[0]), reasons[0])
    return _run(FileResult(name, "planned", level), plan, shared)


def _first_unsupported(path: Path, inputs: dict[str, str]) -> str:
    """Return why a step of a file cannot run on this machine, whatever else is wrong, or an empty string."""
    pipeline = read_file(path, inputs, {}).pipeline
    reasons = [step.skip_reason for step in pipeline.steps if step.skip_reason] if pipeline else []
    return reasons[0] if reasons else ""


def _run(result: FileResult, plan: PlannedPipeline, shared: Measurement) -> FileResult:
    """Run the plan of a file."""
    if shared.seconds is None:
        return result
    start = time.monotonic()
    try:
        run_options = RunOptions(directory=shared.work, timeout_seconds=shared.seconds)
        ended = run(plan, run_options, _Silent(), dict(os.environ))
    except Exception as error:  # the other files are measured
        return result._replace(verdict="failed", cause="failed here", reason=repr(error))
    result = result._replace(seconds=time.monotonic() - start, run=ended)
    if ended.state is RunState.CANCELED:  # Ctrl-C or SIGTERM is meant for this script, too
        raise SystemExit(f"stopped during {result.name}")
    if ended.state is RunState.COMPLETED:
        return result._replace(verdict="ran")
    reason = _first_error(ended)
    is_failed = any(status.state is StepState.FAILED for status in ended.steps)
    verdict = "failed" if is_failed else "partly"
    return result._replace(verdict=verdict, cause=cause_of(result.name, reason), reason=reason)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--environments", type=Path, help="a folder of bench/example_environments.py")
    parser.add_argument("--env", action="append", default=[], metavar="[GROUP=]PYTHON", help="an interpreter")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="more data")
    parser.add_argument("--files", action="append", default=[], help="only files whose path has this string")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one file: 1800")
    parser.add_argument("--plan", action="store_true", help="plan the files, and run nothing")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    return parser.parse_args()


def _environments(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the interpreter of each group. Without one for all files, it is the one that runs this script."""
    environments = {"main": sys.executable}
    for folder in sorted(arguments.environments.iterdir()) if arguments.environments else ():
        if (folder / "bin" / "python").exists():
            environments[folder.name] = str(folder.absolute() / "bin" / "python")
    for name, _, path in (item.rpartition("=") for item in arguments.env):
        environments[name or "main"] = str(Path(path).absolute())
    return environments


def main() -> int:
    """Run the files and print the tables."""
    arguments = _arguments()
    root = arguments.directory.absolute()
    data = {
        name: str(Path(path).absolute())
        for name, _, path in (item.rpartition("=") for item in arguments.data)
    }
    seconds = None if arguments.plan else arguments.timeout
    with tempfile.TemporaryDirectory(prefix="amllog-examples-") as directory:
        shared = Measurement(root, Path(directory), _environments(arguments), data, seconds, {})
        (shared.work / "copies").mkdir()
        example_data.make_data(shared.work / "made", root)
        for path in pipeline_files(root):
            name = path.relative_to(root).as_posix()
            if not arguments.files or any(part in name for part in arguments.files):
                result = shared.results[name] = measure(path, name, shared)
                print(
                    f"{result.verdict:12} {result.seconds:6.1f} {name}  {result.reason[:100]!r}", flush=True
                )
    results = list(shared.results.values())
    text = page(results)
    print(f"\n{text}")
    if arguments.markdown:
        arguments.markdown.write_text(text, encoding="utf-8")
    reached = totals(results)
    return 0 if all(reached[what] >= count for what, count in TARGETS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
