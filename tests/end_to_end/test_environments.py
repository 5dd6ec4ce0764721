"""In an unusual environment, nothing is raised, and all records of the script arrive once."""

from __future__ import annotations

from typing import Any

import pytest

SCRIPT = """
import logging
import amllog
log = amllog.setup()
log.info("logged")
logging.getLogger("train").warning("caf\\u00e9 \\u2603")
log.metric("loss", 0.5)
with log.span("work"):
    pass
account = amllog.shutdown()
assert not any(one.waiting for one in account.outlets.values()), account
"""
RAISING = """
import sys
class Stream:
    closed, encoding = False, None
    def flush(self):
        pass
    def __getattr__(self, name):
        raise RuntimeError("a broken stream")
sys.stdout = sys.stderr = Stream()
"""
BROKEN_LIBRARY = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "azure.identity":
            raise SystemError("error return without exception set")
sys.meta_path.insert(0, Finder())
"""
UNUSUAL = {
    "deleted working directory": "import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())",
    "stdout is None": "import sys; sys.stdout = None",
    "stdout and stderr are None": "import sys; sys.stdout = sys.stderr = None; sys.__stdout__ = sys.__stderr__ = None",
    "stdout is closed": "import sys; sys.stdout.close()",
    "stdout and stderr are closed": "import sys; sys.stdout.close(); sys.stderr.close()",
    "stdout has no reader": "import os; end = os.pipe(); os.dup2(end[1], 1); os.close(end[0]); os.close(end[1])",
    "stdout raises": RAISING,
    "no standard descriptors": "import os; os.close(0); os.close(1); os.close(2)",
    "no stdout": "import sys; del sys.stdout",
    "no stdin and no stdout": "import sys; del sys.stdin, sys.stdout",
    "no argv": "import sys; del sys.argv",
    "argv is empty": "import sys; sys.argv = []",
    "argv is None": "import sys; sys.argv = None",
    "argv of bytes": "import sys; sys.argv = [b'\\xff/train.py']",
    "argv of a broken path": """
import os, sys
class Broken(os.PathLike):
    def __fspath__(self):
        raise RuntimeError("a broken path")
sys.argv = [Broken()]
""",
    "argv of objects": "import sys; sys.argv = [None, object()]",
    "argv with a surrogate": "import sys; sys.argv = ['\\udcff.py']",
    "no executable": "import sys; sys.executable = None",
    "an empty executable": "import sys; sys.executable = ''",
    "no main module": "import sys; del sys.modules['__main__']",
    "undecodable variables": "import os; os.environb[b'BUILD_BUILDNUMBER'] = os.environb[b'RANK'] = b'\\xff\\xfe'",
    "a library that cannot be imported": BROKEN_LIBRARY,
    "no variables": "import os\nkept = dict(os.environ)\nfor name in kept:\n"
    "    if not name.startswith(('APPLICATIONINSIGHTS', 'AMLLOG')): del os.environ[name]",
}
VARIABLES: dict[str, dict[str, str | None]] = {
    "no home": {"HOME": None, "USERPROFILE": None, "USER": None, "LOGNAME": None},
    "a home that does not exist": {"HOME": "/nonexistent/home"},
    "no locale": {"LANG": None, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "an unknown locale": {"LC_ALL": "xx_YY.ISO-0", "LANG": "xx_YY"},
    "ASCII streams": {"PYTHONIOENCODING": "ascii:strict"},
    "an unknown time zone": {"TZ": "Nowhere/At_All"},
    "no path": {"PATH": None},
    "a temporary directory that does not exist": {"TMPDIR": "/nonexistent/tmp"},
}
FLAGS = {"without docstrings": ["-OO"], "isolated": ["-I"], "in UTF-8 mode": ["-X", "utf8"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*UNUSUAL, *VARIABLES, *FLAGS])
def test_an_unusual_environment(child: Any, received: Any, connected: Any, name: str) -> None:
    """The script succeeds in the environment, and its records arrive once."""
    code = f"{UNUSUAL.get(name, '')}\n{SCRIPT}"
    ran = child(code, env={**connected, **VARIABLES.get(name, {})}, flags=FLAGS.get(name, []))
    records = received()
    if name == "no standard descriptors":  # Python's flush at the end fails
        assert ran.returncode in (0, 120)
        ran = ran._replace(returncode=0)
    assert (ran.returncode, sorted(records.messages), records.duplicates) == (
        0,
        ["caf\u00e9 \u2603", "logged"],
        [],
    ), ran


def test_long_dimensions_leave_room_for_processes(child: Any, received: Any, connected: Any) -> None:
    """A script with dimensions longer than an environment variable can start processes and workers."""
    code = """
import multiprocessing, operator, subprocess, sys
import amllog
log = amllog.setup(dimensions={"team": "nlp", "text": "x" * 300_000}, run_type="training")
subprocess.run([sys.executable, "-c", ""], check=True)
work = operator.methodcaller("info", "in a worker")
worker = multiprocessing.get_context("spawn").Process(target=work, args=(log,))
worker.start(); worker.join()
log.info("logged")
"""
    ran = child(code, env=connected)
    records = received()
    assert (ran.returncode, sorted(records.messages)) == (0, ["in a worker", "logged"]), ran.stderr
    assert records.properties("in a worker")["run_type"] == "training"
    assert ran.stdout.count("setup(dimensions=…) is too long for the environment") == 1
