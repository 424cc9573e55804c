"""What is built is what is installed: the wheel, and the wheel in an empty environment."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; a failure shows all of it. Nothing of this environment leaks in."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a leftover ``build/`` would smuggle removed modules into it."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", copy / "src", ignore=leftovers)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", copy / "dist", copy, cwd=copy)
    return next((copy / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The scripts folder of an environment that held nothing before this wheel."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=True)
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    run(
        scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", ROOT / "constraints.txt", wheel, cwd=place,
    )  # fmt: skip
    yield scripts
    shutil.rmtree(place, ignore_errors=True)


def test_every_tested_version_runs_on_the_oldest_python_that_is_promised() -> None:
    """Of those that are installed here. One that wants 3.11.5 kept Debian 12 from `make docs`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = re.fullmatch(r">=(3\.\d+)", project["requires-python"])
    assert oldest is not None
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    pinned = dict(line.split("==") for line in lines)
    wanted = {}
    for name, version in pinned.items():
        with contextlib.suppress(PackageNotFoundError):
            found = distribution(name)
            if found.version == version:
                wanted[name] = SpecifierSet(found.metadata["Requires-Python"] or "")
    assert len(wanted) > 40
    assert not [name for name, asked in wanted.items() if f"{oldest[1]}.0" not in asked]


def test_every_dependency_and_extra_has_a_tested_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    tested = {
        line.split("==")[0].strip().lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    wanted = {line.split(">=")[0].lower().replace("_", "-") for line in lines}
    assert not {name for name in wanted if not name.startswith("condensery")} - tested


@pytest.mark.slow
def test_the_wheel_holds_every_module_the_type_marker_and_the_report_templates(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src"
    modules = {path.relative_to(package).as_posix() for path in package.rglob("condensery/**/*.py")}
    templates = {
        path.relative_to(package).as_posix()
        for path in (package / "condensery" / "report" / "templates").glob("*")
    }
    assert templates
    assert modules | templates | {"condensery/py.typed"} <= held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert not [name for name in held if name.startswith(("tests/", "benchmarks/"))]


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(empty_environment: Path, tmp_path: Path) -> None:
    command = empty_environment / "condensery"
    assert "condense" in run(command, "--help", cwd=tmp_path)
    assert "convnet3" in run(command, "list", "models", cwd=tmp_path)
    out = tmp_path / "chosen"
    run(command, "condense", "digits", "--method", "random", "--per-class", "1", "--out", out,
        cwd=tmp_path)  # fmt: skip
    assert (out / "synthetic" / "synthetic.safetensors").is_file()


@pytest.mark.slow
def test_an_installed_package_is_typed_for_its_users(
    empty_environment: Path, tmp_path: Path
) -> None:
    code = "import condensery, pathlib; print(pathlib.Path(condensery.__file__).parent)"
    place = Path(run(empty_environment / "python", "-c", code, cwd=tmp_path).strip())
    assert (place / "py.typed").is_file()
    assert ROOT not in place.parents
