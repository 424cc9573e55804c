"""The command line: what it does, what it prints, and one line for everything that cannot be."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image

from condensery.artefact import load
from condensery.cli import VERBS, main
from condensery.cli.condense import arguments_of, page_for
from condensery.cli.evaluate import options as evaluate_options
from condensery.cli.options import Option, columns, parse, wanted
from condensery.cli.settings import attributes, meanings, options_of
from condensery.data import DATA
from condensery.errors import UsageError
from condensery.evaluate import RECIPES
from condensery.methods import METHODS
from condensery.models import MODELS, PeerSpec
from condensery.presets import PRESETS

ROOT = Path(__file__).resolve().parents[1]
SMOKE = ("condense", "digits", "--preset", "smoke", "--quiet")
QUICK = ("--models", "mlp", "--recipe", "quick", "--updates", "3", "--seeds", "0")


class Told(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Told]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Told:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Told(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that was evaluated once."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert main([*SMOKE, "--out", str(out)]) == 0
    assert main(["evaluate", str(out), *QUICK]) == 0
    return out


def refused(told: Told, *parts: str, code: int = 2) -> None:
    """One line that says it, with the right exit code, and no trace."""
    assert told.code == code, told
    assert told.err.count("\n") == 1 and told.err.startswith("condensery: "), told.err
    assert "Traceback" not in told.err + told.out
    for part in parts:
        assert part in told.err, f"{part!r} is not in {told.err!r}"


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fields_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "config.json").read_text())["settings"]["fields"]


def pictures(folder: Path, counts: dict[str, int], size: tuple[int, int] = (12, 8)) -> Path:
    generator = np.random.default_rng(0)
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 100, (size[1], size[0], 3), dtype=np.uint8)
            pixels[..., number % 3] += 120
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


# What every command has in common


def test_help_names_every_verb_and_shows_an_example(cli: Cli) -> None:
    for words in ([], ["--help"], ["-h"]):
        told = cli(*words)
        assert told.code == 0 and told.err == ""
        assert all(verb in told.out for verb in VERBS) and "condensery condense digits" in told.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_page_with_an_example(cli: Cli, verb: str) -> None:
    told = cli(verb, "--help")
    assert told.code == 0 and told.err == ""
    assert told.out.startswith(f"usage: condensery {verb}") and "examples:" in told.out


def test_the_version_is_printed(cli: Cli) -> None:
    from condensery import __version__

    assert cli("--version").out == f"condensery {__version__}\n"


def test_a_fresh_process_helps_at_once_and_gives_exit_codes(tmp_path: Path) -> None:
    def process(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "condensery", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)

    used = time.perf_counter()
    told = process("--help")
    assert told.returncode == 0 and "usage: condensery VERB" in told.stdout
    assert time.perf_counter() - used < 5  # without torch; a fraction of a second where it is calm
    wrong = process("condens")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    assert "did you mean condense?" in wrong.stderr


def test_help_and_reports_are_read_without_torch() -> None:
    code = (
        "import sys; from condensery.cli import main\n"
        "main(['--help']), main(['report', '--help']), main(['list', '--help'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_the_installed_command_is_this_function() -> None:
    import tomllib

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"condensery": "condensery.cli:main"}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("condens", "digits"), ("'condens'", "did you mean condense?")),
        (("condense",), ("wants DATA", "condensery condense digits")),
        (("condense", "a", "b"), ("one DATA", "a, b")),
        (("condense", "digit"), ("did you mean digits?",)),
        (("condense", "digits", "--method", "hmcd"), ("did you mean hmdc?", "known: hmdc")),
        (("condense", "digits", "--preset", "smal"), ("did you mean small?", "known: demo")),
        (("condense", "digits", "--preset", "table4"), ("no settings for hmdc", "dream")),
        (("condense", "digits", "--per_class", "1"), ("did you mean --per-class",)),
        (("condense", "digits", "--method.lrr", "1"), ("did you mean --method.lr",)),
        (("condense", "digits", "--method", "dm", "--method.align", "true"), ("--method.align",)),
        (("condense", "digits", "--method.lr", "fast"), ("--method.lr", "a number", "'fast'")),
        (("condense", "digits", "--method.fold", "x"), ("average, distribute",)),
        (("condense", "digits", "--method.real_batch", "1.5"), ("a whole number",)),
        (("condense", "digits", "--method.align", "perhaps"), ("true or false",)),
        (("condense", "digits", "--method.peers", '[{"nam": "mlp"}]'), ("did you mean name?",)),
        (("condense", "digits", "--method.peers", '[{"name": "mlp", "lr": "x"}]'), ("lr cannot",)),
        (("condense", "digits", "--method.peers", "mlp,convnt3"), ("did you mean convnet3",)),
        (("condense", "digits", "--method.peers", '["mlp", {]'), ("a JSON list such as",)),
        (("condense", "digits", "--method.peers", '["mlp", 3]'), ("names a,b or a JSON list",)),
        (("condense", "digits", "--per-class", "0"), ("--per-class", "from 1; got 0")),
        (("condense", "digits", "--per-class", "-1"), ("--per-class", "from 1; got -1")),
        (("condense", "digits", "--per-class", "many"), ("--per-class wants a whole number",)),
        (("condense", "digits", "--per-class"), ("--per-class wants a whole number",)),
        (("condense", "digits", "--steps", "-1"), ("--steps", "from 0; got -1")),
        (("condense", "digits", "--minutes", "0"), ("--minutes must be positive",)),
        (("condense", "digits", "--minutes", "1", "--steps", "1"), ("not both",)),
        (("condense", "digits", "--quiet=1"), ("write --quiet alone",)),
        (("condense", "digits", "--device", "tpu9"), ("no device 'tpu9'", "cpu")),
        (("condense", "digits", "--threads", "0"), ("--threads", "from 1; got 0")),
        (("condense", "digits", "--size", "0"), ("size", "from 1; got 0")),
        (("condense", "digits", "--validation", "2"), ("between 0 and 1",)),
        (("condense", "digits", "--init", "nois"), ("did you mean noise?", "run directory")),
        (("condense", "digits", "--init", "noise", "--method", "kmeans"), ("leave --init away",)),
        (("condense", "nowhere/x.npz"), ("no file or folder nowhere/x.npz",)),
        (("condense", "./nowhere"), ("no file or folder ./nowhere",)),
        (("evaluate",), ("wants a run directory", "condensery evaluate runs/")),
        (("evaluate", "runs/none"), ("there is no runs/none", "condensery condense")),
        (("report",), ("wants a run directory",)),
        (("report", "."), ("no run directory", "condensery condense")),
        (("list",), ("methods, models, data, presets, recipes",)),
        (("list", "model"), ("did you mean models?",)),
        (("show",), ("condensery show demo",)),
        (("show", "smal"), ("did you mean small?",)),
    ],
    ids=lambda part: " ".join(part)[:60],
)
def test_wrong_usage_is_one_line_that_says_what_to_write(
    cli: Cli, tmp_path: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    refused(cli(*words), *parts)
    assert not list(tmp_path.iterdir()), "something was written"


def test_a_folder_that_cannot_be_fetched_is_a_failure_in_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    refused(cli("condense", "nobody/nothing"), "nobody/nothing", "--data-dir", code=1)


def test_any_other_failure_is_one_line_and_debug_shows_the_trace(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault\nof two lines")

    monkeypatch.setattr("condensery.api.condense", broken)
    refused(cli("condense", "digits"), "ZeroDivisionError: a fault of two lines", code=1)
    told = cli("condense", "digits", "--debug")
    assert told.code == 1 and "Traceback" in told.err and "in broken" in told.err


def test_ctrl_c_says_that_the_same_command_goes_on(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("condensery.api.condense", stopped)
    refused(cli("condense", "digits"), "the same command goes on", code=130)


# Reading flags


def test_flags_words_and_values_are_told_apart() -> None:
    options = (Option("--steps", "", kind=int), Option("--quiet", "", kind=None),
               Option("--name", ""), Option("--shares", "", kind=tuple[float, ...]))  # fmt: skip
    given = parse(["a", "--steps", "3", "--quiet", "b", "--name=x=y", "--shares", "1,0.5"], options,
                  "condensery")  # fmt: skip
    assert given.words == ["a", "b"]
    assert given.values == {"steps": 3, "quiet": True, "name": "x=y", "shares": (1.0, 0.5)}
    assert parse(["--steps", "1", "--steps", "2"], options, "condensery").values == {"steps": 2}
    assert parse(["--name", "3"], options, "condensery").values == {"name": "3"}
    assert parse(["--shares", ""], options, "condensery").values == {"shares": ()}


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_of_every_method_has_a_flag_a_meaning_and_a_default(method: str) -> None:
    options = options_of(method)
    kind: Any = METHODS[method]
    assert [one.flag for one in options] == [f"--method.{x.name}" for x in dataclasses.fields(kind)]
    assert all(one.meaning and one.standard for one in options), [
        one.flag for one in options if not one.meaning
    ]
    for one in options:
        assert "typing." not in wanted(one.kind) and "<class" not in wanted(one.kind)


@pytest.mark.parametrize("method", METHODS)
def test_every_default_written_out_as_json_is_read_as_itself(method: str) -> None:
    kind: Any = METHODS[method]
    values = dataclasses.asdict(kind())
    words = [f"--method.{name}={value if isinstance(value, str) else json.dumps(value)}"
             for name, value in values.items()]  # fmt: skip
    read = parse(words, options_of(method), "condensery").values
    again = kind(**{name.removeprefix("method."): value for name, value in read.items()})
    assert again == kind()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_written_out_as_json_is_read_as_itself(preset: str) -> None:
    from condensery.data import load_problem

    problem = load_problem("digits")
    for method, function in PRESETS[preset].methods.items():
        plan: Any = function(problem, 1).method
        words = [f"--method.{name}={value if isinstance(value, str) else json.dumps(value)}"
                 for name, value in dataclasses.asdict(plan).items()]  # fmt: skip
        read = parse(words, options_of(method), "condensery").values
        assert type(plan)(**{name.removeprefix("method."): v for name, v in read.items()}) == plan


def test_the_usual_spellings_of_a_value_are_read() -> None:
    def read(flag: str, text: str) -> Any:
        values = parse([f"--method.{flag}", text], options_of("hmdc"), "condensery").values
        return values[f"method.{flag}"]

    assert read("candidates", "null") is None and read("candidates", "12") == 12
    assert read("align", "false") is False and read("align", "true") is True
    assert read("epsilon", "1e-3") == 1e-3
    assert read("operations", "flip,color") == ("flip", "color")
    assert read("operations", '["flip"]') == ("flip",) and read("operations", "[]") == ()
    peers = read("peers", '[{"name": "convnet3"}, {"name": "vit_mini", "lr": 0.25, "size": null}]')
    assert peers == (PeerSpec("convnet3"), PeerSpec("vit_mini", lr=0.25))
    assert read("peers", '[{"name": "mine", "taps": ["1", "4"]}]')[0].taps == ("1", "4")
    assert read("peers", '[{"name": "bert", "learns": "head"}]')[0].learns == "head"
    with pytest.raises(UsageError, match="fields: name, .*learns"):
        read("peers", '[{"name": "bert", "learns": "hed"}]')


def test_a_network_by_its_name_alone_is_trained_as_the_method_trains_it() -> None:
    words = ["--method.peers", "mlp,vit_mini"]
    peers = parse(words, options_of("hmdc"), "condensery").values["method.peers"]
    usual = {peer.name: peer for peer in METHODS["hmdc"]().peers}  # type: ignore[attr-defined]
    assert peers == (PeerSpec("mlp"), usual["vit_mini"])
    words = ["--method.peers", '[{"name": "mlp", "lr": 0.25}, "vit_mini"]']
    peers = parse(words, options_of("hmdc"), "condensery").values["method.peers"]
    assert peers == (PeerSpec("mlp", lr=0.25), usual["vit_mini"])
    alone = parse(["--method.peer", "mlp"], options_of("idc"), "condensery").values["method.peer"]
    assert alone == PeerSpec("mlp")


def test_meanings_are_found_where_several_stand_on_one_line() -> None:
    told = attributes(
        """A thing.

        Attributes:
            lr: a rate, in units (of ``this``). momentum: of its SGD;
                over lines. first, second: both.
            other: not of this class: it has: colons.

        Raises:
            ValueError: no.
        """,
        ["lr", "momentum", "first", "second", "other"],
    )
    assert told == {
        "lr": "a rate, in units (of this)",
        "momentum": "of its SGD; over lines",
        "first": "both",
        "second": "both",
        "other": "not of this class: it has: colons",
    }
    hmdc = meanings(METHODS["hmdc"])
    assert hmdc["momentum"] == "of its SGD" and hmdc["alignment_lr"].startswith("of the affine")
    assert meanings(METHODS["dream"])["lr"] == meanings(METHODS["idc"])["lr"]


def test_the_help_of_a_method_lists_its_settings_and_no_other_methods(cli: Cli) -> None:
    idc = cli("condense", "--method", "idc", "--help").out
    assert "--method.metric mse|l1|l1_mean|cos" in idc and "--method.align " not in idc
    hmdc = cli("condense", "--help").out
    assert "--method.align true|false" in hmdc and "[convnet3,vit_mini]" in hmdc
    assert max(map(len, hmdc.splitlines())) <= 110


def test_columns_stand_below_one_another() -> None:
    told = columns([("a", "one two three " * 9), ("longer", "x")], indent=1, widest=4)
    lines = told.splitlines()
    assert lines[0].startswith(" a     one") and lines[1].startswith("       ")
    assert lines[-2] == " longer" and lines[-1] == "       x"


def commands_of_the_pages() -> list[str]:
    pages = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
    lines = (line.strip().removeprefix("$ ") for page in pages
             for line in page.read_text().splitlines())  # fmt: skip
    found = [line[line.index("condensery ") :] for line in lines
             if re.match(r"(\w+=\S+ )*condensery [a-z]+\b(?!:)", line)]  # fmt: skip
    return sorted({line.rstrip("\\") for line in found})


@pytest.mark.parametrize("command", commands_of_the_pages())
def test_every_command_of_the_pages_is_read(command: str) -> None:
    _, verb, *words = shlex.split(command, comments=True)
    if verb == "condense":
        given = parse(words, page_for(words).options, command)
        assert arguments_of(given.values) and len(given.words) == 1
    elif verb == "evaluate":
        assert parse(words, evaluate_options(), command).words
    else:
        assert verb in VERBS and words


# Condense


def test_condense_makes_a_run_and_names_the_next_command(cli: Cli, tmp_path: Path) -> None:
    told = cli("condense", "digits", "--preset", "smoke", "--seed", "3")
    out = Path("runs/digits-hmdc-ipc1-seed3")
    assert told.code == 0 and len(load(out)) == 10
    assert f"run: {out} " in told.out and "10 stored samples of 10 classes" in told.out
    following = told.out.splitlines()[-1].removeprefix("next: ")
    words = shlex.split(following)
    assert words[:3] == ["condensery", "evaluate", str(out)]
    assert cli(*words[1:], "--updates", "1", "--seeds", "0", "--rows", "none").code == 0


def test_flags_come_after_presets(cli: Cli) -> None:
    told = cli("condense", "digits", "--method.real_batch", "3", "--preset", "smoke", "--steps",
               "1", "--init", "mean", "--out", "run")  # fmt: skip
    assert told.code == 0
    fields = fields_of(Path("run"))
    assert fields["real_batch"] == 3 and fields["start_from"] == "mean"
    assert fields["candidates"] == 8, "the preset's own"
    assert json.loads(Path("run/config.json").read_text())["budget"] == {
        "steps": 1, "minutes": None
    }  # fmt: skip


def test_settings_of_another_method_are_read_against_its_own_dataclass(cli: Cli) -> None:
    told = cli(*SMOKE, "--method", "idc", "--method.metric", "l1", "--steps", "1", "--out", "run")
    assert told.code == 0 and fields_of(Path("run"))["metric"] == "l1"
    assert cli(*SMOKE, "--method", "random", "--out", "chosen", "--per-class", "2").code == 0
    assert len(load("chosen")) == 20


def test_a_finished_run_goes_on_with_more_steps_to_the_same_bits(cli: Cli) -> None:
    assert cli(*SMOKE, "--steps", "1", "--out", "parts").code == 0
    assert cli(*SMOKE, "--steps", "3", "--out", "parts").code == 0
    assert cli(*SMOKE, "--steps", "3", "--out", "whole").code == 0
    assert len(Path("parts/events.jsonl").read_text().splitlines()) == 3
    for name, leaf in load("whole").stored.items():
        assert torch.equal(load("parts").stored[name], leaf)


@pytest.mark.parametrize(
    "other",
    [("--seed", "9"), ("--method.lr", "0.9"), ("--per-class", "2"), ("--method", "random")],
    ids=lambda words: words[0],
)
def test_another_run_is_never_overwritten(cli: Cli, made: Path, other: tuple[str, ...]) -> None:
    before = content(made)
    refused(cli(*SMOKE, *other, "--out", made), "holds another run", "choose another --out")
    assert content(made) == before


def test_a_place_that_is_no_run_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    Path("file").write_text("mine")
    Path("folder").mkdir()
    Path("folder/thesis.tex").write_text("mine too")
    refused(cli(*SMOKE, "--out", "file"), "is a file", "directory")
    refused(cli(*SMOKE, "--out", "folder"), "not empty", "choose another --out")
    assert content(tmp_path) == {"file": b"mine", "folder/thesis.tex": b"mine too"}


def test_a_start_is_another_runs_set_if_it_fits(cli: Cli, made: Path) -> None:
    assert cli(*SMOKE, "--init", made, "--steps", "0", "--out", "again").code == 0
    assert torch.equal(load("again").stored["pixels"], load(made).stored["pixels"])
    told = cli(*SMOKE, "--init", made, "--per-class", "2", "--out", "more")
    refused(told, "--init", "10 samples", "--per-class")
    refused(cli(*SMOKE, "--init", made, "--method.factor", "2", "--out", "more"), "is stored as")
    assert not Path("more").exists()


def test_init_and_start_from_may_not_contradict_each_other() -> None:
    page = page_for(["--method", "hmdc"])
    given = parse(["--init", "mean", "--method.start_from", "noise"], page.options, "condensery")
    with pytest.raises(UsageError, match="not both"):
        arguments_of(given.values)


def test_a_folder_of_pictures_is_condensed_evaluated_and_reported(cli: Cli, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "my photos!", {"cats": 12, "dogs": 12, "red fish": 15})
    told = cli("condense", folder, "--preset", "smoke", "--size", "8", "--validation", "0.2")
    out = Path("runs/my-photos-hmdc-ipc1-seed0")
    assert told.code == 0 and load(out).label_names == ("cats", "dogs", "red fish")
    assert load(out).modality.shape == (3, 8, 8)
    assert cli("evaluate", out, *QUICK, "--split", "val").code == 0
    assert cli("report", out).code == 0 and (out / "report" / "report.html").is_file()


def test_an_unreadable_picture_is_named(cli: Cli, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", {"cats": 6, "dogs": 6})
    (folder / "cats" / "3.png").write_bytes(b"no picture at all")
    refused(cli("condense", folder, "--preset", "smoke"), "3.png")
    assert not Path("runs").exists()


def test_a_class_with_too_few_samples_is_named(cli: Cli, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", {"cats": 20, "dogs": 3})
    told = cli("condense", folder, "--preset", "smoke", "--per-class", "10")
    refused(told, "'dogs'", "10 are needed", "lower --per-class")
    assert not Path("runs").exists()


def test_the_command_of_the_report_makes_the_same_set_again(cli: Cli, tmp_path: Path) -> None:
    from condensery.report.commands import condense_command
    from condensery.report.gather import read_run

    folder = pictures(tmp_path / "pets", {"cats": 8, "dogs": 8})
    peers = '[{"name": "mlp", "lr": 0.02, "optimiser": "adamw"}, ' \
            '{"name": "convnet2_w8", "learns": "head"}]'
    assert cli("condense", folder, "--preset", "smoke", "--method.peers", peers, "--size", "8,6",
               "--validation", "0.25", "--seed", "4", "--out", "first").code == 0  # fmt: skip
    words = shlex.split(condense_command(read_run(Path("first"))).replace("\\\n", " "))
    assert words[:2] == ["condensery", "condense"]
    elsewhere = tmp_path / "elsewhere"
    assert cli(*words[1:], "--out", elsewhere).code == 0
    config = json.loads((elsewhere / "config.json").read_text())
    first = json.loads(Path("first/config.json").read_text())
    assert config["settings"] == first["settings"] and config["source"] == first["source"]
    assert torch.equal(load(elsewhere).stored["pixels"], load("first").stored["pixels"])


# Evaluate, report


def test_evaluate_adds_records_prints_the_table_and_the_next_command(cli: Cli, made: Path) -> None:
    told = cli("evaluate", made, *QUICK)
    assert told.code == 0 and "trained on" in told.out and "HMDC" in told.out
    following = shlex.split(told.out.splitlines()[-1].removeprefix("next: "))
    assert following[:3] == ["condensery", "report", str(made)]


def test_cells_that_stand_there_are_not_run_again(cli: Cli, made: Path) -> None:
    before = (made / "records.jsonl").read_bytes()
    assert len(before.splitlines()) == 10 + 4, "ten of random, kmeans, mean, start, hmdc"
    assert cli("evaluate", made, *QUICK).code == 0
    assert (made / "records.jsonl").read_bytes() == before


def test_the_evaluation_command_of_the_report_measures_the_same_cells(cli: Cli, made: Path) -> None:
    from condensery.report.commands import evaluate_command
    from condensery.report.gather import gather
    from condensery.report.panels import panels

    found = gather(made)
    (panel,) = panels(found.records)
    words = shlex.split(evaluate_command(panel, found.runs).replace("\\\n", " "))
    before = (made / "records.jsonl").read_bytes()
    assert cli("evaluate", made, *words[3:]).code == 0
    assert (made / "records.jsonl").read_bytes() == before


def test_networks_with_weights_or_a_size_are_given_as_json(cli: Cli, made: Path) -> None:
    shutil.copytree(made, "run")
    told = cli("evaluate", "run", *QUICK[2:], "--models", '[{"name": "mlp", "size": 4}]')
    assert told.code == 0 and "mlp 4px" in told.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--models", "convnt3"), ("unknown model 'convnt3'", "convnet3")),
        (("--recipe", "quik"), ("did you mean quick?", "known: hmdc")),
        (("--rows", "randm"), ("did you mean random?",)),
        (("--seeds", "one"), ("--seeds wants whole numbers",)),
        (("--split", "all"), ("--split wants one of test, val",)),
        (("--split", "val"), ("no val split", "--validation")),
        (("--epochs", "0"), ("--epochs must be at least 1",)),
        (("--epochs", "1", "--updates", "1"), ("not both",)),
        (("--workers", "0"), ("--workers", "from 1; got 0")),
        (("--draws", "0"), ("draws", "from 1; got 0")),
        (("--check-every", "0"), ("--check-every", "from 1; got 0")),
        (("--device", "cuda:77"), ("no device 'cuda:77'",)),
        (("--data", "digit"), ("did you mean digits?",)),
        (("--model", "mlp"), ("did you mean --models",)),
    ],
    ids=lambda part: " ".join(part)[:40],
)
def test_wrong_words_of_evaluate_are_one_line_and_leave_the_run_as_it_was(
    cli: Cli, made: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    before = content(made)
    refused(cli("evaluate", made, *words), *parts)
    assert content(made) == before


def test_a_damaged_set_is_refused_in_one_line(cli: Cli, made: Path) -> None:
    shutil.copytree(made, "run")
    file = Path("run/synthetic/synthetic.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    refused(cli("evaluate", "run", *QUICK), "synthetic.safetensors", "damaged")
    Path("empty").mkdir()
    refused(cli("evaluate", "empty", *QUICK), "no synthetic set at empty")


def test_evaluating_on_other_data_is_refused(cli: Cli, made: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", {"cats": 8, "dogs": 8})
    refused(cli("evaluate", made, *QUICK, "--data", folder), "evaluate a set on the data")


def test_a_report_needs_a_place_of_its_own_for_several_runs(cli: Cli, made: Path) -> None:
    shutil.copytree(made, "other")
    refused(cli("report", made, "other"), "--out DIR")
    told = cli("report", made, "--out", "drawn")
    assert told.code == 0 and told.out.strip() == "report: drawn/report.html"
    Path("file").write_text("")
    refused(cli("report", made, "--out", "file"), "is a file")


# List, show


@pytest.mark.parametrize(
    ("what", "names"),
    [("methods", METHODS), ("models", MODELS), ("data", DATA), ("presets", PRESETS),
     ("recipes", RECIPES)],
    ids=["methods", "models", "data", "presets", "recipes"],
)  # fmt: skip
def test_a_list_has_a_line_for_every_name(cli: Cli, what: str, names: dict[str, Any]) -> None:
    told = cli("list", what)
    begins = [line.split()[0] for line in told.out.splitlines() if line[:1].strip()]
    assert told.code == 0 and set(names) <= set(begins)


def test_models_are_listed_with_parameters_input_and_taps(cli: Cli) -> None:
    told = cli("list", "models").out
    (line,) = [line for line in told.splitlines() if line.startswith("convnet3 ")]
    assert "320,010" in line and "32x32" in line and "4: each ReLU" in line
    assert "timm" in told


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_shown_with_what_it_says_and_sets(cli: Cli, name: str) -> None:
    told = cli("show", name)
    assert told.code == 0 and PRESETS[name].about in told.out
    assert all(f"\n{method}\n" in told.out for method in PRESETS[name].methods)


def test_the_settings_that_a_preset_shows_are_flags_that_can_be_typed(cli: Cli) -> None:
    lines = [line.split() for line in cli("show", "demo").out.splitlines()]
    flags = {words[0]: words[1] for words in lines if words and words[0].startswith("--")}
    assert flags["--method.start_from"] == "mean" and flags["--steps"] == "120"
    assert parse([f"{flag}={value}" for flag, value in flags.items()], page_for([]).options, "")


def test_a_run_is_shown_with_settings_budget_and_records(cli: Cli, made: Path) -> None:
    told = cli("show", made)
    assert told.code == 0
    for part in ("hmdc", "digits", "2 steps", "--method.lr", "quick (3 updates)", "650"):
        assert part in told.out, part
    Path("none").mkdir()
    refused(cli("show", "none"), "no run directory")


def test_hints_of_all_methods_are_kinds_that_flags_can_hold() -> None:
    for name, kind in METHODS.items():
        assert set(get_type_hints(kind)) >= {one.flag[9:] for one in options_of(name)}
