"""The checks of Python and of installed packages."""

from __future__ import annotations

import pytest

from amllog.cli.doctor import packages


def test_missing_packages() -> None:
    """A package or module that is not installed has no version and cannot be imported."""
    assert (packages.version_of("no-such-package"), packages.is_installed("no_such_module.part")) == (
        "",
        False,
    )
    assert packages.is_installed("json")


@pytest.mark.parametrize("in_job", [False, True])
def test_subjects_of_the_checks(in_job: bool) -> None:
    """Python, azureml and the exporters are checked, and a missing azureml fails only in a job."""
    checks = {check.about: check.state for check in packages.check_packages(in_job=in_job)}
    assert checks.keys() == {"Python", "azureml", "exporter"}
    assert checks["azureml"] in ("ok", "fail" if in_job else "warn")
