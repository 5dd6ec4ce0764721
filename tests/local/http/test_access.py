"""Every operation of every service, called without access and with it."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amllog.local import AzureOnThisMachine
from amllog.local.http.access import Access
from amllog.local.http.routes import Credential, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]

REJECTED = (401, 403)
IN_PATH = (Credential.INGESTION, Credential.QUERY, Credential.FAULTS, Credential.DISCOVERY)


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """The environment of run_1. Run_2 belongs to another pipeline run."""
    azure.job_environment(run_id="run_2", step_name="score", parent_run_id="pipe_2")
    return azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")


@pytest.fixture
def beginnings(azure: AzureOnThisMachine, job: dict[str, str]) -> dict[Credential, str]:
    """The beginning of the paths of each service."""
    addresses = {
        Credential.INGESTION: azure.ingestion_endpoint,
        Credential.QUERY: azure.query_endpoint,
        Credential.FAULTS: azure.faults_url[: -len("/faults")],
        Credential.DISCOVERY: job["AZUREML_DISCOVERY_SERVICE_ENDPOINT"].partition("/discovery")[0],
    }
    return {need: address[len(azure.url) :] for need, address in addresses.items()}


def all_routes(azure: AzureOnThisMachine) -> list[Route]:
    """Return the routes of all operations."""
    routes = list(azure.routes)
    assert len(routes) > 40
    return routes


def path_of_route(route: Route, azure: AzureOnThisMachine) -> str:
    """Return a path that matches a route, for run_1."""
    names = {
        "scope*": f"apps/{azure.app_id}",
        "run": "run_1",
        "origin": "ExperimentRun",
        "container": "dcid.run_1",
    }
    return re.sub(r"\{([\w*]+)\}", lambda match: names.get(match[1], "local"), route.pattern)


def accepted(
    azure: AzureOnThisMachine,
    make_client: MakeClient,
    routes: list[Route],
    beginning: str = "",
    headers: Mapping[str, str] = {},
) -> list[str]:
    """Return the operations that were not rejected with 401 or 403."""
    operations = []
    for route in routes:
        client = make_client(azure)
        path = beginning + path_of_route(route, azure)
        if client.bare(route.method, path, b"{}", headers).status not in REJECTED:
            operations.append(f"{route.method} {route.pattern}")
        client.connection.close()
    return operations


def test_every_route_requires_a_credential(azure: AzureOnThisMachine) -> None:
    """No route is open by omission."""
    assert [route for route in azure.routes if not isinstance(route.needs, Credential)] == []
    assert {route.needs for route in azure.routes} == set(Credential)
    with pytest.raises(TypeError):
        Route("GET", "/open", handle=azure.routes[0].handle)  # type: ignore[call-arg]  # `needs` is missing on purpose


def test_without_a_token_or_with_a_wrong_one(azure: AzureOnThisMachine, make_client: MakeClient) -> None:
    """No operation accepts a request without a token, with an invalid one, or with a token of another server."""
    routes, other = all_routes(azure), Access()
    foreign = {"Authorization": f"Bearer {other.run_tokens.issue('run_1')[0]}"}
    assert accepted(azure, make_client, routes) == []
    assert accepted(azure, make_client, routes, headers={"Authorization": "Bearer x"}) == []
    assert accepted(azure, make_client, routes, beginning=other.path(Credential.QUERY), headers=foreign) == []


@pytest.mark.parametrize("owner", IN_PATH)
def test_with_the_token_of_another_service(
    azure: AzureOnThisMachine, make_client: MakeClient, beginnings: dict[Credential, str], owner: Credential
) -> None:
    """Each token is valid for its own service only, so no token of a job gives access to the faults."""
    others = [route for route in all_routes(azure) if route.needs is not owner]
    headers = {"Authorization": "Bearer x"}
    assert accepted(azure, make_client, others, beginnings[owner], headers) == []


def test_run_tokens(azure: AzureOnThisMachine, make_client: MakeClient, job: dict[str, str]) -> None:
    """A run token is valid for run history only. An expired, forged, unsigned or foreign one is valid for nothing."""
    token = job["AZUREML_RUN_TOKEN"]
    head, claims, signature = token.split(".")
    later = {**json.loads(base64.urlsafe_b64decode(claims + "==")), "exp": 2**40}
    forged = base64.urlsafe_b64encode(json.dumps(later).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    wrong = [
        azure.run_token("run_1", -1),
        f"{head}.{forged}.{signature}",
        f"{none}.{claims}.",
        f"{token}x",
        "..",
    ]
    routes = [route for route in all_routes(azure) if route.needs is Credential.RUN]
    for invalid in wrong:
        assert accepted(azure, make_client, routes, headers={"Authorization": f"Bearer {invalid}"}) == []
    others = [route for route in all_routes(azure) if route.needs is not Credential.RUN]
    assert accepted(azure, make_client, others, headers={"Authorization": f"Bearer {token}"}) == []
    about_a_run = [route for route in routes if "{run}" in route.pattern or "{container}" in route.pattern]
    foreign = {"Authorization": f"Bearer {azure.run_token('run_2')}"}
    assert accepted(azure, make_client, about_a_run, headers=foreign) == []


def test_runs_in_bodies_are_checked(azure: AzureOnThisMachine, client: Client, job: dict[str, str]) -> None:
    """Runs in a body must belong to the pipeline run of the token, and lists contain no others."""
    foreign = {"Authorization": f"Bearer {azure.run_token('run_2')}"}
    before = azure.runs

    def history(method: str, path: str, body: object) -> Any:
        place = "/history/v1.0/subscriptions/s/resourceGroups/r/providers/p/workspaces/w"
        return client.bare(method, f"{place}/{path}", body, foreign)

    batch, new = "experiments/local/batch", "experiments/local/runs/new"
    event = {"name": "x.Failed", "data": {"RunId": "run_1"}}
    assert history("PATCH", f"{batch}/runs", {"runs": [{"runId": "run_1", "tags": {"a": "b"}}]}).status == 403
    assert history("POST", f"{batch}/events", {"events": [event]}).status == 403
    assert history("PATCH", new, {"parentRunId": "run_1"}).status == 403
    assert history("PATCH", new, {}).status == 403
    listed = [run["runId"] for run in history("POST", "runs:query", {}).json["value"]]
    assert sorted(listed) == ["pipe_2", "run_2"]
    assert azure.runs == before


def test_a_page_of_another_port_and_another_host(
    azure: AzureOnThisMachine, make_client: MakeClient, beginnings: dict[Credential, str], job: dict[str, str]
) -> None:
    """Even with a valid token, no operation accepts the form of another page or another host name."""
    bearer = {"Authorization": f"Bearer {job['AZUREML_RUN_TOKEN']}"}
    form = {**bearer, "Origin": "http://localhost:8888", "Content-Type": "text/plain"}
    rebound = {**bearer, "Host": f"evil.example:{azure.url.rpartition(':')[2]}"}
    for headers in (form, rebound):
        for route in all_routes(azure):
            begin = beginnings.get(route.needs, "")
            assert accepted(azure, make_client, [route], begin, headers) == []


def test_with_the_right_token(
    azure: AzureOnThisMachine, make_client: MakeClient, beginnings: dict[Credential, str], job: dict[str, str]
) -> None:
    """Requests with a valid token are accepted, so nothing else rejects them in the other tests."""
    bearer = {"Authorization": f"Bearer {job['AZUREML_RUN_TOKEN']}"}
    routes = [route for route in all_routes(azure) if "/blobs/" not in route.pattern]
    for route in routes:
        begin = beginnings.get(route.needs, "")
        assert accepted(azure, make_client, [route], begin, bearer), route


def test_addresses_of_blobs_expire(azure: AzureOnThisMachine, make_client: MakeClient) -> None:
    """An address is valid for one artifact, one purpose and one hour."""
    access = Access()
    query = access.sign("key", "w", -1)
    assert int(re.findall(r"se=(\d+)", access.sign("key", "w"))[0]) > int(re.findall(r"se=(\d+)", query)[0])
    routes = [route for route in azure.routes if "/blobs/" in route.pattern]
    assert {route.needs for route in routes} == {Credential.READ_ADDRESS, Credential.WRITE_ADDRESS}
    for route in routes:
        assert make_client(azure).bare(route.method, f"/blobs/key?{query}").status == 403


def test_a_rejection_has_the_format_of_the_service(client: Client, azure: AzureOnThisMachine) -> None:
    """Ingestion, queries and run history each report a missing token in the format of the Azure service."""
    track = client.bare("POST", "/v2.1/track", [{}])
    assert (track.status, track.json["itemsAccepted"]) == (401, 0)
    assert track.json["errors"][0]["statusCode"] == 401
    query = client.bare("POST", f"/v1/apps/{azure.app_id}/query", {"query": "traces"})
    assert (query.status, query.json["error"]["code"]) == (401, "InvalidTokenError")
    assert client.bare("GET", "/nothing").status == 401
    assert client("GET", "/nothing", Authorization="Bearer x").status == 401


def test_the_root_needs_a_token_like_every_path(client: Client) -> None:
    """Without a token, the response does not reveal whether a path exists."""
    assert client.bare("GET", "/").status == 401
    assert client("GET", "/").status == 404


def test_tokens_belong_to_one_object(tmp_path: Path, make_client: MakeClient) -> None:
    """Tokens survive a stop and a start, differ between objects, and are not in any file."""
    azure = AzureOnThisMachine(tmp_path / "one").start()
    secrets = [azure.connection_string, azure.query_endpoint, azure.faults_url]
    azure.job_environment(run_id="run_1", step_name="train")
    make_client(azure)("POST", "/v2.1/track", [])
    azure.stop()
    azure.start()
    assert secrets == [azure.connection_string, azure.query_endpoint, azure.faults_url]
    azure.stop()
    tokens = [token for secret in secrets for token in re.findall(r"/([\w-]{43})(?![\w-])", secret)]
    content = b"".join(path.read_bytes() for path in azure.directory.rglob("*") if path.is_file()).decode()
    assert len(set(tokens)) == 3
    assert [
        token for token in tokens if token in content or any(token in r.path for r in azure.requests_log)
    ] == []
    with AzureOnThisMachine(tmp_path / "one") as again:
        assert not {*secrets} & {again.connection_string, again.query_endpoint, again.faults_url}


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="a POSIX file system")
def test_files_are_private(tmp_path: Path, make_client: MakeClient) -> None:
    """Directories have mode 0700 and files 0600, independent of the umask."""
    before = os.umask(0)
    try:
        with AzureOnThisMachine(tmp_path / "azure") as azure:
            azure.job_environment(run_id="run_1", step_name="train")
            make_client(azure)("POST", "/v2.1/track", [])
    finally:
        os.umask(before)
    paths = [tmp_path / "azure", *(tmp_path / "azure").rglob("*")]
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a POSIX file system")
@pytest.mark.parametrize("name", ["received", "artifacts", "runs.jsonl", "metrics.jsonl", "artifacts.jsonl"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_planted_files(tmp_path: Path, name: str, kind: str) -> None:
    """A link or a FIFO in place of a file of the server raises OSError at the start, and its target is not changed."""
    folder, target = tmp_path / "azure", tmp_path / "target"
    folder.mkdir()
    target.mkdir() if "." not in name else target.write_text("mine")
    (folder / name).symlink_to(target) if kind == "link" else os.mkfifo(folder / name)
    with pytest.raises(OSError):
        AzureOnThisMachine(folder).start()
    assert (list(target.iterdir()) if target.is_dir() else target.read_text()) in ([], "mine")
