"""`amllog serve`: Azure on this machine, as a command.

In: parsed options. Out: what `amllog.local.serve` prints, until it is interrupted.
"""

from __future__ import annotations

import importlib.util
from argparse import Namespace

from amllog.errors import MissingExtraError, UsageError


def serve(options: Namespace) -> int:
    """Answer until Ctrl-C."""
    if not importlib.util.find_spec("cryptography"):
        raise MissingExtraError("cryptography", "local")
    from amllog.local import serve as answer

    try:
        answer(
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
