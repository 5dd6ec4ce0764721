"""`amllog run`: a script, or a file of Azure ML's format."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from importlib import import_module

from amllog.cli import pipeline_options
from amllog.errors import UsageError


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Run the script or the file of the command line, and return the exit code."""
    if not options.is_module and pipeline_options.is_definition(options.script):
        return int(import_module("amllog.cli.run_pipeline").run(options, environ))
    is_debugged = options.debug_step == pipeline_options.ONLY
    used = pipeline_options.used_options(options, except_for={"--debug"} if is_debugged else set())
    if used:
        raise UsageError(
            f"{', '.join(used)}: for a pipeline, a job or a component (a file with .yml, .yaml or .json), and "
            f"{options.script} is none; options of a script stand after it"
        )
    return int(import_module("amllog.cli.run_script").run(options, environ, is_debugged=is_debugged))
