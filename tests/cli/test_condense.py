"""What ``condensery condense`` says of what it made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cases import images, sounds, texts
from condensery.cli.condense import shown_as
from condensery.data import Problem


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (images, "pictures"),
        (sounds, "sounds"),
        (lambda: sounds(form="logmel"), "pictures"),
        (texts, "texts"),
    ],
)
def test_previews_are_called_what_they_are(made: Callable[[], Problem], expected: str) -> None:
    assert shown_as(made().modality) == expected
