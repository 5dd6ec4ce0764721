"""Libraries that handle SIGTERM themselves do the same as without amllog."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from .conftest import QUIET  # isort: skip

SETUP = "import amllog\nlog = amllog.setup()\n"
# As lightning.pytorch.trainer.connectors.signal_connector of Lightning 2.6: it composes its handler with the one
# before, ends the loop at the next batch, writes a checkpoint and restores the handlers of all signals.
TRAINER = """
import os, pathlib, signal, sys

class Compose:
    def __init__(self, handlers): self.handlers = handlers
    def __call__(self, number, frame):
        for handler in self.handlers:
            if isinstance(handler, int): handler = signal.getsignal(handler)
            if callable(handler): handler(number, frame)

class Trainer:
    received = False
    def notify(self, number, frame): self.received = True
    def fit(self, batches):
        numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        before = {number: signal.getsignal(number) for number in numbers}
        handlers = [self.notify]
        if signal.getsignal(signal.SIGTERM) not in (None, signal.SIG_DFL):
            handlers.append(signal.getsignal(signal.SIGTERM))
        signal.signal(signal.SIGTERM, Compose(handlers))
        try:
            for batch in range(batches):
                if batch == 2 and END: os.kill(os.getpid(), signal.SIGTERM)
                if self.received:
                    pathlib.Path("checkpoint").write_text(str(batch))
                    break
        finally:
            for number, handler in before.items():
                if handler is not None: signal.signal(number, handler)

Trainer().fit(5)
print("fitted", pathlib.Path("checkpoint").exists(), flush=True)
"""
# As uvicorn: capture the signal, clean up, restore, and raise it again at once.
SERVER = """
import signal, sys
captured = []
before = signal.signal(signal.SIGTERM, lambda number, frame: captured.append(number))
signal.raise_signal(signal.SIGTERM)
print("cleaned up", flush=True)
signal.signal(signal.SIGTERM, before)
signal.raise_signal(captured.pop())
"""
ASYNCIO = """
import asyncio, os, signal
async def main():
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    loop.remove_signal_handler(signal.SIGTERM)
asyncio.run(main())
print("stopped", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)
"""
PROGRAMS = {"a trainer": TRAINER.replace("END", "True"), "a server": SERVER, "asyncio": ASYNCIO}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_same_as_without_amllog(child: Any, tmp_path: Path, program: str) -> None:
    """A program that takes the signal writes its checkpoint, and ends with the same code."""
    script = tmp_path / "train.py"
    script.write_text(PROGRAMS[program])
    plain = child(script)
    (tmp_path / "checkpoint").unlink(missing_ok=True)
    script.write_text(SETUP + PROGRAMS[program])
    ran = child(script, env=QUIET)
    assert (ran.returncode, ran.stdout, ran.stderr) == (plain.returncode, plain.stdout, plain.stderr)


# The handler is checked at most once per second, by the time of the records.
LATER = """
import logging, time
later = {"name": "later", "levelno": 40, "levelname": "ERROR", "msg": "later", "created": time.time() + 2}
logging.getLogger().handle(logging.makeLogRecord(later))
"""


@pytest.mark.parametrize("program", [TRAINER.replace("END", "False"), ASYNCIO], ids=["a trainer", "asyncio"])
@pytest.mark.parametrize(
    "check", [LATER, "amllog.status()", "amllog.setup()"], ids=["record", "status", "setup"]
)
def test_sigterm_afterwards(child: Any, journaled: Any, program: str, check: str) -> None:
    """After the program has restored the default, SIGTERM ends the step with a request."""
    ran = child(
        SETUP + program + f"import os, signal\n{check}\nos.kill(os.getpid(), signal.SIGTERM)", env=QUIET
    )
    assert ran.returncode == -signal.SIGTERM
    assert [data["responseCode"] for data in journaled().of_type("Request")] == ["terminated (SIGTERM)"]


def test_setup_in_a_thread(child: Any, journaled: Any) -> None:
    """If setup() ran in a thread, the next record of the main thread installs the handler."""
    code = """
import os, signal, threading, time
import amllog
thread = threading.Thread(target=amllog.setup)
thread.start()
thread.join()
amllog.get_logger().info("main")
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert child(code, env=QUIET).returncode == -signal.SIGTERM
    assert [data["responseCode"] for data in journaled().of_type("Request")] == ["terminated (SIGTERM)"]
