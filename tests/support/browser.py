"""A headless Chromium spoken to through a pipe: what a page shows, logs and asks for. No further package."""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WHY_SKIPPED = "needs a browser: apt-get install chromium"
PATIENCE = 300
"""Seconds to wait for one answer; a busy machine starts a browser slowly."""


@dataclass
class Seen:
    """A page that was opened.

    Args:
        errors: Errors and warnings of its console.
        requests: Addresses it asked for, itself left out.
    """

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


class Browser:
    """One browser process; pages are opened one after another."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = os.pipe(), os.pipe()
        # The browser reads from file 3 and writes to file 4, whatever the numbers are here.
        reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (ours[0], theirs[1]))
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]
        options += ["--disable-background-networking", "--disable-component-update", "--disable-extensions"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{reading} 4>&{writing}', str(CHROMIUM), *options]
        self.process = subprocess.Popen(command, pass_fds=(reading, writing), stderr=subprocess.DEVNULL)
        for end in (ours[0], theirs[1], reading, writing):
            os.close(end)
        self.write, self.read = ours[1], theirs[0]
        self.numbers, self.buffer, self.events = itertools.count(1), b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            os.close(self.write)
        self.process.terminate()
        self.process.wait(PATIENCE)
        os.close(self.read)

    def call(self, method: str, **params):
        """The result of a method of the DevTools protocol."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda found: found.get("id") == number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _until(self, wanted) -> dict:
        end = time.monotonic() + PATIENCE
        while True:
            while b"\0" in self.buffer:
                line, _, self.buffer = self.buffer.partition(b"\0")
                found = json.loads(line)
                if "method" in found:
                    self.events.append(found)
                if wanted(found):
                    return found
            ready, _, _ = select.select([self.read], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self.read, 2**20)
            assert part, "the browser has ended"
            self.buffer += part

    def open(self, page: Path, width: int, *, dark: bool = False, media: str = "screen") -> Seen:
        """Open a file in a window of some width, and wait until it is loaded."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        address = page.resolve().as_uri()
        self.events.clear()
        self.call("Page.navigate", url=address)
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._until(lambda found: found.get("method") == "Page.loadEventFired")
        seen = Seen()
        for event in self.events:
            params = event["params"]
            if event["method"] == "Network.requestWillBeSent":
                seen.requests.append(params["request"]["url"])
            elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                seen.errors.append(json.dumps(params))
            elif event["method"] == "Log.entryAdded":
                seen.errors.append(params["entry"]["text"])
        seen.requests = [url for url in seen.requests if url != address and not url.startswith("data:")]
        return seen

    def ask(self, script: str):
        """The value of an expression on the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, out: Path) -> Path:
        """Write the whole page as PNG."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        out.write_bytes(base64.b64decode(found["data"]))
        return out

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])
