"""Run a plan: read the options and the earlier runs, open the folder and the services, and run all steps."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import replace

from amllog.config import variables
from amllog.config.user_path import expand_path
from amllog.errors import UsageError
from amllog.local.execution.debug_launch import DebugLaunch, check_debugged
from amllog.local.execution.killed_runs import settle_killed_runs
from amllog.local.execution.past_runs import past_runs
from amllog.local.execution.run_folder import LocalRunFolder
from amllog.local.execution.run_loop import Event, RunLoop, StopSignal
from amllog.local.execution.run_options import ONLY, RunOptions
from amllog.local.execution.schedule import names_of
from amllog.local.execution.step_commands import debugged_names
from amllog.local.execution.step_events import RunObserver, RunResult
from amllog.local.execution.step_reuse import EarlierSteps
from amllog.local.execution.step_runs import StepRuns
from amllog.local.execution.step_selection import decisions
from amllog.local.execution.stop_signals import StopSignals
from amllog.local.execution.stop_switch import StopSwitch
from amllog.local.job_services import JobServices
from amllog.local.plan.planned_steps import PlannedPipeline
from amllog.process.wake_up import Mailbox


def run(
    plan: PlannedPipeline, options: RunOptions, observer: RunObserver, environ: Mapping[str, str]
) -> RunResult:
    """Run all steps of a resolved plan, and wait for their end.

    The observer is called in this thread. Ctrl-C, SIGTERM and SIGHUP stop the run if this is the main thread. Raises
    UsageError for options that do not fit the plan, before anything has started.
    """
    if not hasattr(os, "fork"):
        raise UsageError("Pipelines run on Linux and macOS. On Windows, use the Windows Subsystem for Linux")
    if os.pathsep in str(options.runs):
        raise UsageError(
            f"{options.runs}: the path contains {os.pathsep!r}, which separates the folders of PATH. "
            "Run the pipeline in another folder"
        )
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs}: allowed is a number from 1")
    if options.debug_step == ONLY and plan.is_single:
        options = replace(options, debug_step=plan.steps[0].name)
    source = str(plan.source or plan.name)
    earlier = past_runs(options.runs)
    problems = settle_killed_runs(earlier)
    decided = decisions(plan, options, (past for past in earlier if past.source == source))
    variable = environ.get(variables.DIRECTORY, "").strip()
    journal = options.journal_directory or expand_path(variable or variables.LOCAL_DIRECTORY)
    named = names_of(plan, "--debug", [options.debug_step]) if options.debug_step else []
    debugged = debugged_names(named)
    if named:
        options = replace(options, debug=options.debug or DebugLaunch.from_environment(environ))
        check_debugged([plan.step(name) for name in named])
    queue: Mailbox[Event] = Mailbox()
    run_id = JobServices.new_run_id(plan)
    with (
        StopSignals(lambda number: queue.put(StopSignal(number))),
        LocalRunFolder(options.runs, run_id) as folder,
    ):
        journal = (options.directory / journal).absolute()
        steps = [step.name for step in plan.steps]
        folder.begin(name=plan.name, source=source, journal=str(journal), steps=steps)
        with JobServices(folder.azure, journal, environ) as services:
            runs = StepRuns(
                plan,
                options,
                folder,
                services,
                StopSwitch(),
                EarlierSteps(lambda: earlier),
                debugged,
                environ,
                queue.put,
                threading.Semaphore(options.jobs or os.cpu_count() or 1),
            )
            return RunLoop(runs, queue, observer, source, problems).run(decided)
