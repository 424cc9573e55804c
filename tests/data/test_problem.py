"""Splits are stratified, seeded and whole; fingerprints are of the content."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from condensery.data import load_problem
from condensery.data.problem import Split, stratified
from data.made import noise


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.floats(0.01, 0.99),
    st.integers(-5, 2**40),
)
def test_a_stratified_split_takes_its_share_of_each_class(
    counts: list[int], share: float, seed: int
) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    taken = stratified(labels, share, seed)
    assert np.array_equal(taken, np.unique(taken)) and np.isin(taken, np.arange(len(labels))).all()
    assert np.array_equal(taken, stratified(labels, share, seed))
    for label, count in enumerate(counts):
        expected = 0 if count == 1 else min(max(1, round(share * count)), count - 1)
        assert (labels[taken] == label).sum() == expected


def test_unlike_seeds_take_unlike_samples() -> None:
    labels = np.repeat([0, 1], 50)
    assert not np.array_equal(stratified(labels, 0.2, 0), stratified(labels, 0.2, 1))


def test_training_and_validation_together_are_the_training_data() -> None:
    x, y = noise(40, 4, 4), [0, 1, 2, 3] * 10
    whole = load_problem((x, y, x, y))
    parted = whole.with_validation(0.2, seed=3)
    rows = sorted(map(bytes, np.concatenate([parted.train.samples, parted.val.samples])))
    assert rows == sorted(map(bytes, whole.train.samples))
    assert parted.with_validation(0.5) is parted


def test_a_fingerprint_changes_with_samples_labels_and_class_names() -> None:
    x, y = noise(12, 4, 4), np.array([0, 1, 2] * 4)
    first = load_problem((x, y, x, y)).fingerprint
    assert first == load_problem((x.copy(), y.copy(), x[:3], y[:3])).fingerprint, "of training"
    altered = x.copy()
    altered[-1, -1, -1] ^= 1
    other = [(altered, y, x, y), (x, y[::-1].copy(), x, y), (x, y + 1, x, y + 1)]
    assert len({first, *(load_problem(data).fingerprint for data in other)}) == 4


def test_a_digest_does_not_depend_on_where_the_bytes_lie() -> None:
    samples, labels = noise(10, 3, 4, 4), np.arange(10)
    turned = np.asfortranarray(samples)
    assert Split(samples, labels).digest == Split(turned, labels.astype(np.int32)).digest
    assert Split(samples[:0], labels[:0]).digest != Split(samples[:1], labels[:1]).digest


def test_a_problem_describes_itself_in_plain_values() -> None:
    told = load_problem((noise(10, 4, 5, 3), [0] * 6 + [1] * 4), validation=0.2).describe()
    assert json.loads(json.dumps(told))["modality"]["shape"] == [3, 4, 5]
    assert (told["train"], told["val"], told["test"]) == (6, 2, 2)
    assert (told["fewest of a class"], told["most of a class"]) == (2, 4)
