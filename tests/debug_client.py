"""A client of the Debug Adapter Protocol, as an editor is one (microsoft.github.io/debug-adapter-protocol)."""

from __future__ import annotations

import json
import socket
from typing import Any


class DebugClient:
    """One debug session. Each wait ends with an error after a minute."""

    def __init__(self, host: str, port: int) -> None:
        """Connect to a listening process."""
        self._socket = socket.create_connection((host, port), timeout=60)
        self._stream = self._socket.makefile("rb")
        self._count = 0
        self._messages: list[dict[str, Any]] = []

    def attach(
        self,
        configuration: dict[str, Any],
        breakpoints: dict[str, list[int]] | None = None,
        filters: list[str] | None = None,
    ) -> dict[str, Any]:
        """Attach as the editor does with a configuration of launch.json. Return the capabilities of the server.

        `breakpoints`: the lines of files. `filters`: of exceptions, such as `uncaught`.
        """
        capabilities = self.request("initialize", adapterID="debugpy", linesStartAt1=True, pathFormat="path")
        attach = self._send("attach", configuration)
        self.event("initialized")
        for path, lines in (breakpoints or {}).items():
            points = [{"line": line} for line in lines]
            answer = self.request("setBreakpoints", source={"path": path}, breakpoints=points)
            assert all(point["verified"] for point in answer["breakpoints"]), answer
        self.request("setExceptionBreakpoints", filters=filters or [])
        self.request("configurationDone")
        self._response(attach)
        return capabilities

    def stop(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Wait until a thread stops. Return the event, and the innermost frame."""
        event = self.event("stopped")
        frames = self.request("stackTrace", threadId=event["threadId"])["stackFrames"]
        return event, frames[0]

    def evaluate(self, frame: dict[str, Any], expression: str) -> str:
        """Return the representation of the value of an expression in a frame."""
        return str(self.request("evaluate", expression=expression, frameId=frame["id"])["result"])

    def variables(self, frame: dict[str, Any]) -> dict[str, str]:
        """Return the local variables of a frame, as the editor shows them."""
        scope = self.request("scopes", frameId=frame["id"])["scopes"][0]
        listed = self.request("variables", variablesReference=scope["variablesReference"])["variables"]
        return {variable["name"]: variable["value"] for variable in listed}

    def proceed(self, event: dict[str, Any]) -> None:
        """Continue the thread that stopped."""
        self.request("continue", threadId=event["threadId"])

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request, and return the body of its response. Raise AssertionError if it failed."""
        return self._response(self._send(command, arguments))

    def event(self, name: str) -> dict[str, Any]:
        """Return the body of the next event with a name. Other messages stay for later calls."""
        message = self._take(lambda message: message["type"] == "event" and message["event"] == name)
        return dict(message.get("body", {}))

    def end(self) -> None:
        """Continue until the end of the program, and detach, as editors do. The adapter of debugpy waits for that."""
        while True:
            message = self._take(lambda message: message.get("event") in ("stopped", "terminated"))
            if message["event"] == "terminated":
                break
            self.proceed(message["body"])
        self.close()

    def close(self) -> None:
        """Detach. The program continues."""
        self._stream.close()
        self._socket.close()

    def _send(self, command: str, arguments: dict[str, Any]) -> int:
        self._count += 1
        message = {"seq": self._count, "type": "request", "command": command, "arguments": arguments}
        content = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n" % len(content) + content)
        return self._count

    def _response(self, number: int) -> dict[str, Any]:
        message = self._take(lambda message: message.get("request_seq") == number)
        assert message["success"], message
        return dict(message.get("body") or {})

    def _take(self, is_wanted: Any) -> dict[str, Any]:
        """Return the first message that is wanted, and keep those before it."""
        for message in self._messages:
            if is_wanted(message):
                self._messages.remove(message)
                return message
        while True:
            message = self._read()
            if is_wanted(message):
                return message
            self._messages.append(message)

    def _read(self) -> dict[str, Any]:
        length = 0
        while (line := self._stream.readline().strip()) or not length:
            assert line, "the server closed the connection"
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return dict(json.loads(self._stream.read(length)))
