"""Switch faults on over HTTP: `GET …/faults` lists the active faults as JSON, and `PUT …/faults` replaces them."""

from __future__ import annotations

import orjson

from amllog.local.faults import Fault, Faults
from amllog.local.http.request import Refusal, Request, Response
from amllog.local.http.routes import Credential, Names, Route


class FaultService:
    """The operations on `faults`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the routes of the operations."""
        return [
            Route("GET", "/faults", Credential.FAULTS, self._list),
            Route("PUT", "/faults", Credential.FAULTS, self._put),
        ]

    def _list(self, request: Request, names: Names) -> Response:
        return Response(200, orjson.dumps(self._faults.active, default=str))

    def _put(self, request: Request, names: Names) -> Response:
        values = request.json()
        try:
            faults = [Fault.from_json(value) for value in (values if isinstance(values, list) else [values])]
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        self._faults.clear()
        self._faults.put(*faults)
        return self._list(request, names)
