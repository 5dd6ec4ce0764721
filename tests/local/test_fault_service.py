"""Faults that are switched on over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amllog.local import AzureOnThisMachine

from .conftest import TRACK  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]


def test_faults_can_be_replaced_over_http(
    azure: AzureOnThisMachine, client: Client, make_client: MakeClient
) -> None:
    """`PUT /faults` replaces all faults, `GET` lists them, and an empty list clears them."""
    reply = client("PUT", "/faults", [{"service": "ingestion", "status": 503, "times": 1}, {"seconds": 0.01}])
    assert [fault["status"] for fault in reply.json] == [503, None]
    assert [client(*TRACK).status for _ in range(2)] == [503, 200]
    assert len(client("GET", "/faults").json) == 1
    assert client("PUT", "/faults", []).json == []
    assert azure.faults.active == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"stauts": 500}, "a fault is a JSON object with"),
        (5, "a fault is a JSON object with"),
        ({"status": "500"}, "status = '500'"),
        ({"service": "blob"}, "allowed are ingestion, run_history"),
        ({"hang": "always"}, "hang = 'always'"),
        ({"item": "x"}, "needs the `status`"),
        ({"item": "(", "status": 500}, "("),
        ({"headers": {"A": "b\r\nC: d"}}, "headers"),
        ({"headers": {"A": "\u2192"}}, "headers"),
        ({"headers": {"A B": "c"}}, "headers"),
        ({"seconds": 1e308}, "seconds = 1e+308: allowed are 0 to 3600"),
        ({"seconds": -1}, "seconds = -1: allowed are 0"),
        ({"seconds": True}, "seconds = True"),
        ({"drops": -1}, "drops = -1: allowed are 0"),
        ({"status": 99999}, "status = 99999: allowed are 200 to 599"),
        ({"status": 101}, "status = 101: allowed are 200"),
        ({"times": 0}, "times = 0: allowed are 1"),
    ],
)
def test_invalid_faults_are_rejected(client: Client, fault: object, message: str) -> None:
    """A fault that cannot occur is rejected with 400 and the name of the invalid member."""
    reply = client("PUT", "/faults", [fault])
    assert reply.status == 400
    assert message in reply.json["error"]["message"]
