"""The commands that write what Azure shall watch: alert, workbook.

In: parsed options. Out: a template on stdout or in a file, ARM JSON or Bicep; exit code 0, or UsageError.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amllog.cli import rows
from amllog.config.variables import RESOURCE_ID
from amllog.errors import UsageError

_KEPT = ("run_type", "experiment_name", "step_name")


def add(commands: Any, command: Callable[..., ArgumentParser]) -> None:
    """What both commands accept; `command` adds one to `commands`."""
    alert = command(
        commands, "alert", "write a rule that tells of errors by run_type and step",
        "\n\nA scheduled query rule of Azure Monitor, as ARM JSON or Bicep. Nothing is deployed.",
        "  amllog alert --resource-id $ID --run-type training --output errors.bicep\n"
        "  az deployment group create --resource-group rg --template-file errors.bicep",
    )  # fmt: skip
    _add_both(alert, "amllog-errors")
    alert.add_argument(
        "--severity", type=int, choices=range(5), default=2, help="0 (critical) to 4 (default: 2)"
    )
    alert.add_argument("--window", default="15m", metavar="TIME", help="over how much time (default: 15m)")
    alert.add_argument("--every", default="5m", metavar="TIME", help="how often it looks (default: 5m)")
    alert.add_argument(
        "--threshold", type=int, default=0, metavar="N", help="with more errors than this (default: 0)"
    )
    alert.add_argument("--of", choices=("everything", "logs", "exceptions", "steps"), default="everything",
                       help="which errors; one kind is one table, as --every 1m needs (default: all)")  # fmt: skip
    alert.add_argument("--action-group", action="append", default=[], metavar="ID",
                       help="whom to tell: an action group's resource id; may be given several times")  # fmt: skip
    workbook = command(
        commands, "workbook", "write a workbook of errors by run_type and step",
        "\n\nA workbook of Azure Monitor, as ARM JSON or Bicep. Nothing is deployed.",
        "  amllog workbook --resource-id $ID --output errors.json",
    )  # fmt: skip
    _add_both(workbook, "Azure ML errors")


def _add_both(found: ArgumentParser, name: str) -> None:
    found.add_argument(
        "--resource-id",
        default="",
        metavar="ID",
        help=f"of the Application Insights resource or the workspace (default: {RESOURCE_ID})",
    )
    found.add_argument("--name", default=name, metavar="NAME", help=f"its name (default: {name})")
    found.add_argument(
        "--run-type", action="append", metavar="TYPE", help="only of this run_type; several may be given"
    )
    found.add_argument("--experiment-name", action="append", metavar="NAME", help="only of this experiment")
    found.add_argument("--step-name", action="append", metavar="NAME", help="only of this step")
    found.add_argument("--format", choices=("json", "bicep"), help="default: as FILE ends, else json")
    found.add_argument("--output", type=Path, metavar="FILE", help="write to this file (default: stdout)")


def write(chosen: Namespace, environ: Mapping[str, str]) -> int:
    """The template that was asked for, to where it shall go."""
    from amllog.insights.alerts import rules, templates

    resource_id = chosen.resource_id or environ.get(RESOURCE_ID, "").strip()
    if not resource_id:
        raise UsageError(f"which logs? Give --resource-id, or set {RESOURCE_ID}")
    narrow: Any = {name: getattr(chosen, name) for name in _KEPT if getattr(chosen, name)}
    if chosen.command == "alert":
        template = rules.alert(
            resource_id, name=chosen.name, severity=chosen.severity, window=chosen.window, every=chosen.every,
            threshold=chosen.threshold, action_groups=chosen.action_group, of=chosen.of, **narrow,
        )  # fmt: skip
    else:
        template = rules.workbook(resource_id, name=chosen.name, **narrow)
    is_bicep = (chosen.format or str(chosen.output or "").rpartition(".")[2]) == "bicep"
    text = templates.bicep(template) if is_bicep else templates.arm(template)
    if chosen.output is None:
        rows.answer(text.rstrip("\n"))
        return 0
    try:
        chosen.output.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"--output {chosen.output}: {reason}") from None
    return 0
