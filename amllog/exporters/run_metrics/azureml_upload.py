"""Upload a file as an artifact of a run, within a time limit.

azureml's upload has the same two steps: create the artifact, then send the bytes to the storage. If the storage fails,
azureml retries for a minute and a half (measured: 86 s). It cannot continue afterwards, because the service creates a
name only once, so a second attempt would be a conflict. Here the address of a created artifact is kept for the next
attempt.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from amllog.exporters.http_deadline import CONNECT_SECONDS, bound_responses
from amllog.exporters.run_metrics import azureml_sdk
from amllog.exporters.run_metrics.metric_lines import image_type

ORIGIN = "ExperimentRun"


def upload(
    run: Any,
    stream: BinaryIO,
    name: str,
    datastore: str | None,
    addresses: dict[str, str],
    key: str,
    seconds: float,
    authorities: str = "",
) -> None:
    """Upload the file as artifact `name`. `addresses` keeps its address under `key`, for another attempt.

    `authorities`: a file of certificate authorities for the storage, in place of those of `requests`.
    """
    storage = azureml_sdk.storage()
    if storage is None:  # azureml has changed, so its upload without a time limit is used
        run.upload_file(name, stream, datastore_name=datastore)
        return
    address = addresses.get(key) or _address(run, name, datastore)
    addresses[key] = address
    token, account, suffix, container, blob = storage.split_address(address)
    transport = storage.transport(
        connection_timeout=min(CONNECT_SECONDS, seconds),
        read_timeout=seconds,
        connection_verify=authorities or True,
    )
    transport.open()
    bound_responses(transport.session)
    client = storage.client(
        account_url=f"https://{account}.blob.{suffix}", credential=token, retry_total=0, transport=transport
    )
    with client:
        kind = image_type(stream.read(12))
        stream.seek(0)
        settings = storage.settings(content_type=kind)
        client.get_blob_client(container, blob).upload_blob(
            stream, overwrite=True, validate_content=True, content_settings=settings
        )


def _address(run: Any, name: str, datastore: str | None) -> str:
    """Create the artifact, which is possible once, and return the address for its bytes."""
    if run._container is None:
        raise LookupError("the run has no data container")
    created = run._client.artifacts.create_empty_artifacts(ORIGIN, run._container, name, datastore)
    return str(created.artifact_content_information[name].content_uri)
