"""Training-time defences as functions of a plan."""

from dataclasses import replace

import pytest

from latentprint.core.errors import UsageError
from latentprint.trainer import DEFENCES, DefenceSpec, make_plan


def test_early_stop_keeps_the_schedule_and_stops_half_way():
    plan = make_plan("mae", {}, 101, [DefenceSpec("early-stop")])
    assert (plan.epochs, plan.stop_after) == (101, 50)
    assert make_plan("mae", {}, 10, [DefenceSpec("early-stop", {"fraction": 0.3})]).stop_after == 3
    assert make_plan("mae", {}, 1, [DefenceSpec("early-stop")]).stop_after == 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, 1.5])
def test_early_stop_wants_a_real_fraction(fraction):
    with pytest.raises(UsageError, match="fraction"):
        make_plan("mae", {}, 10, [DefenceSpec("early-stop", {"fraction": fraction})])


def test_scsr_raises_the_lower_bound_of_the_crop_and_nothing_else():
    plain = make_plan("moco", {"crop_scale_from": 0.2}, 10)
    defended = make_plan("moco", {"crop_scale_from": 0.2}, 10, [DefenceSpec("scsr", {"lower": 0.5})])
    assert plain.options.augmentation.crop_scale == (0.2, 1.0)
    assert defended.options.augmentation.crop_scale == (0.5, 1.0)
    assert defended == make_plan("moco", {"crop_scale_from": 0.5}, 10)


@pytest.mark.parametrize("lower", [0.5, 0.3, 1.2])
def test_scsr_that_raises_nothing_is_refused_with_the_reason(lower):
    with pytest.raises(UsageError, match=r"does not raise the crop scale of 'moco', which starts from 0\.5"):
        make_plan("moco", {"crop_scale_from": 0.5}, 10, [DefenceSpec("scsr", {"lower": lower})])


def test_scsr_is_refused_where_nothing_is_cropped():
    with pytest.raises(UsageError, match=r"starts from 1\.0"):
        make_plan("mae", {}, 10, [DefenceSpec("scsr")])


def strong(**options):
    return [DefenceSpec("strong-augmentation", options)]


@pytest.mark.parametrize("recipe", ["moco", "mixco", "rocl", "simclr", "simsiam", "swav", "vicreg"])
def test_strong_augmentation_rotates_by_default(recipe):
    plan = make_plan(recipe, {}, 10, strong())
    assert plan == make_plan(recipe, {"rotation": 180.0}, 10)
    assert plan.options.augmentation.rotation == 180.0
    assert make_plan(recipe, {}, 10, strong(strength=30)).options.augmentation.rotation == 30.0


@pytest.mark.parametrize(
    ("kind", "recipe", "option"), [("mixup", "mixco", "mix_weight"), ("adversarial", "rocl", "radius")]
)
def test_strong_augmentation_turns_moco_into_a_variant_and_keeps_its_options(kind, recipe, option):
    shared = {"queue": 7, "crop_scale_from": 0.3, "rotation": 5.0}
    plan = make_plan("moco", shared, 10, [DefenceSpec("early-stop"), *strong(kind=kind)])
    assert plan == replace(make_plan(recipe, shared, 10, [DefenceSpec("early-stop")]), of_recipe="moco")
    stronger = make_plan("moco", shared, 10, strong(kind=kind, strength=3))
    assert stronger == replace(make_plan(recipe, {**shared, option: 3.0}, 10), of_recipe="moco")


def test_the_card_tells_the_recipe_that_a_defence_turned_into_another(train_tiny):
    card = train_tiny("moco", "mixed", epochs=1, defences=strong(kind="mixup"))
    assert (card.recipe, card.training["of_recipe"]) == ("mixco", "moco")
    rotated = train_tiny("moco", "rotated", epochs=1, defences=strong())
    assert rotated.recipe == "moco"
    assert "of_recipe" not in rotated.training


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("simclr", {"kind": "mixup"}, "'mixco' is a variant of 'moco'; the recipe 'simclr' has none"),
        ("mae", {"kind": "adversarial"}, "'rocl' is a variant of 'moco'; the recipe 'mae' has none"),
        ("mae", {}, "the recipe 'mae' has no random rotation"),
        ("moco", {"strength": 0.0}, "strength must be above 0"),
        ("moco", {"kind": "blur"}, "kind"),
    ],
)
def test_strong_augmentation_says_why_it_refuses(recipe, options, message):
    with pytest.raises(UsageError, match=message):
        make_plan(recipe, {}, 10, strong(**options))


def test_a_rotation_that_adds_none_is_refused():
    with pytest.raises(UsageError, match=r"30\.0 degrees are no more than the rotation that 'moco' already has"):
        make_plan("moco", {"rotation": 45.0}, 10, strong(strength=30.0))


def test_defences_apply_in_order():
    specs = [DefenceSpec("scsr", {"lower": 0.7}), DefenceSpec("early-stop"), DefenceSpec("early-stop")]
    plan = make_plan("dino", {}, 100, specs)
    assert plan.stop_after == 50
    assert plan.options.augmentation.crop_scale == (0.7, 1.0)


def test_an_unknown_defence_or_option_names_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'early-stop'"):
        make_plan("mae", {}, 10, [DefenceSpec("early_stop")])
    with pytest.raises(UsageError, match="Did you mean 'fraction'"):
        make_plan("mae", {}, 10, [DefenceSpec("early-stop", {"fractions": 0.2})])


def test_each_defence_says_what_it_is():
    assert all(entry.summary and entry.source and entry.needs for entry in DEFENCES)
