"""The certificate of the TLS server and the bundle of authorities."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amllog.local import AzureOnThisMachine

if TYPE_CHECKING:
    from ..conftest import Client

CONTAINER = "ExperimentRun/dcid.run_1"


def test_other_authorities(tmp_path: Path) -> None:
    """The authorities that a job trusts in addition to the local Azure can be chosen."""
    authorities = tmp_path / "authorities.pem"
    authorities.write_text("# my authorities\n")
    with AzureOnThisMachine(tmp_path / "azure", authorities=authorities) as azure:
        bundle = azure.job_environment(run_id="r", step_name="s")["REQUESTS_CA_BUNDLE"]
    with open(bundle) as file:
        text = file.read()
    assert text.startswith("# my authorities\n")
    assert text.count("BEGIN CERTIFICATE") == 1


def test_the_certificate_is_trusted_by_the_bundle_only(azure: AzureOnThisMachine, client: Client) -> None:
    """A job trusts the TLS port by its bundle, which also contains the usual authorities. Other clients do not."""
    environment = azure.job_environment(run_id="run_1", step_name="train")
    made = client.artifact("POST", f"batch/metadata/{CONTAINER}", {"paths": [{"path": "x"}]}).json
    uri = made["artifactContentInformation"]["x"]["contentUri"].replace("this-machine.blob.local@", "")
    request = urllib.request.Request(uri, b"bytes", method="PUT")
    trusting = ssl.create_default_context(cafile=environment["REQUESTS_CA_BUNDLE"])
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(request, timeout=300)
    with urllib.request.urlopen(request, timeout=300, context=trusting) as reply:
        assert reply.status == 201
    assert len(trusting.get_ca_certs()) > 50
    files = [path for path in azure.directory.rglob("*") if path.is_file()]
    assert [path for path in files if b"PRIVATE KEY" in path.read_bytes()] == []


def test_without_cryptography(child: Any) -> None:
    """Without the package cryptography, the error contains what to install."""
    code = """
import sys
sys.modules["cryptography"] = None
from amllog.errors import MissingExtraError
from amllog.local import AzureOnThisMachine
with AzureOnThisMachine("azure") as azure:
    try:
        azure.job_environment(run_id="r", step_name="s")
    except MissingExtraError as error:
        print(error)
"""
    assert "pip install 'amllog[local]'" in child(code).stdout
