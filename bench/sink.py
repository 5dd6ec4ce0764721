"""A service that costs almost nothing: it counts requests, bytes and items, and responds after a delay.

It accepts all envelopes of a POST, gzipped or not. GET / returns the counts as JSON. `python sink.py DELAY_SECONDS`
runs it and prints its port.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COUNTS = {"requests": 0, "bytes": 0, "items": 0}
LOCK = threading.Lock()


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    delay_seconds = 0.0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        size = len(body)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        items = body.count(b'"baseType"')
        with LOCK:
            COUNTS["requests"] += 1
            COUNTS["bytes"] += size
            COUNTS["items"] += items
        time.sleep(self.delay_seconds)
        self._respond({"itemsReceived": items, "itemsAccepted": items, "errors": []})

    def do_GET(self) -> None:
        self._respond(COUNTS)

    def _respond(self, content: dict[str, object]) -> None:
        payload = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    Sink.delay_seconds = float(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_address[1], flush=True)
    server.serve_forever()
