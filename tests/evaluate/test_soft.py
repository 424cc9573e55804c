"""Soft labels: targets, loss, bytes, and how they are told."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from condensery.core.starts import random_start
from condensery.data.problem import Problem, Split
from condensery.errors import UsageError
from condensery.evaluate import Labels, Recipe, baselines, evaluate, grid, rows_beside, soft
from condensery.evaluate import train as training
from condensery.evaluate.runs import label_bytes
from condensery.evaluate.soft import Lesson, hired, labels_from, network_bytes, soft_loss
from condensery.modality import Image, Pixels
from condensery.models import PeerSpec, build
from condensery.records import ALL_BYTES, read
from condensery.report.panels import panels
from condensery.streams import Streams

SHORT = Recipe("short", updates=4, batch=64, lr=0.02)
SMALL = PeerSpec("mlp", lr=0.05, momentum=0.9)


@pytest.fixture
def teacher(problem):
    return build(PeerSpec("mlp"), problem.modality, 3, Streams(5)("weights")).eval()


@pytest.fixture
def rows(drawn):
    return {"random": [(0, drawn(0))], "ours": [(0, drawn(1))]}


def test_the_loss_is_the_divergence_at_the_temperature_times_its_square():
    generator = torch.Generator().manual_seed(0)
    own, other = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    for temperature in (1.0, 4.0):
        p, q = (torch.softmax(one / temperature, 1) for one in (other, own))
        expected = temperature**2 * (p * (p / q).log()).sum() / 5
        assert float(soft_loss(own, p, temperature)) == pytest.approx(float(expected))


def test_a_certain_teacher_at_temperature_one_gives_the_hard_label_loss():
    logits, y = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), torch.arange(6) % 4
    sure = F.one_hot(y, 4).float()
    assert float(soft_loss(logits, sure, 1.0)) == pytest.approx(float(F.cross_entropy(logits, y)))


def test_a_network_that_agrees_with_its_teacher_has_nothing_to_learn():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = soft_loss(logits, torch.softmax(logits.detach() / 3, 1), 3.0)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None and float(logits.grad.abs().max()) < 1e-6


def test_static_targets_are_half_precision_answers_to_the_decoded_samples(problem, drawn, teacher):
    batch = drawn().quantised().decode()
    lesson = Lesson(Labels("static", temperature=4), teacher, problem.modality)
    with torch.no_grad():
        expected = torch.softmax(teacher(batch.x).half().float() / 4, 1)
    assert torch.equal(lesson.prepared(batch).y, expected)
    assert lesson.targets(batch) is batch


def test_live_targets_follow_the_altered_samples_and_are_mixed_when_softened(
    problem, drawn, teacher
):
    batch, lesson = drawn().decode(), Lesson(Labels("live"), teacher, problem.modality)
    assert lesson.prepared(batch) is batch
    asked = []
    true_targets = lesson.targets

    def spy(altered):
        asked.append(true_targets(altered))
        return asked[-1]

    lesson.targets = spy
    alter = training._altering(Recipe("x", mix=1), Streams(0), problem.modality, 3, lesson)
    mixed = alter(batch)
    with torch.no_grad():
        expected = torch.softmax(teacher(asked[0].x), 1)
    assert not torch.equal(asked[0].x, batch.x)
    assert torch.allclose(asked[0].y, expected)
    assert torch.allclose(mixed.y.sum(1), torch.ones(len(batch.y)))
    assert not torch.equal(mixed.y, asked[0].y)


def test_a_teacher_sees_samples_in_its_own_normalisation(problem, drawn, teacher):
    foreign = Image((1, 8, 8), (0.0,), (1.0,))
    batch = drawn().decode()
    pixels = batch._replace(x=problem.modality.to_pixels(batch.x))
    same = Lesson(Labels("live"), teacher, problem.modality).targets(batch).y
    other = Lesson(Labels("live"), teacher, foreign, problem.modality).targets(pixels).y
    assert torch.allclose(same, other, atol=1e-5)


def test_a_teacher_s_answers_do_not_depend_on_how_many_it_sees_at_once(
    problem, drawn, teacher, monkeypatch
):
    batch, lesson = drawn().decode(), Lesson(Labels("live"), teacher, problem.modality)
    whole = lesson.targets(batch).y
    monkeypatch.setattr(soft, "SIZE", 2)
    assert torch.allclose(lesson.targets(batch).y, whole, atol=1e-6)


def test_static_labels_cost_two_bytes_a_class_and_decoded_sample(problem, drawn, teacher):
    lesson = Lesson(Labels("static"), teacher, problem.modality)
    assert lesson.nbytes(samples=24, classes=3) == 2 * 3 * 24
    packed = {"ours": [(0, drawn(per_class=2, factor=2))]}
    (hard,) = evaluate(packed, problem, ["mlp"], recipe=SHORT, seeds=(0,))
    told = Labels("static", SMALL, updates=2)
    (made,) = evaluate(packed, problem, ["mlp"], recipe=SHORT, seeds=(0,), labels=told)
    assert made.stored_bytes - hard.stored_bytes == 2 * 3 * (3 * 2 * 4)


def test_live_labels_cost_the_bytes_of_the_teacher_s_numbers():
    network = build(PeerSpec("cifar_resnet20"), Image((3, 32, 32), (0.5,) * 3, (0.5,) * 3), 10,
                    Streams(0)("weights"))  # fmt: skip
    assert network_bytes(network) == 1_084_392
    network.pretrained = {name: one.half() for name, one in network.state_dict().items()}
    assert network_bytes(network) == 1_084_392 // 2


@pytest.fixture(scope="module")
def pictures():
    """Sixty images a class of CIFAR-10's shape, and a set of ten a class."""
    labels = np.repeat(np.arange(10), 60)
    train = Split(np.zeros((600, 3, 32, 32), dtype=np.uint8), labels)
    modality = Image((3, 32, 32), (0.5,) * 3, (0.5,) * 3)
    problem = Problem("blank", modality, tuple("abcdefghij"), train, None, train)
    return problem, random_start(problem, 10, Pixels(), Streams(0))


@pytest.mark.parametrize(
    ("labels", "extra", "per_class"),
    [(Labels("static"), 2_000, 10), (Labels("live", PeerSpec("cifar_resnet20")), 1_084_392, 45),
     (None, 4 * 272_474, 45), (None, 1_350_000, 53), (Labels(), 0, None)],
)  # fmt: skip
def test_random_with_hard_labels_takes_the_bytes_of_soft_ones_in_samples(
    pictures, labels, extra, per_class
):
    problem, made = pictures
    assert made.nbytes() == 307_200 + 100
    if labels is not None:
        assert label_bytes(labels, problem, made) == extra
        rows = rows_beside(made, problem, which=("random",), draws=2, labels=labels).rows
    else:
        rows = baselines(problem, [(0, made)], name="set", which=("random",), draws=2,
                         extra_bytes=extra)  # fmt: skip
    assert list(rows) == ["random", *([ALL_BYTES] if extra else []), "set"]
    for _, one in rows.get(ALL_BYTES, ()):
        assert one.per_class == per_class
        assert one.nbytes() <= made.nbytes() + extra < one.nbytes() + 10 * (3072 + 1)


def test_the_row_that_took_all_bytes_has_hard_labels_and_stands_in_no_soft_table(problem, drawn):
    told, ours = Labels("static", SMALL, updates=3), drawn(1)
    rows = rows_beside(ours, problem, which=("random",), labels=told).rows
    assert list(rows) == ["random", ALL_BYTES, "set"]
    found = evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0,), labels=told)
    soft_one, hard_one, _ = found
    assert (hard_one.labels, "labels" in hard_one.settings) == ("hard", False)
    assert hard_one.stored_bytes == rows[ALL_BYTES][0][1].nbytes()
    assert soft_one.labels.startswith("static")
    hard = {"r": rows[ALL_BYTES], "set": rows["set"]}
    alone = evaluate(hard, problem, ["mlp"], recipe=SHORT, seeds=(0,))
    assert hard_one.accuracy == alone[0].accuracy
    (table,) = [one for one in panels(found) if one.labels != "hard"]
    assert {one.row for one in table.records} == {"random", "set"}


def test_a_trained_teacher_knows_the_data_is_trained_once_and_can_be_sent(problem):
    labels = Labels("live", SMALL, updates=60)
    one, again = (hired(dataclasses.replace(labels, temperature=t), problem) for t in (1, 2))
    assert one is again and not one.training
    assert training.accuracy(one, training.TestSamples(problem)) > 0.9
    assert not any(parameter.requires_grad for parameter in one.parameters())
    assert isinstance(pickle.loads(pickle.dumps(one)), type(one))
    assert hired(Labels(), problem) is None


def test_records_say_the_regime_and_the_teacher_and_stand_in_another_table(
    problem, rows, tmp_path
):
    out = tmp_path / "records.jsonl"
    told = Labels("static", SMALL, temperature=4, updates=3)
    asked = {"recipe": SHORT, "seeds": (0,), "out": out}
    hard = evaluate(rows, problem, ["convnet_mini"], **asked)
    made = evaluate(rows, problem, ["convnet_mini"], labels=told, **asked)
    assert {one.labels for one in hard} == {"hard"}
    expected = "static of mlp after 3 updates, seed 0, temperature 4"
    assert {one.labels for one in made} == {expected}
    assert made[0].settings["labels"]["temperature"] == 4
    assert read(out) == [*hard, *made]
    assert [len(one.records) for one in panels(read(out))] == [2, 2]
    assert json.loads(json.dumps(made[0].settings)) == made[0].settings


def test_a_finished_soft_cell_is_not_run_again_nor_its_teacher_trained(
    problem, rows, tmp_path, monkeypatch
):
    asked = {"recipe": SHORT, "seeds": (0,), "out": tmp_path / "records.jsonl"}
    told = Labels("live", SMALL, updates=4)
    first = evaluate(rows, problem, ["mlp"], labels=told, **asked)
    monkeypatch.setattr(grid, "hired", None)
    assert evaluate(rows, problem, ["mlp"], labels=told, **asked) == first


def test_weights_are_told_by_their_file_s_name():
    told = Labels("live", PeerSpec("cifar_resnet20", weights="/data/of/mine/net.safetensors"))
    assert told.values()["teacher"]["weights"] == "net.safetensors"
    assert told.told("cifar_resnet20 net.safetensors") == (
        "live of cifar_resnet20 net.safetensors, temperature 1"
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"regime": "epochs"}, "hard, static, live"), ({"temperature": 0.0}, "--temperature"),
     ({"temperature": float("nan")}, "--temperature"), ({"updates": 0}, "--teacher-updates")],
)  # fmt: skip
def test_labels_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Labels(**wrong)
    assert labels_from("live") == Labels("live")


def test_a_teacher_of_other_classes_is_refused(problem, rows, tmp_path):
    from safetensors.torch import save_file

    network = build(PeerSpec("mlp"), problem.modality, 7, Streams(0)("weights"))
    save_file(network.state_dict(), tmp_path / "mlp.safetensors")
    told = Labels("live", PeerSpec("mlp", weights=str(tmp_path / "mlp.safetensors")))
    with pytest.raises(UsageError, match="no head for these classes"):
        evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0,), labels=told)


@pytest.mark.realdata
def test_a_teacher_of_cifar_names_most_real_images(real_data):
    from condensery.data import load_problem

    problem = load_problem("cifar10", data_dir=real_data)
    weights = real_data / "weights" / "cifar10_resnet" / "resnet20.safetensors"
    told = Labels("live", PeerSpec("cifar_resnet20", weights=str(weights)))
    network, batch = hired(told, problem), problem.batch(slice(0, 200), "test")
    lesson = Lesson(told, network, problem.modality)
    right = lesson.targets(batch).y.argmax(1) == batch.y
    assert float(right.float().mean()) > 0.85
    assert lesson.nbytes(100, 10) == 1_084_392
