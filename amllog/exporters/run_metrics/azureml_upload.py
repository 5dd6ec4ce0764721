"""A file on its way into a run's artifacts, in a time that is bounded.

In: azureml's run, an open file. Out: the artifact. azureml's own upload is the same two steps, but retries for a
minute and a half when the storage fails (measured: 86 s), and cannot go on where it stopped: the service takes a
name once, so a second try would be a conflict. Here the address of a name once taken is kept for the next try.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from amllog.exporters.http_deadline import CONNECT_SECONDS, bound_responses
from amllog.exporters.run_metrics import azureml_sdk
from amllog.exporters.run_metrics.metric_lines import content_type

ORIGIN = "ExperimentRun"


def upload(
    run: Any,
    stream: BinaryIO,
    name: str,
    datastore: str | None,
    addresses: dict[str, str],
    key: str,
    seconds: float,
) -> None:
    """Upload the file as artifact `name`; `addresses` keeps under `key` where to, for another try."""
    blobs = azureml_sdk.blobs()
    if blobs is None:  # azureml has changed: its own way, with its own patience
        run.upload_file(name, stream, datastore_name=datastore)
        return
    address = addresses.get(key) or _address(run, name, datastore)
    addresses[key] = address
    token, account, suffix, container, blob = blobs.parts_of(address)
    transport = blobs.transport(connection_timeout=min(CONNECT_SECONDS, seconds), read_timeout=seconds)
    transport.open()
    bound_responses(transport.session)
    client = blobs.client(
        account_url=f"https://{account}.blob.{suffix}", credential=token, retry_total=0, transport=transport
    )
    with client:
        kind = content_type(stream.read(12))
        stream.seek(0)
        settings = blobs.settings(content_type=kind)
        client.get_blob_client(container, blob).upload_blob(
            stream, overwrite=True, validate_content=True, content_settings=settings
        )


def _address(run: Any, name: str, datastore: str | None) -> str:
    """Where the bytes go: the name is taken in the run's artifacts, once."""
    if run._container is None:
        raise LookupError("the run has no data container")
    taken = run._client.artifacts.create_empty_artifacts(ORIGIN, run._container, name, datastore)
    return str(taken.artifact_content_information[name].content_uri)
