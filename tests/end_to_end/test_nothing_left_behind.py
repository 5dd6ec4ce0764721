"""An ended process leaves only its journal on the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

STEP = """
import amllog
log = amllog.setup()
log.info("logged")
log.metric("loss", 0.5)
account = amllog.shutdown(200)
assert account.waiting == 0, account
"""


@pytest.mark.parametrize("home", ["home", "file/home"])
def test_a_job_leaves_no_temporary_directory(
    child: Any, azure: AzureOnThisMachine, tmp_path: Path, home: str
) -> None:
    """With and without a home directory, metrics arrive, and the temporary directory is empty afterwards."""
    (tmp_path / "home").mkdir()
    (tmp_path / "file").write_text("no directory can be made here")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    job = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    ran = child(STEP, env={**job, "TMPDIR": str(temporary), "HOME": str(tmp_path / home)})
    assert ran.returncode == 0, ran.stderr
    assert azure.values("run_1") == {"loss": [0.5]}
    assert list(temporary.iterdir()) == []
