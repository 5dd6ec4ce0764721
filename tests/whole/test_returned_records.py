"""Records that a queue, a buffer or a server brings back to a logger are recorded once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

SETUP = """
import logging, logging.handlers, multiprocessing, os, pickle, queue, socketserver, struct, sys, threading, time
import amllog
root = logging.getLogger()
log = logging.getLogger("script")
"""
LISTENER = """
class Back(logging.handlers.QueueListener):
    def handle(self, record):
        logging.getLogger(record.name).handle(record)
"""
IN_PROCESS = {
    "the cookbook's listener in a thread": """
amllog.setup()
lines = queue.Queue()
log.addHandler(logging.handlers.QueueHandler(lines)); log.propagate = False
def back():
    while True:
        record = lines.get()
        if record is None:
            return
        logging.getLogger("listener").handle(record)
thread = threading.Thread(target=back); thread.start()
for n in range(5):
    log.info("line %d", n)
lines.put(None); thread.join()
""",
    "a listener that hands over in the same thread": """
amllog.setup()
lines = queue.Queue()
log.addHandler(logging.handlers.QueueHandler(lines)); log.propagate = False
for n in range(5):
    log.info("line %d", n)
while not lines.empty():
    logging.getLogger("listener").handle(lines.get())
""",
    "a listener with our own handler": """
amllog.setup()
lines = queue.Queue()
listener = logging.handlers.QueueListener(lines, *root.handlers, respect_handler_level=True)
for handler in list(root.handlers):
    root.removeHandler(handler)
root.addHandler(logging.handlers.QueueHandler(lines)); root.setLevel("INFO")
listener.start()
for n in range(5):
    log.info("line %d", n)
listener.stop()
""",
    "a second setup() while records are on their way": """
amllog.setup()
lines = queue.Queue()
log.addHandler(logging.handlers.QueueHandler(lines))
log.propagate = False
for n in range(5):
    log.info("line %d", n)
amllog.setup(dimensions={"again": "yes"})
while not lines.empty():
    logging.getLogger("listener").handle(lines.get())
""",
    "a buffer that hands over to a logger": """
class ToLogger(logging.Handler):
    def emit(self, record):
        logging.getLogger("elsewhere").handle(record)
amllog.setup()
log.addHandler(logging.handlers.MemoryHandler(100, target=ToLogger())); log.propagate = False
for n in range(5):
    log.info("line %d", n)
log.handlers[0].flush()
""",
    "a log server in this process": """
class Server(socketserver.StreamRequestHandler):
    def handle(self):
        while len(size := self.rfile.read(4)) == 4:
            found = self.rfile.read(struct.unpack(">L", size)[0])
            record = logging.makeLogRecord(pickle.loads(found))
            logging.getLogger("server").handle(record)
amllog.setup()
server = socketserver.TCPServer(("127.0.0.1", 0), Server)
thread = threading.Thread(target=server.handle_request); thread.start()
sender = logging.handlers.SocketHandler(*server.server_address)
log.addHandler(sender); log.propagate = False
for n in range(5):
    log.info("line %d", n)
sender.close(); thread.join(); server.server_close()
""",
    "a record handed over twice by the script": """
amllog.setup()
log.addHandler(logging.handlers.QueueHandler(queue.Queue()))
for n in range(5):
    record = logging.makeLogRecord({"msg": f"line {n}", "name": "made", "levelno": 20, "levelname": "INFO"})
    log.handle(record)
    log.handle(record)
""",
    "equal lines at one frozen moment are several": """
amllog.setup()
log.addHandler(logging.handlers.QueueHandler(queue.Queue()))
frozen = time.time(); time.time = lambda: frozen; time.time_ns = lambda: int(frozen * 1e9)
for n in [0, 1, 2, 3, 4]:
    log.info("line %d", n)
""",
}


@pytest.mark.parametrize("how", IN_PROCESS)
def test_in_one_process(child: Any, kept: Any, how: str) -> None:
    """A record that comes back to a logger of its own process is one line of the journal."""
    ran = child(SETUP + IN_PROCESS[how] + "print('END')")
    assert ran.returncode == 0, ran.stderr
    assert Counter(kept().messages) == Counter(f"line {n}" for n in range(5)), ran.stderr


WORKERS = """
def work(lines, begin):
    if begin == "setup":
        amllog.setup()
    root = logging.getLogger()
    root.addHandler(logging.handlers.QueueHandler(lines)); root.setLevel(logging.INFO)
    logging.getLogger("worker").info("from a worker")
    logging.getLogger("worker").warning("again %s", "from a worker")
    if begin == "shutdown":
        amllog.shutdown()
        time.sleep(0.2)  # beyond the resolution of a file's time
        logging.getLogger("worker").warning("after shutdown")

def main():
    amllog.setup()
    context = multiprocessing.get_context(sys.argv[1])
    lines = context.Queue()
    workers = [context.Process(target=work, args=(lines, sys.argv[2])) for _ in range(3)]
    for worker in workers:
        worker.start()
    seen = []
    class Seen(logging.Handler):
        def emit(self, record):
            seen.append(sorted(record.__dict__))
    listening = logging.getLogger("listening"); listening.addHandler(Seen())
    for _ in range(int(sys.argv[3])):
        listening.handle(lines.get(timeout=600))
    for worker in workers:
        worker.join()
    print({tuple(set(keys) - set(logging.makeLogRecord({}).__dict__)) for keys in seen}, len(seen))

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    ("start", "begin"), [("fork", ""), ("fork", "setup"), ("spawn", "setup"), ("spawn", "")]
)
def test_from_workers(child: Any, kept: Any, tmp_path: Any, start: str, begin: str) -> None:
    """A line that a worker has recorded is not recorded again by the process that collects; every other line is."""
    script = tmp_path / "script.py"
    script.write_text(SETUP + WORKERS)
    ran = child(script, start, begin, "6")
    assert ran.returncode == 0, ran.stderr
    assert Counter(kept().messages) == {"from a worker": 3, "again from a worker": 3}
    assert ran.stdout.splitlines()[-1].endswith(" 6")


def test_after_a_workers_shutdown(child: Any, kept: Any, tmp_path: Any) -> None:
    """What a worker logs after its amllog.shutdown() is recorded by the process that collects."""
    script = tmp_path / "script.py"
    script.write_text(SETUP + WORKERS)
    ran = child(script, "fork", "shutdown", "9")
    assert ran.returncode == 0, ran.stderr
    assert Counter(kept().messages) == {"from a worker": 3, "again from a worker": 3, "after shutdown": 3}


def test_nothing_is_written_to_records(child: Any, tmp_path: Any) -> None:
    """Formatters that print unknown attributes print none of ours, here and in the process that collects."""
    script = tmp_path / "script.py"
    script.write_text(SETUP + WORKERS)
    ran = child(script, "fork", "setup", "6", env={"AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert ran.returncode == 0, ran.stderr
    assert "amllog" not in ran.stdout
