"""The file that Python imports at the start of each step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from amllog.local.job_records.shell_variables import STARTUP

# The names of azureml that are used.
CLIENT = """
import queue, types

class MetricsClient:
    def _log_batch_v2(self, batch):
        print("posted", batch)

client = MetricsClient()
client._task_queue_v2_internal = types.SimpleNamespace(_items=queue.Queue())
for metric in "ab":
    client._task_queue_v2_internal._items.put(metric)
"""


def _run(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PYTHONPATH": ":".join(map(str, (STARTUP, *paths)))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)


def test_the_next_one_is_imported(tmp_path: Path) -> None:
    """The user's own file is imported as always, and ours is not on the path of the script."""
    (tmp_path / "sitecustomize.py").write_text("print('mine')\nvalue = 1\n", encoding="utf-8")
    ran = _run(
        "import sys, sitecustomize as s\nprint(s.value, [p for p in sys.path if 'startup' in p])", tmp_path
    )
    assert (ran.stdout, ran.stderr) == ("mine\n1 []\n", "")


def test_the_next_one_may_change_the_path(tmp_path: Path) -> None:
    """Folders that the user's own file puts on `sys.path` stay there."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.path.insert(0, '/mine')\n", encoding="utf-8")
    ran = _run("import sys\nprint(sys.path.count('/mine'))", tmp_path)
    assert (ran.stdout, ran.stderr) == ("1\n", "")


def test_without_another_one(tmp_path: Path) -> None:
    """Without another file, a script starts and ends without output."""
    ran = _run("import sys\nprint([p for p in sys.path if 'startup' in p])")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n", "")


def test_an_error_in_the_next_one(tmp_path: Path) -> None:
    """An error of the user's own file is printed by Python. The script runs, and its metrics are posted at the end."""
    (tmp_path / "sitecustomize.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    (tmp_path / "azureml/_restclient").mkdir(parents=True)
    for name, text in (
        ("__init__.py", ""),
        ("_restclient/__init__.py", ""),
        ("_restclient/metrics_client.py", CLIENT),
    ):
        (tmp_path / "azureml" / name).write_text(text)
    ran = _run("from azureml._restclient.metrics_client import client\nprint('ran')", tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "ran\nposted ['a', 'b']\n")
    assert "nothing_of_this_name" in ran.stderr
