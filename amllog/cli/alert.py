"""`amllog alert` and `amllog workbook`: write templates of an alert rule and a workbook for errors.

A template is ARM JSON or Bicep. It is written to stdout or to a file, and nothing is deployed.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amllog.cli import output
from amllog.config.variables import RESOURCE_ID
from amllog.errors import UsageError

_FILTERS = ("run_type", "experiment_name", "step_name")


def add_commands(commands: Any, command: Callable[..., ArgumentParser]) -> None:
    """Add both commands to `commands`. `command` creates a parser."""
    alert = command(
        commands,
        "alert",
        "generate an alert rule for errors by run_type and step",
        "\n\nA scheduled query rule of Azure Monitor, as ARM JSON or Bicep. Nothing is deployed.",
        "  amllog alert --resource-id $ID --run-type training --output errors.bicep\n"
        "  az deployment group create --resource-group rg --template-file errors.bicep",
    )
    _add_shared_arguments(alert, "amllog-errors")
    alert.add_argument(
        "--severity", type=int, choices=range(5), default=2, help="0 (critical) to 4 (default: 2)"
    )
    alert.add_argument(
        "--window", default="15m", metavar="TIME", help="the time range of each check (default: 15m)"
    )
    alert.add_argument("--every", default="5m", metavar="TIME", help="the time between checks (default: 5m)")
    alert.add_argument(
        "--threshold", type=int, default=0, metavar="N", help="alert on more errors than this (default: 0)"
    )
    alert.add_argument(
        "--of",
        choices=("everything", "logs", "exceptions", "steps"),
        default="everything",
        help="the errors to count; --every 1m needs a single kind (default: everything)",
    )
    alert.add_argument(
        "--action-group",
        action="append",
        default=[],
        metavar="ID",
        help="the resource id of an action group to notify; may be repeated",
    )
    workbook = command(
        commands,
        "workbook",
        "generate a workbook of errors by run_type and step",
        "\n\nA workbook of Azure Monitor, as ARM JSON or Bicep. Nothing is deployed.",
        "  amllog workbook --resource-id $ID --output errors.json",
    )
    _add_shared_arguments(workbook, "Azure ML errors")


def _add_shared_arguments(parser: ArgumentParser, name: str) -> None:
    parser.add_argument(
        "--resource-id",
        default="",
        metavar="ID",
        help=f"the Application Insights resource or workspace (default: {RESOURCE_ID})",
    )
    parser.add_argument(
        "--name", default=name, metavar="NAME", help=f"the name of the generated resource (default: {name})"
    )
    parser.add_argument(
        "--run-type", action="append", metavar="TYPE", help="only this run_type; may be repeated"
    )
    parser.add_argument(
        "--experiment-name", action="append", metavar="NAME", help="only this experiment; may be repeated"
    )
    parser.add_argument(
        "--step-name", action="append", metavar="NAME", help="only this step; may be repeated"
    )
    parser.add_argument("--format", choices=("json", "bicep"), help="default: by the suffix of FILE, or json")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to this file (default: stdout)")


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Write the template of an alert rule or a workbook."""
    from amllog.insights.alerts import rules, templates

    resource_id = options.resource_id or environ.get(RESOURCE_ID, "").strip()
    if not resource_id:
        raise UsageError(f"no resource: pass --resource-id, or set {RESOURCE_ID}")
    filters: Any = {name: getattr(options, name) for name in _FILTERS if getattr(options, name)}
    if options.command == "alert":
        template = rules.alert(
            resource_id,
            name=options.name,
            severity=options.severity,
            window=options.window,
            every=options.every,
            threshold=options.threshold,
            action_groups=options.action_group,
            of=options.of,
            **filters,
        )
    else:
        template = rules.workbook(resource_id, name=options.name, **filters)
    is_bicep = (options.format or str(options.output or "").rpartition(".")[2]) == "bicep"
    text = templates.bicep(template) if is_bicep else templates.arm(template)
    if options.output is None:
        output.print_answer(text.rstrip("\n"))
        return 0
    try:
        options.output.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"--output {options.output}: {reason}") from None
    return 0
