"""Run a pipeline, a job or a component on this machine, and show its steps.

Findings have the form `file:line: message`. With --check they are the answer, on stdout. Otherwise they are notices.
The exit code is 1 if --check finds an error or a step failed, and 2 if errors prevented the start. A failed run ends
with its story.
"""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from amllog.cli import habits, output, parser, pipeline_options, run_summary
from amllog.cli.live_table import LiveTable
from amllog.errors import PipelineError, UsageError
from amllog.insights.reports.rendering import pluralize
from amllog.local.execution.step_events import RunResult
from amllog.local.plan.planned_steps import Finding, Severity
from amllog.local.run_lines import RunLines

if TYPE_CHECKING:
    from amllog.local.pipeline import Pipeline

_PREFIX = "amllog run: "


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Check the file and run its steps. Return the exit code."""
    from amllog.local.pipeline import Pipeline

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a real stream here
    rest = pipeline_options.parse_rest(parser.Parser(prog="amllog run", allow_abbrev=False), options)
    if rest:
        raise UsageError(habits.explain_option("run", rest, parser.options_of("run")))
    pipeline = Pipeline(
        options.script,
        inputs=pipeline_options.pairs(options.input),
        data=pipeline_options.pairs(options.data),
        environments=pipeline_options.pairs(options.env),
    )
    return _check(pipeline, options, environ) if options.check else _run(pipeline, options, environ)


def _check(pipeline: Pipeline, options: Namespace, environ: Mapping[str, str]) -> int:
    findings = pipeline.check(
        skip=options.skip,
        stubs=pipeline_options.pairs(options.stub),
        start_from=options.start_from,
        only=options.only,
        environ=environ,
    )
    for finding in findings:
        output.print_answer(str(finding))
    output.print_notice(f"{options.script}: {_counts(findings)}", "amllog run")
    return int(any(finding.severity is Severity.ERROR for finding in findings))


def _run(pipeline: Pipeline, options: Namespace, environ: Mapping[str, str]) -> int:
    observer = _observer(environ)
    try:
        result = pipeline.run(
            jobs=options.jobs,
            skip=options.skip,
            stubs=pipeline_options.pairs(options.stub),
            start_from=options.start_from,
            only=options.only,
            reuse=options.reuse,
            timeout_seconds=options.timeout,
            debug_step=options.debug_step,
            observer=observer,
            report=lambda line: output.print_message(f"{line}\n", sys.stderr),
            environ=environ,
        )
    except PipelineError as error:  # `report` has printed the findings
        output.print_notice(
            f"{options.script}: {pluralize(len(error.findings), 'error')}, nothing was run", "amllog run"
        )
        return 2
    finally:
        if isinstance(observer, LiveTable):
            observer.close()
    _print_end(result, observer.error)
    return result.exit_code


def _print_end(result: RunResult, error: OSError | None) -> None:
    """Print the summary. `error` is that of the stream of the lines."""
    try:
        if error is not None and not output.has_no_reader(error):
            output.print_notice(f"the lines of the steps could not be written: {error}", "amllog run")
        run_summary.print_summary(result)
        sys.stdout.flush()
    except OSError as lost:
        if not output.has_no_reader(lost):
            raise
    for stream in (sys.stdout, sys.stderr):
        output.discard_if_unread(stream)


def _observer(environ: Mapping[str, str]) -> LiveTable | RunLines:
    """Return the live table on a terminal, and lines in CI, in pipes and on terminals that cannot draw."""
    is_drawn = (
        sys.stdout.isatty() and environ.get("TERM") not in ("dumb", "unknown") and not environ.get("CI")
    )
    if not is_drawn:
        return RunLines(sys.stdout, sys.stderr, _PREFIX, has_summary=True)
    return LiveTable(sys.stdout, colour=output.uses_colour(sys.stdout), size=shutil.get_terminal_size)


def _counts(findings: Sequence[Finding]) -> str:
    """Return the number of errors, warnings and notes."""
    counts = {kind: sum(finding.severity is kind for finding in findings) for kind in Severity}
    return ", ".join(pluralize(count, kind.value) for kind, count in counts.items() if count) or "no findings"
