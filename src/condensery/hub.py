"""The Hugging Face hub and its local caches: what lies here already, and whether it can be reached.

A look-up that cannot succeed ends within seconds and in one line. Data and models ask here before
they hand over to ``datasets``, ``timm`` or ``transformers``, which would retry for minutes.
"""

from __future__ import annotations

import os
import queue
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

from condensery.errors import RunError

Kind = Literal["model", "dataset"]

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REPOSITORY = re.compile(rf"{_NAME}/{_NAME}")
_TRUE = {"1", "ON", "YES", "TRUE"}


def is_repository(text: str) -> bool:
    """Whether this could be a hub id, ``owner/name``."""
    return bool(_REPOSITORY.fullmatch(text))


def endpoint() -> str:
    """The address of the hub: ``HF_ENDPOINT``, else the public one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def offline() -> str | None:
    """The environment variable that forbids the network, if one is set."""
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").upper() in _TRUE), None)


def cache(room: Literal["hub", "datasets"]) -> Path:
    """Where the Hugging Face libraries keep downloads (``hub``), prepared data (``datasets``)."""
    named = os.environ.get({"hub": "HF_HUB_CACHE", "datasets": "HF_DATASETS_CACHE"}[room])
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{base}/huggingface"
    return Path(home).expanduser() / room


def snapshot(repository: str, kind: Kind = "model") -> Path | None:
    """The folder of the main revision that was downloaded before, or None.

    Nothing is fetched, and files may be missing from it: the libraries download file by file.
    """
    folder = cache("hub") / f"{kind}s--{repository.replace('/', '--')}"
    try:
        revision = (folder / "refs" / "main").read_text().strip()
    except OSError:
        return None
    found = folder / "snapshots" / revision
    return found if revision and found.is_dir() else None


def obstacle(repository: str, kind: Kind = "model", timeout: float = 3.0) -> str | None:
    """Why a repository of the hub cannot be fetched now, or None when nothing stands in the way.

    One HEAD request through the proxies of the environment. A repository that wants a token (401,
    403) is no obstacle here: the library that fetches it knows the token.

    Args:
        repository: ``owner/name``.
        kind: of the repository.
        timeout: seconds in all, the resolution of the name included.
    """
    forbidden = offline()
    if forbidden:
        return f"{forbidden} is set"
    place = endpoint()
    address = f"{place}/api/{kind}s/{repository}"
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # A thread, since the timeout of a socket does not bound the resolution of a name; the socket's
    # is longer, so that silence is always told by the same words.
    ask = threading.Thread(
        target=lambda: answers.put(_ask(address, place, 2 * timeout)), name="hub", daemon=True
    )
    ask.start()
    try:
        return answers.get(timeout=timeout)
    except queue.Empty:
        return f"{place} does not answer within {timeout:g} seconds"


def _ask(address: str, place: str, timeout: float) -> str | None:
    try:
        request = urllib.request.Request(address, method="HEAD")
        # An opener of its own, since the shared one keeps the proxies of its first use.
        with urllib.request.build_opener().open(request, timeout=timeout):
            return None
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return f"{place} has no such repository"
        return f"{place} answers {error.code}" if error.code >= 500 else None
    except (OSError, ValueError) as error:  # no route, no such host, a proxy's refusal; no URL
        reason = getattr(error, "reason", None) or error
        return f"{place} cannot be reached ({' '.join(str(reason).split())})"


def require(
    repository: str, what: str, how: str, kind: Kind = "model", timeout: float = 3.0
) -> None:
    """Make sure, within seconds, that a repository of the hub can be fetched.

    Args:
        repository: ``owner/name``.
        what: what is missing here, as the subject of the message: ``weights of vit_small``.
        how: what to do instead, as its last part: ``give a local file: --weights FILE``.
        kind: of the repository.
        timeout: seconds to wait for an answer.

    Raises:
        RunError: it cannot; one line with what is missing, why, and what to do.
    """
    reason = obstacle(repository, kind, timeout)
    if reason:
        raise RunError(f"{what}: not here, and {repository} cannot be fetched, as {reason}; {how}")
