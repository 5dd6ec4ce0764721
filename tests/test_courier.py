"""The courier: one thread, started late, that never hurries a far side that is in trouble."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import amllog
from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault


def couriers() -> list[str]:
    """The names of our threads."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("amllog courier")]


def test_threads(azure: AzureOnThisMachine) -> None:
    """One thread at most, none without an outlet, none after shutdown()."""
    amllog.setup()
    amllog.get_logger().info("m")
    assert couriers() == []
    for _ in range(3):
        amllog.setup(connection_string=azure.connection_string).info("m")
        amllog.flush(10)
    assert couriers() == ["amllog courier"]
    amllog.shutdown(5)
    assert couriers() == []


@pytest.mark.parametrize(
    "fault", [Fault(status=503), Fault(status=429), Fault(close=True), Fault(status=206, body="?")]
)
def test_no_busy_loop(azure: AzureOnThisMachine, fault: Fault) -> None:
    """A far side in trouble is asked now and then, not in a loop; once it is well again, all arrives, once."""
    azure.faults.put(fault)
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    for number in range(100):
        log.info("%d", number)
    time.sleep(2.5)
    assert 1 <= len(azure.requests_log) <= 4
    account = amllog.status().outlets["app_insights"]
    assert (account.delivered, account.waiting, account.refused) == (0, 100, {})
    assert account.trouble
    azure.faults.clear()
    account = amllog.flush(20).outlets["app_insights"]
    assert (account.delivered, account.waiting, account.refused) == (100, 0, {})
    messages = [one["data"]["baseData"]["message"] for one in azure.envelopes]
    assert messages == [str(number) for number in range(100)]


def test_retry_after_is_kept(azure: AzureOnThisMachine) -> None:
    """A far side that says when to come again is not asked before."""
    azure.faults.put(Fault(status=429, headers={"Retry-After": "600"}))
    amllog.setup(connection_string=azure.connection_string).info("m")
    time.sleep(2.5)
    assert len(azure.requests_log) == 1


def test_mixture_while_running(azure: AzureOnThisMachine) -> None:
    """With faults that come and go, each record arrives exactly once and the account is exact."""
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    for phase, fault in enumerate([
        Fault(status=500, times=1), Fault(item=r'"message": ?"\d*3"', status=429, times=1), Fault(close=True, times=1),
        Fault(status=400, item=r'"message": ?"177"', message="bad"),
    ]):  # fmt: skip
        azure.faults.put(fault)
        for number in range(50):
            log.info("%d", phase * 50 + number)
        while amllog.flush(10).waiting:
            pass
    account = amllog.status().outlets["app_insights"]
    assert (account.delivered, account.waiting, account.refused) == (199, 0, {"400: bad": 1})
    messages = [one["data"]["baseData"]["message"] for one in azure.envelopes]
    assert sorted(map(int, messages)) == [number for number in range(200) if number != 177]


def test_flush_is_bounded(azure: AzureOnThisMachine) -> None:
    """flush() returns after its time, whatever the far side does, and says what waits."""
    azure.faults.put(Fault(hang="before headers"))
    amllog.setup(connection_string=azure.connection_string).info("m")
    began = time.monotonic()
    account = amllog.flush(0.5)
    assert time.monotonic() - began < 5 and account.waiting == 1
    began = time.monotonic()
    assert amllog.shutdown(0.5).waiting >= 1
    assert time.monotonic() - began < 5


def test_calls_do_not_wait(azure: AzureOnThisMachine) -> None:
    """While the far side hangs, calls go on at their own pace."""
    azure.faults.put(Fault(hang="before headers"))
    began = time.monotonic()
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    for number in range(2000):
        log.info("%d", number)
    assert time.monotonic() - began < 10
    assert amllog.status().waiting == 2000


def test_recovery_after_an_outage(azure: AzureOnThisMachine) -> None:
    """While nobody answers, records wait; without anybody's asking they arrive once somebody does."""
    there = azure.connection_string
    azure.stop()
    amllog.setup(connection_string=there).info("during")
    time.sleep(0.8)
    azure.start()
    for _ in range(200):
        if azure.envelopes:
            break
        time.sleep(0.1)
    assert [one["data"]["baseData"]["message"] for one in azure.envelopes] == ["during"]


def test_a_journal_that_cannot_be_read(child: Any) -> None:
    """A journal whose file was closed by somebody is told once, in the account and on the driver log; nothing is
    raised, and the process ends as it would."""
    code = """
import amllog, os, time
string = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
log = amllog.setup(connection_string=string)
log.info("one")
os.closerange(3, 200)  # as some scripts do that become a daemon
log.info("two"); log.info("three")
time.sleep(2)
print(amllog.status().outlets["app_insights"])
print(amllog.flush(0.5).outlets["app_insights"].refused)
"""
    ran = child(code)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (
        ran.stdout.count("WARNING  amllog: the journal cannot be read: Bad file descriptor; what is in it")
        == 1
    )
    assert ran.stdout.count("WARNING  amllog: records are refused: journal: EBADF") == 1
    assert "last trouble: the journal cannot be read: Bad file descriptor" in ran.stdout
    assert "{'journal: EBADF': 2}" in ran.stdout
