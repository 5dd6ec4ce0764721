"""The detection of workers of `multiprocessing`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

# As `multiprocessing.forkserver.main` imports the main script in the fork server.
FORK_SERVER = """
import multiprocessing, os
from amllog.process.workers import is_worker
process = multiprocessing.current_process()
print(is_worker())
process._inheriting = True
print(is_worker())
del process._inheriting
print(is_worker(), flush=True)
if os.fork() == 0:
    print(is_worker(), flush=True)
    os._exit(0)
os.wait()
"""
WORKER = """
import multiprocessing
from amllog.process.workers import is_worker
at_import = is_worker()
def work():
    print(at_import, is_worker(), flush=True)
if __name__ == "__main__":
    process = multiprocessing.get_context("{method}").Process(target=work)
    process.start()
    process.join()
    print(at_import, is_worker())
"""


def test_fork_server(child: Any) -> None:
    """The fork server is a worker after the import of the main script, and a child that a script forks is not."""
    assert child(FORK_SERVER).stdout.split() == ["False", "True", "True", "False"]


@pytest.mark.parametrize(("method", "at_import"), [("fork", "False"), ("spawn", "True")])
def test_worker(child: Any, tmp_path: Any, method: str, at_import: str) -> None:
    """A worker is recognized in its functions, and also in the main script if it imports that."""
    script = tmp_path / "train.py"
    script.write_text(WORKER.format(method=method))
    assert child(script).stdout.splitlines() == [f"{at_import} True", "False False"]


PRELOADED = "from amllog.process.workers import is_worker\nat_import = is_worker()\n"
PRELOADING = """
import multiprocessing
import preloaded

def work():
    from amllog.process.workers import is_worker
    print(preloaded.at_import, is_worker(), flush=True)

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    process = context.Process(target=work)
    process.start()
    process.join()
    print(preloaded.at_import)
"""


def test_a_module_that_the_fork_server_preloads(child: Any, tmp_path: Path) -> None:
    """The fork server is a worker while it imports the modules to preload."""
    (tmp_path / "preloaded.py").write_text(PRELOADED)
    script = tmp_path / "train.py"
    script.write_text(PRELOADING)
    ran = child(script, env={"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(tmp_path)])})
    assert ran.stdout.splitlines() == ["True True", "False"], ran.stderr


FAMILY = """
import sys, types
from amllog.process import workers
process = types.SimpleNamespace(_parent_pid=None)
module = types.ModuleType("billiard.process")
module.current_process = lambda: process
sys.modules["billiard.process"] = module
print(workers.is_worker(), end=" ")
process._parent_pid = 1
print(workers.is_worker())
"""


def test_packages_like_multiprocessing(child: Any) -> None:
    """A worker of a package with the interface of multiprocessing is recognized."""
    assert child(FAMILY).stdout == "False True\n"
