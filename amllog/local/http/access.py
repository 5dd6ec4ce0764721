"""Authentication: the tokens made at start, and the check of every request before its body is read.

In: a request's head and the route that it matches. Out: the id of the run that sent it, or a `Refusal` (401 or 403).
Every service has its own token, so that a job's environment opens what the job needs, and not the faults:

* Clients of ingestion, queries, faults and discovery know an address only. The token is the first segment of its path.
* azureml sends a run token (a signed JWT with an expiry). It is valid for the runs with the same root run.
* The storage client gets addresses that are signed for one artifact, one purpose and one hour.

All of them are made in memory, once for each `AzureOnThisMachine`. They are written to no file.
"""

from __future__ import annotations

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

    def path(self, need: Credential) -> str:
        """The beginning of the path of this service's addresses: a slash and the token."""
        return f"/{self._in_path[need]}"

    def sign(self, key: str, purpose: str, seconds: float = ADDRESS_SECONDS) -> str:
        """The query string with which a blob can be written (`w`) or read (`r`) for `seconds`."""
        expiry = str(int(time.time() + seconds))
        return f"sp={purpose}&se={expiry}&sig={self._signature(key, purpose, expiry)}"

    def caller(self, need: Credential, request: Request) -> str:
        """The run whose token came with the request ("" for other tokens); a `Refusal` unless the token is right."""
        if need is Credential.RUN:
            return self._run(request)
        if need in _PURPOSES:
            self._check_address(_PURPOSES[need], request)
        else:
            self._check_path(need, request)
        return ""

    def is_known(self, request: Request) -> bool:
        """Whether the request has any valid token: only then is it answered that a path does not exist."""
        if self._owners(request):
            return True
        try:
            return bool(self._run(request))
        except Refusal:
            return False

    def _owners(self, request: Request) -> list[Credential]:
        given = request.token.encode()
        return [need for need, token in self._in_path.items() if hmac.compare_digest(token.encode(), given)]

    def _check_path(self, need: Credential, request: Request) -> None:
        owners = self._owners(request)
        if not owners:
            raise unauthorized(
                401, need.value, "The path of the address must begin with this service's token"
            )
        if need not in owners:
            raise unauthorized(403, need.value, "This token is for another service")

    def _run(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        run_id = self.run_tokens.verify(token.strip()) if scheme.lower() == "bearer" else None
        if run_id is None:
            raise Refusal(401, "A valid run token is required", "InvalidOrExpiredToken")
        return run_id

    def _check_address(self, purpose: str, request: Request) -> None:
        key, expiry = request.path.rpartition("/")[2], request.query.get("se", "")
        given = request.query.get("sig", "").encode("utf-8", "replace")
        right = hmac.compare_digest(self._signature(key, purpose, expiry).encode(), given)
        if not right or int(expiry) < time.time():
            raise Refusal(403, "The signature of this address is invalid or expired", "AuthenticationFailed")

    def _signature(self, key: str, purpose: str, expiry: str) -> str:
        text = f"{purpose}\n{expiry}\n{key}".encode("utf-8", "replace")
        return hmac.new(self._address_secret, text, "sha256").hexdigest()


def check_scope(runs: RunStore, caller: str, names: Names) -> None:
    """Reject a run token at the runs and artifacts of another pipeline run. A run that does not exist passes."""
    run_id = names.get("run")
    if run_id is not None and runs.knows(run_id):
        check_related(runs, caller, run_id)
    if "container" in names:
        origin, container = names.get("origin", ""), names["container"]
        if origin != "ExperimentRun" or not container.startswith("dcid."):
            raise forbidden()
        check_related(runs, caller, container[len("dcid.") :])


def check_change(runs: RunStore, caller: str, run_id: str, change: Mapping[str, object]) -> None:
    """Reject a change of a run of another pipeline run, and a new run whose parent is not one of the caller's."""
    check_related(runs, caller, run_id if runs.knows(run_id) else str(change.get("parentRunId")))


def check_related(runs: RunStore, caller: str, run_id: str) -> None:
    """Reject unless both runs have the same root run."""
    if not runs.related(caller, run_id):
        raise forbidden()


def forbidden() -> Refusal:
    """The answer for another run's token."""
    return Refusal(403, "The run token is for another pipeline run", "Forbidden")
