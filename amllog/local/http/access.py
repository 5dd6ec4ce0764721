"""Create the access tokens and check the token of every request before its body is read.

A request with a wrong token gets a `Refusal` with status 401 or 403. Every service has its own token, so that the
environment of a job gives access to the services that the job needs, but not to the faults:

* Clients of ingestion, queries, faults and discovery get only an address. The token is the first segment of its path.
* azureml sends a run token, which is a signed JWT with an expiry. It is valid for all runs with the same root run.
* The storage client gets addresses that are signed for one artifact, one purpose and one hour.

Tokens are created in memory, once for each `AzureOnThisMachine`. They are not written to any file.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping

from amllog.local.azureml.job_environment import RunTokens
from amllog.local.azureml.runs import RunStore
from amllog.local.http.request import Refusal, Request, unauthorized
from amllog.local.http.routes import Credential, Names

ADDRESS_SECONDS = 3600
_IN_PATH = (Credential.INGESTION, Credential.QUERY, Credential.FAULTS, Credential.DISCOVERY)
_PURPOSES = {Credential.READ_ADDRESS: "r", Credential.WRITE_ADDRESS: "w"}


class Access:
    """The tokens of one server."""

    def __init__(self) -> None:
        self.run_tokens = RunTokens()
        self._in_path = {need: secrets.token_urlsafe(32) for need in _IN_PATH}
        self._address_secret = secrets.token_bytes(32)
        self._runs_of_ingestion: dict[bytes, str] = {}  # by the digest of the token

    def path(self, need: Credential) -> str:
        """Return the beginning of the path of the service's addresses: a slash and the token."""
        return f"/{self._in_path[need]}"

    def ingestion_path(self, run_id: str) -> str:
        """Return the beginning of the path of ingestion addresses of a run, whose requests are known to be of it."""
        token = secrets.token_urlsafe(32)
        self._runs_of_ingestion[_digest(token)] = run_id
        return f"/{token}"

    def sign(self, key: str, purpose: str, seconds: float = ADDRESS_SECONDS) -> str:
        """Return the query string that allows to write (`w`) or read (`r`) a blob for `seconds`."""
        expiry = str(int(time.time() + seconds))
        return f"sp={purpose}&se={expiry}&sig={self._signature(key, purpose, expiry)}"

    def authenticate(self, need: Credential, request: Request) -> str:
        """Return the run of the request's token, or "" for other credentials. Raises `Refusal` for a wrong one."""
        if need is Credential.RUN:
            return self._verify_run_token(request)
        if need in _PURPOSES:
            self._check_address(_PURPOSES[need], request)
        elif need is Credential.INGESTION and _digest(request.token) in self._runs_of_ingestion:
            return self._runs_of_ingestion[_digest(request.token)]
        else:
            self._check_path(need, request)
        return ""

    def has_valid_token(self, request: Request) -> bool:
        """Return whether the request has any valid token. Only then may a 404 reveal which paths exist."""
        if self._services_of_token(request):
            return True
        try:
            return bool(self._verify_run_token(request))
        except Refusal:
            return False

    def _services_of_token(self, request: Request) -> list[Credential]:
        if _digest(request.token) in self._runs_of_ingestion:
            return [Credential.INGESTION]
        given = request.token.encode()
        return [need for need, token in self._in_path.items() if hmac.compare_digest(token.encode(), given)]

    def _check_path(self, need: Credential, request: Request) -> None:
        services = self._services_of_token(request)
        if not services:
            raise unauthorized(
                401, need.value, "The path of the address must begin with this service's token"
            )
        if need not in services:
            raise unauthorized(403, need.value, "The token is for another service")

    def _verify_run_token(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        run_id = self.run_tokens.verify(token.strip()) if scheme.lower() == "bearer" else None
        if run_id is None:
            raise Refusal(401, "A valid run token is required", "InvalidOrExpiredToken")
        return run_id

    def _check_address(self, purpose: str, request: Request) -> None:
        key, expiry = request.path.rpartition("/")[2], request.query.get("se", "")
        given = request.query.get("sig", "").encode("utf-8", "replace")
        is_valid = hmac.compare_digest(self._signature(key, purpose, expiry).encode(), given)
        if not is_valid or int(expiry) < time.time():
            raise Refusal(403, "The signature of this address is invalid or expired", "AuthenticationFailed")

    def _signature(self, key: str, purpose: str, expiry: str) -> str:
        text = f"{purpose}\n{expiry}\n{key}".encode("utf-8", "replace")
        return hmac.new(self._address_secret, text, "sha256").hexdigest()


def _digest(token: str) -> bytes:
    """Return the digest by which a token is looked up. The time of the look-up reveals nothing about a valid token."""
    return hashlib.sha256(token.encode()).digest()


def check_scope(runs: RunStore, caller: str, names: Names) -> None:
    """Reject access to runs and artifacts of another pipeline run. A run that does not exist is accepted."""
    run_id = names.get("run")
    if run_id is not None and runs.contains(run_id):
        check_related(runs, caller, run_id)
    if "container" in names:
        origin, container = names.get("origin", ""), names["container"]
        if origin != "ExperimentRun" or not container.startswith("dcid."):
            raise forbidden()
        check_related(runs, caller, container[len("dcid.") :])


def check_change(runs: RunStore, caller: str, run_id: str, change: Mapping[str, object]) -> None:
    """Reject a change of another pipeline run's run, and a new run with a parent of another pipeline run."""
    check_related(runs, caller, run_id if runs.contains(run_id) else str(change.get("parentRunId")))


def check_related(runs: RunStore, caller: str, run_id: str) -> None:
    """Reject the request unless both runs have the same root run."""
    if not runs.are_related(caller, run_id):
        raise forbidden()


def forbidden() -> Refusal:
    """Return the error for the token of another pipeline run."""
    return Refusal(403, "The run token is for another pipeline run", "Forbidden")
