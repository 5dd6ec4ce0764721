"""After kill -9 at any moment, no record of a returned call is lost, and duplicates have the same id."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.local import AzureOnThisMachine

KILLS = int(os.environ.get("AMLLOG_TEST_KILLS", "20"))

# The script writes each returned call into a second file, with one write each.
BUSY = """
import os, random, sys, threading, time
import logging
import amllog
log = amllog.setup()
plain = logging.getLogger("library")
side = os.open("side", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def work(name):
    number = 0
    while True:
        message = f"{sys.argv[1]}-{name}-{number}"
        (log if number % 2 else plain).info(message)
        os.write(side, message.encode() + b"\\n")
        number += 1
        time.sleep(random.random() / 500)

for name in range(3):
    threading.Thread(target=work, args=(name,)).start()
print("began", file=sys.stderr, flush=True)
"""


def kill_at_random(child: Any, number: int, env: dict[str, str]) -> None:
    """Start a busy process and kill it after a random time."""
    process = child.start(BUSY, str(number), env={"AMLLOG_DRIVER_LEVEL": "ERROR", **env})
    assert process.stderr.readline() == "began\n"
    time.sleep(random.uniform(0, 0.6))
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("while_delivering", [False, True])
def test_kill(
    child: Any,
    azure: AzureOnThisMachine,
    received: Any,
    journaled: Any,
    connected: Any,
    while_delivering: bool,
) -> None:
    """After kills, the journal has every record of a returned call, and the next setup() delivers them."""
    dead = azure.connection_string.replace(azure.url, "http://127.0.0.1:9")
    nowhere = {"APPLICATIONINSIGHTS_CONNECTION_STRING": dead}
    for number in range((KILLS + 1) // 2):
        kill_at_random(child, number, connected if while_delivering else nowhere)
    accepted = Path("side").read_text().split()
    in_journal = journaled().messages
    # One call of each thread may have been in progress.
    assert set(accepted) - set(in_journal) == set()
    assert len(accepted) <= len(in_journal) <= len(accepted) + 3 * KILLS

    amllog.setup(connection_string=azure.connection_string)
    account = amllog.shutdown(200)
    records = received()
    ids = records.ids_of("Message")
    assert set(records.messages) == set(in_journal), account
    assert len(set(ids)) == len(in_journal)
    if not while_delivering:  # nothing was sent before, so nothing is sent twice
        assert len(ids) == len(in_journal)


def test_another_resource_in_between(tmp_path: Path) -> None:
    """Records for one resource wait for a process with its key, also if others run before."""
    with AzureOnThisMachine(tmp_path / "azure") as azure:
        other = azure.connection_string.replace("0010ca", "00beef")
        dead = azure.connection_string.replace(azure.url, "http://127.0.0.1:9")
        for string, message, seconds in (
            (dead, "for the first", 0),
            (other, "for the second", 600),
            (azure.connection_string, "then", 600),
        ):
            log = amllog.setup(connection_string=string, directory="journal", driver_level="ERROR")
            log.info(message)
            amllog.shutdown(seconds)
        messages = [envelope["data"]["baseData"].get("message") for envelope in azure.envelopes]
    assert sorted(message for message in messages if message) == ["for the first", "for the second", "then"]


def test_another_key_in_one_process(tmp_path: Path) -> None:
    """After a second setup() with another resource, the next process delivers the records for the first."""
    with AzureOnThisMachine(tmp_path / "azure") as azure:
        other = azure.connection_string.replace("0010ca", "00beef")
        dead = azure.connection_string.replace(azure.url, "http://127.0.0.1:9")
        for string in (dead, other):
            amllog.setup(connection_string=string, directory="journal", driver_level="ERROR").info(
                string[-5:]
            )
        amllog.shutdown(600)
        amllog.setup(connection_string=azure.connection_string, directory="journal", driver_level="ERROR")
        assert amllog.shutdown(200).leftovers_delivered >= 1
        kinds = [
            record["iKey"][-4:] for record in azure.envelopes if record["data"]["baseType"] == "MessageData"
        ]
    assert sorted(kinds) == ["10ca", "beef"]
