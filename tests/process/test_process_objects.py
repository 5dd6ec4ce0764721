"""The object in the configuration that multiprocessing copies to its workers."""

from __future__ import annotations

from typing import Any

import pytest

WORKER = """
import multiprocessing, sys
from amllog.process import process_objects

class Arrives:
    def __reduce__(self):
        return print, ("arrives",)

def work():
    print("works", flush=True)

if __name__ == "__main__":
    process_objects.put("replaced")
    process_objects.put(Arrives())
    print(process_objects.is_usual_interpreter(), flush=True)
    processes = multiprocessing.get_context(sys.argv[1])
    for _ in range(2):
        process = processes.Process(target=work)
        process.start(), process.join()
        process_objects.remove()
    process_objects.remove()
    processes.set_executable("/usr/bin/elsewhere")
    print(process_objects.is_usual_interpreter())
"""


@pytest.mark.parametrize(
    ("method", "first"), [("spawn", ["arrives"]), ("forkserver", ["arrives"]), ("fork", [])]
)
def test_object_in_workers(child: Any, tmp_path: Any, method: str, first: list[str]) -> None:
    """The object is unpickled before a worker that is not forked begins, until it is removed."""
    script = tmp_path / "train.py"
    script.write_text(WORKER)
    ran = child(script, method, flags=("-u",))
    assert (ran.stdout.split(), ran.stderr) == (["True", *first, "works", "works", "False"], "")
