"""Run ids in the formats of the service."""

from __future__ import annotations

import re
import uuid

from amllog.local.azureml import new_run_ids


def test_formats() -> None:
    """Jobs have two words and ten characters, sweeps and their trials the prefix HD_, and no two ids are equal."""
    jobs = {new_run_ids.new_job_id() for _ in range(200)}
    assert len(jobs) == 200
    assert all(re.fullmatch(r"[a-z]+_[a-z]+_[0-9a-z]{10}", job) for job in jobs)
    sweep = new_run_ids.new_sweep_id()
    assert str(uuid.UUID(sweep[3:])) == sweep[3:]
    assert (sweep[:3], new_run_ids.trial_id(sweep, 12)) == ("HD_", f"{sweep}_12")
    assert uuid.UUID(new_run_ids.new_guid()).version == 4
