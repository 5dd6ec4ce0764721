"""The steps that do not run: `--skip`, `--stub`, `--from`, `--only`, and kinds that need the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from amllog.errors import UsageError
from amllog.local.execution.past_runs import PastRun
from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.schedule import SUCCESSFUL, descendants_of, names_of, producers_of
from amllog.local.execution.step_events import StepState
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, StepKind, StepOutput


@dataclass(frozen=True)
class Decision:
    """The state of a step that does not run."""

    state: StepState  # SKIPPED or REUSED
    reason: str
    is_requested: bool = True  # by an option
    outputs: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    identity: str = ""  # of the outputs: the execution that made them
    folder: Path | None = None


def _stub(step: PlannedStep, folder: Path) -> Decision:
    """Return the outputs of a step in a folder of the user. The only output may be the folder itself."""
    folder = folder.expanduser().absolute()
    if not folder.exists():
        raise UsageError(f"--stub {step.name}={folder}: no such file or folder")
    paths = {name: folder / name for name in step.outputs}
    missing = [name for name, path in paths.items() if not path.exists()]
    if missing and len(step.outputs) == 1:
        paths, missing = {missing[0]: _only_output(step, folder)}, []
    if missing:
        raise UsageError(f"--stub {step.name}={folder}: the folder has no {', '.join(missing)}")
    return Decision(StepState.REUSED, f"stub: {folder}", outputs=paths, identity=f"stub {folder}")


def _only_output(step: PlannedStep, folder: Path) -> Path:
    """Return the path of the only output: the folder, or the only file in it if the output is a file."""
    (output,) = step.outputs.values()
    if output.type != "uri_file" or folder.is_file():
        return folder
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) != 1:
        raise UsageError(
            f"--stub {step.name}={folder}: the output is a file, and the folder has {len(files)} files"
        )
    return files[0]


def _of_past_run(name: str, needed: set[str], past: Iterable[PastRun]) -> Decision | str:
    """Return the outputs of a step in the last run that ran it, or why there are none."""
    for run in past:
        record = run.steps.get(name)
        if record is None or (record.state not in SUCCESSFUL and not record.started):
            continue  # it was not selected, skipped or canceled there
        if record.state not in SUCCESSFUL:
            return f"{name} is {record.state.value} in the last run, {run.run_id}"
        paths = {output: Path(path) for output, path in record.outputs.items()}
        missing = sorted(output for output in needed if output not in paths or not paths[output].exists())
        if missing:
            return f"{name} of run {run.run_id} has no output {', '.join(missing)}"
        folder = Path(record.folder) if record.folder else None
        reason = f"outputs of run {run.run_id}"
        return Decision(StepState.REUSED, reason, outputs=paths, identity=record.identity, folder=folder)
    return f"no earlier run has completed {name}"


def _unselected(
    plan: PlannedPipeline, selected: set[str], option: str, past: list[PastRun]
) -> dict[str, Decision]:
    """Return the decisions for all steps that `--from` or `--only` does not select."""
    needed = producers_of(plan, selected)
    after = descendants_of(plan, selected)
    result: dict[str, Decision] = {}
    problems = []
    for step in plan.steps:
        if step.name in selected:
            continue
        decision = "" if step.name in after else _of_past_run(step.name, needed.get(step.name, set()), past)
        if isinstance(decision, Decision):
            result[step.name] = decision
            continue
        if step.name in needed:
            problems.append(
                f"{option} needs the outputs of {step.name}, but {decision or 'it was not selected'}"
            )
        result[step.name] = Decision(StepState.SKIPPED, f"not selected by {option}")
    if problems:
        raise UsageError(f"{'; '.join(problems)}. Run the whole pipeline, or pass --stub STEP=FOLDER")
    return result


def decisions(plan: PlannedPipeline, options: RunOptions, past: Iterable[PastRun]) -> dict[str, Decision]:
    """Return the steps that do not run, each with the reason. Raises UsageError for names that are not in the plan."""
    result: dict[str, Decision] = {}
    for step in plan.steps:
        if step.kind is StepKind.UNSUPPORTED:
            reason = step.skip_reason or "this kind of step does not run on this machine"
            result[step.name] = Decision(StepState.SKIPPED, reason, is_requested=False)
    stubs = {
        name: folder for stub, folder in options.stubs.items() for name in names_of(plan, "--stub", [stub])
    }
    selected = {step.name for step in plan.steps}
    option = ""
    if options.start_from:
        option = f"--from {options.start_from}"
        selected = descendants_of(plan, names_of(plan, "--from", [options.start_from]))
    if options.only:
        option = " ".join([*([option] if option else []), *(f"--only {name}" for name in options.only)])
        selected &= set(names_of(plan, "--only", options.only))
    if option:
        result.update(_unselected(plan, selected | stubs.keys(), option, list(past)))
    skipped = dict.fromkeys(names_of(plan, "--skip", options.skip), Decision(StepState.SKIPPED, "--skip"))
    result.update(skipped)
    result.update((name, _stub(plan.step(name), folder)) for name, folder in stubs.items())
    for name in [options.debug_step] if options.debug_step else []:
        if any(step in result for step in names_of(plan, "--debug", [name])):
            raise UsageError(f"--debug {name}: this step does not run")
    return result


def pipeline_outputs(
    outputs: Mapping[str, StepOutput], steps: Mapping[str, Mapping[str, Path]]
) -> dict[str, Path]:
    """Return the paths of the pipeline's outputs, without those of steps that have none."""
    values = {name: steps.get(value.step, {}).get(value.output) for name, value in outputs.items()}
    return {name: path for name, path in values.items() if path}
