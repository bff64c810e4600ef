from pathlib import Path
from typing import Any

import pytest
import yaml

from latentprint.attack_engine.models.job import SHADOW
from latentprint.attack_engine.report.membership.published import METRICS
from latentprint.attack_engine.runs.cells import plan_cells
from latentprint.attack_engine.runs.experiment_file import load_experiment
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.plan import plan_victims, require_enough_references
from latentprint.attack_engine.runs.threat_model import AuditedModel
from latentprint.core.config import load_yaml
from latentprint.core.errors import DataError, LatentprintError

VALID: dict[str, Any] = {
    "name": "trial",
    "datasets": {"d": "digits"},
    "splits": {"s": {"dataset": "d", "members": 40, "non_members": 80}},
    "victims": [{"name": "v", "recipe": "mae", "split": "s", "epochs": 1}],
    "attacks": ["partcrop", {"name": "partcrop+encodermi", "options": {"partcrop": {"crops": 8}}}],
}
VICTIM: dict[str, Any] = VALID["victims"][0]
THIEF: dict[str, Any] = {"name": "t", "of": "v", "steal": {"queries": 30, "held_out": 0}}
PROBE: dict[str, Any] = {"name": "p", "of": "v", "probe": {}}


def written(tmp_path: Path, content: dict[str, Any]) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    experiment = load_experiment(written(tmp_path, VALID))
    assert experiment.victims[0].recipe == "mae"
    combined = experiment.attack(experiment.attacks[1])
    assert [signal.name for signal in combined.signals] == ["partcrop", "encodermi"]
    assert combined.signals[0].queries_per_sample((32, 32)) == 9
    assert combined.outputs == ("feature_map", "embedding")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"victim": []}, "unknown key 'victim'. Did you mean 'victims'"),
        ({"splits": {"s": {"dataset": "e", "members": 4, "non_members": 4}}}, "Unknown data set of a split 'e'"),
        ({"victims": [{**VALID["victims"][0], "recipe": "maee"}]}, "Unknown recipe 'maee'. Did you mean 'mae'"),
        ({"victims": [{**VALID["victims"][0], "split": "t"}]}, "Unknown split 't'"),
        ({"victims": [{**VALID["victims"][0], "options": {"hedas": 3}}]}, "unknown key 'hedas'. Did you mean 'heads'"),
        ({"victims": [{**VALID["victims"][0], "defence": "early-stopp"}]}, "Did you mean 'early-stop'"),
        ({"victims": [VALID["victims"][0]] * 2}, "The victim 'v' stands twice"),
        ({"victims": []}, "at least one victim"),
        ({"attacks": ["partcorp"]}, "Unknown attack 'partcorp'. Did you mean 'partcrop'"),
        ({"attacks": [{"name": "partcrop", "options": {"crop": 3}}]}, "unknown key 'crop'. Did you mean 'crops'"),
        ({"attacks": [{"name": "partcrop", "inference": "mpl"}]}, "Did you mean 'mlp'"),
        ({"attacks": ["partcrop+partcrop"]}, "names a part twice"),
        ({"datasets": {"d": "digitss"}}, "Did you mean 'digits'"),
        (
            {"splits": {"s": {"dataset": "d", "members": 4, "non_members": 4, "users": {"probe": 4}}}},
            "unknown key 'probe'. Did you mean 'probes'",
        ),
        (
            {"victims": [{**VALID["victims"][0], "owned_by": "v"}]},
            "Unknown owner of the suspect 'v', another victim of the split 's': 'v'",
        ),
        (
            {"victims": [{**VALID["victims"][0], "attacks": ["partcorp"]}]},
            "attack of this file that the victim 'v' names: 'partcorp'. Did you",
        ),
        ({"victims": [{**VALID["victims"][0], "attacks": []}]}, "Nothing is asked of 'v', and it owns no suspect"),
        ({"victims": [{**VALID["victims"][0], "attacks": ["partcrop"]}]}, "No victim is audited with 'partcrop+enc"),
        (
            {"attacks": ["partcrop", "compactness"]},
            "compactness answers the question of users, which cannot be asked of 'v': its split 's' is drawn sample by",
        ),
        (
            {"splits": {"s": {**VALID["splits"]["s"], "users": {}}}},
            "partcrop answers the question of membership, which cannot be asked of 'v': its split 's' is drawn user by",
        ),
        (
            {"attacks": ["dataset-inference"], "sweeps": {"knowledge": [0.2]}},
            "dataset-inference answers the question of ownership, which has no sweeps",
        ),
        ({"victims": [VICTIM, {**THIEF, "of": "w"}]}, "Unknown victim that 't' is derived from: 'w'"),
        (
            {"victims": [VICTIM, {**THIEF, "of": "u"}, {**THIEF, "name": "u", "of": "t"}]},
            "No victim can be derived from itself, as 't' of 'u' of 't'",
        ),
        ({"victims": [VICTIM, {**THIEF, "recipe": "mae"}]}, "The victim 't' names both a recipe"),
        ({"victims": [{"name": "t"}]}, "The victim 't' names neither a recipe"),
        ({"victims": [VICTIM, {**THIEF, "probe": {}}]}, "derived from 'v', and says twice how"),
        ({"victims": [VICTIM, {"name": "t", "of": "v"}]}, "derived from 'v', and says nowhere how"),
        ({"victims": [VICTIM, {**THIEF, "split": "s"}]}, "'t': split is for one that is trained by a recipe"),
        ({"victims": [{**VICTIM, "steal": {}}]}, "'v': steal is for one that is derived from another victim"),
        ({"victims": [{"name": "v", "recipe": "mae", "split": "s"}]}, "trained by mae: give its split and epochs"),
        ({"victims": [VICTIM, {**THIEF, "steal": {"query": 3}}]}, "unknown key 'query'. Did you mean 'queries'"),
        ({"victims": [VICTIM, {**THIEF, "steal": {"loss": "msee"}}]}, "Did you mean 'mse'"),
        ({"victims": [VICTIM, {**THIEF, "obfuscate": ["pading=3"]}]}, "Did you mean 'padding'"),
        ({"victims": [{**VICTIM, "recipe": "supervised"}, PROBE]}, "is a probe of 'v', which is a classifier already"),
        ({"victims": [VICTIM, {**PROBE, "of": "q"}, {**PROBE, "name": "q"}]}, "'p' is a probe of 'q'"),
        ({"seed": "many"}, "seed: Input should be a valid integer"),
    ],
)
def test_every_bad_name_or_key_is_found_before_anything_runs(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(LatentprintError) as error:
        load_experiment(written(tmp_path, {**VALID, **change}))
    assert message in str(error.value)


def test_an_attribute_that_the_samples_lack_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    victims = [{**VALID["victims"][0], "recipe": "simclr", "options": {}, "defence": {"name": "talos"}}]
    experiment = load_experiment(written(tmp_path, {**VALID, "victims": victims}))
    with pytest.raises(LatentprintError, match="'digits' has no attributes"):
        plan_victims(experiment, Layout(tmp_path, "trial"))


def test_no_placebo_is_made_where_no_question_reads_one(tmp_path: Path) -> None:
    content = {**VALID, "datasets": {"d": {"name": "composites", "options": {"count": 300, "side": 16}}}}
    attribute = {"name": "attribute-inference", "options": {"attribute": "sensitive"}}
    for attacks, placebo in (([attribute], False), ([attribute, "embedding-norm"], True)):
        experiment = load_experiment(written(tmp_path, {**content, "attacks": attacks}))
        (victim,) = plan_victims(experiment, Layout(tmp_path, "trial"))
        assert (victim.placebo is not None) == placebo


def test_another_seed_draws_and_trains_anew(tmp_path: Path) -> None:
    path, layout = written(tmp_path, {**VALID, "seed": 3}), Layout(tmp_path, "trial")
    own, named, other = (load_experiment(path, seed=seed) for seed in (None, 3, 4))
    assert (own.seed, named.seed, other.seed) == (3, 3, 4)
    (mine,), (same,), (theirs,) = (plan_victims(one, layout) for one in (own, named, other))
    assert mine.key == same.key != theirs.key
    assert mine.split.digest == same.split.digest != theirs.split.digest
    with pytest.raises(LatentprintError, match="seed must be a whole number from 0"):
        load_experiment(path, seed=-1)


def test_a_suspect_stands_beside_its_victim_and_every_test_image_is_evaluated(tmp_path: Path) -> None:
    victim = {**VALID["victims"][0], "name": "mine"}
    suspect = {**victim, "name": "suspect", "epochs": 2, "owned_by": "mine"}
    names = ["dataset-inference", "masked-reconstruction"]
    experiment = load_experiment(written(tmp_path, {**VALID, "victims": [suspect, victim], "attacks": names}))
    planned, mine = plan_victims(experiment, Layout(tmp_path, "trial"))
    assert (planned.original, mine.original) == (mine.training, None)
    assert mine.training in planned.trainings
    assert [len(planned.split.ids(member=side, role="known")) for side in (True, False)] == [20, 0]
    assert len(planned.training.split.ids(member=False, role="known")) == 40


def test_victims_of_one_file_are_audited_on_different_questions(tmp_path: Path) -> None:
    victim = {**VALID["victims"][0], "attacks": ["partcrop"]}
    suspect = {**victim, "name": "suspect", "epochs": 2, "owned_by": "v", "attacks": ["owned"]}
    plain = {**VALID["victims"][0], "name": "plain", "epochs": 3}
    owner = {**victim, "name": "owner", "epochs": 4, "attacks": []}
    further = {**suspect, "name": "further", "epochs": 5, "owned_by": "owner"}
    attacks = ["partcrop", {"name": "view-relations", "label": "owned"}]
    content = {**VALID, "victims": [victim, suspect, plain, owner, further], "attacks": attacks}
    experiment = load_experiment(written(tmp_path, content))
    planned = plan_victims(experiment, Layout(tmp_path, "trial"))
    met = [(cell.model.name, cell.attack.name) for cell in plan_cells(experiment, planned)]
    of_plain = [("plain", "partcrop"), ("plain", "owned")]
    assert met == [("v", "partcrop"), ("suspect", "owned"), *of_plain, ("further", "owned")]
    assert [len(model.split.ids(member=False, role="known")) for model in planned] == [40, 0, 40, 40, 0]


def planned(tmp_path: Path, victims: list[dict[str, Any]], attacks: list[str], **split: int) -> list[AuditedModel]:
    content = {**VALID, "victims": victims, "attacks": attacks, "splits": {"s": {**VALID["splits"]["s"], **split}}}
    experiment = load_experiment(written(tmp_path, content))
    victims_made = plan_victims(experiment, Layout(tmp_path, "trial"))
    require_enough_references(map(experiment.attack, experiment.attacks), victims_made)
    return victims_made


def test_a_derived_victim_has_its_parents_samples_and_everything_beside_it_is_derived_alike(tmp_path: Path) -> None:
    suspect = {**THIEF, "owned_by": "v"}
    hidden = {**suspect, "name": "hidden", "obfuscate": ["permutation"]}
    thief, probe, victim, other = planned(tmp_path, [suspect, PROBE, VICTIM, hidden], ["supervisedmi"], distillation=30)
    for derived in (thief, probe):
        assert derived.split.digest == victim.split.digest
        assert (derived.training.parent, derived.placebo.parent) == (victim.training, victim.placebo)
        assert derived.placebo.samples == victim.placebo.samples
    assert (thief.original, probe.original) == (victim.training, None)
    assert other.training.key == thief.training.key  # what happens to answers is no part of the weights
    assert len({thief.key, probe.key, victim.key, other.key}) == 4


@pytest.mark.parametrize(
    ("victim", "attack", "split", "message"),
    [
        (THIEF, "supervisedmi", {}, "The thief 't' has no images to ask about"),
        (THIEF, "supervisedmi", {"distillation": 29}, "The thief 't': There are 29 images, and 30 queries with 0 held"),
        (PROBE, "lira", {"shadow_members": 9, "shadow_non_members": 9}, "lira trains reference models like 'p', which"),
    ],
)
def test_a_derived_victim_that_cannot_be_made_is_refused_before_anything_is_trained(
    tmp_path: Path, victim: dict[str, Any], attack: str, split: dict[str, int], message: str
) -> None:
    with pytest.raises(LatentprintError) as error:
        planned(tmp_path, [victim, {**VICTIM, "epochs": 200}], [attack], **split)
    assert message in str(error.value)


EXPERIMENTS = sorted(Path(__file__).parents[3].glob("experiments/**/*.yaml"))
SCALED = [(path, scale) for path in EXPERIMENTS for scale in load_yaml(path).get("scales", {"": None})]


@pytest.mark.parametrize(("path", "scale"), SCALED, ids=lambda value: getattr(value, "stem", value))
def test_every_experiment_of_the_repository_is_valid_at_every_scale_and_says_what_it_needs(
    path: Path, scale: str
) -> None:
    experiment = load_experiment(path, scale)
    assert {"data", "hardware", "time"} <= set(experiment.needs)
    shadows = {f"{SHADOW} of {victim.name}" for victim in experiment.victims}
    for number in experiment.published:
        assert set(number.metrics) <= set(METRICS), number
        assert not number.shadow.startswith(f"{SHADOW} of") or number.shadow in shadows, number
    for dataset in experiment.datasets.values():
        if "path" in dataset.options:
            with pytest.raises(DataError, match="data"):  # the archive is not here; the options are in order
                dataset.open()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_of_the_repository_has_enough_references_at_its_small_scale(
    path: Path, tmp_path: Path
) -> None:
    experiment = load_experiment(path, "small" if "scales" in load_yaml(path) else "")
    for choice, victim in zip(experiment.victims, plan_victims(experiment, Layout(tmp_path, "trial")), strict=True):
        require_enough_references(experiment.attacks_on(choice), [victim])


def test_the_quickstart_asks_of_members_of_users_and_of_an_owner() -> None:
    experiment = load_experiment(next(path for path in EXPERIMENTS if path.stem == "quickstart"))
    asked = {one.name: {attack.question for attack in experiment.attacks_on(one)} for one in experiment.victims}
    *memorised, people, owner, suspect = experiment.victims
    assert [asked[one.name] for one in memorised] == [{"membership"}] * 4
    assert (asked[people.name], asked[owner.name], asked[suspect.name]) == ({"users"}, set(), {"ownership"})
    assert suspect.owned_by == owner.name


def test_a_split_by_users_is_drawn_and_its_shadow_and_placebo_have_other_users(tmp_path: Path) -> None:
    content = {
        **VALID,
        "datasets": {"d": {"name": "identities", "options": {"users": 60, "images": 4, "height": 16, "width": 8}}},
        "splits": {
            "s": {
                "dataset": "d",
                "members": 12,
                "non_members": 12,
                "shadow_members": 6,
                "shadow_non_members": 6,
                "users": {"trained_images": 2, "probes": 2},
            }
        },
        "attacks": [{"name": "compactness", "options": {"images": 2}}],
    }
    experiment = load_experiment(written(tmp_path, content))
    (victim,) = plan_victims(experiment, Layout(tmp_path, "trial"))
    assert victim.auxiliary is not None
    assert victim.placebo is not None
    splits = (victim.samples.split, victim.auxiliary.split, victim.placebo.samples.split)
    users = [set(split.unit.tolist()) for split in splits]
    assert [len(of) for of in users] == [24, 12, 24]
    assert len(set.union(*users)) == 60
    assert [int(split.trained.sum()) for split in splits] == [24, 12, 24]
