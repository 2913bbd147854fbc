# SPDX-License-Identifier: BSD-3-Clause
"""HTTP on loopback for the sandbox: bytes of a connection to a kind's ``answer`` and back.

Owns the sockets and the record of requests.
"""

import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ingest.sandbox.views import Answer

HOST = "127.0.0.1"
# Method, path with its query, header fields by name in lower case, and body, to an answer.
Answering = Callable[[str, str, dict[str, str], bytes], Answer]
_BODY_AT_MOST = 1 << 20
_SECONDS_IDLE = 600


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    path: str  # with the query, still percent-encoded
    authorization: bool  # whether the header was there; its value is not kept
    body: bytes


class Server(ThreadingHTTPServer):
    """The listening socket. Closing it also ends the connections that clients keep alive, so
    that a Patchwork that is down is down for everybody."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        answer: Answering,
        requests: list[Request],
        verbose: bool,
    ) -> None:
        """Listen on loopback. Raises ``OSError`` when the port is taken."""
        self.answer = answer
        self.requests = requests
        self.verbose = verbose
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        """As the standard library's, but without its look-up of the host's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was first


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    timeout = _SECONDS_IDLE

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _BODY_AT_MOST:
            self.close_connection = True
            self.send_error(413 if length.isdecimal() else 400)
            return
        body = self.rfile.read(int(length))
        authorization = "Authorization" in self.headers
        self.server.requests.append(Request(self.command, self.path, authorization, body))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.answer(self.command, self.path, headers, body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # the client left

    def version_string(self) -> str:
        return "sandbox-patchwork"

    def log_message(self, format: str, *args: Any) -> None:
        if self.server.verbose:
            sys.stderr.write(f"{format % args}\n")
