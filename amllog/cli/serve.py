"""`amllog serve`: run the local Azure in the foreground."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from collections.abc import Mapping

from amllog.errors import MissingExtraError, UsageError


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
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot serve on port {options.port} into {options.directory}: {error}") from error
    return 0
