"""Which column holds the samples: by what is written about it, its type, its name, its values."""

from __future__ import annotations

import json
from typing import Any

import pyarrow
import pytest

from condensery.data.columns import label_column, sample_column
from condensery.errors import UsageError

WAV, OGG, MP3, AIFF = b"RIFF....WAVEfmt ", b"OggS....", b"\xff\xfb\x90\x00", b"FORM....AIFF"
PNG, JPEG, WEBP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0....JFIF", b"RIFF....WEBPVP8 "


def found(
    columns: dict[str, list[Any]], label: str | None = None, told: dict[str, str] | None = None
) -> tuple[str, str]:
    table = pyarrow.table(columns)
    features = {name: {"_type": kind} for name, kind in (told or {}).items()}
    about = json.dumps({"info": {"features": features}})
    schema = table.schema.with_metadata({"huggingface": about} if told else None)
    return sample_column(schema, lambda one: table.column(one).to_pylist(), label, "mine")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"label": [0], "audio": [WAV]}, ("audio", "audio")),
        ({"label": [0], "data": [WAV]}, ("data", "audio")),
        ({"label": [0], "data": [None, OGG][1:]}, ("data", "audio")),
        ({"label": [0], "data": [MP3]}, ("data", "audio")),
        ({"label": [0], "data": [AIFF]}, ("data", "audio")),
        ({"label": [0], "data": [PNG]}, ("data", "image")),
        ({"label": [0], "data": [JPEG]}, ("data", "image")),
        ({"label": [0], "data": [WEBP]}, ("data", "image")),
        ({"label": [0], "data": [{"bytes": WAV, "path": None}]}, ("data", "audio")),
        ({"label": [0], "img": [{"bytes": None, "path": "a.png"}]}, ("img", "image")),
        ({"label": [0], "sound": ["a"]}, ("sound", "audio")),
        ({"label": [0], "image": ["a.flac"]}, ("image", "audio")),
        ({"label": [0], "path": ["a.WAV"], "text": ["b"]}, ("path", "audio")),
        ({"label": [0], "clip": ["a.mp3"], "text": ["b"]}, ("clip", "audio")),
        ({"label": [0], "photo": ["a.jpg"], "text": ["b"]}, ("photo", "image")),
        ({"label": [0, 1], "note": ["a.mp3", "b"], "text": ["b", "c"]}, ("text", "text")),
        ({"label": [0], "text": ["my song.mp3"], "title": ["b"]}, ("text", "text")),
        ({"label": [0], "file": ["a.txt"], "text": ["b"]}, ("text", "text")),
        ({"label": [0], "file": ["a"]}, ("file", "image")),
        ({"label": [0], "title": ["b"], "year": [1999]}, ("title", "text")),
        ({"label": ["x.wav"], "title": ["b"]}, ("title", "text")),
        pytest.param({"label": [], "audio": pyarrow.array([], "binary")}, ("audio", "audio"),
                     id="an empty arrow column"),
    ],
    ids=str,
)
def test_a_column_of_samples_is_found(
    columns: dict[str, list[Any]], expected: tuple[str, str]
) -> None:
    assert found(columns) == expected


def test_what_the_datasets_library_says_goes_first() -> None:
    columns = {"image": [PNG], "take": [{"bytes": PNG, "path": None}], "label": [0]}
    assert found(columns, told={"take": "Audio"}) == ("take", "audio")
    assert found(columns, told={"take": "Value"}) == ("image", "image")


def test_the_column_of_labels_that_was_asked_for_holds_no_samples() -> None:
    columns = {"sound": ["bark", "miaow"], "recording": ["1.wav", "2.wav"]}
    assert found(columns, label="sound") == ("recording", "audio")
    titled = {"title": ["a", "b"], "genre": ["x", "y"]}
    assert found(titled, label="genre") == ("title", "text")
    assert found(titled, label="title") == ("genre", "text")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"title": ["a"], "body": ["b"], "label": [0]},
         r"mine has several columns that could be its texts \(title, body\): name the one that is "
         r"to be read 'text'"),
        ({"year": [1], "label": [0]}, r"no column of images, sounds or texts .*: year, label\)"),
        ({"label": ["a"]}, "no column of images, sounds or texts"),
        ({"title": ["a"], "genre": ["b"]}, "no column 'label'; name one .*: title, genre"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said_in_one_line(columns: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        found(columns)
    assert "\n" not in str(caught.value)


def test_a_column_of_labels_that_is_not_there_is_said() -> None:
    schema = pyarrow.table({"image": [PNG], "kind": [0]}).schema
    assert label_column(schema, "kind", "mine") == "kind"
    with pytest.raises(UsageError, match="mine has no label column 'kinds'; its columns: image"):
        label_column(schema, "kinds", "mine")
