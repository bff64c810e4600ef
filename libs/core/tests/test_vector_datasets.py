import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec
from latentprint.core.datasets.arrays import array_dataset, vector_dataset
from latentprint.core.errors import DataError, UsageError

PREPARED = {"purchase": (600, 100, "dataset_purchase"), "location": (446, 30, "bangkok")}


def prepared_text(features: int, classes: int, rows: int = 40, quote: str = "") -> tuple[bytes, np.ndarray, np.ndarray]:
    """Rows of a prepared file, its bits and its classes from 0."""
    generator = np.random.default_rng(features)
    bits = generator.integers(0, 2, (rows, features))
    labels = generator.integers(1, classes + 1, rows)
    lines = [f"{quote}{label}{quote}," + ",".join(map(str, row)) for label, row in zip(labels, bits, strict=True)]
    return "\n".join(lines).encode() + b"\n", bits, labels - 1


def test_vectors_have_a_shape_and_no_image_size():
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    dataset = vector_dataset("mine", vectors, {"class": np.arange(4)})
    assert (len(dataset), dataset.sample_shape) == (4, (3,))
    np.testing.assert_array_equal(dataset.images(np.array([2, 0])), vectors[[2, 0]])
    assert dataset.images(np.array([1])).dtype == np.float32
    with pytest.raises(UsageError, match="holds vectors of 3 features, not images"):
        _ = dataset.image_size
    with pytest.raises(UsageError, match="there is no sample 4"):
        dataset.images(np.array([4]))


def test_the_digest_is_of_vectors_and_labels():
    vectors, labels = np.ones((3, 2), dtype=np.float32), {"class": np.arange(3)}
    first = vector_dataset("mine", vectors, labels).digest
    assert first == vector_dataset("mine", vectors.copy(), labels).digest
    assert first != vector_dataset("mine", 2 * vectors, labels).digest
    assert first != vector_dataset("mine", vectors, {"class": np.arange(3)[::-1]}).digest


@pytest.mark.parametrize("vectors", [np.ones((0, 2)), np.ones((2, 0)), np.ones(3), np.array([[1.0, np.nan]])])
def test_no_vectors_or_numbers_that_are_none_are_refused(vectors):
    with pytest.raises(DataError, match=r"holds (no vectors|a value that is not finite)"):
        vector_dataset("mine", vectors.astype(np.float32), {})


def test_images_say_their_sample_shape_and_keep_their_digest():
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    classes = np.zeros(1, dtype=np.int64)
    dataset = array_dataset("mine", pixels, {"class": classes})
    assert dataset.sample_shape == (*dataset.image_size, 3) == (4, 4, 3)
    content = b"class:<i8:(1,);" + classes.tobytes() + b"pixels:|u1:(1, 4, 4, 3);" + pixels.tobytes()
    assert dataset.digest == hashlib.sha256(content).hexdigest()


def test_what_treats_images_refuses_vectors():
    with pytest.raises(UsageError, match="not images"):
        DatasetSpec("as-published", {"of": {"name": "baskets", "options": {"count": 5}}, "treated": [1]}).open()


@pytest.mark.parametrize("name", PREPARED)
@pytest.mark.parametrize("form", ["text", "archive", "folder", "folder of archive", "quoted"])
def test_prepared_bits_are_read_as_they_lie(name, form, tmp_path, official):
    features, classes, file = PREPARED[name]
    content, bits, labels = prepared_text(features, classes, quote='"' if form == "quoted" else "")
    if "archive" in form:
        path = tmp_path / f"dataset_{name}.tgz"
        path.write_bytes(official.tar_bytes({f"some/{file}": content}, "w:gz"))
    else:
        path = tmp_path / file
        path.write_bytes(content)
    dataset = DatasetSpec(name, {"path": path.parent if "folder" in form else path}).open()
    np.testing.assert_array_equal(dataset.images(np.arange(len(bits))), bits.astype(np.float32))
    np.testing.assert_array_equal(dataset.labels["class"], labels)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:-300], "a label and 446 bits a line"),
        (lambda text: text.replace(b",1,", b",2,", 1), "a label and 446 bits a line"),
        (lambda text: text.replace(b",1,", b",x,", 1), "a label and 446 bits a line"),
        (lambda text: b"31" + text[text.index(b",") :], "a label and 446 bits a line"),
        (lambda text: b"", "is empty"),
        (lambda text: b"\x1f\x8b" + text[:100], "a label and 446 bits a line"),
    ],
)
def test_a_file_that_is_not_the_prepared_one_is_refused(damage, words, tmp_path):
    path = tmp_path / "bangkok"
    path.write_bytes(damage(prepared_text(446, 30)[0]))
    with pytest.raises(DataError, match=words):
        DatasetSpec("location", {"path": path}).open()


def test_missing_and_foreign_places_are_named(tmp_path: Path, official):
    with pytest.raises(DataError, match="No such file or folder"):
        DatasetSpec("location", {"path": tmp_path / "nowhere"}).open()
    with pytest.raises(DataError, match="lacks the prepared check-ins"):
        DatasetSpec("location", {"path": tmp_path}).open()
    archive = tmp_path / "other.tgz"
    archive.write_bytes(official.tar_bytes({"other": b"1,0"}, "w:gz"))
    with pytest.raises(DataError, match="lacks dataset_purchase"):
        DatasetSpec("purchase", {"path": archive}).open()


@pytest.mark.parametrize("labels", ["from 0", "from 1", "one-hot"])
def test_purchases_are_read_from_arrays(labels, tmp_path):
    generator = np.random.default_rng(0)
    bits, classes = generator.integers(0, 2, (300, 600)), np.arange(300) % 100
    given = {"from 0": classes, "from 1": classes + 1, "one-hot": np.eye(100)[classes]}[labels]
    np.savez(tmp_path / "purchase100.npz", features=bits, labels=given)
    dataset = DatasetSpec("purchase", {"path": tmp_path}).open()
    np.testing.assert_array_equal(dataset.images(np.arange(300)), bits)
    np.testing.assert_array_equal(dataset.labels["class"], classes)


@pytest.mark.parametrize("content", [{"x": np.ones(2)}, {"features": np.ones((3, 5)), "labels": np.ones(3)}])
def test_arrays_of_another_kind_are_refused(content, tmp_path):
    np.savez(tmp_path / "purchase100.npz", **content)
    with pytest.raises(DataError, match="features"):
        DatasetSpec("purchase", {"path": tmp_path}).open()


def transactions(customers: int = 300, categories: int = 620) -> tuple[bytes, dict[int, set[int]]]:
    """A table in the official layout, and who bought what."""
    generator = np.random.default_rng(1)
    bought: dict[int, set[int]] = {}
    rows = ["id,chain,dept,category,company,brand,date,productsize,productmeasure,purchasequantity,purchaseamount"]
    for number in range(customers):
        customer = 86246 + 7 * number
        chosen = np.flatnonzero(generator.random(categories) < np.linspace(0.02, 0.4, categories))
        bought[customer] = {int(100 + category) for category in chosen}
        rows += [
            f"{customer},205,7,{100 + c},1078,999,2012-03-02,12,OZ,1,7.59" for c in chosen for _ in range(1 + c % 2)
        ]
    return "\n".join(rows).encode() + b"\n", bought


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_purchases_of_transactions_are_the_commonest_categories_in_seeded_clusters(suffix, tmp_path, monkeypatch):
    content, bought = transactions()
    path = tmp_path / f"transactions.csv{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    spec = DatasetSpec("purchase", {"path": path, "seed": 3})
    dataset = spec.open()
    counts = {category: sum(category in basket for basket in bought.values()) for category in range(100, 720)}
    wanted = sorted((category for category in counts if counts[category]), key=lambda c: (-counts[c], c))[:600]
    expected = [[float(category in bought[customer]) for category in wanted] for customer in sorted(bought)]
    np.testing.assert_array_equal(dataset.images(np.arange(len(dataset))), expected)
    assert len(np.unique(dataset.labels["class"])) > 50
    monkeypatch.setattr("latentprint.core.datasets.purchase_transactions._purchases", None)  # it is kept
    assert spec.open().digest == dataset.digest


def test_transactions_in_blocks_are_those_of_one_block(tmp_path, monkeypatch):
    path = tmp_path / "transactions.csv"
    path.write_bytes(transactions()[0])
    whole = DatasetSpec("purchase", {"path": path, "cache": tmp_path / "one"}).open()
    monkeypatch.setattr("latentprint.core.datasets.purchase_transactions._BLOCK", 1 << 12)
    monkeypatch.setattr("latentprint.core.datasets.purchase_transactions._COMPACT", 100)
    assert DatasetSpec("purchase", {"path": path, "cache": tmp_path / "two"}).open().digest == whole.digest


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n", "no table with id and category"),
        (b"id,category\n1,2\n", "1 categories and 1 customers; 600 and 100 are needed"),
        (b"id,category\n1,x\n", "no table with id and category"),
        (b"id,category\n1,\n", "lacks an id or a category"),
        (b"id,category\n1,-4\n", "cannot be"),
    ],
)
def test_other_tables_are_refused(content, words, tmp_path):
    path = tmp_path / "transactions.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        DatasetSpec("purchase", {"path": path}).open()


def test_damaged_vectors_are_computed_again(tmp_path):
    path = tmp_path / "transactions.csv"
    path.write_bytes(transactions()[0])
    spec = DatasetSpec("purchase", {"path": path, "cache": tmp_path})
    digest = spec.open().digest
    (kept,) = (tmp_path / "datasets").glob("purchase-*")
    content = bytearray(kept.read_bytes())
    content[-5] ^= 1
    kept.write_bytes(bytes(content))
    assert spec.open().digest == digest


POSTINGS = {
    "20news-bydate-train/sci.space/60001": b"From: a@b.c\nSubject: moon\n\nThe moon orbits earth \xe9.",
    "20news-bydate-train/alt.atheism/9": b"From: b\n\nearth earth belief.",
    "20news-bydate-train/alt.atheism/53000": b"From: c\n\nbelief and moon.\n\n--\nsigned name",
    "20news-bydate-test/sci.space/61001": b"From: d\n\nIn article <1> x writes:\n> quoted words\norbit launch.",
}


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_news_come_in_official_order_weighed_by_scikit_learn(form, tmp_path, official):
    from sklearn.feature_extraction.text import TfidfVectorizer

    official.pack(tmp_path / ("20news-bydate.tar.gz" if form == "archive" else ""), POSTINGS)
    dataset = DatasetSpec("news", {"path": tmp_path, "stripped": False, "features": 9}).open()
    order = ["alt.atheism/9", "alt.atheism/53000", "sci.space/60001"]
    names = [*(f"20news-bydate-train/{name}" for name in order), "20news-bydate-test/sci.space/61001"]
    texts = [POSTINGS[name].decode("latin1") for name in names]
    expected = TfidfVectorizer(max_features=9).fit_transform(texts).toarray()
    np.testing.assert_allclose(dataset.images(np.arange(4)), expected, rtol=1e-5)
    assert dataset.labels["class"].tolist() == [0, 0, 1, 1]


def test_stripped_news_leave_out_who_wrote_where(tmp_path, official):
    official.pack(tmp_path / "20news-bydate.tar.gz", POSTINGS)
    stripped = DatasetSpec("news", {"path": tmp_path, "features": 100}).open()
    whole = DatasetSpec("news", {"path": tmp_path, "features": 100, "stripped": False}).open()
    assert stripped.sample_shape[0] < whole.sample_shape[0]
    assert stripped.digest != whole.digest


def test_news_that_lack_a_half_are_refused(tmp_path, official):
    half = {name: text for name, text in POSTINGS.items() if "train" in name}
    official.pack(tmp_path / "20news-bydate.tar.gz", half)
    with pytest.raises(DataError, match="lacks the postings of 20news-bydate-test"):
        DatasetSpec("news", {"path": tmp_path}).open()
    (tmp_path / "20news-bydate.tar.gz").write_bytes(b"\x1f\x8bno")
    with pytest.raises(DataError, match=r"truncated or not 20news-bydate\.tar\.gz"):
        DatasetSpec("news", {"path": tmp_path}).open()


def test_baskets_are_the_same_whatever_the_count():
    few, many = (DatasetSpec("baskets", {"count": count, "seed": 2}).open() for count in (30, 2100))
    np.testing.assert_array_equal(few.images(np.arange(30)), many.images(np.arange(30)))
    np.testing.assert_array_equal(few.labels["class"], many.labels["class"][:30])
    values = many.images(np.arange(2100))
    assert set(np.unique(values)) == {0.0, 1.0}
    assert 0.1 < values.mean() < 0.25
    assert len(np.unique(many.labels["class"])) == 100


def test_baskets_of_another_seed_or_noise_are_others():
    options = {"count": 20, "features": 50, "classes": 4}
    digests = [DatasetSpec("baskets", {**options, **more}).open().digest for more in ({}, {"seed": 1}, {"noise": 0.9})]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("options", [{"noise": 1.5}, {"count": 0}, {"classes": 0}, {"features": 0}, {"size": 3}])
def test_baskets_refuse_what_cannot_be(options):
    with pytest.raises(UsageError, match="baskets"):
        DatasetSpec("baskets", options).open()
