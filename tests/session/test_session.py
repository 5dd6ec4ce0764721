"""The session from setup() to shutdown(): account, identity and settings of a process."""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import amllog
from amllog.config.settings_table import BY_NAME
from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault
from amllog.sources.emitter import Emitter


def test_account(azure: AzureOnThisMachine, tmp_path: Path) -> None:
    """The account counts delivered, waiting and refused records per outlet."""
    azure.faults.put(Fault(item="poison", status=400, message="bad"))
    log = amllog.setup(connection_string=azure.connection_string)
    log.info("fine")
    log.info("poison")
    account = amllog.flush(200)
    outlet = account.outlets["app_insights"]
    assert (account.accepted, outlet.delivered, outlet.waiting, outlet.refused) == (2, 1, 0, {"400: bad": 1})
    assert account.outlets["driver_log"].delivered == 2
    assert "2 accepted" in str(account) and "1 refused (1 × 400: bad)" in str(account)
    assert account.directory == str(tmp_path / ".amllog")
    assert amllog.shutdown(200).accepted == 3  # and the step's request
    assert amllog.status().accepted == 0


def test_another_directory(azure: AzureOnThisMachine) -> None:
    """A second setup() with another directory delivers the records that wait in the first."""
    amllog.setup(connection_string=azure.connection_string, directory="one").info("first")
    amllog.setup(connection_string=azure.connection_string, directory="two").info("second")
    amllog.flush(200)
    assert sorted(entry["data"]["baseData"]["message"] for entry in azure.envelopes) == ["first", "second"]
    assert Path("one").is_dir() and Path("two").is_dir()


def test_later_connection_string(azure: AzureOnThisMachine) -> None:
    """Records from before the connection string was known are sent once it is."""
    amllog.setup().info("first")
    amllog.setup(connection_string=azure.connection_string).info("second")
    amllog.flush(200)
    assert [entry["data"]["baseData"]["message"] for entry in azure.envelopes] == ["first", "second"]


def test_another_resource(azure: AzureOnThisMachine) -> None:
    """Records that wait for the resource of an earlier setup() stay in the account: accepted is the sum."""
    nobody = "InstrumentationKey=00000000-0000-0000-0000-00000000beef;IngestionEndpoint=http://127.0.0.1:9"
    amllog.setup(connection_string=nobody).info("first")
    amllog.setup(connection_string=azure.connection_string).info("second")
    account = amllog.flush(200)
    outlet = account.outlets["app_insights"]
    assert (account.accepted, outlet.delivered, outlet.waiting, outlet.refused) == (2, 1, 1, {})
    assert [entry["data"]["baseData"]["message"] for entry in azure.envelopes] == ["second"]


def test_early_records_and_a_later_connection_string(azure: AzureOnThisMachine) -> None:
    """Records from before the first setup() are sent once a later one has the connection string."""
    amllog.get_logger("early").info("zero")
    amllog.setup().info("first")
    amllog.setup(connection_string=azure.connection_string).info("second")
    outlet = amllog.flush(200).outlets["app_insights"]
    assert [entry["data"]["baseData"]["message"] for entry in azure.envelopes] == ["zero", "first", "second"]
    assert (outlet.delivered, outlet.waiting, outlet.refused) == (3, 0, {})


def test_the_identity_before_setup_stays(tmp_path: Path) -> None:
    """The id of a local run that a script reads before setup() stays the same after it."""
    first = amllog.identity()
    assert amllog.identity() == first
    amllog.setup(directory=tmp_path)
    assert (amllog.identity().step_id, amllog.identity().operation_id) == (first.step_id, first.operation_id)


def test_identity_stays() -> None:
    """A process outside Azure ML keeps its run id over several setups, and gets a new one after shutdown()."""
    before = amllog.setup() and amllog.identity().step_id
    assert (
        (amllog.setup() and amllog.identity().step_id) == before == os.environ["AMLLOG_LOCAL_RUN"].split()[0]
    )
    amllog.shutdown(0)
    assert "AMLLOG_LOCAL_RUN" not in os.environ
    assert (amllog.setup() and amllog.identity().step_id) != before


def test_concurrent_setup(azure: AzureOnThisMachine) -> None:
    """Records of threads that call setup() at the same time arrive exactly once."""

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
    ids = [entry["data"]["baseData"]["properties"]["record_id"] for entry in azure.envelopes]
    assert len(ids) == len(set(ids)) == 160


def test_shutdown_while_logging(azure: AzureOnThisMachine) -> None:
    """A thread that logs during shutdown() does not raise and does not write to a file of the script."""
    log = amllog.setup(connection_string=azure.connection_string, driver_level="CRITICAL")
    failed: list[BaseException] = []
    running = True

    def log_on() -> None:
        try:
            while running:
                log.info("log_on")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=log_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        amllog.shutdown(0.2)
        with open("mine", "wb+") as mine:
            assert mine.read() == b""
        amllog.setup(connection_string=azure.connection_string, driver_level="CRITICAL")
    running = False
    for thread in threads:
        thread.join()
    assert failed == []


def test_missing_extra() -> None:
    """A missing package of an exporter raises an error with the command to install it, and no journal is created."""
    pytest.importorskip("pip")
    try:
        import azure.monitor.opentelemetry.exporter  # noqa: F401  # only to see if it is installed
    except ImportError:
        key = "00000000-0000-0000-0000-0000000010ca"
        with pytest.raises(amllog.MissingExtraError, match=r"pip install 'amllog\[opentelemetry\]'"):
            amllog.setup(exporter="opentelemetry", connection_string=key)
        assert not Path(".amllog").exists()
    else:
        pytest.skip("it is installed here")


def test_setup_while_another_thread_logs() -> None:
    """A record that a thread keeps for setup() is in the journal, also if setup() runs at that moment."""
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
    """Records of libraries are captured while a second setup() imports a package."""
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


def test_help_lists_the_keywords() -> None:
    """`help(amllog.setup)` has each setting."""
    named = set(re.findall(r"[a-z_]+", amllog.setup.__doc__ or ""))
    assert set(BY_NAME) <= named
