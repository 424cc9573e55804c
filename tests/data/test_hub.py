"""Whether the hub can be reached is known within seconds, and said in one line."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from condensery import hub
from condensery.errors import RunError


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as the repository's name says: ``owner/404`` is not found."""

    def do_HEAD(self) -> None:  # noqa: N802
        told = self.path.rpartition("/")[2]
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(int(told) if told.isdecimal() else 200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{made.server_port}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield made.asked  # type: ignore[attr-defined]
    made.shutdown()
    made.server_close()


def test_a_repository_that_is_there_is_no_obstacle(server: list[str]) -> None:
    hub.require("owner/name", "weights", "give a file")
    hub.require("owner/name", "data", "give a folder", "dataset")
    assert server == ["/api/models/owner/name", "/api/datasets/owner/name"]


def test_one_that_wants_a_token_is_left_to_the_library_that_knows_it(server: list[str]) -> None:
    assert hub.obstacle("owner/401") is None and hub.obstacle("owner/403") is None


def test_one_that_is_not_there_is_an_error_that_says_what_to_do(server: list[str]) -> None:
    with pytest.raises(RunError) as caught:
        hub.require("owner/404", "weights of vit_small", "give a local file: --weights FILE")
    told = str(caught.value)
    assert told.startswith("weights of vit_small: not here") and "no such repository" in told
    assert told.endswith("give a local file: --weights FILE") and "\n" not in told


def test_a_hub_that_is_ill_is_an_obstacle(server: list[str]) -> None:
    assert "answers 503" in str(hub.obstacle("owner/503"))


def test_a_hub_that_is_not_there_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    assert "cannot be reached" in str(hub.obstacle("owner/name"))
    monkeypatch.setenv("HF_ENDPOINT", "no address")
    assert "cannot be reached" in str(hub.obstacle("owner/name"))


def test_a_proxy_that_refuses_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    assert "refused" in str(hub.obstacle("owner/name")), "the proxy was asked, not the name"


def test_a_silent_hub_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.perf_counter()
        assert "within 0.3 seconds" in str(hub.obstacle("owner/name", timeout=0.3))
        assert time.perf_counter() - start < 2


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_means_that_nothing_is_asked(
    server: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "yes")
    assert hub.obstacle("owner/name") == f"{name} is set" and server == []


def test_the_caches_lie_where_the_libraries_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "there")
    assert hub.cache("hub") == Path("there/hub") and hub.cache("datasets") == Path("there/datasets")
    monkeypatch.setenv("HF_HUB_CACHE", "elsewhere")
    assert hub.cache("hub") == Path("elsewhere")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "base")
    assert hub.cache("datasets") == Path("base/huggingface/datasets")


def test_a_snapshot_is_that_of_the_main_revision() -> None:
    folder = hub.cache("hub") / "models--owner--name"
    assert hub.snapshot("owner/name") is None
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc\n")
    assert hub.snapshot("owner/name") is None
    (folder / "snapshots" / "abc").mkdir(parents=True)
    assert hub.snapshot("owner/name") == folder / "snapshots" / "abc"
    assert hub.snapshot("owner/name", "dataset") is None


def test_a_hub_id_is_owner_and_name() -> None:
    assert hub.is_repository("uoft-cs/cifar10") and hub.is_repository("a/b.c_d-1")
    for text in ("cifar10", "a/b/c", "../data", "./a", "/a/b", "a/", "a b/c"):
        assert not hub.is_repository(text), text
