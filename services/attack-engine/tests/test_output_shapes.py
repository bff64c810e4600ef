"""Every attack's needs of an endpoint's outputs are met, or named, on its card; maps of every make give PartCrop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.asking.plan import plan_extraction, signal_key
from latentprint.attack_engine.asking.signal import Signal, suited
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.feature_maps import as_locations, channels_of
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.attack_engine.signals.views import EncoderMISignal
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.encoders import Encoder
from latentprint.core.errors import UsageError

_URL = "grpc://127.0.0.1:9/m"
_DIGITS = DatasetSpec("digits", {"side": 32})
_WIDER = [  # embeddings wider than the map: more layers behind the average
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small_035",
    "efficientvit_b0",
    "ghostnet_050",
    "repghostnet_050",
    "hgnetv2_b0",
    "lcnet_050",
    "lcnetv2_small",
    "inception_next_atto",
    "test_mambaout",
]
_ALIKE = [
    "test_resnet",
    "test_efficientnet",
    "test_convnext",
    "test_byobnet",
    "test_nfnet",
    "edgenext_xx_small",
    "mobilevit_xxs",
    "pvt_v2_b0",
    "starnet_s1",
    "repvit_m1_0",
    "resnet18_cifar_narrow",
]


def _bundle(name: str, folder: Path, side: int) -> str:
    architectures.register()
    card = BundleCard("untrained", ("embedding", "feature_map"), side, (0.5,) * 3, (0.25,) * 3)
    save_bundle(timm.create_model(name, num_classes=0), folder / name, card, {"num_classes": 0})
    return f"local:{folder / name}"


@pytest.mark.parametrize("name", [*_WIDER, *_ALIKE])
def test_partcrop_reads_the_maps_of_every_family(name: str, tmp_path: Path) -> None:
    images, ids = DatasetSpec("composites", {"count": 2, "side": 64}).open().images(np.arange(2)), np.arange(2)
    with EndpointSpec(_bundle(name, tmp_path, 64), threads=1).open() as endpoint:
        signal = suited(PartCropSignal(crops=3, side=32), endpoint.card.outputs, endpoint.card.url)
        assert isinstance(signal, PartCropSignal)
        assert signal.part_vector == ("pooled" if name in _WIDER else "embedding")
        assert signal.outputs == (("feature_map",) if name in _WIDER else ("feature_map", "embedding"))
        batch = signal.extract(images, ids, endpoint)
        assert endpoint.counts.answered == len(ids) * signal.queries_per_sample((64, 64, 3))
    assert batch.values.shape == (2, 6)
    assert np.isfinite(batch.values).all()
    assert (batch.values > 0).any()


def test_where_the_embedding_is_the_maps_average_both_are_the_same(tmp_path: Path) -> None:
    images, ids = DatasetSpec("composites", {"count": 4}).open().images(np.arange(4)), np.arange(4)
    with EndpointSpec(_bundle("resnet18_cifar_narrow", tmp_path, 32), threads=1).open() as endpoint:
        embedding, pooled = (
            suited(PartCropSignal(crops=5, part_vector=vector), endpoint.card.outputs, "").extract(
                images, ids, endpoint
            )
            for vector in ("embedding", "pooled")
        )
    np.testing.assert_allclose(embedding.values, pooled.values, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("volo_d1_224", 196), ("deit_tiny_distilled_patch16_224", 196), ("levit_128s", 16), ("xcit_nano_12_p16_224", 196)],
)
def test_no_class_token_is_a_location(name: str, tokens: int) -> None:
    encoder = Encoder(timm.create_model(name, num_classes=0), ("feature_map",))
    assert encoder.shapes((224, 224, 3))["feature_map"][0] == tokens


@pytest.mark.parametrize("name", ["coat_tiny", "crossvit_tiny_240", "pit_ti_224"])
def test_a_backbone_without_one_map_is_named(name: str) -> None:
    model = timm.create_model(name, num_classes=0)
    side = model.pretrained_cfg["input_size"][-1]
    with pytest.raises(UsageError, match=r"make public its other outputs alone \(embedding"):
        Encoder(model, ("embedding", "feature_map")).shapes((side, side, 3))
    assert len(Encoder(model, ("embedding",)).shapes((side, side, 3))["embedding"]) == 1


@pytest.mark.parametrize(
    ("shape", "width", "channels"),
    [
        ((49, 960), 1280, "last"),
        ((49, 512), 512, "last"),
        ((512, 49), 512, "first"),
        ((-1, 512), 512, "last"),
        ((7, 7, 512), 512, "last"),
        ((512, 7, 7), 512, "first"),
        ((7, 9, 512), 512, "last"),
        ((512, -1, -1), 512, "first"),
        ((960, 7, 7), 1280, "first"),
        ((7, 7, 960), 1280, "last"),
        ((-1, -1, 960), None, "last"),
        ((7, 9, 960), 1280, None),
        ((32, 32, 32), 32, None),
        ((-1, -1, -1), None, None),
    ],
)
def test_where_a_maps_channels_are(shape: tuple[int, ...], width: int | None, channels: str | None) -> None:
    assert channels_of(shape, width) == channels


def test_maps_of_every_layout_are_the_same_locations() -> None:
    rows = np.random.default_rng(0).random((2, 12, 5), dtype=np.float32)
    square = rows.reshape(2, 3, 4, 5)
    for maps, channels in (
        (rows, "last"),
        (square, "last"),
        (rows.transpose(0, 2, 1), "first"),
        (square.transpose(0, 3, 1, 2), "first"),
    ):
        np.testing.assert_array_equal(as_locations(maps, channels), rows)


@pytest.mark.parametrize(
    ("signal", "outputs", "words"),
    [
        (PartCropSignal(), {"embedding": (64,)}, r"no feature_map but embedding.*partcrop.feature_map=tiles"),
        (PartCropSignal(), {"embedding": (64,), "feature_map": (64,)}, r"shape \[64\].*reads \[locations, channels\]"),
        (PartCropSignal(), {"embedding": (64,), "feature_map": (2, 3, 4, 64)}, r"reads \[locations, channels\]"),
        (PartCropSignal(), {"embedding": (64,), "feature_map": (1, 64)}, "single location.*nothing for partcrop"),
        (PartCropSignal(), {"embedding": (64,), "feature_map": (64, 1, 1)}, "single location"),
        (PartCropSignal(), {"embedding": (64,), "feature_map": (-1, -1, -1)}, "partcrop.map_channels=last or first"),
        (
            PartCropSignal(part_vector="embedding"),
            {"embedding": (1280,), "feature_map": (49, 960)},
            "embeddings of 1280 numbers and a feature_map of 960 channels.*partcrop.part_vector=pooled",
        ),
        (EncoderMISignal(), {"embedding": (1,)}, "nothing for encodermi to read"),
        (EncoderMISignal(), {"posterior": (10,)}, "embedding"),
        (PlainAnswer("posterior"), {"posterior": (1,)}, "two or more classes"),
        (PlainAnswer("posterior"), {"posterior": (4, 10)}, r"shape \[4, 10\]"),
    ],
    ids=repr,
)
def test_what_an_attack_cannot_read_is_said_before_anything_is_asked(
    signal: Signal, outputs: dict[str, tuple[int, ...]], words: str, tmp_path: Path
) -> None:
    card = EndpointCard(_URL, "m", outputs)
    with pytest.raises(UsageError, match=words):
        plan_extraction([signal], _DIGITS, np.arange(4), EndpointSpec(_URL), tmp_path, card=card)
    assert not list(tmp_path.iterdir())


def test_the_choice_is_in_the_plan_its_key_and_the_reports_words(tmp_path: Path) -> None:
    card = EndpointCard(_URL, "m", {"embedding": (1280,), "feature_map": (49, 960)})
    attack = AttackChoice("partcrop").build(0)
    (row,) = plan_extraction(attack.signals, _DIGITS, np.arange(4), EndpointSpec(_URL), tmp_path, card=card).signals
    assert row.signal == replace(attack.signals[0], part_vector="pooled", map_channels="last")
    assert row.key == signal_key(row.signal, card, _DIGITS.open().digest)
    assert row.key != signal_key(replace(row.signal, part_vector="embedding"), card, _DIGITS.open().digest)
    assert attack.on(card.outputs, _URL).summary == (
        f"{attack.summary}; the vector of a part is the average of its own feature map"
    )
    alike = attack.on({"embedding": (960,), "feature_map": (49, 960)}, _URL)
    assert alike.summary == attack.summary


def test_a_map_alone_is_enough() -> None:
    signal = suited(PartCropSignal(), {"feature_map": (-1, 96)}, _URL)
    assert signal.outputs == ("feature_map",)


def test_pooled_parts_need_a_map() -> None:
    with pytest.raises(UsageError, match="tiles stand in"):
        PartCropSignal(part_vector="pooled", feature_map="tiles")
