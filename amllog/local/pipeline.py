"""`Pipeline`: run a pipeline of Azure ML on this machine.

    from amllog.local import Pipeline

    result = Pipeline("pipeline.yml", data={"scores@latest": "data/scores"}).run()
    assert result.exit_code == 0

The source is a file, steps of SDK v1, a job of azure-ai-ml, or a list of functions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, final

from amllog.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from amllog.local.execution.run_options import DebugPrefix
    from amllog.local.execution.step_events import RunObserver, RunResult
    from amllog.local.plan.planned_steps import Finding, PlannedPipeline

    _Checked = tuple[Optional[PlannedPipeline], list[Finding]]


class _Selection(NamedTuple):
    """The options that select the steps of a run."""

    skip: Collection[str]
    stubs: Collection[str]
    start_from: str
    only: Collection[str]


@final
class Pipeline:
    """A pipeline, a job, a component or a list of functions, and all that it needs to run on this machine.

    `source` is one of these:

    * the path of a file in Azure ML's format: a pipeline, a command or other job, or a component,
    * steps of SDK v1, such as `[PythonScriptStep(…), …]`,
    * a job of azure-ai-ml, such as the one that a function with `@pipeline` returns,
    * functions, which run in their order and each in a process of its own. A parameter with the name of an earlier
      function gets the value that this function returned.

    `inputs` are values of the inputs of the pipeline or of parameters of functions. `data` maps names of data assets to
    local paths, and `environments` maps names of environments to a Python. Both add to the `amllog.yml` of the file.
    """

    def __init__(
        self,
        source: Any,
        *,
        inputs: Mapping[str, Any] | None = None,
        data: Mapping[str, str | PathLike[str]] | None = None,
        environments: Mapping[str, str | PathLike[str]] | None = None,
    ) -> None:
        from amllog.local.plan.planned_steps import SourceLine
        from amllog.local.step_objects import source_kinds

        caller = sys._getframe(1)
        self._position = SourceLine(Path(caller.f_code.co_filename), caller.f_lineno)
        self._source, self._kind = source_kinds.classify(source)
        self._is_relative = self._kind == "file" and not os.path.isabs(source)
        self._inputs = dict(inputs or {})
        self._data = {name: os.fspath(path) for name, path in (data or {}).items()}
        self._environments = {name: os.fspath(path) for name, path in (environments or {}).items()}

    def check(
        self,
        *,
        skip: Collection[str] = (),
        stubs: Collection[str] = (),
        start_from: str = "",
        only: Collection[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> list[Finding]:
        """Return all findings, without running anything. Only those with the severity ERROR prevent the start.

        The arguments are those of `run()`. Nothing is reported about steps that would not run.
        """
        selection = _Selection(skip, stubs, start_from, only)
        return self._plan(selection, os.environ if environ is None else environ, is_run=False)[1]

    def run(
        self,
        *,
        jobs: int | None = None,
        skip: Sequence[str] = (),
        stubs: Mapping[str, str | PathLike[str]] | None = None,
        start_from: str = "",
        only: Sequence[str] = (),
        reuse: bool = False,
        timeout_seconds: float | None = None,
        debug_step: str = "",
        debug: DebugPrefix | None = None,
        directory: str | PathLike[str] = "",
        observer: RunObserver | None = None,
        report: Callable[[str], None] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Run the steps and return when the last one has ended. A failed step is no exception: see `exit_code`.

        The arguments are the options of `amllog run`. `directory` gets `amllog-runs` and, unless AMLLOG_DIR is set,
        `.amllog` (default: the working directory). `observer` shows the run, and `report` gets the findings and the
        progress before it as lines (default: both on stdout). `environ` replaces the environment of the process.
        Raises PipelineError if the check finds an error, and UsageError if an option names no step.
        """
        from amllog.local import run_lines
        from amllog.local.execution import run_options, runner
        from amllog.local.plan import planned_steps

        options = run_options.RunOptions(
            jobs=jobs,
            skip=tuple(skip),
            stubs={name: Path(folder).absolute() for name, folder in (stubs or {}).items()},
            start_from=start_from,
            only=tuple(only),
            reuse=reuse,
            timeout_seconds=timeout_seconds,
            debug_step=debug_step,
            debug=debug,
            directory=Path(directory).absolute(),
        )
        shown = run_lines.RunLines(sys.stdout, sys.stdout)
        report = report or shown.notice
        variables = os.environ if environ is None else environ
        selection = _Selection(skip, options.stubs, start_from, only)
        plan, findings = self._plan(selection, variables, report, is_run=True)
        for finding in findings:
            report(str(finding))
        errors = [finding for finding in findings if finding.severity is planned_steps.Severity.ERROR]
        if plan is None or errors:
            raise PipelineError(errors)
        return runner.run(plan, options, observer or shown, variables)

    def returned(self, result: RunResult, function: str) -> Any:
        """Return the value that a function of the list returned in a run. Raises UsageError if it returned none."""
        from amllog.local.step_kinds import function_step

        folder = result.step(function).folder
        file = folder / "outputs" / function_step.RESULT if folder else None
        if file is None or not file.is_file():
            raise UsageError(
                f"{function} returned no value in run {result.run_id}: {result.step(function).state.value}"
            )
        return function_step.read_result(file)

    def _plan(
        self,
        selection: _Selection,
        environ: Mapping[str, str],
        report: Callable[[str], None] = lambda line: None,
        *,
        is_run: bool,
    ) -> _Checked:
        """Return the resolved plan and all findings, except those about steps that do not run.

        Virtual environments are built for a run only.
        """
        from amllog.local.checks import file_check
        from amllog.local.plan import virtual_environments

        options = file_check.CheckOptions(
            self._data,
            self._environments,
            skip=selection.skip,
            stubs=selection.stubs,
            start_from=selection.start_from,
            only=selection.only,
            virtual_environments=virtual_environments.VirtualEnvironments(
                virtual_environments.cache_directory(environ), report, is_building=is_run
            ),
        )
        if self._kind == "file":
            plan, findings = file_check.check_file(self._source, self._texts(), options)
            return plan, file_check.relative(findings, Path.cwd()) if self._is_relative else findings
        plan, findings = self._plan_of_objects()
        if plan is None:
            return None, findings
        resolved, more = file_check.check_source(plan, options)
        findings = file_check.ordered([*findings, *more])
        return None if file_check.has_errors(findings) else resolved, findings

    def _texts(self) -> dict[str, str]:
        return {name: str(value) for name, value in self._inputs.items()}

    def _plan_of_objects(self) -> _Checked:
        """Return the plan with unresolved references, and the findings about the objects themselves."""
        if self._kind == "job":
            from amllog.local.step_objects import job_objects

            return job_objects.plan_job(self._source, self._texts(), self._position, Path.cwd())
        if self._kind == "steps":
            from amllog.local.step_objects import sdk_steps

            return sdk_steps.plan_steps(self._source, self._inputs, self._position)
        from amllog.local.step_objects import function_steps

        return function_steps.plan_functions(self._source, self._inputs, self._position)
