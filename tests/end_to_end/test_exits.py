"""Every end of a process: its records arrive in time, or wait on disk if they cannot be sent."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault

from ..conftest import wait_until  # isort: skip

SCRIPT = """
import os, signal, sys, threading, time
import amllog
log = amllog.setup()
for i in range(100):
    log.info("line %d", i)
log.metric("loss", 0.5)
"""
LINES = [f"line {i}" for i in range(100)]
SLACK = 300.0  # seconds for a busy machine, beyond the promise


@pytest.mark.parametrize(
    ("end", "returncode", "success"),
    [
        ("", 0, True),
        ("sys.exit(3)", 3, False),
        ("raise ValueError('boom')", 1, False),
        ("raise KeyboardInterrupt", -signal.SIGINT, False),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)", -signal.SIGTERM, False),
        ("threading.Thread(target=lambda: [log.info('late'), time.sleep(.2)]).start()", 0, True),
    ],
)
def test_ends(child: Any, received: Any, connected: Any, end: str, returncode: int, success: bool) -> None:
    """The end delivers everything once, with one request that contains the result of the step."""
    ran = child(SCRIPT + end, env=connected)
    assert ran.returncode == returncode, ran.stderr
    records = received()
    assert [message for message in records.messages if message != "late"] == LINES
    assert [request["success"] for request in records.of_type("Request")] == [success]
    assert records.duplicates == []


NO_MORE_THREADS = """
def refuse(*_, **__):
    raise RuntimeError("can't start new thread")
for name in "_start_new_thread", "_start_joinable_thread":  # the second from Python 3.13 on
    if hasattr(threading, name):
        setattr(threading, name, refuse)
"""


def test_no_thread_can_be_started(child: Any, received: Any, connected: Any) -> None:
    """If the system starts no thread, the end delivers everything in the script's thread."""
    ran = child(
        SCRIPT.replace("log = amllog.setup()", NO_MORE_THREADS + "log = amllog.setup()"), env=connected
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    records = received()
    assert (records.messages, records.duplicates) == (LINES, [])
    assert len(records.of_type("Request")) == 1


LATE = """
import atexit, os, sys, threading
import amllog
def late():
    if threading.current_thread() is not threading.main_thread():
        threading.main_thread().join()
    log = amllog.setup()
    for i in range(100):
        log.info("line %d", i)
    print(amllog.{end}(300).outlets["app_insights"].delivered)
"""


@pytest.mark.parametrize("start", ["threading.Thread(target=late).start()", "atexit.register(late)"])
@pytest.mark.parametrize(("end", "delivered"), [("flush", 100), ("shutdown", 101)])
def test_setup_after_the_end_of_the_main_thread(
    child: Any, received: Any, connected: Any, start: str, end: str, delivered: int
) -> None:
    """Records of a thread or an exit handler arrive, although CPython 3.12 can no longer start threads."""
    code = LATE.replace("{end}", end) + start
    ran = child(code, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{delivered}\n", "")
    records = received()
    assert (records.messages, records.duplicates) == (LINES, [])


def test_uncaught_exception(child: Any, received: Any, connected: Any) -> None:
    """An uncaught exception arrives with its stack, and Python prints it once."""
    ran = child(SCRIPT + "def train():\n    raise ValueError('boom')\ntrain()", env=connected)
    (exception,) = received().of_type("Exception")
    (details,) = exception["exceptions"]
    assert details["typeName"] == "ValueError" and "boom" in details["message"]
    assert [frame["method"] for frame in details["parsedStack"]] == ["train", "<module>"]
    assert exception["severityLevel"] == 4
    assert (ran.stdout + ran.stderr).count("ValueError: boom") == 1


def test_uncaught_in_thread(child: Any, received: Any, connected: Any) -> None:
    """An exception that ends a thread arrives, and the step continues and succeeds."""
    ran = child(SCRIPT + "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()", env=connected)
    records = received()
    assert ran.returncode == 0
    assert [error["exceptions"][0]["typeName"] for error in records.of_type("Exception")] == [
        "ZeroDivisionError"
    ]
    assert [request["success"] for request in records.of_type("Request")] == [True]


@pytest.mark.parametrize(
    ("during", "returncode", "result"),
    [
        ("WAIT", -signal.SIGINT, "interrupted (KeyboardInterrupt)"),
        ("try: WAIT\nexcept KeyboardInterrupt: sys.exit(130)", 130, "exit code 130"),
        ("try: WAIT\nexcept KeyboardInterrupt: log.info('late')", 0, "0"),
    ],
)
def test_interrupt(
    child: Any, received: Any, connected: Any, during: str, returncode: int, result: str
) -> None:
    """SIGINT ends a step as without amllog, is recorded in its request only, and everything arrives."""
    wait = "print('READY', flush=True); time.sleep(600)"
    running = child.start(SCRIPT + during.replace("WAIT", wait), env=connected)
    for line in running.stdout:
        if line == "READY\n":
            break
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=600)
    assert running.returncode == returncode, stderr
    records = received()
    assert [message for message in records.messages if message != "late"] == LINES
    assert [request["responseCode"] for request in records.of_type("Request")] == [result]
    assert records.of_type("Exception") == []


def test_repeated_sigterm(child: Any, azure: AzureOnThisMachine, connected: Any) -> None:
    """Repeated SIGTERM signals of a supervisor do not prolong the end of the process."""
    azure.faults.put(Fault(hang="before headers"))
    ran = child(
        """
import amllog, os, signal, threading, time
log = amllog.setup(); log.info("one")
def supervise():
    for _ in range(60):
        os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.5)
    os._exit(9)
threading.Thread(target=supervise, daemon=True).start()
time.sleep(600)
""",
        env={**connected, "AMLLOG_GRACE_SECONDS": "4"},
    )
    assert ran.returncode == -signal.SIGTERM, ran.stderr


def test_short_flushes_during_the_exit(
    child: Any, azure: AzureOnThisMachine, received: Any, connected: Any
) -> None:
    """A thread that calls flush() with a short timeout while the process ends does not shorten the grace."""
    azure.faults.put(Fault(seconds=1))
    ran = child(
        """
import amllog, threading, time
log = amllog.setup(driver_level="ERROR")
for i in range(9_000):
    log.info("%d", i)
def flush():
    threading.main_thread().join()
    while True:
        amllog.flush(0.01)
        time.sleep(0.2)
threading.Thread(target=flush, daemon=True).start()
""",
        env=connected,
    )
    assert ran.returncode == 0, ran.stderr
    assert received().messages == [str(i) for i in range(9_000)]


def test_a_process_that_survives_sigterm(child: Any, received: Any, connected: Any) -> None:
    """If SIGTERM does not end the process, as for the first one of a container, delivery continues."""
    ran = child(
        SCRIPT
        + """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
import _signal
_signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
log.info("after")
deadline = time.monotonic() + 500
while time.monotonic() < deadline:
    if not amllog.status().waiting: os._exit(0)
    time.sleep(0.1)
os._exit(9)
""",
        env=connected,
    )
    assert ran.returncode == 0, ran.stderr
    assert received().messages == [*LINES, "after"]


def test_exit_in_thread(child: Any, received: Any, connected: Any) -> None:
    """sys.exit in a thread ends only that thread, and the step continues and succeeds."""
    ran = child(
        SCRIPT + "t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join(); log.info('late')",
        env=connected,
    )
    records = received()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert records.messages == [*LINES, "late"] and records.of_type("Exception") == []
    assert [request["success"] for request in records.of_type("Request")] == [True]


LOOP = """
import asyncio, gc
async def fail():
    raise ValueError("boom")
async def main():
    %s
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("body", "message", "returncode"),
    [
        ("await asyncio.create_task(fail())", "Uncaught exception: boom", 1),
        ("await asyncio.gather(fail(), asyncio.sleep(0))", "Uncaught exception: boom", 1),
        ("asyncio.create_task(fail()); await asyncio.sleep(.1); gc.collect()",
         "Task exception was never retrieved", 0),
        ("asyncio.get_running_loop().call_soon(lambda: fail().send(None)); await asyncio.sleep(.1)",
         "Exception in callback main.<locals>.<lambda>", 0),
    ],
)  # fmt: skip
def test_asyncio(child: Any, received: Any, connected: Any, body: str, message: str, returncode: int) -> None:
    """An exception in a task or a callback of the loop is one record with its stack, also if it is not awaited."""
    ran = child(SCRIPT + LOOP % body, env=connected)
    assert ran.returncode == returncode, ran.stderr
    records = received()
    assert records.messages == LINES
    (exception,) = records.of_type("Exception")
    (details,) = exception["exceptions"]
    assert details["typeName"] == "ValueError" and details["message"].startswith(message)
    assert details["parsedStack"][0]["method"] == "fail"
    assert [request["success"] for request in records.of_type("Request")] == [returncode == 0]
    assert (ran.stdout + ran.stderr).count("ValueError: boom") == 1


UNRAISABLE = """
class Leaky:
    def __del__(self): raise ValueError("boom")
    def __repr__(self): raise RuntimeError("half gone")
def generator():
    try: yield
    finally: raise KeyError("in a generator")
def interrupted():
    try: yield
    finally: raise KeyboardInterrupt
Leaky()
for one in generator(), interrupted(): next(one)
del one
"""


@pytest.mark.parametrize("capture", ["logging,warnings,exceptions", "logging"])
def test_unraisable(child: Any, received: Any, connected: Any, capture: str) -> None:
    """An unraisable exception, such as in __del__, is recorded as an error, and Python still shows it."""
    ran = child(SCRIPT + UNRAISABLE, env={**connected, "AMLLOG_CAPTURE": capture})
    records = received()
    captured = [error["exceptions"][0] for error in records.of_type("Exception")]
    expected = [("ValueError", "Leaky.__del__: boom", "__del__"), ("KeyError", "generator", "generator")]
    if "exceptions" not in capture:
        expected = []
    assert len(captured) == len(expected)
    for details, (kind, message, method) in zip(captured, expected):
        assert details["typeName"] == kind and message in details["message"], details
        assert details["parsedStack"][0]["method"] == method
    assert {error["severityLevel"] for error in records.of_type("Exception")} <= {3}
    assert [request["success"] for request in records.of_type("Request")] == [True]
    assert (ran.returncode, ran.stderr.count("ValueError: boom")) == (0, 1)
    assert ran.stdout.count("boom") == 0


def test_unraisable_at_the_very_end(child: Any, journaled: Any, connected: Any) -> None:
    """A failure during the finalization of the interpreter is reported by Python only."""
    ran = child(SCRIPT + UNRAISABLE.partition("Leaky()")[0] + "last = Leaky()", env=connected)
    assert (ran.returncode, ran.stderr.count("ValueError: boom")) == (0, 1)
    assert "unraisablehook" not in ran.stderr
    assert journaled().of_type("Exception") == []


def test_unraisable_at_the_very_end_of_a_daemon(child: Any, connected: Any) -> None:
    """If a daemon has closed the descriptor of a file, Python reports it at its end, and amllog adds nothing."""
    daemon = "file = open('mine.txt', 'w')\nif os.fork(): os._exit(0)\nos.close(file.fileno())\n"
    flags = ["-X", "dev", "-W", "ignore"]  # Python before 3.13 reports it in development mode only
    ran = child(SCRIPT + daemon, env=connected, flags=flags)
    assert ran.stderr.count("Bad file descriptor") == 1, ran.stderr
    assert "unraisablehook" not in ran.stderr and "amllog" not in ran.stderr


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_ends_without_delivery(
    child: Any, received: Any, journaled: Any, azure: AzureOnThisMachine, connected: Any, end: str
) -> None:
    """A process that ends at once leaves its records in the journal, and the next setup() delivers them."""
    child(SCRIPT + end, env=connected)
    assert journaled().messages == LINES
    amllog.setup(connection_string=azure.connection_string)
    amllog.shutdown(200)
    records = received()
    assert list(dict.fromkeys(records.messages)) == LINES
    # Records that were sent just before the kill may arrive again with the same id.
    assert len(set(records.ids_of("Message"))) == len(LINES)


def test_sigterm_of_the_script(child: Any, connected: Any, received: Any) -> None:
    """A script that handles SIGTERM itself still does so."""
    handler = "signal.signal(signal.SIGTERM, lambda *_: [print('mine', flush=True), sys.exit(5)])\n"
    for before, after in ((handler, ""), ("", handler)):
        ran = child("import signal, sys\n" + before + SCRIPT + after
                    + "os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)", env=connected)  # fmt: skip
        assert (ran.returncode, "mine\n" in ran.stdout) == (5, True)
    assert sorted(received().messages) == sorted(LINES * 2)


def test_dead_endpoint(child: Any, journaled: Any) -> None:
    """If no endpoint answers, the process ends within its grace, and everything waits."""
    string = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
    began = time.monotonic()
    ran = child(SCRIPT, env={"APPLICATIONINSIGHTS_CONNECTION_STRING": string, "AMLLOG_GRACE_SECONDS": "500"})
    assert ran.returncode == 0 and time.monotonic() - began < 400
    assert journaled().messages == LINES


@pytest.mark.parametrize("hang", ["before headers", "after headers"])
@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_hanging_endpoint(
    child: Any, azure: AzureOnThisMachine, connected: Any, journaled: Any, hang: str, end: str
) -> None:
    """If the endpoint hangs, setup and calls do not wait, and the process ends after its grace."""
    azure.faults.put(Fault(hang=hang))
    timed = (
        "import time; began = time.monotonic()\n"
        + SCRIPT
        + "print('took', time.monotonic() - began, flush=True)\n"
    )
    began = time.monotonic()
    ran = child(timed + end, env={**connected, "AMLLOG_GRACE_SECONDS": "2"})
    assert ran.returncode == (-signal.SIGTERM if end else 0)
    assert time.monotonic() - began < 2 + SLACK
    assert float(ran.stdout.split("took ")[1]) < 200
    assert journaled().messages == LINES


def test_grace_of_zero(child: Any, azure: AzureOnThisMachine, connected: Any, journaled: Any) -> None:
    """With a grace of zero, the process ends at once, and its records wait."""
    azure.faults.put(Fault(hang="before headers"))
    began = time.monotonic()
    ran = child(SCRIPT, env={**connected, "AMLLOG_GRACE_SECONDS": "0"})
    assert ran.returncode == 0 and time.monotonic() - began < SLACK
    assert journaled().messages == LINES


def test_daemon_threads(child: Any, received: Any, connected: Any) -> None:
    """Daemon threads that still log while the interpreter ends cause no error."""
    ran = child(
        # Without the pauses, they would keep the worker from running on a busy machine for the whole grace.
        SCRIPT + "def chatter():\n    while True: log.info('chatter'); time.sleep(.001)\n"
        "for _ in range(3): threading.Thread(target=chatter, daemon=True).start()\ntime.sleep(.1)",
        env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"},
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [message for message in received().messages if message != "chatter"] == LINES


def test_other_exit_handlers(child: Any, connected: Any, received: Any, journaled: Any) -> None:
    """Records of other exit handlers are kept, whether they run before or after ours."""
    register = "import atexit\natexit.register(lambda: log.info('%s'))\n"
    ran = child(register % "after ours" + SCRIPT + register % "before ours", env=connected)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [message for message in received().messages if message != "after ours"] == [*LINES, "before ours"]
    assert journaled().messages == [*LINES, "before ours", "after ours"]


def test_flush_reports_refused_records(child: Any, azure: AzureOnThisMachine, connected: Any) -> None:
    """flush() returns the refused records with the reason."""
    azure.faults.put(Fault(item="line 7", status=400, message="111: bad thing"))
    code = (
        SCRIPT
        + "account = amllog.flush(200)\nprint(account.outlets['app_insights'].refused, account.waiting)"
    )
    ran = child(code, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert ran.stdout == "{'400: 111: bad thing': 11} 0\n"


ENDLESS = """
def chatter():
    while True:
        log.info("chatter")
        time.sleep(0.005)

threading.Thread(target=chatter, daemon=True).start()
time.sleep(0.1)
began = time.monotonic()
"""


def test_an_endless_thread_does_not_delay_the_end(
    child: Any, azure: AzureOnThisMachine, connected: Any
) -> None:
    """The end waits for the records that existed when it began, not for later ones of a daemon thread."""
    azure.faults.put(Fault(seconds=0.05))
    register = "import atexit, time\natexit.register(lambda: print('took', time.monotonic() - began))\n"
    environment = {**connected, "AMLLOG_GRACE_SECONDS": "120", "AMLLOG_DRIVER_LEVEL": "ERROR"}
    ran = child(register + SCRIPT + ENDLESS, env=environment)
    assert ran.returncode == 0 and float(ran.stdout.split("took ")[1]) < 100


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), 15); time.sleep(600)"], ids=["exit", "SIGTERM"])
def test_an_endless_thread_causes_no_duplicates(
    child: Any, azure: AzureOnThisMachine, received: Any, connected: Any, end: str
) -> None:
    """The end interrupts no export of a daemon thread's records, so the next process sends nothing twice."""
    azure.faults.put(Fault(seconds=0.3))
    environment = {**connected, "AMLLOG_GRACE_SECONDS": "120", "AMLLOG_DRIVER_LEVEL": "ERROR"}
    ran = child(SCRIPT + ENDLESS + end, env=environment)
    assert ran.returncode == (-15 if end else 0), ran.stderr
    azure.faults.clear()
    deliver = [sys.executable, "-m", "amllog", "deliver", ".amllog", "--timeout", "300"]
    assert child(deliver, env=connected).returncode == 0
    assert received().duplicates == []


SHUTDOWN_DURING_AN_EXPORT = """
import os, time
import amllog
log = amllog.setup()
for number in range(10):
    log.info(f"m{number}")
print("logged", flush=True)
while not os.path.exists("arrived"):
    time.sleep(0.01)
amllog.shutdown(0.05)
amllog.setup().info("after")
amllog.flush(300)
amllog.shutdown(300)
"""


def test_a_shutdown_during_an_export(
    child: Any, azure: Any, received: Any, connected: Any, tmp_path: Path
) -> None:
    """An export longer than `shutdown(timeout)` is completed, so the next session sends nothing twice."""
    azure.faults.put(Fault(drops=0.01, times=1))  # accepted at once, with a response that takes seconds
    process = child.start(SHUTDOWN_DURING_AN_EXPORT, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert process.stdout.readline() == "logged\n"
    wait_until(lambda: azure.envelopes)
    (tmp_path / "arrived").touch()
    process.communicate(timeout=600)
    records = received()
    assert (process.returncode, records.duplicates) == (0, [])
    assert sorted(records.messages) == ["after", *(f"m{number}" for number in range(10))]
