"""Records that amllog itself causes: a stdout that is a logger, libraries below its delivery, handlers that log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amllog.sources.emitter import ECHO, LOOP
from amllog.sources.messages import MAX_REPEATS

SENDING = "a library logs or prints while amllog delivers"
END = "\nimport json\nprint(json.dumps(amllog.shutdown().as_dict()['feedback']), file=sys.stderr)\n"
# A stdout whose lines another thread logs: from a queue, or from a pipe on descriptor 1.
QUEUE = """
import queue
lines = queue.SimpleQueue()
class Stream:
    def write(self, text):
        for line in text.splitlines():
            lines.put(line)
        return len(text)
    def flush(self): pass
read = lines.get
sys.stdout = Stream()
"""
PIPE = """
reading, writing = os.pipe()
os.dup2(writing, 1); os.close(writing)
pipe = os.fdopen(reading)
read = lambda: pipe.readline().rstrip("\\n")
"""
THREAD = """
import json, logging, os, sys, threading, time
import amllog
logging.basicConfig(filename="out.log", level=logging.INFO, format="%(name)s: %(message)s")
log = amllog.setup(driver_format={form!r})
{stdout}
seen = []
def work():
    while True:
        line = read()
        if line:
            seen.append(line)
            logging.getLogger("STDOUT").info({logged})
threading.Thread(target=work, daemon=True).start()
logging.getLogger("lib").info("of a library")
log.info("of the script")
print("printed", flush=True)
while not any("printed" in line for line in seen):
    time.sleep(0.01)
"""
CHANGES = ["line", "f'[stdout] {line}'", "repr(line)", "json.dumps({'text': line})"]


def feedback(ran: Any) -> dict[str, int]:
    """Return the counts that a script with END has written as its last line."""
    counts: dict[str, int] = json.loads(ran.stderr.splitlines()[-1])
    return counts


@pytest.mark.parametrize("form", ["plain", "json", "console"])
@pytest.mark.parametrize("logged", CHANGES)
@pytest.mark.parametrize("stdout", [QUEUE, PIPE], ids=["a queue", "a pipe"])
def test_another_thread_logs_stdout(child: Any, journaled: Any, stdout: str, logged: str, form: str) -> None:
    """A line that another thread brings back is not recorded again, whatever it adds to it. Prints are recorded."""
    ran = child(THREAD.format(form=form, stdout=stdout, logged=logged) + END)
    assert ran.returncode == 0, ran.stderr
    messages = journaled().messages
    assert [message for message in messages if "printed" not in message] == ["of a library", "of the script"]
    assert len(messages) == 3
    assert set(feedback(ran)) == {ECHO}


@pytest.mark.parametrize("stdout", [QUEUE, PIPE], ids=["a queue", "a pipe"])
def test_another_thread_logs_something_else(child: Any, journaled: Any, stdout: str) -> None:
    """A loop of which nothing can be recognized ends after a number of records."""
    wait = (
        "from amllog.session import api\n"
        "while not api.session().recorder.emitter.driver_log.echoes.sites: time.sleep(0.01)\n"
    )
    ran = child(THREAD.format(form="plain", stdout=stdout, logged="str(len(line))") + wait + END)
    assert ran.returncode == 0, ran.stderr
    assert MAX_REPEATS <= len(journaled().messages) < 2 * MAX_REPEATS


STREAM = """
import logging, sys
import amllog
{configured}
class Stream:
    def write(self, text):
        for line in text.rstrip().splitlines():
            {call}
        return len(text)
    def flush(self): pass
log = amllog.get_logger("ours")
{setup}
print("printed")
logging.getLogger("lib").info("of a library")
log.info("of the script")
"""
FILE = "logging.basicConfig(filename='out.log', level=logging.INFO, format='%(name)s: %(message)s')"
SETUPS = {
    "before setup": "sys.stdout = Stream(); amllog.setup(capture={capture!r})",
    "after setup": "amllog.setup(capture={capture!r}); sys.stdout = Stream()",
}


@pytest.mark.parametrize("capture", ["logging", "logging,prints"])
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize("call", ["logging.getLogger('STDOUT').info(line)", "log.info('STDOUT: ' + line)"])
def test_a_stdout_that_logs(
    child: Any, journaled: Any, tmp_path: Path, capture: str, setup: str, call: str
) -> None:
    """Each record and each print is recorded once. Other handlers get no line of amllog. The real stdout gets all."""
    script = STREAM.format(configured=FILE, call=call, setup=setup.format(capture=capture))
    ran = child(script + END)
    assert ran.returncode == 0, ran.stderr
    messages = [message.replace("STDOUT: ", "") for message in journaled().messages]
    assert sorted(messages) == ["of a library", "of the script", "printed"]
    expected = ["STDOUT: printed"] if "getLogger" in call else []
    assert (tmp_path / "out.log").read_text().splitlines() == [*expected, "lib: of a library"]
    assert set(feedback(ran)) == {ECHO}
    shown = [line.partition(": ")[2] for line in ran.stdout.splitlines()]
    assert [shown.count(text) for text in ("of a library", "of the script")] == [1, 1]
    assert sum("not recorded" in line for line in ran.stdout.splitlines()) == 1  # the notice


DELIVERY = """
import http.client, logging, sys
import requests
import amllog
class Handler(logging.Handler):
    def emit(self, record):
        print("HANDLER", record.name, file=sys.stderr)
logging.getLogger().addHandler(Handler())
logging.getLogger().setLevel(logging.DEBUG)
http.client.HTTPConnection.debuglevel = 1
send = requests.adapters.HTTPAdapter.send
def logging_send(self, *args, **kwargs):
    logging.getLogger("transport_of_script").warning("sending")
    amllog.get_logger("ours").warning("sending")
    print("printed by the transport")
    return send(self, *args, **kwargs)
requests.adapters.HTTPAdapter.send = logging_send
amllog.setup(capture="logging,warnings,exceptions,prints", metrics="none")
for number in range(3):
    logging.getLogger("lib").info("line %d", number)
    amllog.flush(300)
"""


def test_libraries_below_the_delivery(child: Any, received: Any, connected: dict[str, str]) -> None:
    """What a library logs or prints about a request of amllog reaches no handler, and is counted and reported once."""
    ran = child(DELIVERY + END, env=connected)
    assert ran.returncode == 0, ran.stderr
    assert received().messages == ["line 0", "line 1", "line 2"]
    assert {line for line in ran.stderr.splitlines() if line.startswith("HANDLER")} == {"HANDLER lib"}
    assert set(feedback(ran)) == {SENDING}
    assert feedback(ran)[SENDING] >= 9  # three for each of the requests
    assert "send: " not in ran.stdout
    assert sum("not recorded" in line for line in ran.stdout.splitlines()) == 1


HANDLERS = """
import logging, sys, threading
import amllog
class Handler(logging.Handler):
    depth = 0
    def emit(self, record):
        if self.depth < {depth}:
            self.depth += 1
            try:
                logging.getLogger("handler").info("sent %s", record.name)
            finally:
                self.depth -= 1
logging.basicConfig(level=logging.INFO, handlers=[Handler()])
amllog.setup()
for number in range(3):
    logging.getLogger("lib").info("line %d", number)
"""


@pytest.mark.parametrize("depth", [1, 20])
def test_a_handler_that_logs_about_its_own_sending(child: Any, journaled: Any, depth: int) -> None:
    """A handler adds one record to each line. Further ones about these are counted."""
    ran = child(HANDLERS.format(depth=depth) + END)
    assert ran.returncode == 0, ran.stderr
    messages = journaled().messages
    assert [message for message in messages if message.startswith("line")] == ["line 0", "line 1", "line 2"]
    assert sorted({*messages} - {"line 0", "line 1", "line 2"}) == ["sent lib"]
    assert messages.count("sent lib") == 3
    assert feedback(ran) == ({LOOP: 3 * (depth - 1)} if depth > 1 else {})


def test_interruptions_of_a_write(child: Any, journaled: Any) -> None:
    """A signal handler, a finalizer and another thread log while a line is written to an object. All are recorded."""
    ran = child(
        "import logging, os, signal, sys, threading\n"
        "import amllog\n"
        "class Finalized:\n"
        "    def __del__(self): logging.getLogger('lib').info('of a finalizer')\n"
        "def interrupt():\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    Finalized()\n"
        "    thread = threading.Thread(target=logging.getLogger('lib').info, args=('of a thread',))\n"
        "    thread.start(); thread.join()\n"
        "class Stream:\n"
        "    def write(self, text):\n"
        "        if 'trigger' in text: interrupt()\n"
        "        return len(text)\n"
        "    def flush(self): pass\n"
        "signal.signal(signal.SIGUSR1, lambda *_: logging.getLogger('lib').info('of a signal handler'))\n"
        "amllog.setup()\n"
        "sys.stdout = Stream()\n"
        "logging.getLogger('lib').info('trigger')\n" + END
    )
    assert ran.returncode == 0, ran.stderr
    expected = ["of a finalizer", "of a signal handler", "of a thread", "trigger"]
    assert sorted(journaled().messages) == expected
    assert feedback(ran) == {}
