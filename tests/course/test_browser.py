"""`make lab` as a reader meets it: the first page opens, and nothing is asked outside."""

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from minimodels import files
from minimodels.classroom.normalize import read, source

ROOT = files.repository()
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")


def lab_command(port: int, token: str) -> list[str]:
    """The command of `make lab`, taken from make itself, with this Python."""
    more = f"--no-browser --port {port} --ServerApp.port_retries=0 --IdentityProvider.token={token}"
    make = ["make", "-n", "-o", ".venv/.lab", "lab", f"ARGS={more}"]
    line = subprocess.run(make, cwd=ROOT, capture_output=True, text=True).stdout
    words = shlex.split(line.replace("\\\n", " "))
    return [sys.executable, *words[words.index("-m") :]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def lab(tmp_path):
    """JupyterLab as `make lab` starts it, with a home of its own."""
    port, token = free_port(), secrets.token_hex(8)
    home = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "RUNTIME")}
    environment = {**os.environ, **home, "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
                   "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings")}  # fmt: skip
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(lab_command(port, token), cwd=ROOT, env=environment, stdout=log,
                                  stderr=log, start_new_session=True)  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/api/status?token={token}", server, tmp_path / "log")
        yield f"{url}/?token={token}"
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(20)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_the_first_page_opens_and_asks_nobody_outside(lab, tmp_path):
    from playwright.sync_api import sync_playwright

    first = read(ROOT / "course" / "00_start" / "01_one_fact_nine_stages.ipynb")["cells"][0]
    title = source(first).splitlines()[0].lstrip("# ").strip()
    asked = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.goto(lab)
        heading = page.locator(".jp-Notebook h1").first
        heading.wait_for(timeout=90_000)
        shown = heading.inner_text().rstrip("¶").strip()
        page.wait_for_timeout(2000)
        dialogs = page.locator(".jp-Dialog").count() + page.locator(".Toastify__toast").count()
        browser.close()
    assert shown == title
    assert dialogs == 0, "a dialog covers the page"
    outside = [url for url in asked if not url.startswith(("http://127.0.0.1", "data:", "blob:"))]
    assert not outside, outside
