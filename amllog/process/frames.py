"""Functions of ours whose frames look like those of another module.

Handlers search the stack for the caller of logging: loguru's `InterceptHandler` skips the frames of logging's file, and
others count them. A frame of amllog between would be the place of every record.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, cast


def disguised(function: Any, model: Any) -> Any:
    """Return a copy of a function whose frames have the file and the module of `model`, and their own name.

    Lines in tracebacks are those of `model`. The copy does not see later changes of its module.
    """
    source, target = cast("FunctionType", function), cast("FunctionType", model)
    code = source.__code__.replace(
        co_filename=target.__code__.co_filename, co_firstlineno=target.__code__.co_firstlineno
    )
    names = {**source.__globals__, "__name__": target.__module__}
    return FunctionType(code, names, source.__name__, source.__defaults__, source.__closure__)
