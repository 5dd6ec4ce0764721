"""setup() to shutdown(): the account, the identity, the settings of one process."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import amllog
from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault
from amllog.sources.emitter import Emitter


def test_account(azure: AzureOnThisMachine, tmp_path: Path) -> None:
    """The account tells per outlet what was delivered, what waits and what was refused."""
    azure.faults.put(Fault(item="poison", status=400, message="bad"))
    log = amllog.setup(connection_string=azure.connection_string)
    log.info("fine")
    log.info("poison")
    account = amllog.flush(200)
    one = account.outlets["app_insights"]
    assert (account.accepted, one.delivered, one.waiting, one.refused) == (2, 1, 0, {"400: bad": 1})
    assert account.outlets["driver_log"].delivered == 2
    assert "2 accepted" in str(account) and "1 refused (1 × 400: bad)" in str(account)
    assert account.directory == str(tmp_path / ".amllog")
    assert amllog.shutdown(200).accepted == 3  # and the step's request
    assert amllog.status().accepted == 0


def test_another_directory(azure: AzureOnThisMachine) -> None:
    """A second setup() with another directory delivers what waits in the first."""
    amllog.setup(connection_string=azure.connection_string, directory="one").info("first")
    amllog.setup(connection_string=azure.connection_string, directory="two").info("second")
    amllog.flush(200)
    assert sorted(one["data"]["baseData"]["message"] for one in azure.envelopes) == ["first", "second"]
    assert Path("one").is_dir() and Path("two").is_dir()


def test_later_connection_string(azure: AzureOnThisMachine) -> None:
    """What was said before the connection string was known is sent once it is."""
    amllog.setup().info("first")
    amllog.setup(connection_string=azure.connection_string).info("second")
    amllog.flush(200)
    assert [one["data"]["baseData"]["message"] for one in azure.envelopes] == ["first", "second"]


def test_another_resource(azure: AzureOnThisMachine) -> None:
    """Records that wait for the resource of an earlier setup() stay in the account: accepted is the sum."""
    nobody = "InstrumentationKey=00000000-0000-0000-0000-00000000beef;IngestionEndpoint=http://127.0.0.1:9"
    amllog.setup(connection_string=nobody).info("first")
    amllog.setup(connection_string=azure.connection_string).info("second")
    account = amllog.flush(200)
    one = account.outlets["app_insights"]
    assert (account.accepted, one.delivered, one.waiting, one.refused) == (2, 1, 1, {})
    assert [entry["data"]["baseData"]["message"] for entry in azure.envelopes] == ["second"]


def test_early_records_and_a_later_connection_string(azure: AzureOnThisMachine) -> None:
    """What was said before the first setup() is sent as well once a later one has the connection string."""
    amllog.get_logger("early").info("zero")
    amllog.setup().info("first")
    amllog.setup(connection_string=azure.connection_string).info("second")
    one = amllog.flush(200).outlets["app_insights"]
    assert [entry["data"]["baseData"]["message"] for entry in azure.envelopes] == ["zero", "first", "second"]
    assert (one.delivered, one.waiting, one.refused) == (3, 0, {})


def test_the_identity_before_setup_stays(tmp_path: Path) -> None:
    """A script may read the id of its local run first, and name its outputs by it."""
    first = amllog.identity()
    assert amllog.identity() == first
    amllog.setup(directory=tmp_path)
    assert (amllog.identity().step_id, amllog.identity().operation_id) == (first.step_id, first.operation_id)


def test_identity_stays() -> None:
    """A process outside Azure ML keeps its run id over several setups; the next life gets a new one."""
    before = amllog.setup() and amllog.identity().step_id
    assert (
        (amllog.setup() and amllog.identity().step_id) == before == os.environ["AMLLOG_LOCAL_RUN"].split()[0]
    )
    amllog.shutdown(0)
    assert "AMLLOG_LOCAL_RUN" not in os.environ
    assert (amllog.setup() and amllog.identity().step_id) != before


def test_concurrent_setup(azure: AzureOnThisMachine) -> None:
    """Many threads that set up and log at once: each record arrives once."""

    def work(number: int) -> None:
        log = amllog.setup(connection_string=azure.connection_string)
        for _ in range(20):
            log.info("%d", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert amllog.flush(200).waiting == 0
    ids = [one["data"]["baseData"]["properties"]["record_id"] for one in azure.envelopes]
    assert len(ids) == len(set(ids)) == 160


def test_shutdown_while_logging(azure: AzureOnThisMachine) -> None:
    """A thread that logs on while the session ends raises nothing, and writes into no file of anybody else."""
    log = amllog.setup(connection_string=azure.connection_string, driver_level="CRITICAL")
    failed: list[BaseException] = []
    go_on = True

    def chatter() -> None:
        try:
            while go_on:
                log.info("chatter")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=chatter) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        amllog.shutdown(0.2)
        with open("mine", "wb+") as mine:
            assert mine.read() == b""
        amllog.setup(connection_string=azure.connection_string, driver_level="CRITICAL")
    go_on = False
    for thread in threads:
        thread.join()
    assert failed == []


def test_missing_extra() -> None:
    """An exporter whose package is not installed is told with the line that installs it, and nothing is changed."""
    pytest.importorskip("pip")
    try:
        import azure.monitor.opentelemetry.exporter  # noqa: F401  # whether it is there
    except ImportError:
        key = "00000000-0000-0000-0000-0000000010ca"
        with pytest.raises(amllog.MissingExtraError, match=r"pip install 'amllog\[opentelemetry\]'"):
            amllog.setup(exporter="opentelemetry", connection_string=key)
        assert not Path(".amllog").exists()
    else:
        pytest.skip("it is installed here")


def test_setup_while_another_thread_logs() -> None:
    """A record that a thread is about to keep for setup() is in the journal also if setup() comes just then."""
    keeping, over = threading.Event(), threading.Event()

    def wait_there(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is Emitter.parent.__code__:
            keeping.set()
            over.wait(600)

    def log() -> None:
        sys.setprofile(wait_there)
        amllog.get_logger().info("just then")

    thread = threading.Thread(target=log)
    thread.start()
    assert keeping.wait(600)
    amllog.setup()
    over.set()
    thread.join()
    assert sum(path.read_bytes().count(b'"just then"') for path in Path(".amllog").glob("*.jsonl")) == 1


def test_second_setup_while_others_log(child: Any) -> None:
    """What libraries log while a second setup() still loads what it needs is taken."""
    code = """
import logging, sys
from pathlib import Path
from types import FrameType
from typing import Any
import amllog
from amllog.sources.emitter import Emitter

class Meanwhile:
    def find_spec(self, name, path, target=None):
        if name == "opencensus.ext.azure.log_exporter":
            logging.getLogger("library").warning("just then")

amllog.setup()
sys.meta_path.insert(0, Meanwhile())
string = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
amllog.setup(connection_string=string, grace_seconds=0)
print(sum(path.read_bytes().count(b'"just then"') for path in Path(".amllog").glob("*.jsonl")))
"""
    assert child(code, env={"AMLLOG_DRIVER_LEVEL": "ERROR"}).stdout == "1\n"
