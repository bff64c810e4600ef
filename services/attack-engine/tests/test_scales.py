import pytest

from latentprint.attack_engine.runs.scales import at_scale
from latentprint.core.errors import UsageError

FILE = {
    "name": "trial",
    "datasets": {"d": {"name": "composites", "options": {"count": 3}}},
    "victims": [{"name": "a", "epochs": 1, "options": {"heads": 2}}, {"name": "b", "epochs": 1}],
    "attacks": [{"name": "partcrop"}, {"name": "partcrop", "label": "cosine", "options": {"similarity": "cosine"}}],
    "sweeps": {"queries": [1, 2]},
    "scales": {
        "small": None,
        "paper": {
            "datasets": {"d": {"name": "cifar10", "options": {"path": "x"}}},
            "victims": [{"name": "*", "epochs": 9, "options": {"depth": 3}}, {"name": "b", "epochs": 8}],
            "attacks": [{"name": "partcrop", "label": "cosine", "options": {"crops": 4}}, {"name": "variance"}],
            "sweeps": {"queries": [5]},
        },
    },
}


def test_the_first_scale_is_the_default_and_may_change_nothing() -> None:
    small = at_scale(FILE, "", "f")
    assert small == {key: value for key, value in FILE.items() if key != "scales"} | {"scale": "small"}
    assert at_scale(FILE, "small", "f") == small


def test_a_scale_is_merged_at_any_depth_and_by_name_or_label() -> None:
    paper = at_scale(FILE, "paper", "f")
    assert paper["datasets"] == {"d": {"name": "cifar10", "options": {"path": "x"}}}
    assert paper["victims"] == [
        {"name": "a", "epochs": 9, "options": {"heads": 2, "depth": 3}},
        {"name": "b", "epochs": 8, "options": {"depth": 3}},
    ]
    assert paper["attacks"] == [
        {"name": "partcrop"},
        {"name": "partcrop", "label": "cosine", "options": {"similarity": "cosine", "crops": 4}},
        {"name": "variance"},
    ]
    assert paper["sweeps"] == {"queries": [5]}
    assert paper["scale"] == "paper"
    assert at_scale(FILE, "small", "f")["victims"][0]["epochs"] == 1, "the file itself is left as it is"


def test_a_scale_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="Did you mean 'paper'"):
        at_scale(FILE, "papper", "f")
    with pytest.raises(UsageError, match="has no scales"):
        at_scale({"name": "x"}, "small", "f")
    with pytest.raises(UsageError, match="must be a mapping"):
        at_scale({"scales": ["small"]}, "", "f")
    assert at_scale({"name": "x"}, "", "f") == {"name": "x"}
