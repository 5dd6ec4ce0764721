"""The courier: one thread, started late, that never hurries a far side that is in trouble."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.journal.writer import Journal
from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault
from amllog.record import envelope


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
        amllog.flush(200)
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
    until(lambda: bool(amllog.status().outlets["app_insights"].trouble))
    time.sleep(2.5)
    assert 1 <= len(azure.requests_log) <= 4
    account = amllog.status().outlets["app_insights"]
    assert (account.delivered, account.waiting, account.refused) == (0, 100, {})
    assert account.trouble
    azure.faults.clear()
    account = amllog.flush(200).outlets["app_insights"]
    assert (account.delivered, account.waiting, account.refused) == (100, 0, {})
    messages = [one["data"]["baseData"]["message"] for one in azure.envelopes]
    assert messages == [str(number) for number in range(100)]


def test_retry_after_is_kept(azure: AzureOnThisMachine) -> None:
    """A far side that says when to come again is not asked before."""
    azure.faults.put(Fault(status=429, headers={"Retry-After": "600"}))
    amllog.setup(connection_string=azure.connection_string).info("m")
    until(lambda: bool(amllog.status().outlets["app_insights"].trouble))
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
        while amllog.flush(200).waiting:
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
    assert time.monotonic() - began < 2000 and account.waiting == 1
    began = time.monotonic()
    assert amllog.shutdown(0.5).waiting >= 1
    assert time.monotonic() - began < 2000


def test_calls_do_not_wait(azure: AzureOnThisMachine) -> None:
    """While the far side hangs, calls go on at their own pace."""
    azure.faults.put(Fault(hang="before headers"))
    began = time.monotonic()
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    for number in range(2000):
        log.info("%d", number)
    assert time.monotonic() - began < 200
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


def test_a_journal_whose_descriptor_is_closed(child: Any) -> None:
    """A journal whose descriptor was closed by the script goes on in a new file, and nothing is refused."""
    code = """
import amllog, os
string = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
log = amllog.setup(connection_string=string)
log.info("one")
os.closerange(3, 200)  # as some scripts do that become a daemon
log.info("two"); log.info("three")
account = amllog.flush(0.5).outlets["app_insights"]
print(account.waiting, account.refused)
"""
    ran = child(code)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("closed or reused the descriptor of the journal file") == 1
    assert ran.stdout.splitlines()[-1] == "3 {}"


def test_left_behind_while_the_courier_looks(azure: AzureOnThisMachine) -> None:
    """What a process leaves while the courier is busy with another's leftover is delivered at the end as well."""
    os.environ["RANK"] = "1"  # it writes no request at its end, for which the courier would begin anew
    earlier = Journal(Path(".amllog"), max_bytes=1024**2, node=platform.node())
    earlier.append(addressed(azure, "earlier"))
    earlier.close()
    azure.faults.put(Fault(seconds=1.0, times=1))
    amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    until(lambda: not azure.faults.active)  # the courier waits for the answer
    meanwhile = Journal(Path(".amllog"), max_bytes=1024**2, node=platform.node())
    meanwhile.append(addressed(azure, "meanwhile"))
    meanwhile.close()
    amllog.shutdown(200)
    assert "meanwhile" in [one["data"]["baseData"]["message"] for one in azure.envelopes]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a signal at a time")
def test_interrupted_flush(azure: AzureOnThisMachine) -> None:
    """A flush() that somebody interrupts leaves offers the time that they have without it."""
    azure.faults.put(Fault(seconds=0.5))
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    log.info("m")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)

    def flush() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        amllog.flush(0.4)
        signal.pause()  # where the machine is so busy that the signal comes late

    try:
        with pytest.raises(KeyboardInterrupt):
            flush()
    finally:
        signal.signal(signal.SIGALRM, before)
    until(lambda: amllog.status().outlets["app_insights"].delivered == 1)


def test_a_short_flush_repeats_no_offer(azure: AzureOnThisMachine) -> None:
    """A flush() that ends before the answer leaves the offer its time: nothing is sent twice."""
    azure.faults.put(Fault(seconds=0.3))
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    for number in range(5):
        log.info("%d", number)
        amllog.flush(0.05)
    assert amllog.flush(200).waiting == 0
    messages = [one["data"]["baseData"]["message"] for one in azure.envelopes]
    assert messages == [str(number) for number in range(5)]


FORKING_THREAD = """
import os, sys, threading, time
parked, begun = threading.Event(), threading.Event()

def wait_for_the_flush():  # called after amllog's own
    parked.set()
    begun.wait()
    time.sleep(0.2)

os.register_at_fork(before=wait_for_the_flush)
import amllog
from amllog.record import envelope
log = amllog.setup()
log.info("before")
amllog.flush(200)

def dawdle(frame, event, argument):
    if event == "call" and frame.f_code is threading.Thread.start.__code__:
        time.sleep(0.4)

def fork():
    sys.setprofile(dawdle)
    if os.fork() == 0:
        os._exit(0)

forking = threading.Thread(target=fork)
forking.start()
parked.wait()
log.info("m")
begun.set()
print(amllog.flush(200).outlets["app_insights"].waiting)
forking.join()
os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_flush_beside_a_fork(azure: AzureOnThisMachine, child: Any) -> None:
    """A flush() waits on while another thread forks, and the courier is away for as long."""
    environment = {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string,
        "AMLLOG_DRIVER_LEVEL": "ERROR",
    }
    ran = child(FORKING_THREAD, env=environment, flags=["-W", "ignore"])
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def addressed(azure: AzureOnThisMachine, message: str) -> bytes:
    """A line as another process left it."""
    key = azure.connection_string.partition("InstrumentationKey=")[2].partition(";")[0]
    data = {"message": message, "severityLevel": 1, "properties": {"record_id": message}}
    return envelope.encode_envelope(
        envelope.build_envelope(time.time(), key, {}, "MessageData", {"ver": 2, **data})
    )


def until(what: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 600
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
