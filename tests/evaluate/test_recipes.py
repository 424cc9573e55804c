"""Recipes: lengths, rates, what applies to which network."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from cases import images, sounds, texts
from condensery import models
from condensery.core.starts import random_start
from condensery.errors import UsageError
from condensery.evaluate import (
    RECIPES,
    Override,
    Recipe,
    Schedule,
    evaluate,
    recipe_from,
    shorten,
    train_network,
)
from condensery.evaluate.train import make_optimiser
from condensery.modality import Image
from condensery.models import PeerSpec, build
from condensery.streams import Streams

DIGITS = Image((1, 8, 8), (0.5,), (0.5,), mirror=False)
COLOUR = Image((3, 32, 32), (0.5,) * 3, (0.5,) * 3)


def voices():
    """The tones of ``cases`` under the rate that HuBERT hears."""
    made = sounds()
    return dataclasses.replace(made, modality=dataclasses.replace(made.modality, rate=16_000))


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(UsageError, match="hmdc, hmdc-released, idc"):
        recipe_from("hdmc")


def test_the_names_of_recipes_are_their_keys():
    assert all(name == recipe.name for name, recipe in RECIPES.items())


def test_idc_multiplies_the_rate_by_a_fifth_at_epochs_666_and_833_of_1000():
    schedule = RECIPES["idc"].schedule
    rates = [schedule.rate(epoch, 1000, 1) for epoch in range(1000)]
    assert rates[:666] == [1.0] * 666
    assert rates[666:833] == pytest.approx([0.2] * 167)
    assert rates[833:] == pytest.approx([0.04] * 167)


@pytest.mark.parametrize(("name", "first", "second"), [("dc", 152, 149), ("dsa", 502, 499)])
def test_d16_dc_and_dsa_drop_the_rate_once_after_the_published_epoch(name, first, second):
    recipe = RECIPES[name]
    rates = [recipe.schedule.rate(epoch, recipe.epochs, 1) for epoch in range(recipe.epochs)]
    assert rates == pytest.approx([1.0] * first + [0.1] * second)
    assert (recipe.batch, recipe.lr, recipe.momentum, recipe.weight_decay) == (256, 0.01, 0.9, 5e-4)


def test_dsa_alters_by_one_operation_at_a_time_and_dc_by_none():
    altered = RECIPES["dsa"].augmentation(COLOUR)
    assert (len(altered.operations), altered.choose) == (6, "one")
    assert RECIPES["dc"].augmentation(COLOUR).operations == ()


def test_a_multistep_schedule_changes_between_epochs_only_and_keeps_its_shape_when_shortened():
    schedule = Schedule("multistep", at=(2 / 3, 5 / 6), factor=0.2)
    rates = [schedule.rate(update, 24, 4) for update in range(24)]
    assert rates == pytest.approx([1.0] * 16 + [0.2] * 4 + [0.04] * 4)


def test_a_cosine_goes_from_the_full_rate_towards_zero_and_is_half_in_the_middle():
    schedule = Schedule("cosine")
    assert schedule.rate(0, 300, 5) == 1
    assert schedule.rate(150, 300, 5) == pytest.approx(0.5)
    assert schedule.rate(299, 300, 5) == pytest.approx(0.5 * (1 + math.cos(math.pi * 299 / 300)))


def test_a_constant_rate_is_constant():
    assert {Schedule().rate(update, 1000, 1) for update in (0, 500, 999)} == {1.0}


@pytest.mark.parametrize(
    ("name", "family", "rate"),
    [("convnet3", "cnn", 1e-2), ("resnet18", "cnn", 1e-3), ("resnet50", "cnn", 1e-3),
     ("resnet101", "cnn", 1e-4), ("vit_tiny", "vit", 1e-3), ("vit_small", "vit", 1e-3),
     ("vit_base", "vit", 1e-4), ("mlp", "mlp", 1e-2), ("convnet3_w32", "cnn", 1e-2),
     ("spectrogram_cnn", "cnn", 1e-2), ("audio_cnn", "cnn", 1e-3), ("audio_cnn_w16", "cnn", 1e-3),
     ("audio_cnn_released", "cnn", 1e-3), ("hubert", "transformer", 1e-5),
     ("hubert_released", "transformer", 1e-5), ("lstm", "rnn", 1e-3),
     ("lstm_released", "rnn", 1e-3), ("bert", "transformer", 1e-5),
     ("minilm", "transformer", 1e-5)],
)  # fmt: skip
def test_the_hmdc_recipe_has_the_published_rate_of_each_network(name, family, rate):
    applied = RECIPES["hmdc"].for_network(name, family)
    assert applied.lr == rate
    assert (applied.optimiser, applied.momentum, applied.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (applied.batch, applied.epochs, applied.mix) == (128, 1000, 0.5)
    assert applied.overrides == ()
    assert RECIPES["hmdc-released"].for_network(name, family).lr == rate


def test_a_pattern_stands_between_name_and_family_and_means_no_network_of_the_user_s_own():
    recipe = Recipe("x", overrides=(Override("cnn", lr=1.0), Override("net*", lr=2.0),
                                    Override("net3", lr=3.0)))  # fmt: skip
    rates = [recipe.for_network(*one).lr
             for one in (("net3", "cnn"), ("net3_w8", "cnn"), ("other", "cnn"))]  # fmt: skip
    assert rates == [3.0, 2.0, 1.0]
    assert recipe.for_network("network", "module").lr == recipe.lr


def test_a_name_goes_before_a_family_and_length_follows_the_override():
    recipe = Recipe("x", epochs=10, overrides=(Override("vit", lr=1.0), Override("a", longer=1.5)))
    assert recipe.for_network("a", "vit").epochs == 15
    assert recipe.for_network("a", "vit").lr == recipe.lr
    assert recipe.for_network("b", "vit").lr == 1.0


def test_vits_go_without_cutmix_only_where_the_recipe_says_so():
    assert Recipe("x").for_network("v", "vit").mix == 0.5
    without = Recipe("x", mix_vit=False)
    assert without.for_network("v", "vit").mix == 0
    assert without.for_network("c", "cnn").mix == 0.5


def test_flip_is_left_out_where_a_mirrored_image_is_another_class():
    assert "flip" in RECIPES["idc"].augmentation(COLOUR).operations
    assert "flip" not in RECIPES["idc"].augmentation(DIGITS).operations


def test_cutout_never_stands_beside_cutmix():
    recipe = Recipe("x", operations=("crop", "cutout"))
    assert recipe.augmentation(COLOUR).operations == ("crop",)
    assert "cutout" in Recipe("x", operations=("cutout",), mix=0).augmentation(COLOUR).operations


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 66, 128, 129, 130, 200])
def test_an_epoch_drops_no_sample_and_leaves_none_alone(count):
    recipe = Recipe("x", batch=64)
    batches = recipe.batches(torch.arange(count).flip(0))
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
    assert len(batches) == recipe.per_epoch(count)
    assert count == 1 or min(len(batch) for batch in batches) > 1


def test_a_length_in_updates_is_that_many_updates_whatever_the_set():
    recipe = Recipe("x", batch=64, updates=300)
    assert recipe.length(10) == (300, 300)
    assert recipe.length(150) == (100, 300)
    assert recipe.length(250) == (75, 300)


def test_shortening_says_the_new_length_in_the_name():
    assert shorten(RECIPES["hmdc"], epochs=10).name == "hmdc (10 epochs)"
    assert shorten(RECIPES["quick"], epochs=10).length(10) == (10, 10)
    assert shorten(RECIPES["hmdc"], updates=7).length(1000)[1] == 7
    assert shorten(RECIPES["hmdc"], epochs=1000) is RECIPES["hmdc"]


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"updates": -1}, {"epochs": 1, "updates": 1}])
def test_a_length_that_cannot_be_is_refused(wrong):
    with pytest.raises(UsageError, match="--epochs|--updates"):
        shorten(RECIPES["hmdc"], **wrong)


def test_the_released_recipe_is_what_the_released_code_does():
    recipe = RECIPES["hmdc-released"]
    table = {
        "epochs": 2000, "batch": 128, "optimiser": "sgd", "momentum": 0.9, "weight_decay": 5e-4,
        "mode": "eval", "check_every": 10, "reported": "best", "mix": 0.5, "mix_vit": False,
        "brightness_only": True, "corners_grid": True, "cutout_beside_mix": True,
        "operations": ("flip", "color", "crop", "scale", "rotate", "cutout"),
    }  # fmt: skip
    assert {name: getattr(recipe, name) for name in table} == table
    assert recipe.schedule == Schedule()


@pytest.mark.parametrize(
    ("name", "family", "rate", "part", "mix"),
    [("convnet3", "cnn", 1e-2, "head", 0.5), ("resnet18", "cnn", 1e-3, "all", 0.5),
     ("resnet50", "cnn", 1e-3, "all", 0.5), ("resnet101", "cnn", 1e-4, "all", 0.5),
     ("vit_tiny", "vit", 1e-3, "all", 0.0), ("vit_small", "vit", 1e-3, "all", 0.0),
     ("vit_base", "vit", 1e-4, "all", 0.0), ("convnet_mini", "cnn", 1e-2, "head", 0.5),
     ("convnet4", "cnn", 1e-2, "head", 0.5), ("convnet3_w32", "cnn", 1e-2, "head", 0.5),
     ("convnet2_w8", "cnn", 1e-2, "head", 0.5), ("convnet_mine", "module", 1e-2, "all", 0.5),
     ("audio_cnn", "cnn", 1e-3, "all", 0.5), ("audio_cnn_released", "cnn", 1e-3, "all", 0.5),
     ("hubert", "transformer", 1e-5, "head", 0.5), ("bert", "transformer", 1e-5, "head", 0.5),
     ("hubert_released", "transformer", 1e-5, "head", 0.5),
     ("bert_mini", "transformer", 1e-5, "head", 0.5), ("minilm", "transformer", 1e-5, "head", 0.5),
     ("lstm", "rnn", 1e-3, "embedding", 0.5), ("lstm2_w8", "rnn", 1e-3, "embedding", 0.5),
     ("lstm_released", "rnn", 1e-3, "embedding", 0.5)],
)  # fmt: skip
def test_the_released_recipe_freezes_what_the_released_code_does_and_mixes_for_no_vit(
    name, family, rate, part, mix
):
    applied = RECIPES["hmdc-released"].for_network(name, family)
    assert (applied.lr, applied.train_part, applied.mix) == (rate, part, mix)


def test_the_released_recipe_trains_text_in_training_mode_and_reads_it_raw():
    recipe = RECIPES["hmdc-released"]
    modes = {name: recipe.for_network(name, models.family(name)).mode
             for name in ("lstm", "bert", "minilm", "bert_mini", "hubert", "audio_cnn", "vit_tiny",
                          "convnet3")}  # fmt: skip
    assert modes == {**dict.fromkeys(("lstm", "bert", "minilm", "bert_mini"), "dropout"),
                     **dict.fromkeys(("hubert", "audio_cnn", "vit_tiny", "convnet3"), "eval")}
    assert [name for name, one in RECIPES.items() if one.text == "raw"] == ["hmdc-released"]


def test_the_released_augmentation_cuts_out_beside_cutmix_and_changes_brightness_only():
    made = RECIPES["hmdc-released"].augmentation(COLOUR)
    assert made.operations[-1] == "cutout" and made.brightness_only
    assert (made.corners_grid, made.corners) == (True, False)


def test_the_supplement_s_recipe_is_colour_crop_and_cutmix_for_every_network():
    recipe = RECIPES["hmdc"]
    assert (recipe.operations, recipe.mix, recipe.mix_vit) == (("color", "crop"), 0.5, True)
    assert (recipe.reported, recipe.check_every, recipe.mode) == ("last", None, "train")


def test_dm_is_trained_as_dsa_under_its_own_name():
    own, other = (dataclasses.asdict(RECIPES[name]) for name in ("dm", "dsa"))
    assert {key for key in own if own[key] != other[key]} == {"name", "summary"}


def test_a_recipe_that_reports_the_best_of_no_checks_is_refused():
    with pytest.raises(UsageError, match="check_every"):
        Recipe("x", reported="best")


def test_a_probe_is_lengthened_by_views_and_has_no_updates():
    assert shorten(RECIPES["linear-probe"], epochs=5).length(100) == (5, 0)
    with pytest.raises(UsageError, match="--epochs"):
        shorten(RECIPES["linear-probe"], updates=5)


def test_a_rate_of_one_s_own_goes_before_every_override():
    recipe = RECIPES["quick"].at_rate(0.05)
    assert recipe.for_network("vit_mini", "vit").lr == 0.05
    assert recipe.for_network("vit_mini", "vit").optimiser == "adamw"
    assert recipe.for_network("mlp", "mlp").lr == 0.05


def test_records_of_what_was_always_so_stay_valid_and_new_ways_are_told():
    older = {"epochs", "updates", "batch", "optimiser", "lr", "momentum", "weight_decay",
             "schedule", "operations", "choose", "mix", "mix_vit", "batch_norm"}  # fmt: skip
    assert set(RECIPES["hmdc"].values()) == older
    told = RECIPES["hmdc-released"].values()
    assert (told["reported"], told["mode"], told["check_every"]) == ("best", "eval", 10)
    assert told["text"] == "raw"


def test_every_recipe_has_one_line_for_people():
    assert all(one.summary and "\n" not in one.summary for one in RECIPES.values())


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_runs_from_end_to_end_when_shortened(problem, drawn, name):
    rows = {"ours": [(0, drawn())]}
    for network in ("convnet_mini", "vit_mini"):
        (found,) = evaluate(rows, problem, [network], recipe=name, seeds=(0,), epochs=2)
        assert found.recipe == f"{name} (2 epochs)" and 0 <= found.accuracy <= 1
        assert (found.best is not None) == (RECIPES[name].reported == "best")
        assert found.best is None or found.best >= found.accuracy


def test_released_convnets_keep_their_random_body_and_learn_a_head(problem, drawn):
    short = shorten(RECIPES["hmdc-released"], epochs=2)
    fresh = build(PeerSpec("convnet_mini"), problem.modality, 3, Streams(0)("weights"))
    trained = train_network(drawn(), PeerSpec("convnet_mini"), short, Streams(0))
    before = dict(fresh.named_parameters())
    moved = {key for key, one in trained.named_parameters() if not torch.equal(one, before[key])}
    assert moved == set(fresh.head)


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [("lstm2_w8", texts, "words.weight"), ("bert_mini", texts, "classifier."),
     ("hubert_mini", voices, "classifier."), ("audio_cnn_w2", voices, ""),
     ("convnet2_w8", lambda: images(1), "classifier.")],
)  # fmt: skip
def test_of_each_released_network_only_that_part_moves(name, data, part):
    made = data()
    synthetic = random_start(made, 2, made.modality.codec(), Streams(0))
    recipe = dataclasses.replace(
        shorten(RECIPES["hmdc-released"], epochs=2), text="decoded", check_every=None,
        reported="last",
    )  # fmt: skip
    fresh = build(PeerSpec(name), made.modality, made.classes, Streams(0)("weights"))
    trained = train_network(synthetic, PeerSpec(name), recipe, Streams(0))
    before = dict(fresh.named_parameters())
    moved = {key for key, one in trained.named_parameters() if not torch.equal(one, before[key])}
    assert moved == {key for key in before if key.startswith(part)}


def test_word_vectors_that_nobody_names_cannot_be_trained_alone(problem, drawn):
    recipe = Recipe("x", updates=1, train_part="embedding")
    with pytest.raises(UsageError, match="ConvNet does not say .* word vectors"):
        train_network(drawn(), PeerSpec("convnet_mini"), recipe, Streams(0))


@pytest.mark.parametrize("mode", ["train", "eval", "dropout"])
def test_an_encoder_of_text_drops_out_only_where_the_recipe_wants_it(mode):
    made, modes = texts(), []
    synthetic = random_start(made, 1, made.modality.codec(), Streams(0))
    recipe = Recipe("x", updates=2, mode=mode)

    def watch(epoch, backbone):
        modes.append((backbone.training, backbone.encoder.training))

    trained = train_network(synthetic, PeerSpec("bert_mini"), recipe, Streams(0), watch=watch)
    assert modes == [{"train": (True, False), "eval": (False, False),
                      "dropout": (True, True)}[mode]] * 2  # fmt: skip
    assert not trained.training and not trained.encoder.training


def test_in_evaluation_mode_batch_norm_learns_no_statistics(problem, drawn):
    modes, spec = [], PeerSpec("resnet_mini")
    recipe = Recipe("x", updates=2, mode="eval")

    def watch(epoch, backbone):
        modes.append(backbone.training)

    trained = train_network(drawn(), spec, recipe, Streams(0), watch=watch)
    means = [one for name, one in trained.named_buffers() if name.endswith("running_mean")]
    assert modes == [False, False]
    assert means and all(not one.any() for one in means)


def test_a_head_that_nobody_names_cannot_be_trained_alone():
    with pytest.raises(UsageError, match="head"):
        make_optimiser(torch.nn.LayerNorm(2), Recipe("x", train_part="head"))
