"""The output of `serve()`, which a shell evaluates."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SERVE = "from amllog.local import serve; serve('azure', run_id='run_1', step_name='train')"
JOB = """
from azureml.core import Run
run = Run.get_context(allow_offline=False)
print(run.name)
run.log('m', 1)
run.flush()
"""


def test_serve(child: Any, tmp_path: Path) -> None:
    """A shell can evaluate the output, a job that it starts is online, and SIGTERM ends the server normally."""
    process = child.start(SERVE)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("# stop"):
            break
    script = "".join(lines) + f'"{sys.executable}" -c "{JOB}"\n'
    ran = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=600)
    assert (ran.returncode, ran.stdout) == (0, "train\n"), ran.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(600) == 0
    assert '"name":"m"' in (tmp_path / "azure" / "metrics.jsonl").read_text()
