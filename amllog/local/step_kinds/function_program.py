"""Call one function in this process: `python function_program.py call.pickle`.

The script is started by its file, so that it loads nothing of amllog before the function does. An exception has the
traceback of the function, and the exit code is that of Python.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any


def main(file: str) -> None:
    """Make the call that is in the file, and write the returned value. Raises what the function raises."""
    call = pickle.loads(Path(file).read_bytes())
    sys.path[:] = call["path"]
    sys.argv[:] = [call["name"]]
    function = pickle.loads(call["function"])
    arguments = {name: pickle.loads(Path(path).read_bytes()) for name, path in call["results"].items()}
    write_result(function(**arguments), call["name"], Path(call["result"]))


def write_result(value: Any, name: str, path: Path) -> None:
    """Write the returned value. Its file exists only if it is complete."""
    import cloudpickle

    try:
        data = cloudpickle.dumps(value)
    except (TypeError, ValueError, AttributeError, RecursionError, pickle.PicklingError) as error:
        raise SystemExit(
            f"function {name} returned a value of type {type(value).__name__}, which cannot be passed to another "
            f"process: {error}"
        ) from error
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)


def run(file: str) -> None:
    """Make the call. Show an exception of the function as Python does, without the frames of this program."""
    try:
        main(file)
    except Exception as error:
        if "debugpy" in sys.modules:  # a debugger stops at exceptions that nobody catches
            raise
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        hook = vars(sys)["excepthook"]  # the one that Python would call, which may be that of amllog
        hook(type(error), error.with_traceback(trace or error.__traceback__), trace)
        # amllog, if the function uses it, does not see this end of the process.
        if "amllog.session.session" in sys.modules:
            sys.modules["amllog.session.api"].session().step.fail("uncaught exception")
        raise SystemExit(1) from None


if __name__ == "__main__":
    run(sys.argv[1])
