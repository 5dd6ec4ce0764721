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

    try:
        serve(
            options.directory,
            options.port,
            strict=not options.lenient,
            run_id=options.run_id,
            step_name=options.step_name,
            experiment_name=options.experiment_name,
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot serve on port {options.port} into {options.directory}: {error}") from error
    return 0
