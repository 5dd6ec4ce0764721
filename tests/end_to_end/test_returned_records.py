"""Records that a queue, a buffer or a server returns to a logger are recorded once."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

SETUP = """
import json, logging, logging.handlers, multiprocessing, os, pickle, queue, socketserver, struct, sys, threading, time
import amllog
root = logging.getLogger(); root.setLevel("INFO")
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
    "a listener that returns records in the same thread": """
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
    "a second setup() while records are in transit": """
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
    "a buffer that passes records to a logger": """
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
    "a record passed on twice by the script": """
amllog.setup()
log.addHandler(logging.handlers.QueueHandler(queue.Queue()))
for n in range(5):
    record = logging.makeLogRecord({"msg": f"line {n}", "name": "made", "levelno": 20, "levelname": "INFO"})
    log.handle(record)
    log.handle(record)
""",
    "a queue with its own format": """
amllog.setup()
lines = queue.Queue()
log.addHandler(logging.handlers.QueueHandler(lines)); log.propagate = False
log.handlers[0].setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(message)s."))
for n in range(5):
    log.info("line %d", n)
while not lines.empty():
    logging.getLogger("listener").handle(lines.get())
""",
    "a queue with a filter that adds to the message": """
def mark(record):
    record.msg = f"[request 7] {record.msg}"
    return True
amllog.setup()
lines = queue.Queue()
log.addHandler(logging.handlers.QueueHandler(lines)); log.propagate = False
log.handlers[0].addFilter(mark)
for n in range(5):
    log.info("line %d", n)
while not lines.empty():
    logging.getLogger("listener").handle(lines.get())
""",
    "a round trip through JSON, in part and as a whole": """
amllog.setup()
lines = queue.Queue()
class Json(logging.handlers.QueueHandler):
    def prepare(self, record):
        found = super().prepare(record).__dict__
        some = ("name", "msg", "created", "thread", "process", "lineno", "levelno", "levelname")
        return json.dumps(found if "4" in found["msg"] else {name: found[name] for name in some})
log.addHandler(Json(lines)); log.propagate = False
for n in range(5):
    log.info("line %d", n)
while not lines.empty():
    logging.getLogger("listener").handle(logging.makeLogRecord(json.loads(lines.get())))
""",
    "messages that are not strings": """
class Said:
    def __init__(self, n): self.n = n
    def __str__(self): return f"line {self.n}"
amllog.setup()
lines = queue.Queue()
log.addHandler(logging.handlers.QueueHandler(lines)); log.propagate = False
for n in range(5):
    log.info(Said(n))
while not lines.empty():
    logging.getLogger("listener").handle(lines.get())
""",
    "records of a log server, behind its own queue": """
amllog.setup()
lines = queue.Queue()
server = logging.getLogger("server")
server.addHandler(logging.handlers.QueueHandler(lines)); server.propagate = False
for n in range(5):
    server.handle(logging.makeLogRecord({"name": "remote", "msg": f"line {n}", "levelno": 20, "process": 1 + n % 2}))
while not lines.empty():
    logging.getLogger("listener").handle(lines.get())
""",
    "a filter on our own handler": """
amllog.setup()
lines = queue.Queue()
root.handlers[0].addFilter(lambda record: record.levelno < 40)
log.addHandler(logging.handlers.QueueHandler(lines))
for n in range(5):
    log.info("line %d", n)
    log.error("not wanted")
while not lines.empty():
    logging.getLogger("listener").handle(lines.get())
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
def test_in_one_process(child: Any, journaled: Any, how: str) -> None:
    """A record that returns to a logger of its own process is one line of the journal."""
    ran = child(SETUP + IN_PROCESS[how] + "print('END')")
    assert ran.returncode == 0, ran.stderr
    assert Counter(journaled().messages) == Counter(f"line {n}" for n in range(5)), ran.stderr


EXCEPTIONS = """
amllog.setup()
lines = queue.Queue()
log.addHandler(logging.handlers.QueueHandler(lines)); log.propagate = False
for n in range(5):
    try:
        raise ValueError(f"error\\n{n}")
    except ValueError as error:
        log.exception("failed\\n%d", n)
        log.error(error)
        log.warning("line %d", n, stack_info=True)
while not lines.empty():
    logging.getLogger("listener").handle(lines.get())
print("END")
"""


def test_exceptions_in_one_process(child: Any, journaled: Any) -> None:
    """A record whose traceback a QueueHandler has put into the message is recorded once."""
    ran = child(SETUP + EXCEPTIONS)
    assert ran.returncode == 0, ran.stderr
    records = journaled()
    assert len(records.of_type("Exception")) == 5
    expected = [f"line {n}" for n in range(5)] + [f"ValueError: error\n{n}" for n in range(5)]
    assert Counter(records.messages) == Counter(expected), ran.stderr


# Records that are not returned ones. Each has to be in the journal.
OTHERS = {
    "lines of a replayed file, with whole seconds": """
log.addHandler(logging.handlers.QueueHandler(queue.Queue()))
for n in range(50):
    log.handle(logging.makeLogRecord({"name": "old", "msg": f"line {n}", "levelno": 20, "lineno": 7,
                                      "created": float(1_700_000_000 + n // 10)}))
""",
    "the same beside another handler": """
class Own(logging.Handler):
    def emit(self, record): pass
root.addHandler(Own())
for n in range(50):
    log.handle(logging.makeLogRecord({"name": "old", "msg": "line %d", "args": (n,), "levelno": 20, "lineno": 7,
                                      "created": float(1_700_000_000 + n // 10)}))
""",
    "the same beside a handler with a format": """
log.addHandler(logging.handlers.QueueHandler(queue.Queue()))
log.handlers[0].setFormatter(logging.Formatter("%(message)s"))
for n in range(50):
    log.handle(logging.makeLogRecord({"name": "old", "msg": f"line {n}", "levelno": 20, "lineno": 7,
                                      "created": float(1_700_000_000)}))
""",
    "equal lines of a replayed file": """
log.addHandler(logging.handlers.QueueHandler(queue.Queue()))
for n in range(50):
    log.handle(logging.makeLogRecord({"name": "old", "msg": f"line {n % 2}", "levelno": 20, "lineno": 7,
                                      "created": float(1_700_000_000)}))
""",
    "one object with a new message each time": """
log.addHandler(logging.handlers.QueueHandler(queue.Queue()))
record = logging.makeLogRecord({"name": "old", "levelno": 20})
for n in range(50):
    record.msg = f"line {n}"
    log.handle(record)
""",
    "the lines of a message, each as a record": """
import copy
class Split(logging.Handler):
    def emit(self, record):
        for line in record.getMessage().splitlines():
            one = copy.copy(record)
            one.msg, one.args = line, None
            logging.getLogger("lines").handle(one)
log.addHandler(Split()); log.propagate = False
log.info("%s", "\\n".join(f"line {n}" for n in range(49)))
""",
    "records that were silenced before": """
class Own(logging.Handler):
    def emit(self, record): pass
silent = logging.getLogger("silent"); silent.propagate = False; silent.addHandler(Own(logging.ERROR))
for n in range(50):
    record = logging.makeLogRecord({"name": "old", "msg": f"line {n}", "levelno": 20})
    silent.handle(record)
    log.handle(record)
""",
    "parts that cannot be compared": """
log.addHandler(logging.handlers.QueueHandler(queue.Queue()))
for n in range(50):
    log.handle(logging.makeLogRecord({"name": "old", "msg": f"line {n}", "levelno": 20, "thread": [7]}))
""",
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_records(child: Any, journaled: Any, what: str) -> None:
    """A record that only resembles a recorded one is recorded."""
    ran = child(SETUP + "amllog.setup()\n" + OTHERS[what] + "print('END')")
    assert ran.returncode == 0, ran.stderr
    assert len(journaled().messages) == 50, ran.stderr


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
def test_from_workers(child: Any, journaled: Any, tmp_path: Any, start: str, begin: str) -> None:
    """The collecting process records every line that a worker has not recorded, and no other."""
    script = tmp_path / "script.py"
    script.write_text(SETUP + WORKERS)
    ran = child(script, start, begin, "6")
    assert ran.returncode == 0, ran.stderr
    assert Counter(journaled().messages) == {"from a worker": 3, "again from a worker": 3}
    assert ran.stdout.splitlines()[-1].endswith(" 6")


def test_after_a_workers_shutdown(child: Any, journaled: Any, tmp_path: Any) -> None:
    """The collecting process records lines that a worker logs after its amllog.shutdown()."""
    script = tmp_path / "script.py"
    script.write_text(SETUP + WORKERS)
    ran = child(script, "fork", "shutdown", "9")
    assert ran.returncode == 0, ran.stderr
    assert Counter(journaled().messages) == {
        "from a worker": 3,
        "again from a worker": 3,
        "after shutdown": 3,
    }


def test_nothing_is_written_to_records(child: Any, tmp_path: Any) -> None:
    """Formatters that print unknown attributes print none of amllog's, here and in the collecting process."""
    script = tmp_path / "script.py"
    script.write_text(SETUP + WORKERS)
    ran = child(script, "fork", "setup", "6", env={"AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert ran.returncode == 0, ran.stderr
    assert "amllog" not in ran.stdout


# Workers as `work(lines)`. In the end, the journals must have all of their lines once.
PARTLY = {
    "sets up later": """
        send(lines)
        for n in range(10): log.info("line %d", n)
        amllog.setup()
        for n in range(10, 20): log.info("line %d", n)
    """,
    "has another level": """
        amllog.setup(level="WARNING"); send(lines)
        for n in range(20): log.log(20 + n % 2 * 10, "line %d", n)
    """,
    "has a filter": """
        amllog.setup(); send(lines)
        next(one for one in root.handlers if "QueueHandler" not in repr(one)).addFilter(lambda r: r.args[0] % 2)
        for n in range(20): log.info("line %d", n)
    """,
    "has a frozen clock and another level": """
        amllog.setup(level="WARNING"); send(lines)
        time.time = lambda: 1_700_000_000.25; time.time_ns = lambda: 1_700_000_000_250_000_000
        for n in range(20): log.log(20 + n % 2 * 10, "line %d", n)
    """,
    "has a queue with its own format": """
        amllog.setup(); send(lines)
        root.handlers[-1].setFormatter(logging.Formatter("%(asctime)s {%(levelname)s} %(message)s"))
        for n in range(20): log.info("line %d", n)
    """,
    "logs exceptions": """
        amllog.setup(); send(lines)
        for n in range(0, 20, 2):
            try:
                raise ValueError(f"line {n + 1}")
            except ValueError as error:
                log.exception("line %d", n)
                log.error(error)
    """,
    "logs objects that are not strings": """
        amllog.setup(); send(lines)
        for n in range(20): log.info({"line": n})
    """,
    "logs secrets": """
        amllog.setup(); send(lines)
        for n in range(20): log.info("line %d password=hunter2hunter2", n)
    """,
    "writes several files": """
        amllog.setup(); send(lines)
        for n in range(20):
            log.info("line %d", n)
            if n % 5 == 0: amllog.setup(directory="elsewhere"); amllog.setup()
    """,
    "ends before": """
        amllog.setup(); send(lines)
        for n in range(10): log.info("line %d", n)
        amllog.shutdown()
        for n in range(10, 20): log.warning("line %d", n)
    """,
}
PARTLY_SCRIPT = """
def send(lines):
    root.addHandler(logging.handlers.QueueHandler(lines)); root.setLevel(logging.INFO)

def work(lines):
    if True:WORK

def main():
    amllog.setup()
    context = multiprocessing.get_context("spawn")
    lines = context.Queue()
    worker = context.Process(target=work, args=(lines,))
    worker.start()
    sent = [lines.get(timeout=60) for _ in range(20)]
    worker.join()
    for record in sent:
        logging.getLogger(record.name).handle(record)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("how", PARTLY)
def test_a_worker_that_records_a_part(child: Any, journaled: Any, tmp_path: Any, how: str) -> None:
    """Lines that a worker has recorded are not recorded again, and all others that it sends are."""
    script = tmp_path / "script.py"
    script.write_text(SETUP + PARTLY_SCRIPT.replace("WORK", PARTLY[how]))
    ran = child(script)
    assert ran.returncode == 0, ran.stderr
    records = journaled()
    messages = [*records.messages, *(data["properties"]["message"] for data in records.of_type("Exception"))]
    assert Counter(re.findall(r"line\W+(\d+)", " ".join(messages))) == Counter(map(str, range(20))), messages


SAME_NUMBER = """
amllog.setup()
kid = "import amllog, logging; amllog.setup(); [logging.info('line %d', n) for n in range(100)]; print(os.getpid())"
number = int(subprocess.run([sys.executable, "-c", "import os; " + kid], stdout=-1).stdout.split()[-1])
for n in range(20):
    made = {"name": "remote", "msg": "line %d", "args": (n,), "levelno": 20, "levelname": "INFO", "process": number,
            "created": time.time() - 30 * (n % 2), "thread": 1, "lineno": n}
    logging.getLogger("remote").handle(logging.makeLogRecord(made))
"""


def test_another_process_of_the_same_number(child: Any, journaled: Any) -> None:
    """A record of another node is recorded, although a local process with its number has a journal."""
    ran = child("import subprocess\n" + SETUP + SAME_NUMBER)
    assert ran.returncode == 0, ran.stderr
    assert Counter(journaled().messages) == Counter(f"line {n}" for n in [*range(100), *range(20)]), (
        ran.stderr
    )


HOSTILE = """
amllog.setup(driver_level="ERROR")
journals = os.path.abspath(os.environ.get("AMLLOG_DIR", ".amllog"))
moment = time.time()
made = {"name": "remote", "msg": "line", "levelno": 20, "process": 7, "created": moment, "pathname": "a.py"}
def put(number, data, size=0):
    path = os.path.join(journals, f"20260101T000000-other-7-0a0b{number:02d}.jsonl")
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(max(size, len(data)))
head = b'{"time":"' + time.strftime("%Y-%m-%dT%H:%M:%S.000000Z").encode() + b'"'
put(1, head + b"," * 3_000_000)
put(2, (head + b',"data":[]}\\n' + head + b',"data":{"baseData":{"properties":{"message":[]}}}}\\n') * 1_000)
put(3, (head + b"[" * 10_000 + b"}\\n") * 10)
put(4, head + b"}\\n", 900_000_000)
put(5, b"my notes\\n")
os.mkfifo(os.path.join(journals, "20260101T000000-other-7-0a0b06.jsonl"))
os.symlink("/etc/passwd", os.path.join(journals, "20260101T000000-other-7-0a0b07.jsonl"))
for n in range(50):
    logging.getLogger("remote").handle(logging.makeLogRecord({**made, "lineno": n}))
logging.getLogger("remote").handle(logging.makeLogRecord({**made, "process": "7"}))
logging.getLogger("remote").handle(logging.makeLogRecord({**made, "process": [7]}))
print("END")
"""


def test_files_that_are_not_journals(child: Any, journaled: Any, tmp_path: Any) -> None:
    """Foreign files with names of journals and any content do not prevent a record."""
    ran = child(SETUP + HOSTILE)
    assert ran.returncode == 0, ran.stderr
    for path in tmp_path.rglob("*-other-7-*"):
        path.unlink()
    assert journaled().messages == ["line"] * 52, ran.stderr
