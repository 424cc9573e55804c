"""Sound files of any kind to clips of one rate and length; ESC's folds; one line for a fault."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import soundfile
import torch
from pyarrow import parquet

from condensery.data import DATA, Problem, load_problem, sounds
from condensery.errors import RunError, UsageError
from condensery.modality import Sound


def tone(file: Path, seconds: float = 0.5, rate: int = 8000, channels: int = 1, pitch: float = 440,
         level: float = 0.5) -> Path:  # fmt: skip
    time = np.arange(round(seconds * rate)) / rate
    wave = level * np.sin(2 * np.pi * pitch * time)
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, np.repeat(wave[:, None], channels, 1), rate)
    return file


def archive(place: Path, name: str = "esc10", per_fold: int = 1, seconds: float = 0.05) -> Path:
    """A copy of ESC with so many clips of each class in each fold."""
    kinds = DATA["esc10"].label_names
    assert kinds is not None
    place.joinpath("meta").mkdir(parents=True)
    with (place / "meta" / f"{name}.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filename", "fold", "target", "category", "esc10"])
        for target, kind in enumerate([*kinds, "cat"] if name == "esc50" else kinds):
            for fold in range(1, 6):
                for take in range(per_fold):
                    clip = f"{fold}-{target}-{take}.wav"
                    tone(place / "audio" / clip, seconds, pitch=100 + 40 * target + fold + 9 * take)
                    table.writerow([clip, fold, target, kind, kind != "cat"])
    return place


def refused(data: str | Path, said: str, **options: object) -> None:
    with pytest.raises((UsageError, RunError), match=said) as caught:
        load_problem(data, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_any_rate_and_format_becomes_the_same_tone(tmp_path: Path, rate: int, suffix: str) -> None:
    clip = sounds.read(tone(tmp_path / f"a.{suffix}", 1.0, rate, channels=2), 16_000)
    assert abs(len(clip) - 16_000) <= 1
    spectrum = np.abs(np.fft.rfft(clip[:16_000]))
    assert int(spectrum.argmax()) == 440
    assert abs(float(np.abs(clip[1000:15_000]).max()) - 0.5) < 0.03


def test_long_clips_lose_their_end_and_short_ones_are_followed_by_silence() -> None:
    wave = np.sin(np.arange(100, dtype=np.float32))
    assert np.array_equal(sounds.fitted(wave, 60), sounds.fitted(wave[:60], 60))
    padded = sounds.fitted(wave, 150)
    assert not padded[100:].any() and padded[:100].any()
    assert np.array_equal(padded[:100], sounds.fitted(wave, 100))


def test_a_clip_beyond_full_scale_is_made_quieter_as_a_whole() -> None:
    wave = 2 * np.sin(np.arange(1000, dtype=np.float32) * (2 * np.pi / 50))
    kept = sounds.fitted(wave, 1000)
    assert abs(int(np.abs(kept).max()) - 32_767) <= 1
    np.testing.assert_allclose(kept / np.abs(kept).max(), wave / np.abs(wave).max(), atol=2e-3)


def test_an_offset_is_taken_off() -> None:
    wave = 0.3 + 0.1 * np.sin(np.arange(1000, dtype=np.float32))
    assert abs(float(sounds.fitted(wave, 1000).mean())) < 2


def folders(place: Path) -> Path:
    for kind, pitch in (("high", 900), ("low", 200)):
        for number in range(5):
            tone(place / kind / f"{number}.wav", 0.3 + 0.1 * number, pitch=pitch)
    return place


def test_class_folders_of_sounds_are_a_problem_of_the_median_length(tmp_path: Path) -> None:
    problem = load_problem(folders(tmp_path / "tones"))
    assert problem.name == "tones" and problem.label_names == ("high", "low")
    assert problem.modality == Sound((1, 8000), 16_000)
    assert problem.train.samples.dtype == np.int16 and isinstance(problem.train, type(problem.test))
    assert (len(problem.train), len(problem.test)) == (8, 2)
    x = problem.samples(range(2))
    assert x.shape == (2, 1, 8000) and float((x.square().mean((1, 2)) - 1).abs().max()) < 1e-3


@pytest.mark.parametrize(
    ("size", "shape", "rate"), [(4000, 4000, 16_000), ((900, 4000), 900, 4000)]
)
def test_a_size_is_the_samples_of_a_clip_and_perhaps_its_rate(
    tmp_path: Path, size: int | tuple[int, int], shape: int, rate: int
) -> None:
    problem = load_problem(folders(tmp_path / "tones"), size=size)
    assert problem.modality == Sound((1, shape), rate)


def test_a_csv_of_files_and_labels_is_a_problem(tmp_path: Path) -> None:
    folders(tmp_path / "clips")
    rows = [f"clips/{kind}/{number}.wav,{kind}" for kind in ("high", "low") for number in range(5)]
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *rows]))
    problem = load_problem(tmp_path / "list.csv")
    assert problem.label_names == ("high", "low") and isinstance(problem.modality, Sound)
    assert load_problem(tmp_path / "list.csv", label="label").fingerprint == problem.fingerprint


def hub_table(place: Path, split: str, audio: list[dict[str, object]]) -> None:
    """An arrow file of sounds as the library ``datasets`` leaves them."""
    made = pyarrow.table({"audio": audio, "label": [row % 2 for row in range(len(audio))]})
    features = {"audio": {"sampling_rate": 8000, "_type": "Audio"},
                "label": {"names": ["even", "odd"], "_type": "ClassLabel"}}  # fmt: skip
    made = made.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    place.mkdir(parents=True, exist_ok=True)
    with pyarrow.ipc.new_stream(str(place / f"tones-{split}.arrow"), made.schema) as out:
        out.write_table(made)


def test_arrow_files_that_the_hubs_library_prepared_are_sounds(
    tmp_path: Path, apart: Path
) -> None:
    place = apart / "huggingface" / "datasets" / "owner___tones" / "default" / "0.0.0" / "abc"
    clips = [tone(tmp_path / f"{n}.wav", pitch=200 + 100 * n) for n in range(6)]
    hub_table(place, "train", [{"bytes": one.read_bytes(), "path": None} for one in clips[:4]])
    hub_table(place, "test", [{"bytes": None, "path": str(one)} for one in clips[4:]])
    (place / "dataset_info.json").write_text("{}")
    problem = load_problem("owner/tones", size=800)
    assert problem.modality == Sound((1, 800), 16_000) and problem.label_names == ("even", "odd")
    for samples, files in ((problem.train.samples, clips[:4]), (problem.test.samples, clips[4:])):
        read = [sounds.fitted(sounds.read(one, 16_000), 800) for one in files]
        assert np.array_equal(samples[:, 0], np.stack(read))


@pytest.mark.parametrize("column", ["audio", "recording"])
@pytest.mark.parametrize("stored", ["bytes", "paths"])
def test_parquet_files_of_sounds_need_no_description(
    tmp_path: Path, column: str, stored: str
) -> None:
    clips = [tone(tmp_path / f"{n}.wav", pitch=200 + 100 * n) for n in range(8)]
    values = [one.read_bytes() if stored == "bytes" else one.name for one in clips]
    made = pyarrow.table({column: values, "label": [0, 1] * 4})
    parquet.write_table(made, tmp_path / "tones.parquet")
    problem = load_problem(tmp_path / "tones.parquet", size=800)
    assert problem.modality == Sound((1, 800), 16_000)
    assert len(problem.train) + len(problem.test) == 8


def test_paths_of_sounds_go_before_texts_beside_them(tmp_path: Path) -> None:
    clips = [tone(tmp_path / f"{n}.wav", pitch=200 + 100 * n) for n in range(6)]
    rows = "".join(f"{one.name},a tone,{n % 2}\n" for n, one in enumerate(clips))
    (tmp_path / "list.csv").write_text(f"file,text,label\n{rows}")
    assert load_problem(tmp_path / "list.csv", size=800).modality == Sound((1, 800), 16_000)


def test_a_row_without_a_sound_is_named(tmp_path: Path) -> None:
    clip = tone(tmp_path / "a.wav").read_bytes()
    made = pyarrow.table({"audio": [clip, None, clip], "label": [0, 1, 1]})
    parquet.write_table(made, tmp_path / "gap.parquet")
    refused(tmp_path / "gap.parquet", "there is no sound in row 1 of .*gap.parquet: fill", size=80)


def test_clips_are_decoded_once_and_again_when_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, calls = folders(tmp_path / "tones"), []
    read = sounds.read
    monkeypatch.setattr(sounds, "read", lambda item, rate: calls.append(item) or read(item, rate))
    first = load_problem(place)
    assert len(calls) == 10 and load_problem(place).fingerprint == first.fingerprint
    assert len(calls) == 10
    tone(place / "high" / "0.wav", 0.9, pitch=500)
    assert load_problem(place).fingerprint != first.fingerprint and len(calls) == 20


def test_official_folds_are_tested_on_one_and_trained_on_the_others(tmp_path: Path) -> None:
    archive(tmp_path / "esc10")
    found = [load_problem(f"esc10:{fold}", data_dir=tmp_path, size=800) for fold in range(1, 6)]
    rows = [{row.tobytes() for row in problem.test.samples} for problem in found]
    assert [problem.name for problem in found] == [f"esc10-fold{fold}" for fold in range(1, 6)]
    for problem, tested in zip(found, rows, strict=True):
        trained = {row.tobytes() for row in problem.train.samples}
        assert len(trained) == 40 and len(tested) == 10 and not trained & tested
        assert np.bincount(problem.test.labels).tolist() == [1] * 10
    assert len(set.union(*rows)) == 50
    assert load_problem("esc10", data_dir=tmp_path, size=800).fingerprint == found[0].fingerprint


def test_the_authors_split_is_disjoint_and_stratified(tmp_path: Path) -> None:
    archive(tmp_path / "esc10", per_fold=2)
    problem = load_problem("esc10:authors", data_dir=tmp_path, size=800)
    assert np.bincount(problem.train.labels).tolist() == [8] * 10
    assert np.bincount(problem.test.labels).tolist() == [2] * 10
    trained = {row.tobytes() for row in problem.train.samples}
    assert not trained & {row.tobytes() for row in problem.test.samples}


def test_the_authors_split_is_drawn_class_by_class_from_one_generator(tmp_path: Path) -> None:
    archive(tmp_path / "esc10", per_fold=2)
    table = tmp_path / "esc10" / "meta" / "esc10.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *reversed(rows)]) + "\n")  # the last class appears first
    problem = load_problem("esc10:authors", data_dir=tmp_path, size=800)
    generator, expected = torch.Generator().manual_seed(42), []
    for label in range(9, -1, -1):
        own = [place for place in range(100) if rows[99 - place].split(",")[2] == str(label)]
        order = torch.randperm(10, generator=generator).tolist()
        expected += [rows[99 - own[one]].split(",")[0] for one in order[8:]]
    read = [sounds.fitted(sounds.read(tmp_path / "esc10" / "audio" / one, 16_000), 800)
            for one in expected]  # fmt: skip
    assert {row.tobytes() for row in problem.test.samples} == {one.tobytes() for one in read}


def test_sets_can_be_asked_for_as_spectrograms(tmp_path: Path) -> None:
    archive(tmp_path / "esc10")
    problem = load_problem("esc10:2:logmel", data_dir=tmp_path, size=800)
    assert problem.name == "esc10-fold2-logmel"
    assert problem.modality == Sound((1, 800), 16_000, "logmel")


def test_esc10_is_found_in_the_archive_of_esc50(tmp_path: Path) -> None:
    archive(tmp_path / "ESC-50-master", name="esc50")
    ten = load_problem("esc10", data_dir=tmp_path, size=800)
    assert ten.classes == 10 and len(ten.train) == 40
    fifty = load_problem("esc50", data_dir=tmp_path / "ESC-50-master", size=800)
    assert fifty.label_names[-1] == "cat" and len(fifty.test) == 11


def test_what_is_no_sound_or_empty_or_not_there_is_named_in_one_line(tmp_path: Path) -> None:
    place = folders(tmp_path / "tones")
    (place / "low" / "5.wav").write_text("not a sound")
    refused(place, "low/5.wav is no readable sound .an unknown format or damaged.: repair", size=80)
    tone(place / "low" / "5.wav", 0.0)
    refused(place, "low/5.wav is a sound of length zero: remove it", size=80)
    (tmp_path / "list.csv").write_text("file,label\nnowhere.wav,a\ntones/low/1.wav,b\n")
    refused(tmp_path / "list.csv", "nowhere.wav is no readable sound .there is no such", size=9)


def test_a_clip_that_resampling_leaves_nothing_of_is_named(tmp_path: Path) -> None:
    place = folders(tmp_path / "tones")
    tone(place / "low" / "5.wav", 1 / 44_100, rate=44_100)
    refused(place, "low/5.wav is too short .1 of 44100 samples a second, none of 16000.", size=80)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_not_taken_for_silence(
    tmp_path: Path, wrong: float
) -> None:
    place = folders(tmp_path / "tones")
    clip = np.zeros(4000, np.float32)
    clip[2000] = wrong
    soundfile.write(place / "low" / "5.wav", clip, 8000, subtype="FLOAT")
    refused(place, "low/5.wav has samples that are no numbers .NaN or infinite.", size=80)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (-1, "train labels of list are negative .-1 at row 2.: classes count from 0"),
        (2, "train labels of list reach 2, but there are names for 2 classes .0 to 1."),
        (0.5, "train labels of list are not whole numbers"),
    ],
)
def test_labels_of_sounds_that_cannot_be_are_said(tmp_path: Path, label: float, said: str) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "classes.tsv").write_text("label\tname\n0\tlow\n1\thigh\n")
    rows = "".join(f"a.wav,{one}\n" for one in (0, 1, label))
    (tmp_path / "list.csv").write_text(f"file,label\n{rows}")
    refused(tmp_path / "list.csv", said, size=80)


def test_what_cannot_be_asked_of_sound_is_said(tmp_path: Path) -> None:
    place = folders(tmp_path / "tones")
    refused(place, "mirror is for images", mirror=True)
    refused(place, "leave label 'kind' away", label="kind")
    refused(place, "rate from 1000", size=(80, 10))
    (place / "gap").mkdir()
    refused(place, "gap holds no sound .wav, flac")
    loose = tmp_path / "loose"
    tone(loose / "a.wav")
    refused(loose, "loose holds sounds, but no class folders")


def test_a_strange_fold_class_or_copy_is_said(tmp_path: Path) -> None:
    place = archive(tmp_path / "esc10")
    refused("esc10:6", "folds 1 to 5 and 'authors'", data_dir=tmp_path)
    refused("esc10:1:2", "folds 1 to 5", data_dir=tmp_path)
    refused("esc50", "esc50 is not here .looked for .*: get the archive", data_dir=tmp_path)
    refused("esc10", "leave label 'target' away", data_dir=tmp_path, label="target")
    table = place / "meta" / "esc10.csv"
    table.write_text(table.read_text().replace("rooster", "rooste"))
    refused("esc10", "class 'rooste', which esc10 has not", data_dir=tmp_path)
    (place / "audio" / "1-0-0.wav").unlink()
    table.write_text(table.read_text().replace("rooste", "rooster"))
    refused("esc10", "1-0-0.wav, which is not there", data_dir=tmp_path)


def test_a_table_of_esc_that_is_not_whole_is_said(tmp_path: Path) -> None:
    table = archive(tmp_path / "esc50", name="esc50") / "meta" / "esc50.csv"
    whole = table.read_text()
    lines = [line.split(",") for line in whole.splitlines()]
    without = "\n".join(",".join([*one[:2], *one[3:]]) for one in lines)
    for text, said in {
        whole.replace("1-0-0.wav,1,", "1-0-0.wav,one,"): "1-0-0.wav in .*csv is of fold 'one'",
        "\n".join(",".join(one) for one in lines if one[1] != "2"): "csv has no clip of fold 2 to",
        without: "csv needs the columns filename, fold, category, target",
        whole.replace("1-0-0.wav,1,0,", "1-0-0.wav,1,zero,"): "1-0-0.wav .* has target 'zero'",
        whole.replace("1-0-0.wav,1,0,dog,True", "1-0-0.wav"): "row 1 of .*csv has no fold",
        lines[0][0] + ",fold,category,target\n": "csv needs the columns .*and rows below them",
        "\n".join(",".join(one) for one in lines if one[3] != "cat" or one[1] == "2"):
            "no training sample of class cat",
    }.items():  # fmt: skip
        table.write_text(text)
        refused("esc50:2", said, data_dir=tmp_path, size=800)
    table.write_text(without)
    ten = load_problem("esc10:2", data_dir=tmp_path / "esc50", size=800)
    assert len(ten.test) == 10, "the names of ten classes are known, no target is asked for"


@pytest.fixture(scope="module")
def clips(real_data: Path) -> Problem:
    return load_problem("esc10:1", data_dir=real_data)


@pytest.mark.realdata
def test_the_real_clips_are_320_and_80_of_five_seconds(clips: Problem) -> None:
    assert clips.modality == Sound((1, 80_000), 16_000)
    assert np.bincount(clips.train.labels).tolist() == [32] * 10
    assert np.bincount(clips.test.labels).tolist() == [8] * 10
    loudness = clips.samples(slice(0, 40)).square().mean((1, 2))
    assert float((loudness - 1).abs().max()) < 1e-2


@pytest.mark.realdata
def test_the_real_clips_drawn_as_the_authors_did_are_32_and_8_a_class(real_data: Path) -> None:
    problem = load_problem("esc10:authors", data_dir=real_data)
    assert np.bincount(problem.train.labels).tolist() == [32] * 10
    assert np.bincount(problem.test.labels).tolist() == [8] * 10
    trained = {row.tobytes() for row in problem.train.samples}
    assert len(trained) == 320 and not trained & {row.tobytes() for row in problem.test.samples}
