"""The page in a real browser: no errors, no sideways scrolling, narrow and wide, light and dark."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from cases import images, sounds, texts
from condensery.report import report
from condensery.report.arms import largest_gradients
from condensery.report.gather import read_run
from report.runs import demo_records, evaluated, made_run, record, run_directory, write

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The page tells what a reader would see: how wide it is, which pictures are broken, how small its
# letters are (of a figure: as drawn on this screen), how little they stand out from what is behind
# them. It stands in a frame, since a browser's own window does not get as narrow as a telephone.
PROBE = """<script>
const light = colour => {
  const [red, green, blue] = colour.match(/[0-9.]+/g).slice(0, 3).map(one => one / 255)
    .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const behind = element => {
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0[)]|transparent/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const contrast = element => {
  const ink = light(getComputedStyle(element).color), paper = light(behind(element));
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
};
addEventListener("load", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const written = [...document.body.querySelectorAll("*")].filter(one => !one.closest("svg, script")
    && [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()));
  const size = element => parseFloat(getComputedStyle(element).fontSize);
  const drawn = [...document.querySelectorAll("svg")].map(one => {
    const texts = [...one.querySelectorAll("text")].map(size);
    return Math.min(...texts) * one.getBoundingClientRect().width / one.viewBox.baseVal.width;
  });
  parent.postMessage({
    content: document.documentElement.scrollWidth,
    window: innerWidth,
    broken: [...document.images].filter(one => !one.complete || !one.naturalWidth).length,
    letters: Math.min(...written.map(size)),
    figures: drawn.length,
    labels: Math.min(...drawn),
    crowded: [...document.querySelectorAll("th, td, li, figcaption, .claim")]
      .filter(one => one.scrollWidth > one.clientWidth + 1).length,
    contrast: Math.min(...written.map(contrast)),
    faint: written.reduce((a, b) => contrast(a) < contrast(b) ? a : b).outerHTML.slice(0, 80)
      .replace(/"/g, "'"),
    dead: [...document.querySelectorAll("nav a")]
      .filter(one => !document.querySelector(one.getAttribute("href"))).length,
  }, "*");
});
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


@pytest.fixture(scope="session")
def pages() -> dict[str, Path]:
    """Drawn so far: a fixture with parameters is torn down between two tests that differ in them,
    and a page takes up to a minute."""
    return {}


@pytest.fixture(scope="module", params=["one run", "everything"])
def page(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    pages: dict[str, Path],
) -> Path:
    if request.param not in pages:
        base = tmp_path_factory.mktemp("browser")
        html = one_run(base) if request.param == "one run" else everything(base)
        told = html.read_text(encoding="utf-8").replace("</body>", PROBE)
        html.write_text(told, encoding="utf-8")
        pages[request.param] = html
    return pages[request.param]


def one_run(base: Path) -> Path:
    """A page of one set of images, with names that are hard on a page."""
    networks = {"convnet3": True, "vit_mini": True, "a_network_of_a_rather_long_name": False}
    rows = {"random": 0.5, "random packed": 0.55, "mean": 0.6, "start": 0.58, "hmdc": 0.66}
    names = ("<b>zero</b>", "averyverylongnameofaclasswithoutanyspace" * 2, "two")
    run = run_directory(base / "run", names=names)
    told = {"classes": 3, "class_accuracy": [0.9, 0.6, 0.3], "curve": [[50, 0.4], [100, 0.6]],
            "confusion": [[9, 1, 0], [2, 6, 2], [3, 4, 3]]}  # fmt: skip
    records = [record(**vars(one) | told) for one in demo_records(0, networks, rows)]
    return report(evaluated(run, records), base / "out")


def everything(base: Path) -> Path:
    """A page with all that a report knows: methods, sizes, recipes and labels, scores, cost,
    embeddings, nearest samples of images, sounds and texts, published numbers, Figure 5."""
    runs = [arm(base / data / f"{method}-ipc{size}" / str(seed), method, data, size, seed)
            for data, method, size, seed in [
                *(("cifar10", method, size, seed) for method in ("hmdc", "idc")
                  for size in (1, 10) for seed in (0, 1)),
                ("digits", "hmdc", 1, 0)]]  # fmt: skip
    made = [made_run(base / problem.name, problem, factor)
            for problem, factor in ((images(3), 2), (sounds((4, 4, 4)), 1), (texts(), 1))]
    write(runs[0] / "costs.json", COSTS)
    write(runs[0] / "embeddings.json", {"network": "convnet3", "updates": 300, "points": [
        {"kind": kind, "label": label, "pca": [label + 0.1 * place, place], "tsne": [place, label]}
        for kind, count in (("real", 20), ("start", 1), ("synthetic", 1)) for label in range(10)
        for place in range(count)]})  # fmt: skip
    pair = [read_run(one, one.name) for one in (runs[0], runs[1])]
    drawn = largest_gradients({"without": pair[0], "with": pair[1]}, 20)
    assert drawn
    return report([*runs, *made], base / "out", drawn)


COSTS = {
    "target": 0.595, "network": "convnet3", "whole": False, "against": "k-means, 5 per class",
    "break_even": "after 30 trainings", "set": {"made": 60.0, "trained": 2.0},
    "rungs": [{"row": "k-means, 5 per class", "made": 1.0, "trained": 4.0}],
}  # fmt: skip
NETWORKS = {"convnet3": True, "vit_mini": True, "resnet18 pretrained": False,
            "a_network_of_a_rather_long_name": False}  # fmt: skip
SOFT = "static of resnet18 pretrained, temperature 4"


def arm(path: Path, method: str, data: str, size: int, seed: int) -> Path:
    """A run of a study with its records: several recipes and kinds of labels at the first size."""
    run = run_directory(path, seed, steps=100)
    config = json.loads((run / "config.json").read_text())
    told = {"method": method, "data": data, "per_class": size}
    write(run / "config.json", config | {"settings": config["settings"] | told})
    write(run / "study.json", {"arm": method, "note": "as its authors ran it"})
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    told = "".join(json.dumps(one | ({"balanced": one["terms"]} if "largest" in one else {}))
                   + "\n" for one in events)  # fmt: skip
    (run / "events.jsonl").write_text(told)
    rows = {"random": 0.4, "random packed": 0.45, "start": 0.47, method: 0.5 + 0.01 * size}
    hows = [("hmdc", "hard", {}), ("quick", "hard", {"full": 0.85}), ("quick-plain", "hard", {}),
            ("quick", SOFT, {})]  # fmt: skip
    for recipe, labels, more in hows if data == "cifar10" and size == 1 else hows[:1]:
        whole = {"random, all bytes": 0.43} if labels == SOFT else {}
        for one in demo_records(seed, NETWORKS, rows | more | whole):
            values = {"data": data, "per_class": float(size), "recipe": recipe, "labels": labels,
                      "samples": one.samples * size, "family": family(one.model)}  # fmt: skip
            values |= {"labels": "hard"} if one.row in whole else {}
            evaluated(run, [record(**vars(one) | values)])
    return run


def family(model: str) -> str:
    return "vit" if "vit" in model else "cnn"


def browse(chromium: str, page: Path, *options: str) -> subprocess.CompletedProcess:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               "--no-first-run", "--disable-background-networking", "--disable-component-update",
               "--disable-sync",
               f"--user-data-dir={page.parent / 'profile'}", "--enable-logging=stderr",
               "--virtual-time-budget=3000", *options, page.as_uri()]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module", params=["400 light", "400 dark", "1400 light", "1400 dark"])
def told(request: pytest.FixtureRequest, chromium: str, page: Path) -> dict[str, str]:
    """What the page tells of itself at a width and in a scheme, with everything unfolded."""
    width, scheme = request.param.split()
    frame = page.with_name(f"frame-{width}.html")
    frame.write_text(FRAME.format(width=width), encoding="utf-8")
    done = browse(chromium, frame, "--dump-dom", "--window-size=1600,3000",
                  f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")  # fmt: skip
    found = dict(re.findall(r'data-(\w+)="([^"]+)"', done.stdout))
    assert found, done.stderr[-2000:]
    assert found["window"] == width
    return found | {"console": "\n".join(re.findall(r".*CONSOLE.*", done.stderr))}


def test_nothing_breaks_and_nothing_scrolls_sideways(told: dict[str, str]) -> None:
    assert int(told["content"]) <= int(told["window"])
    assert told["broken"] == "0"
    assert told["crowded"] == "0", "a text reaches over the edge of its cell"
    assert told["dead"] == "0", "an entry of the contents leads nowhere"
    assert not told["console"]


def test_letters_can_be_read(told: dict[str, str]) -> None:
    assert float(told["letters"]) >= 14
    assert int(told["figures"]) >= 8 and float(told["labels"]) >= 10
    assert float(told["contrast"]) >= 4.5, told["faint"]


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
