# SPDX-License-Identifier: BSD-3-Clause
"""A real Chromium without a window, driven by its DevTools protocol."""

import base64
import contextlib
import itertools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.parts import PATIENCE, eventually, require

PHONE, DESKTOP = (390, 844), (1280, 900)


class Tab:
    """One tab. What a page is waited for is that its load event came."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._events: list[dict[str, Any]] = []
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What a method of the protocol answers."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = self._next()
            if said.get("id") == number:
                assert "error" not in said, (method, said)
                answer: dict[str, Any] = said["result"]
                return answer

    def open(self, url: str) -> None:
        """Go to a page."""
        self._events.clear()
        failed = self.call("Page.navigate", url=url).get("errorText")
        assert not failed, (url, failed)
        self.wait_for_load()

    def wait_for_load(self) -> None:
        """Wait until a page that was gone to is there."""
        while not any(each["method"] == "Page.loadEventFired" for each in self._events):
            self._next()
        self._events.clear()

    def look(self, size: tuple[int, int], *, dark: bool = False) -> None:
        """Have a window of this size, in light or dark."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> bytes:
        """The whole page as PNG."""
        made = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(made["data"])

    def run(self, script: str) -> Any:
        """What a script, or its promise, comes to, by whatever rules the page has."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self) -> str:
        """The page's text, as its elements hold it; also without JavaScript."""
        tree = self.call("DOM.getDocument", depth=-1)["root"]
        return " ".join(" ".join(_texts(tree)).split())

    def url(self) -> str:
        """Where the tab is."""
        there = self.call("Page.getNavigationHistory")
        found: str = there["entries"][there["currentIndex"]]["url"]
        return found

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that a CSS selector finds."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.scrollIntoViewIfNeeded", nodeId=node)
        corners = self.call("DOM.getContentQuads", nodeId=node)["quads"][0]
        x, y = sum(corners[::2]) / 4, sum(corners[1::2]) / 4
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Put a text where the keyboard is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        typed = {"text": text} if text else {}
        key_of = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **key_of, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key_of)

    def _next(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._socket.recv(timeout=PATIENCE))
        if "method" in said:
            self._events.append(said)
            if said["method"] == "Log.entryAdded":
                entry = said["params"]["entry"]
                if entry["level"] == "error":
                    self.problems.append(f"{entry['text']} {entry.get('url', '')}")
            elif said["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(said["params"]))
        return said


def _texts(node: dict[str, Any]) -> Iterator[str]:
    if node["nodeName"] == "#text":
        yield node["nodeValue"]
    for each in node.get("children", ()):
        yield from _texts(each)


@contextlib.contextmanager
def chromium(*, scripts: bool = True) -> Iterator[Tab]:
    """A browser of its own with one tab; ``scripts``: whether JavaScript is on."""
    program = require("chromium")
    with tempfile.TemporaryDirectory(prefix="chromium.", ignore_cleanup_errors=True) as folder:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        flags += ["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"]
        process = subprocess.Popen(
            [program, *flags, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": folder},  # what it leaves there goes with the folder
        )
        try:
            file = Path(folder, "DevToolsActivePort")
            told = eventually(lambda: file.read_text().split() if file.exists() else [], "Chromium")
            with connect(f"ws://127.0.0.1:{told[0]}{told[1]}", max_size=None) as browser:
                tab = _new_tab(browser)
            with connect(f"ws://127.0.0.1:{told[0]}/devtools/page/{tab}", max_size=None) as socket:
                made = Tab(socket)
                made.call("Emulation.setScriptExecutionDisabled", value=not scripts)
                yield made
        finally:
            process.terminate()
            process.wait()


def _new_tab(browser: ClientConnection) -> str:
    order = {"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}
    browser.send(json.dumps(order))
    while (said := json.loads(browser.recv(timeout=PATIENCE))).get("id") != 1:
        pass
    target: str = said["result"]["targetId"]
    return target
