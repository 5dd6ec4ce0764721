"""Put an object into the configuration that `multiprocessing` copies to its worker processes.

A process object is pickled for a worker that is not forked, and it contains a copy of its parent's configuration
(`_config`, in all versions of Python since 2.6). Unpickling it there calls the `__reduce__` function of the object. So
a worker is reached although nothing in it mentions amllog. The workers of loky, of Dask's nannies and of torch are such
processes too. Copies of `multiprocessing` have configurations of their own.
"""

from __future__ import annotations

import sys

from amllog.process.workers import family_modules

_KEY = "amllog"


def put(value: object) -> None:
    """Put `value` into the configuration of each family that is loaded, in place of a former one."""
    for config in _configurations():
        config[_KEY] = value


def remove() -> None:
    """Remove the value from the configurations."""
    for config in _configurations():
        config.pop(_KEY, None)


def is_usual_interpreter() -> bool:
    """Return whether workers run this interpreter, which can import what this process has imported."""
    paths = {_path(module.get_executable()) for module in family_modules("spawn")}
    return paths <= {_path(sys.executable)}


def _configurations() -> list[dict[str, object]]:
    configurations = (
        getattr(module.current_process(), "_config", None) for module in family_modules("process")
    )
    return [one for one in configurations if isinstance(one, dict)]


def _path(executable: object) -> str:
    return executable.decode(errors="replace") if isinstance(executable, bytes) else str(executable)
