"""`RunInfo`: the properties of a run in run history.

`azureml_sdk` reads them from azureml's `Run`, and `context` resolves the identity with them. The module is separate
because `azureml_sdk` is imported only where azureml is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class RunInfo(NamedTuple):
    """The properties of a run that `Run.get_context()` loads. Empty strings without run history."""

    parent_run_id: str = ""
    root_run_id: str = ""
    step_name: str = ""
    experiment_name: str = ""
    run_url: str = ""  # of the parent's page, if there is a parent: as in Microsoft's guide
    properties: Mapping[str, str] = {}
