"""A headless Chromium, driven over a pipe by its DevTools protocol: what a page does, says and asks for."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
         "--disable-background-networking", "--hide-scrollbars", "--force-color-profile=srgb")  # fmt: skip
PATIENCE = 60.0  # seconds


@dataclass
class Browser:
    """One page. `said`: what it wrote to its console as errors, and what it threw; `asked`: every address it wanted."""

    process: subprocess.Popen[bytes]
    down: int
    up: int
    session: str = ""
    number: int = 0
    rest: bytes = b""
    said: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])
    loads: int = 0

    def call(self, method: str, **params: Any) -> Mapping[str, Any]:
        self.number += 1
        asked = {"id": self.number, "method": method, "params": params}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.down, json.dumps(asked).encode() + b"\0")
        while True:
            found = self.hear()
            if found.get("id") == self.number:
                assert "error" not in found, found
                return found["result"]

    def hear(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            assert time.monotonic() < until, "Chromium says nothing"
            self.rest += os.read(self.up, 1 << 20)
        text, _, self.rest = self.rest.partition(b"\0")
        found = json.loads(text)
        params = found.get("params", {})
        if found.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"])[:600])
        if found.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.said.append(json.dumps(params["args"])[:600])
        if found.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.said.append(params["entry"]["text"])
        if found.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        if found.get("method") == "Page.loadEventFired":
            self.loads += 1
        return found

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False, hash: str = "") -> float:
        """Load a page; returns the seconds until it had drawn."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        theme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        began, before = time.monotonic(), self.loads
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=page.resolve().as_uri() + hash)
        self.wait("document.readyState === 'complete' && document.getElementById('foot')?.children.length > 0")
        assert self.loads >= before
        return time.monotonic() - began

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        until = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < until, f"never true: {script}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Two frames, in which what was changed is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def picture(self, path: Path, *, whole: bool = False) -> None:
        if whole:
            width = self.run("innerWidth")
            for _ in range(2):  # what comes into view is drawn, and may be taller
                height = self.run("document.documentElement.scrollHeight")
                self.call(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
                )
                time.sleep(0.7)
        self.settle()
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser for as long as the block lasts; it can reach no network but what a page asks for."""
    assert CHROMIUM

    def pipe() -> tuple[int, int]:
        return tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in os.pipe())  # type: ignore[return-value]

    theirs_in, down = pipe()
    up, theirs_out = pipe()

    def place() -> None:
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)

    start: Callable[..., Any] = subprocess.Popen
    process = start([CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"], preexec_fn=place, pass_fds=(3, 4),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    one = Browser(process, down, up)
    try:
        targets = one.call("Target.getTargets")["targetInfos"]
        target = next(target["targetId"] for target in targets if target["type"] == "page")
        one.session = one.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            one.call(f"{domain}.enable")
        yield one
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        os.close(down)
        os.close(up)
