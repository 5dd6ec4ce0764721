"""The delivery thread: when it runs, what it waits for, and how it treats a failing service."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.journal.writer import Journal
from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault

from ..conftest import line_of_another_process, wait_until  # isort: skip


def delivery_threads() -> list[str]:
    """Return the names of the running delivery threads."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("amllog delivery")]


def test_one_thread_at_most(azure: AzureOnThisMachine) -> None:
    """There is one thread at most, none without an exporter, and none after `shutdown()`."""
    amllog.setup()
    amllog.get_logger().info("m")
    assert delivery_threads() == []
    for _ in range(3):
        amllog.setup(connection_string=azure.connection_string).info("m")
        amllog.flush(200)
    assert delivery_threads() == ["amllog delivery"]
    amllog.shutdown(5)
    assert delivery_threads() == []


@pytest.mark.parametrize(
    "fault", [Fault(status=503), Fault(status=429), Fault(close=True), Fault(status=206, body="?")]
)
def test_few_requests_to_a_failing_service(azure: AzureOnThisMachine, fault: Fault) -> None:
    """A failing service gets few requests. Once it works again, all records arrive, each once."""
    azure.faults.put(fault)
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    for number in range(100):
        log.info("%d", number)
    wait_until(lambda: bool(amllog.status().outlets["app_insights"].trouble))
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
    """A service that names a time gets no request before it."""
    azure.faults.put(Fault(status=429, headers={"Retry-After": "600"}))
    amllog.setup(connection_string=azure.connection_string).info("m")
    wait_until(lambda: bool(amllog.status().outlets["app_insights"].trouble))
    time.sleep(2.5)
    assert len(azure.requests_log) == 1


def test_changing_faults(azure: AzureOnThisMachine) -> None:
    """With faults that come and go, each record arrives exactly once, and the account is exact."""
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
    """`flush()` returns after its time although the service hangs, and reports what waits."""
    azure.faults.put(Fault(hang="before headers"))
    amllog.setup(connection_string=azure.connection_string).info("m")
    began = time.monotonic()
    account = amllog.flush(0.5)
    assert time.monotonic() - began < 2000 and account.waiting == 1
    began = time.monotonic()
    assert amllog.shutdown(0.5).waiting >= 1
    assert time.monotonic() - began < 2000


def test_log_calls_do_not_wait(azure: AzureOnThisMachine) -> None:
    """Log calls do not wait while the service hangs."""
    azure.faults.put(Fault(hang="before headers"))
    began = time.monotonic()
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    for number in range(2000):
        log.info("%d", number)
    assert time.monotonic() - began < 200
    assert amllog.status().waiting == 2000


def test_delivery_after_an_outage(azure: AzureOnThisMachine) -> None:
    """Records wait during an outage, and arrive after it without a call."""
    there = azure.connection_string
    azure.stop()
    amllog.setup(connection_string=there).info("during")
    wait_until(lambda: bool(amllog.status().outlets["app_insights"].trouble))
    azure.start()
    wait_until(lambda: azure.envelopes)
    assert [one["data"]["baseData"]["message"] for one in azure.envelopes] == ["during"]


def test_a_journal_whose_descriptor_is_closed(child: Any) -> None:
    """A journal whose descriptor the script has closed continues in a new file, and no record is refused."""
    code = """
import amllog, os
string = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
log = amllog.setup(connection_string=string)
log.info("one")
os.closerange(3, 200)  # as scripts do that become a daemon
log.info("two"); log.info("three")
account = amllog.flush(0.5).outlets["app_insights"]
print(account.waiting, account.refused)
"""
    ran = child(code)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("closed or reused the descriptor of the journal file") == 1
    assert ran.stdout.splitlines()[-1] == "3 {}"


def test_an_orphan_that_appears_during_a_pass(azure: AzureOnThisMachine) -> None:
    """An orphan that appears while another one is delivered is delivered at the end as well."""
    os.environ["RANK"] = "1"  # no request at the end, for which the thread would start another pass
    earlier = Journal(Path(".amllog"), max_bytes=1024**2, node=platform.node())
    earlier.append(line_of_another_process(azure, "earlier"))
    earlier.close()
    azure.faults.put(Fault(seconds=1.0, times=1))
    amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    wait_until(lambda: not azure.faults.active)  # the thread waits for the response
    meanwhile = Journal(Path(".amllog"), max_bytes=1024**2, node=platform.node())
    meanwhile.append(line_of_another_process(azure, "meanwhile"))
    meanwhile.close()
    amllog.shutdown(200)
    assert "meanwhile" in [one["data"]["baseData"]["message"] for one in azure.envelopes]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a signal at a time")
def test_interrupted_flush(azure: AzureOnThisMachine) -> None:
    """An interrupted `flush()` does not shorten the time of an export."""
    azure.faults.put(Fault(seconds=0.5))
    log = amllog.setup(connection_string=azure.connection_string, driver_level="ERROR")
    log.info("m")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)

    def flush() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        amllog.flush(0.4)
        signal.pause()  # on a busy machine the signal may come late

    try:
        with pytest.raises(KeyboardInterrupt):
            flush()
    finally:
        signal.signal(signal.SIGALRM, before)
    wait_until(lambda: amllog.status().outlets["app_insights"].delivered == 1)


def test_a_short_flush_repeats_no_export(azure: AzureOnThisMachine) -> None:
    """A `flush()` that ends before the response does not shorten the export, so that nothing is sent twice."""
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

def wait_for_the_flush():  # called after amllog's hook
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
    """A `flush()` keeps waiting while another thread forks and the delivery thread has ended for that time."""
    environment = {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string,
        "AMLLOG_DRIVER_LEVEL": "ERROR",
    }
    ran = child(FORKING_THREAD, env=environment, flags=["-W", "ignore"])
    assert (ran.stdout, ran.stderr) == ("0\n", "")
