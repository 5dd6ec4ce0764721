"""Every operation of every service, called by everybody who may not."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amllog.local import AzureOnThisMachine, Fault
from amllog.local.http.access import Access
from amllog.local.http.open_connections import UNAUTHENTICATED_MAX, OpenConnections
from amllog.local.http.routes import Credential, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]

REJECTED = (401, 403)
IN_PATH = (Credential.INGESTION, Credential.QUERY, Credential.FAULTS, Credential.DISCOVERY)


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """The environment of run_1; run_2 belongs to another pipeline run."""
    azure.job_environment(run_id="run_2", step_name="score", parent_run_id="pipe_2")
    return azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")


@pytest.fixture
def beginnings(azure: AzureOnThisMachine, job: dict[str, str]) -> dict[Credential, str]:
    """What the paths of each service begin with."""
    addresses = {
        Credential.INGESTION: azure.ingestion_endpoint,
        Credential.QUERY: azure.query_endpoint,
        Credential.FAULTS: azure.faults_url[: -len("/faults")],
        Credential.DISCOVERY: job["AZUREML_DISCOVERY_SERVICE_ENDPOINT"].partition("/discovery")[0],
    }
    return {need: address[len(azure.url) :] for need, address in addresses.items()}


def closed(azure: AzureOnThisMachine) -> list[Route]:
    """Every operation."""
    found = list(azure.routes)
    assert len(found) > 40
    return found


def path_of(route: Route, azure: AzureOnThisMachine) -> str:
    """A path that fits a route, about run_1."""
    filled = {
        "scope*": f"apps/{azure.app_id}",
        "run": "run_1",
        "origin": "ExperimentRun",
        "container": "dcid.run_1",
    }
    return re.sub(r"\{([\w*]+)\}", lambda found: filled.get(found[1], "local"), route.pattern)


def accepted(
    azure: AzureOnThisMachine,
    make_client: MakeClient,
    routes: list[Route],
    begin: str = "",
    headers: Mapping[str, str] = {},
) -> list[str]:
    """The operations that were not rejected with 401 or 403."""
    found = []
    for route in routes:
        client = make_client(azure)
        path = begin + path_of(route, azure)
        if client.bare(route.method, path, b"{}", headers).status not in REJECTED:
            found.append(f"{route.method} {route.pattern}")
        client.connection.close()
    return found


def test_every_route_says_which_token_it_needs(azure: AzureOnThisMachine) -> None:
    """No route is open by omission, and none needs nothing."""
    assert [route for route in azure.routes if not isinstance(route.needs, Credential)] == []
    assert {route.needs for route in azure.routes} == set(Credential)
    with pytest.raises(TypeError):
        Route("GET", "/open", handle=azure.routes[0].handle)  # type: ignore[call-arg]  # that is the point


def test_without_a_token_or_with_a_wrong_one(azure: AzureOnThisMachine, make_client: MakeClient) -> None:
    """No operation answers a request without a token, with any bearer token, or with a token of another server."""
    routes, other = closed(azure), Access()
    foreign = {"Authorization": f"Bearer {other.run_tokens.issue('run_1')[0]}"}
    assert accepted(azure, make_client, routes) == []
    assert accepted(azure, make_client, routes, headers={"Authorization": "Bearer x"}) == []
    assert accepted(azure, make_client, routes, begin=other.path(Credential.QUERY), headers=foreign) == []


@pytest.mark.parametrize("owner", IN_PATH)
def test_with_the_token_of_another_service(
    azure: AzureOnThisMachine, make_client: MakeClient, beginnings: dict[Credential, str], owner: Credential
) -> None:
    """Each token opens its own service: above all, no token that a job has reaches the faults."""
    others = [route for route in closed(azure) if route.needs is not owner]
    headers = {"Authorization": "Bearer x"}
    assert accepted(azure, make_client, others, beginnings[owner], headers) == []


def test_run_tokens(azure: AzureOnThisMachine, make_client: MakeClient, job: dict[str, str]) -> None:
    """A run token opens run history only; expired, forged, unsigned, or of another pipeline run, it opens nothing."""
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
    routes = [route for route in closed(azure) if route.needs is Credential.RUN]
    for one in wrong:
        assert accepted(azure, make_client, routes, headers={"Authorization": f"Bearer {one}"}) == []
    others = [route for route in closed(azure) if route.needs is not Credential.RUN]
    assert accepted(azure, make_client, others, headers={"Authorization": f"Bearer {token}"}) == []
    about_a_run = [route for route in routes if "{run}" in route.pattern or "{container}" in route.pattern]
    foreign = {"Authorization": f"Bearer {azure.run_token('run_2')}"}
    assert accepted(azure, make_client, about_a_run, headers=foreign) == []


def test_the_token_of_another_pipeline_run_in_bodies(
    azure: AzureOnThisMachine, client: Client, job: dict[str, str]
) -> None:
    """Runs that a body names are checked as well, lists have the runs of the same pipeline run only."""
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
    """Even with the right token, no operation answers a form of another page, nor a rebound name."""
    bearer = {"Authorization": f"Bearer {job['AZUREML_RUN_TOKEN']}"}
    form = {**bearer, "Origin": "http://localhost:8888", "Content-Type": "text/plain"}
    rebound = {**bearer, "Host": f"evil.example:{azure.url.rpartition(':')[2]}"}
    for headers in (form, rebound):
        for route in closed(azure):
            begin = beginnings.get(route.needs, "")
            assert accepted(azure, make_client, [route], begin, headers) == []


def test_with_the_right_token(
    azure: AzureOnThisMachine, make_client: MakeClient, beginnings: dict[Credential, str], job: dict[str, str]
) -> None:
    """The same requests are let through with their own token: what rejects them is nothing else."""
    bearer = {"Authorization": f"Bearer {job['AZUREML_RUN_TOKEN']}"}
    routes = [route for route in closed(azure) if "/blobs/" not in route.pattern]
    for route in routes:
        begin = beginnings.get(route.needs, "")
        assert accepted(azure, make_client, [route], begin, bearer), route


def test_addresses_of_blobs_expire(azure: AzureOnThisMachine, make_client: MakeClient) -> None:
    """An address is for one artifact, one purpose and one hour."""
    access = Access()
    query = access.sign("key", "w", -1)
    assert int(re.findall(r"se=(\d+)", access.sign("key", "w"))[0]) > int(re.findall(r"se=(\d+)", query)[0])
    routes = [route for route in azure.routes if "/blobs/" in route.pattern]
    assert {route.needs for route in routes} == {Credential.READ_ADDRESS, Credential.WRITE_ADDRESS}
    for route in routes:
        assert make_client(azure).bare(route.method, f"/blobs/key?{query}").status == 403


def test_a_rejection_has_the_services_own_shape(client: Client, azure: AzureOnThisMachine) -> None:
    """Ingestion, queries and run history each report a missing token as Azure's services do."""
    track = client.bare("POST", "/v2.1/track", [{}])
    assert (track.status, track.json["itemsAccepted"]) == (401, 0)
    assert track.json["errors"][0]["statusCode"] == 401
    query = client.bare("POST", f"/v1/apps/{azure.app_id}/query", {"query": "traces"})
    assert (query.status, query.json["error"]["code"]) == (401, "InvalidTokenError")
    assert client.bare("GET", "/nothing").status == 401
    assert client("GET", "/nothing", Authorization="Bearer x").status == 401


def test_the_root_needs_a_token_like_every_path(client: Client) -> None:
    """Without a token, `/` does not say what answers there; with one, it says that nothing does."""
    assert client.bare("GET", "/").status == 401
    assert client("GET", "/").status == 404


def test_rejected_requests_use_up_no_faults(azure: AzureOnThisMachine, make_client: MakeClient) -> None:
    """A fault is counted for requests with a token only, and nobody else is made to wait by it."""
    azure.faults.put(Fault(status=503, times=1))
    assert make_client(azure).bare("POST", "/v2.1/track", []).status == 401
    assert make_client(azure)("POST", "/v2.1/track", []).status == 503


def test_tokens_are_this_objects_own(tmp_path: Path, make_client: MakeClient) -> None:
    """They stay the same over a stop and a start, are other ones for another object, and are in no file."""
    azure = AzureOnThisMachine(tmp_path / "one").start()
    secrets = [azure.connection_string, azure.query_endpoint, azure.faults_url]
    azure.job_environment(run_id="run_1", step_name="train")
    make_client(azure)("POST", "/v2.1/track", [])
    azure.stop()
    azure.start()
    assert secrets == [azure.connection_string, azure.query_endpoint, azure.faults_url]
    azure.stop()
    tokens = [found for one in secrets for found in re.findall(r"/([\w-]{43})(?![\w-])", one)]
    kept = b"".join(path.read_bytes() for path in azure.directory.rglob("*") if path.is_file()).decode()
    assert len(set(tokens)) == 3
    assert [
        token for token in tokens if token in kept or any(token in r.path for r in azure.requests_log)
    ] == []
    with AzureOnThisMachine(tmp_path / "one") as again:
        assert not {*secrets} & {again.connection_string, again.query_endpoint, again.faults_url}


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="a POSIX file system")
def test_what_it_writes_is_for_this_user_only(tmp_path: Path, make_client: MakeClient) -> None:
    """Folders are 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        with AzureOnThisMachine(tmp_path / "far") as azure:
            azure.job_environment(run_id="run_1", step_name="train")
            make_client(azure)("POST", "/v2.1/track", [])
    finally:
        os.umask(before)
    there = [tmp_path / "far", *(tmp_path / "far").rglob("*")]
    assert [path for path in there if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a POSIX file system")
@pytest.mark.parametrize("name", ["received", "artifacts", "runs.jsonl", "metrics.jsonl", "artifacts.jsonl"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_planted_files(tmp_path: Path, name: str, kind: str) -> None:
    """A link or a FIFO where the server keeps its files is an error at the start; its target is left alone."""
    folder, target = tmp_path / "far", tmp_path / "target"
    folder.mkdir()
    target.mkdir() if "." not in name else target.write_text("mine")
    (folder / name).symlink_to(target) if kind == "link" else os.mkfifo(folder / name)
    with pytest.raises(OSError):
        AzureOnThisMachine(folder).start()
    assert (list(target.iterdir()) if target.is_dir() else target.read_text()) in ([], "mine")


def test_connections_without_a_token_are_limited() -> None:
    """Of those without a token the oldest are closed; those with one stay."""
    import socket

    pairs = [socket.socketpair() for _ in range(UNAUTHENTICATED_MAX + 3)]
    connections = OpenConnections()
    for index, (near, _far) in enumerate(pairs):
        connections.add(near)
        if index == 0:
            connections.mark_authenticated(near)
    for _near, far in pairs:
        far.setblocking(False)

    def is_closed(far: socket.socket) -> bool:
        try:
            return far.recv(1) == b""
        except BlockingIOError:
            return False

    assert [index for index, (_near, far) in enumerate(pairs) if is_closed(far)] == [1, 2]
    for near, far in pairs:
        connections.discard(near)
        near.close()
        far.close()


def test_a_connection_that_is_too_slow_is_closed() -> None:
    """Its time for the next step is over: it is closed, and the others are not."""
    import socket

    pairs = [socket.socketpair() for _ in range(2)]
    connections = OpenConnections()
    for near, _far in pairs:
        connections.add(near)
    connections.set_timeout(pairs[0][0], -1)
    connections.close_overdue()
    assert pairs[0][1].recv(1) == b""
    pairs[1][1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pairs[1][1].recv(1)
    for near, far in pairs:
        near.close()
        far.close()
