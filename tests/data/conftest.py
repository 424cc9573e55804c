"""Every test of data has a cache of its own and sees no copies, caches or hub of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    for name in ["CONDENSERY_DATA", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ENDPOINT",
                 "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"]:  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONDENSERY_CACHE", str(home / "condensery"))
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return home
