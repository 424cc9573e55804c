"""The habits of the house, held where a reader would otherwise have to look."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "condensery"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Lines of code, signature and docstring aside: here a function has become two.
LONGEST_FUNCTION = 40
# In two parts each, so that this file does not hold what it forbids.
OF_ONE_MACHINE = ["/wo" + "rk/", "/ro" + "ot/", "/far" + "m/", ".lib" + "rary/", "/ho" + "me/"]
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tracked() -> list[Path]:
    """Text files that git keeps, or a skip where there is no git (an unpacked release)."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout: lists the tracked files")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


def documents() -> list[Path]:
    """The pages that people read."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def place(path: Path, node: ast.AST | None = None) -> str:
    """Where something stands, as an editor understands it."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def public(body: list[ast.stmt]) -> Iterator[ast.ClassDef | Function]:
    """Public functions and classes of a body, and the public methods of those classes."""
    for node in body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from public(node.body)


def overloads(node: ast.ClassDef | Function) -> bool:
    """Whether it only declares a type or sets what a property gets: documented elsewhere."""
    named = {ast.unparse(one).rsplit(".", 1)[-1] for one in node.decorator_list}
    return bool(named & {"overload", "setter"})


def code_lines(node: Function) -> int:
    """Lines of a function's code, from the first statement after its docstring to its end."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_every_module_says_what_it_is_for() -> None:
    silent = [place(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent, f"modules without a docstring: {silent}"


def test_every_public_class_and_function_has_a_docstring() -> None:
    silent = [
        f"{place(path, node)} {node.name}"
        for path in SOURCES
        for node in public(ast.parse(path.read_text()).body)
        if not ast.get_docstring(node) and not overloads(node)
    ]
    assert not silent, "without a docstring:\n" + "\n".join(silent)


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{place(path, node)} {node.name}: {code_lines(node)} lines"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, Function) and code_lines(node) > LONGEST_FUNCTION
    ]
    assert not long, f"longer than {LONGEST_FUNCTION} lines:\n" + "\n".join(long)


def test_nothing_in_the_package_is_unfinished() -> None:
    left = [
        f"{place(path)[:-2]}:{number} {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if UNFINISHED.search(line)
    ]
    assert not left, "\n".join(left)


def test_no_tracked_file_names_a_place_on_one_machine() -> None:
    found = [
        f"{place(path)[:-2]}:{number} {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if any(word in line for word in OF_ONE_MACHINE)
    ]
    assert not found, "\n".join(found)


def test_no_tracked_file_is_large() -> None:
    large = [place(path) for path in tracked() if path.stat().st_size > 2**20]
    assert not large, f"over 1 MiB: {large}"


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    named = {
        (page.name, target)
        for page in documents()
        for line in re.findall(r"`make ([a-z -]+)`|^make ([a-z -]+)", page.read_text(), flags=re.M)
        for target in " ".join(line).split()
    }
    assert {"demo", "test"} <= {target for _, target in named}, "the two commands are named nowhere"
    assert not {(page, target) for page, target in named if target not in targets}


def test_every_link_to_a_file_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in documents()
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in link and not link.startswith("mailto:")
        if not (page.parent / link).exists()
    ]
    assert not broken, "\n".join(broken)


def test_every_command_that_a_page_shows_is_one_of_the_command_line() -> None:
    told = run_python("import sys; from condensery.cli import main; sys.exit(main(['--help']))")
    shown = {
        (page.name, verb)
        for page in documents()
        for verb in re.findall(r"^\s*\$? ?condensery ([a-z]+)\b", page.read_text(), flags=re.M)
    }
    unknown = {(page, verb) for page, verb in shown if not re.search(rf"\b{verb}\b", told)}
    assert shown and not unknown


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {_name(line) for line in project["dependencies"]}
    extras = {_name(line) for lines in project["optional-dependencies"].values() for line in lines}
    imported = {name for path in SOURCES for name in _third_party(path)}
    assert not imported - needed - extras, "imported, not declared"
    # What other dependencies read for us, and therefore never an `import` of ours.
    through_others = {"pyarrow", "huggingface_hub"}
    assert not needed - imported - through_others, "declared, not imported"


def _name(requirement: str) -> str:
    """The import name of a requirement."""
    name = re.split(r"[\[<>=~! ]", requirement, maxsplit=1)[0].lower()
    return {"scikit-learn": "sklearn", "pillow": "PIL"}.get(name, name.replace("-", "_"))


def _third_party(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top != "condensery":
                yield top


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_report_can_be_imported_without_torch() -> None:
    code = "import condensery.report, sys; print('torch' in sys.modules)"
    assert run_python(code) == "False"


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ["torch", "timm", "transformers", "datasets", "sklearn", "matplotlib", "jsonargparse"]
    code = f"import condensery, sys; print([name for name in {heavy} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_every_public_name_is_there() -> None:
    code = "import condensery as c; print([n for n in c.__all__ if not callable(getattr(c, n))])"
    assert run_python(code) == "[]"


@pytest.mark.parametrize("verb", ["evaluate", "report"])
def test_a_verb_stays_a_function_when_the_room_of_its_name_was_imported_first(verb: str) -> None:
    code = (
        f"import condensery.{verb}, condensery; from condensery import {verb}; "
        f"print(type(condensery.{verb}).__name__, type({verb}).__name__)"
    )
    assert run_python(code) == "function function"


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    import condensery

    with pytest.raises(AttributeError, match="no_such_name"):
        condensery.no_such_name  # noqa: B018
