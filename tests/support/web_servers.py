# SPDX-License-Identifier: BSD-3-Clause
"""Real web servers in front of a listener, with the recipes of contrib/http."""

import http.client
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.parts import eventually, require
from tests.support.places import ROOT
from tests.support.postfix import free_port

# A name of the certificate that tests have.
NAME = "mail.example.org"
_RECIPES = ROOT / "contrib/http"
_OURS = "127.0.0.1:8025"


class Server(NamedTuple):
    """A web server: the recipes for people and for hooks, and how it is run with one. ``start``
    takes a recipe, a folder, a certificate with its key, and a port, and gives a command."""

    pages: str
    hooks: str
    start: Callable[[str, Path, str, int], list[str]]
    # A recipe of this server below a path.
    below: Callable[[str, str], str]


def _nginx(recipe: str, folder: Path, certificate: str, port: int) -> list[str]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port} ssl; server_name {NAME};\n"
        f"ssl_certificate {certificate}; ssl_certificate_key {certificate};\n{recipe}\n}} }}\n"
    )
    program = require("nginx")
    return [program, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]


def _caddy(recipe: str, folder: Path, certificate: str, port: int) -> list[str]:
    recipe = recipe.replace("recheck.example.org {", "SITE {").replace(
        "lab.example.org {", "SITE {"
    )
    assert recipe.count("\nSITE {\n") == 1
    site = f"https://{NAME}:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {certificate}\n"
    quiet = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(quiet + recipe.replace("SITE {\n", site))
    return [require("caddy"), "run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"]


def _nginx_below(recipe: str, path: str) -> str:
    return recipe.replace("location ~ ^/", f"location ~ ^{path}/").replace(
        "location /api/", f"location {path}/api/"
    )


def _caddy_below(recipe: str, path: str) -> str:
    lines = recipe.splitlines(keepends=True)
    is_path = [line.strip().startswith("path ") for line in lines]
    return "".join(
        line.replace(" /", f" {path}/") if named else line
        for line, named in zip(lines, is_path, strict=True)
    )


SERVERS = {
    "nginx": Server("nginx-pages.conf.example", "nginx.conf.example", _nginx, _nginx_below),
    "caddy": Server("Caddyfile-pages.example", "Caddyfile.example", _caddy, _caddy_below),
}


class Front:
    """A running web server, as a client elsewhere reaches it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connection(self) -> http.client.HTTPConnection:
        """A connection by TLS, whose certificate nobody looks at."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        made = http.client.HTTPConnection(NAME, self.port)
        made.sock = context.wrap_socket(plain, server_hostname=NAME)
        return made

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], str]:
        """Status, header fields and text of an answer."""
        with closing(self.connection()) as connection:
            head = {"Host": NAME, **(fields or {})}
            connection.request(method, path, body, head)
            answer = connection.getresponse()
            got = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, got, answer.read().decode()


@contextmanager
def in_front(
    name: str, behind: int, folder: Path, certificate: str, *, hooks: bool = False, below: str = ""
) -> Iterator[Front]:
    """This server with its recipe, in front of what listens on the port ``behind``. ``hooks``: the
    recipe for hooks; ``below``: the path below which the other one is used."""
    server = SERVERS[name]
    recipe = (_RECIPES / (server.hooks if hooks else server.pages)).read_text()
    assert _OURS in recipe
    recipe = recipe.replace(_OURS, f"127.0.0.1:{behind}")
    if below:
        recipe = server.below(recipe, below)
    folder.mkdir()
    port = free_port()
    command = server.start(recipe, folder, certificate, port)
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with open(folder / "output", "wb") as output:
        running = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **home}
        )
    try:
        eventually(lambda: _answers(port) or running.poll() is not None, f"{name} listens")
        assert running.poll() is None, (folder / "output").read_text()
        yield Front(port)
    finally:
        running.terminate()
        running.wait(20)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except OSError:
        return False
