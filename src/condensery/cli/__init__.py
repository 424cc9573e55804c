"""The command line: ``condensery VERB ...``. One line says what went wrong, and what to do."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from condensery.errors import RunError, UsageError, unknown

DONE, FAILED, WRONG_USAGE, STOPPED = 0, 1, 2, 130

# Each is the name of a module of this room, with a function ``run(arguments)``.
VERBS = {
    "condense": "make a synthetic set of a labelled data set",
    "evaluate": "train fresh networks on it, beside real samples of equal bytes",
    "report": "draw tables, figures and one page of what was measured",
    "study": "all of that for a whole table or figure",
    "continual": "classes arrive in stages, and only condensed memory stays",
    "list": "methods, models, data, presets, recipes or studies",
    "show": "what a preset or a recipe sets, what a study's plan is, or what a run is",
}
MODULES = {"list": "listing"}
STOPPED_AT = {
    "condense": "stopped: the same command goes on from the last checkpoint",
    "evaluate": "stopped: finished cells are kept, the same command goes on",
    "study": "stopped: finished cells are kept, the same command goes on",
    "continual": "stopped: finished trainings are kept, the same command goes on",
}
HELP = """\
Dataset condensation: a labelled data set as a handful of synthetic samples per class.

usage: condensery VERB ...

{verbs}

  condensery VERB --help      the flags of a verb
  condensery --version

An example: ten digits from scikit-learn's 1,797, in about a minute, and what they are worth.

  condensery condense digits --preset demo --per-class 1 --out runs/digits
  condensery evaluate runs/digits --models convnet3,vit_mini,mlp --recipe quick
  condensery report runs/digits --out runs/digits/report

Exit codes: 0 done, 1 failed, 2 wrong usage; --debug shows where it happened."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: words after ``condensery``; None: of this process.

    Returns:
        The exit code: 0 done, 2 wrong usage, 1 failed, 130 stopped by Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(words)
        sys.stdout.flush()
        return DONE
    except KeyboardInterrupt as error:
        verb = words[0] if words else ""
        return _end(error, STOPPED_AT.get(verb, "stopped"), STOPPED, words)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except UsageError as error:
        return _end(error, str(error), WRONG_USAGE, words)
    except RunError as error:
        return _end(error, str(error), FAILED, words)
    except Exception as error:  # whatever it was: one line, and the trace on request
        said = f"{type(error).__name__}: {error} (--debug shows where)"
        return _end(error, said, FAILED, words)


def _run(words: list[str]) -> None:
    from condensery import __version__

    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP.format(verbs="\n".join(f"  {verb:<10}{VERBS[verb]}" for verb in VERBS)))
    elif words[0] in ("--version", "-V"):
        print(f"condensery {__version__}")
    elif words[0] not in VERBS:
        raise UsageError(f"{unknown('verb', words[0], VERBS)} (condensery --help)")
    else:
        module = MODULES.get(words[0], words[0])
        importlib.import_module(f"condensery.cli.{module}").run(words[1:])


def _end(error: BaseException, said: str, code: int, words: Sequence[str]) -> int:
    """Say it in one line, or show the whole trace where that was asked for."""
    if "--debug" in words:
        traceback.print_exception(error)
    print(f"condensery: {' '.join(said.split())}", file=sys.stderr)
    return code
