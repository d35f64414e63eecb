"""`python -m tests.hostile.browser`: what a headless Chromium does with stored pages: nothing of them runs.

Each page calls a beacon when its script runs. The control is the same page, served by a plain server: it must call.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.hostile.serving import gateway

_SCRIPT = "new Image().src='{beacon}/{what}'"
_HTML = "<!doctype html><script>" + _SCRIPT + '</script><img src=x onerror="' + _SCRIPT + '">'
_SVG = "<svg xmlns='http://www.w3.org/2000/svg'><script>" + _SCRIPT.replace("&", "&amp;") + "</script></svg>"
_MILLISECONDS = 3000
_SECONDS = 20  # for one page, beginning and end of the browser included


class _Beacon(http.server.BaseHTTPRequestHandler):
    """Notes what is asked for; serves the pages that are its own."""

    called: set[str] = set()  # noqa: RUF012 - one server in one process
    pages: dict[str, str] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        self.called.add(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write((page or "").encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def store(host: str, name: str, media_type: str, text: str) -> str:
    """Upload it as a file; its path."""
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("PUT", f"/v1/files/default/{name}", text.encode(), {"Content-Type": media_type})
    assert connection.getresponse().status == 201
    return f"/v1/files/default/{name}"


def visit(browser: str, profile: Path, url: str) -> None:
    """Open a page, and wait until its scripts have had their time."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
    command = [browser, *options, f"--virtual-time-budget={_MILLISECONDS}", url]
    with contextlib.suppress(subprocess.TimeoutExpired):  # of a download there is no page that would end
        subprocess.run(command, check=False, timeout=_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> int:
    """Exit status 1 if something ran, or if the control did not."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        print("NOT RUN: stored pages need a headless Chromium (Debian: chromium)")
        return 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Beacon)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    beacon = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory() as directory, gateway(Path(directory)) as (url, _):
        host = url.removeprefix("http://")
        stored = {
            "html": store(host, "a.html", "text/html", _HTML.format(beacon=beacon, what="html")),
            "svg": store(host, "a.svg", "image/svg+xml", _SVG.format(beacon=beacon, what="svg")),
            "xhtml": store(host, "a.xhtml", "application/xhtml+xml", _SVG.format(beacon=beacon, what="xhtml")),
            "untyped": store(host, "a", "application/octet-stream", _HTML.format(beacon=beacon, what="untyped")),
            "script": store(host, "a.js", "text/javascript", _SCRIPT.format(beacon=beacon, what="script")),
        }
        _Beacon.pages["/control-page"] = _HTML.format(beacon=beacon, what="control")
        _Beacon.pages["/frames"] = (
            "".join(
                f"<iframe src='{url}{path}'></iframe><object data='{url}{path}'></object><embed src='{url}{path}'>"
                f"<script src='{url}{path}'></script>"
                for path in stored.values()
            )
            + f"<script>{_SCRIPT.format(beacon=beacon, what='frames-control')}</script>"
        )
        pages = [f"{beacon}/control-page", f"{beacon}/frames", *(url + path for path in stored.values())]
        for number, page in enumerate(pages):
            visit(browser, Path(directory) / f"profile-{number}", page)
    server.shutdown()
    ran = {f"/{what}" for what in stored} & _Beacon.called
    controls = {"/control", "/frames-control"} <= _Beacon.called
    print(f"visited {len(pages)} pages; the controls ran: {controls}; stored content that ran: {sorted(ran) or 'none'}")
    return 0 if controls and not ran else 1


if __name__ == "__main__":
    sys.exit(main())
