"""`amllog fetch`: download the logs and journals of a run and of all its steps.

The exit code is 1 if a file is missing, and 2 if the run cannot be read.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import tempfile
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amllog.cli import argument_values, output
from amllog.config import user_path
from amllog.errors import UsageError
from amllog.insights.driver_logs.run_places import FETCHED_FOLDER
from amllog.insights.reports.rendering import pluralize
from amllog.record.text import escape_controls

if TYPE_CHECKING:
    from amllog.insights.fetch.fetching import FetchReport
    from amllog.insights.fetch.remote_runs import RemoteRuns

_AZUREML, _AZURE_AI = "azureml-core", "azure-ai-ml"
_MAX_BYTES = 20_000_000_000
_MAX_FAILURES = 20  # that are printed
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9}


def add_command(commands: Any, command: Callable[..., ArgumentParser]) -> None:
    """Add the command to `commands`. `command` creates a parser."""
    parser = command(
        commands,
        "fetch",
        "download the logs and journals of a run and of all its steps",
        "\n\nFiles that are here already are kept, so a second fetch loads only what is missing. The workspace is\n"
        "that of the job, or the one of the options, of AZUREML_ARM_* or of a config.json.\n"
        "Exit code 1 if a file is missing, and 2 if the run cannot be read.",
        "  amllog fetch 4c0de1f2-93ab-4f21-8f3e-0a5c6a7b8c9d\n"
        "  amllog logs --driver last\n  amllog story --dir amllog-fetched",
    )
    parser.add_argument("run", metavar="RUN", help="the id of a run or job, as in the studio")
    text = f"the directory for the run (default: ./{FETCHED_FOLDER})"
    parser.add_argument("-o", "--output", type=Path, default=Path(FETCHED_FOLDER), metavar="DIR", help=text)
    parser.add_argument(
        "--subscription-id", default="", metavar="ID", help="the subscription of the workspace"
    )
    parser.add_argument("--resource-group", default="", metavar="NAME", help="its resource group")
    parser.add_argument("--workspace", default="", metavar="NAME", help="its name")
    text = "a config.json of the workspace (default: the nearest one, upwards from here)"
    parser.add_argument("--config", type=Path, metavar="FILE", help=text)
    text = f"the SDK and its login (default: {_AZUREML})"
    parser.add_argument("--sdk", choices=(_AZUREML, _AZURE_AI), default=_AZUREML, help=text)
    text = "the time limit (default: 1800)"
    parser.add_argument(
        "--timeout", type=argument_values.seconds, default=1800.0, metavar="SECONDS", help=text
    )
    text = "the limit of the size of all files, such as 500M (default: 20G)"
    parser.add_argument("--max-bytes", type=_byte_count, default=_MAX_BYTES, metavar="SIZE", help=text)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Fetch a run and print the result."""
    from amllog.insights.fetch.fetching import Fetch  # only this command needs it

    # Our messages contain the errors that the clients log. azureml logs warnings with the root logger.
    logging.getLogger().addHandler(logging.NullHandler())
    directory = user_path.expand_path(options.output)
    if user_path.exists(directory) and not user_path.is_directory(directory):
        raise UsageError(f"{directory} is not a directory: pass another one with -o")
    temporary = Path(tempfile.mkdtemp(prefix="amllog-fetch-"))
    try:
        limits: Any = {"seconds": options.timeout, "max_bytes": options.max_bytes}
        source = _source(options, environ, temporary)
        report = Fetch(source, directory, progress=output.print_notice, **limits).fetch(options.run)
    finally:  # after the time limit, a thread of the SDK may still write there
        shutil.rmtree(temporary, ignore_errors=True)
    if options.json:
        output.print_answer(output.to_json(_as_dict(report)))
    else:
        _print(report)
    return int(bool(report.all_failures))


def _source(options: Namespace, environ: Mapping[str, str], temporary: Path) -> RemoteRuns:
    """Return the adapter of the chosen SDK."""
    from amllog.insights.fetch.azure_ai_source import AzureAIJobs
    from amllog.insights.fetch.azureml_source import AzureMLRuns, WorkspaceNames

    config = user_path.expand_path(options.config) if options.config else None
    if config is not None and not user_path.exists(config):
        raise UsageError(f"--config {config}: no such file")
    names = WorkspaceNames(options.subscription_id, options.resource_group, options.workspace, config)
    if options.sdk == _AZURE_AI:
        return AzureAIJobs(names, environ, temporary)
    if importlib.util.find_spec("azureml") is None:
        raise UsageError(f"--sdk {_AZUREML}: pip install {_AZUREML}")
    return AzureMLRuns(names, environ)


def _print(report: FetchReport) -> None:
    rows = [
        {
            "step": fetched.run.name,
            "state": fetched.run.state,
            "files": fetched.loaded + fetched.kept,
            "new": fetched.loaded,
            "bytes": fetched.size_bytes,
            "missing": len(fetched.failures),
            "run": fetched.run.run_id,
        }
        for fetched in report.runs
    ]
    output.print_answer(output.format_table(rows, tuple(rows[0])))
    failures = report.all_failures
    for text in failures[:_MAX_FAILURES]:
        output.print_notice(text)
    if len(failures) > _MAX_FAILURES:
        output.print_notice(f"{len(failures) - _MAX_FAILURES} more: see --json")
    folder = escape_controls(str(report.folder))
    if failures:
        output.print_notice(f"{pluralize(len(failures), 'failure')}: the same command loads what is missing")
    running = [fetched.run.name for fetched in report.runs if not fetched.run.has_ended]
    if running:
        output.print_notice(f"not ended yet: {', '.join(running[:5])}. Fetch again after the end")
    output.print_notice(f"next: amllog logs --driver {report.runs[0].run.run_id} --dir {folder}")
    output.print_notice(f"      amllog story --dir {folder}; amllog deliver {folder}")


def _as_dict(report: FetchReport) -> dict[str, Any]:
    runs = [
        {
            **fetched.run._asdict(),
            "folder": str(fetched.folder),
            "loaded": fetched.loaded,
            "kept": fetched.kept,
            "bytes": fetched.size_bytes,
            "failures": fetched.failures,
        }
        for fetched in report.runs
    ]
    return {"folder": str(report.folder), "runs": runs, "failures": report.failures}


def _byte_count(text: str) -> int:
    """Parse a size such as 500M. Raises ArgumentTypeError, which argparse reports as wrong usage."""
    number, unit = (text[:-1], text[-1:].lower()) if text[-1:].lower() in _UNITS else (text, "")
    if not number.isdecimal() or int(number) < 1:
        raise ArgumentTypeError(f"{text!r}: expected a number of bytes, with k, M or G if you like")
    return int(number) * _UNITS.get(unit, 1)
