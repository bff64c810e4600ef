"""A probe: scikit-learn's classifier within the encoder's own architecture, and nothing else changed."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from latentprint.core.bundles import open_bundle
from latentprint.core.errors import UsageError
from latentprint.core.outputs import EMBEDDING, POSTERIOR
from latentprint.core.split_files import write_split
from latentprint.trainer.probing import ProbeOptions, fit_probe, probe

OPTIONS = ProbeOptions(inverse_penalty=0.5)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_fitted_probe_is_a_logistic_regression_on_standardised_embeddings(classes: int) -> None:
    rng = np.random.default_rng(classes)
    vectors, labels = rng.normal(3, [1, 5, 0.1], (60, 3)).astype(np.float32), rng.integers(0, classes, 60)
    fitted = fit_probe(vectors, labels, classes + 1, OPTIONS)
    scaled = StandardScaler().fit_transform(vectors.astype(np.float64))
    expected = LogisticRegression(C=0.5, max_iter=500).fit(scaled, labels).predict_proba(scaled)
    answers = softmax(vectors @ fitted.weight.T + fitted.bias)
    np.testing.assert_allclose(answers[:, :classes], expected, atol=1e-8)
    assert answers[:, classes].max() < 1e-9  # nobody showed it
    with pytest.raises(UsageError, match="at least two classes; the 60 samples that it learns have one"):
        fit_probe(vectors, np.zeros(60, dtype=np.int64), 2, OPTIONS)


@pytest.mark.parametrize("recipe", ["simclr", "mae"])
def test_the_bundle_answers_as_before_and_posteriors_too(recipe, train_tiny, digits, split, tmp_path) -> None:
    plain = train_tiny(recipe, epochs=1)
    card = probe(tmp_path / "victim", digits, split, tmp_path / "probed", OPTIONS)
    assert card.outputs == (*plain.outputs, POSTERIOR)
    assert (card.recipe, card.training["of"], card.training["of_weights"]) == ("probe", recipe, plain.weights_digest)
    before, after = (open_bundle(tmp_path / name)[0] for name in ("victim", "probed"))
    images, ids = digits.open().images, split.trained_ids
    answers = after.answer(images(ids), card.outputs)
    for name, values in before.answer(images(ids), plain.outputs).items():
        np.testing.assert_allclose(answers[name], values, atol=1e-6)
    labels = digits.open().labels["class"]
    fitted = fit_probe(answers[EMBEDDING], labels[ids], 10, OPTIONS)
    np.testing.assert_allclose(
        answers[POSTERIOR], softmax(answers[EMBEDDING] @ fitted.weight.T + fitted.bias), atol=1e-3
    )
    assert card.training["train_accuracy"] == (answers[POSTERIOR].argmax(axis=1) == labels[ids]).mean()
    written = (tmp_path / "probed" / "model.safetensors").stat().st_mtime_ns
    assert probe(tmp_path / "victim", digits, split, tmp_path / "probed", OPTIONS) == card
    assert (tmp_path / "probed" / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(UsageError, match="already holds another bundle"):
        probe(tmp_path / "victim", digits, split, tmp_path / "probed", ProbeOptions())
    with pytest.raises(UsageError, match="a probe wants an embedding, and no posterior yet"):
        probe(tmp_path / "probed", digits, split, tmp_path / "again", OPTIONS)


def test_the_command_takes_the_data_set_of_the_split(train_tiny, split, tmp_path, latentprint) -> None:
    train_tiny("simclr", epochs=1)
    write_split(split, tmp_path / "split.parquet")
    code, out, _ = latentprint(
        "probe", tmp_path / "victim", "--split", tmp_path / "split.parquet", "--out", tmp_path / "probed"
    )
    assert code == 0
    assert "train accuracy: 100.0 %" in out
    code, _, err = latentprint(
        "probe", tmp_path / "victim", "--split", tmp_path / "split.parquet", "--out", tmp_path / "other",
        "--inverse-penalty", 0,
    )  # fmt: skip
    assert (code, err) == (2, "error: probe: inverse_penalty must be above 0 and steps at least 1.")
