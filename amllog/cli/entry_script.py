"""Detect scripts of ParallelRunStep and of endpoints, whose `init()` and `run()` nothing called.

Such a script defines functions only. Run as a script, it ends at once with success.
"""

from __future__ import annotations

import ast


def is_uncalled(source: bytes) -> bool:
    """Return whether a source defines `init()` and `run(data)` at its top level and calls neither of them."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return False
    functions = {
        node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    init, run = functions.get("init"), functions.get("run")
    if init is None or run is None or _required(init) or not (run.args.args or run.args.vararg):
        return False
    others = (node for part in tree.body if part not in (init, run) for node in ast.walk(part))
    used = {node.id for node in others if isinstance(node, ast.Name)}
    return not used & {"init", "run"}


def _required(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return len(function.args.args) - len(function.args.defaults)
