"""`amllog serve`: run the local Azure in the foreground."""

from __future__ import annotations

import argparse
import importlib.util
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amllog.config import user_path
from amllog.errors import MissingExtraError, UsageError


def add_command(commands: Any, command: Callable[..., ArgumentParser]) -> None:
    """Add the command to `commands`. `command` creates a parser."""
    serve = command(
        commands,
        "serve",
        "run a local stand-in for Azure until Ctrl-C",
        "\n\nAnswers like Application Insights and the run history of Azure ML, on loopback only, and stores\n"
        "what it receives. Prints the environment variables of a job. A script that is started with them runs\n"
        "as that job. The variables contain tokens that are new at each start. Requests without them are\n"
        "rejected, so keep the variables private.",
        "  amllog serve --directory azure --run-id my_run --step-name train > job.env &\n"
        "  source job.env && python train.py && amllog logs --dir azure/received",
    )
    serve.add_argument(
        "--directory",
        type=Path,
        default=Path("amllog-azure"),
        metavar="DIR",
        help="the directory for received data (default: ./amllog-azure)",
    )
    serve.add_argument("--port", type=_port, default=0, metavar="N", help="the port (default: any free one)")
    serve.add_argument("--run-id", metavar="ID", help="the run of the printed variables (default: a new one)")
    serve.add_argument(
        "--step-name", default="step", metavar="NAME", help="the step of the run (default: step)"
    )
    serve.add_argument(
        "--experiment-name",
        default="local",
        metavar="NAME",
        help="the experiment of the run (default: local)",
    )
    parent = serve.add_mutually_exclusive_group()
    parent.add_argument(
        "--parent-run-id",
        "--pipeline",
        metavar="ID",
        help="the pipeline run that the run is a step of (default: one for this run)",
    )
    parent.add_argument(
        "--no-parent", action="store_true", help="the run is a job of its own, without a pipeline"
    )
    serve.add_argument("--root-run-id", metavar="ID", help="the root run (default: the pipeline run)")
    serve.add_argument("--lenient", action="store_true", help="accept requests that Azure would reject")


def _authorities(environ: Mapping[str, str]) -> Path | None:
    """Return the file of certificate authorities that programs in this shell use, or None for their default."""
    names = (environ.get("REQUESTS_CA_BUNDLE"), environ.get("CURL_CA_BUNDLE"))
    return next((Path(name) for name in names if name and user_path.is_file(Path(name))), None)


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Answer requests until Ctrl-C."""
    if not importlib.util.find_spec("cryptography"):
        raise MissingExtraError("cryptography", "local")
    from amllog.local import serve
    from amllog.local.serving import PIPELINE_OF_RUN

    try:
        serve(
            options.directory,
            options.port,
            strict=not options.lenient,
            run_id=options.run_id,
            step_name=options.step_name,
            experiment_name=options.experiment_name,
            parent_run_id=None if options.no_parent else options.parent_run_id or PIPELINE_OF_RUN,
            root_run_id=options.root_run_id,
            authorities=_authorities(environ),
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot serve on port {options.port} into {options.directory}: {error}") from error
    return 0


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a port from 0 (any free one) to 65535")
    return int(text)
