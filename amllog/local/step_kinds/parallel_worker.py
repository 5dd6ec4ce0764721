"""A worker process of a parallel step: runs the entry script on the mini-batches that the driver sends.

A stand-alone program of the standard library, because the interpreter of a step may have no amllog:
`python parallel_worker.py JSON`. Mini-batches come as lines of JSON on one pipe, results go back on another one. stdout
and stderr are files.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import inspect
import io
import json
import logging
import os
import pickle
import sys
import time
import traceback
import types
from collections.abc import Callable, Sized
from typing import Any, ClassVar

_OWN_FILES = (__file__, "<frozen importlib")


class EntryScript:
    """The `EntryScript` of `azureml_user.parallel_run`: the logger and the folders of this process."""

    task: ClassVar[dict[str, Any]] = {}  # of this process

    @property
    def logger(self) -> logging.Logger:
        """The logger of the entry script. It writes to logs/user/entry_script_log."""
        return logging.getLogger("ParallelRunStep")

    @property
    def log_dir(self) -> str:
        """The folder of the logger's files."""
        return str(os.path.dirname(self.task["files"]["logger"]))

    @property
    def working_dir(self) -> str:
        """The working directory of the step."""
        return str(self.task["work"])

    @property
    def output_dir(self) -> str:
        """The folder of the step's files that are uploaded at the end."""
        return os.path.join(self.working_dir, "outputs")

    @property
    def agent_name(self) -> str:
        """The name of this process, e.g. `process000`."""
        return str(self.task["name"])


def _offer_entry_script() -> None:
    """Let `from azureml_user.parallel_run import EntryScript` work."""
    package, module = types.ModuleType("azureml_user"), types.ModuleType("azureml_user.parallel_run")
    module.__dict__["EntryScript"] = EntryScript
    package.__dict__.update(parallel_run=module, __path__=[])
    sys.modules.setdefault("azureml_user", package)
    sys.modules.setdefault("azureml_user.parallel_run", module)


def _set_up_logging(task: dict[str, Any]) -> None:
    """Give the root logger a handler for stdout, and the logger of the entry script its file."""
    level = getattr(logging, task["logging_level"], logging.INFO)
    logging.basicConfig(
        stream=sys.stdout, level=level, format="%(asctime)s|%(name)s|%(levelname)s|%(process)d|%(message)s"
    )
    handler = logging.FileHandler(task["files"]["logger"], encoding="utf-8", delay=True)
    handler.setFormatter(
        logging.Formatter("%(asctime)s|%(levelname)s|%(process)d|%(threadName)s|%(message)s")
    )
    EntryScript().logger.addHandler(handler)


def _load_script(path: str) -> types.ModuleType:
    """Import the entry script as a module of its own name, with its folder on the path."""
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python script")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _takes_context(run: Callable[..., Any]) -> bool:
    """Return whether `run` has a second parameter for the context of the mini-batch."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in kinds for parameter in inspect.signature(run).parameters.values()) > 1


def _is_list(result: object) -> bool:
    """Return whether a result is a list, a DataFrame, or an array or a series of its libraries."""
    modules = {kind.__module__.partition(".")[0] for kind in type(result).__mro__}
    return isinstance(result, (list, tuple)) or bool(
        modules & {"numpy", "pandas"} and isinstance(result, Sized)
    )


def _write_rows(result: Any, path: str) -> None:
    """Write a result as lines: a DataFrame with a space between the values, and one line for each item of a list."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        if hasattr(result, "to_csv") and hasattr(result, "columns"):
            result.to_csv(file, sep=" ", header=False, index=False)
        else:
            file.writelines(f"{item}\n" for item in result)


class Worker:
    """The entry script and the two pipes of this process."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._batches = os.fdopen(task["batches"], encoding="utf-8")
        self._results = task["results"]
        self._errors = open(task["files"]["error"], "a", encoding="utf-8")  # noqa: SIM115  until the process ends
        for descriptor in (task["batches"], task["results"]):
            os.set_inheritable(descriptor, False)

    def _send(self, **message: Any) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._results, data) :]

    def _send_error(self, event: str, error: BaseException, seconds: float = 0.0) -> None:
        """Send an exception of the entry script, without the frames of this file."""
        # A frame of this file calls the script. An error before that has frames of this file only.
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OWN_FILES):
            frames = frames.tb_next
        lines = traceback.format_exception(type(error), error, frames or error.__traceback__)
        self._send(
            event=event,
            type=type(error).__name__,
            message="".join(traceback.format_exception_only(type(error), error)).strip(),
            traceback="".join(lines),
            seconds=seconds,
        )

    def work(self) -> None:
        """Load the script, run it on each mini-batch, and end at the end of the pipe."""
        try:
            module = _load_script(self._task["entry_script"])
            run = getattr(module, "run", None)
            if not callable(run):
                raise AttributeError(f"{self._task['entry_script']} has no function run(mini_batch)")
            getattr(module, "init", lambda: None)()
        except BaseException as error:
            self._send_error("init_error", error)
            raise
        self._send(event="ready")
        takes_context = _takes_context(run)
        for line in self._batches:
            self._run(run, takes_context, json.loads(line))
        try:
            getattr(module, "shutdown", lambda: None)()
        except BaseException as error:
            self._send_error("shutdown_error", error)
            raise
        self._send(event="end")

    def _run(self, run: Callable[..., Any], takes_context: bool, batch: dict[str, Any]) -> None:
        """Run one mini-batch. Every exception of it is sent, also SystemExit."""
        started = time.monotonic()
        # A thread of C writes where every thread is, shortly before the driver kills this process.
        faulthandler.dump_traceback_later(self._task["timeout_seconds"], file=self._errors)
        try:
            items, partition = batch["items"], {}
            if batch["table"]:
                with open(batch["table"], "rb") as file:
                    items, partition = pickle.load(file)
            context = types.SimpleNamespace(partition_key_value=partition, minibatch_index=batch["number"])
            started = time.monotonic()
            result = run(items, context) if takes_context else run(items)
            seconds = time.monotonic() - started
            if not _is_list(result):
                kind = "None" if result is None else f"an object of type {type(result).__name__}"
                raise TypeError(f"run() returned {kind}. It must return a list or a pandas DataFrame")
            if batch["rows"]:
                _write_rows(result, batch["rows"])
            self._send(event="done", count=len(result), seconds=seconds)
        except BaseException as error:
            self._send_error("run_error", error, time.monotonic() - started)
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.flush()


def main() -> None:
    """Run the worker of the task in the first argument."""
    task = json.loads(sys.argv[1])
    EntryScript.task.update(task)
    for path in task["files"].values():
        os.makedirs(os.path.dirname(path), exist_ok=True)
    # The script finds its own folder first, and the words of the job in sys.argv.
    sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(__file__)]
    sys.path.insert(0, os.path.dirname(task["entry_script"]))
    sys.argv[:] = [task["entry_script"], *task["arguments"]]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # no line is lost when this process is killed
    faulthandler.enable()
    worker = Worker(task)
    _offer_entry_script()
    _set_up_logging(task)
    worker.work()


if __name__ == "__main__":
    main()
