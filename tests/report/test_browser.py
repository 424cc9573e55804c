"""The page in a real browser: no errors, no sideways scrolling, narrow and wide, light and dark."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from condensery.report import report
from report.runs import demo_records, evaluated, run_directory

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The page tells how wide it is, and whether a picture is broken; it stands in a frame, since a
# browser's own window does not get as narrow as a telephone.
PROBE = """<script>
addEventListener("load", () => parent.postMessage({
  content: document.documentElement.scrollWidth,
  window: innerWidth,
  broken: [...document.images].filter(one => !one.naturalWidth).length,
}, "*"));
</script></body>"""
FRAME = """<!DOCTYPE html><link rel="icon" href="data:,"><script>
addEventListener("message", event => Object.assign(document.documentElement.dataset, event.data));
</script><iframe src="report.html" style="border:0;width:{width}px;height:3000px"></iframe>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("browser")
    networks = {"convnet3": True, "vit_mini": True, "a_network_of_a_rather_long_name": False}
    rows = {"random": 0.5, "random packed": 0.55, "mean": 0.6, "start": 0.58, "hmdc": 0.66}
    names = ("<b>zero</b>", "averyverylongnameofaclasswithoutanyspace" * 2, "two")
    run = run_directory(base / "run", names=names)
    html = report(evaluated(run, demo_records(0, networks, rows)), base / "out")
    html.write_text(html.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    return html


def browse(chromium: str, page: Path, *options: str) -> subprocess.CompletedProcess:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               f"--user-data-dir={page.parent / 'profile'}", "--enable-logging=stderr",
               "--virtual-time-budget=3000", *options, page.as_uri()]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_breaks_and_nothing_scrolls_sideways(chromium: str, page: Path, width: int) -> None:
    frame = page.with_name(f"frame-{width}.html")
    frame.write_text(FRAME.format(width=width), encoding="utf-8")
    done = browse(chromium, frame, "--dump-dom", "--window-size=1600,3000")
    told = dict(re.findall(r'data-(\w+)="(\d+)"', done.stdout))
    assert told, done.stderr[-2000:]
    assert int(told["window"]) == width
    assert int(told["content"]) <= width
    assert told["broken"] == "0"
    assert "CONSOLE" not in done.stderr


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_is_light_or_dark_as_its_reader_prefers(
    chromium: str, page: Path, width: int, tmp_path: Path
) -> None:
    papers = {}
    for scheme, number in (("dark", 0), ("light", 1)):
        shot = tmp_path / f"{scheme}.png"
        browse(chromium, page, f"--window-size={width},3000", f"--screenshot={shot}",
               f"--blink-settings=preferredColorScheme={number}")  # fmt: skip
        with Image.open(shot) as opened:
            picture = opened.convert("RGB")
        papers[scheme] = picture.getpixel((2, 2))
        assert len(picture.getcolors(1 << 24) or []) > 50  # figures and pictures are there
    assert papers == {"dark": (0x14, 0x17, 0x1A), "light": (255, 255, 255)}
