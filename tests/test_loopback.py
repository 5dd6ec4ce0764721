"""The tests' own ground: no process of theirs reaches an address off this machine, and each starts clean."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

REACH = "import socket; socket.create_connection(('{}', 80), timeout=1)"


@pytest.mark.parametrize("host", ["192.0.2.1", "telemetry.example.com"])
def test_a_child_that_reaches_off_the_machine_is_refused_and_noted(host: str, child, tmp_path: Path) -> None:
    """It gets the answer of a machine without a network, and the address is noted for the test to fail."""
    noted = tmp_path / "noted"
    ran = child(REACH.format(host), env={"REACHED_FILE": str(noted)})
    assert "tests stay on this machine" in ran.stderr
    assert noted.read_text(encoding="utf-8").split() == [host]


def test_an_unreachable_host_is_had_on_purpose() -> None:
    """A name under `.invalid` has no address, and asking for it is no fault."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)


def test_every_test_starts_on_a_laptop_where_nobody_set_anything_up(tmp_path: Path) -> None:
    """No variable of Azure, of CI or of a proxy is left, home is empty, and the folder is the test's own."""
    left = ("AZUREML_", "AMLLOG_", "MLFLOW_", "APPINSIGHTS_", "GITHUB_", "BUILD_", "CI")
    assert [name for name in os.environ if name.startswith(left) or name.lower().endswith("_proxy")] == []
    assert list(Path.home().iterdir()) == []
    assert Path.cwd() == tmp_path
