"""What an audit of ownership finds, as plain data. Members are the private images, non-members the test images."""

from collections.abc import Mapping
from dataclasses import dataclass

from latentprint.attack_engine.questions.header import Finding
from latentprint.attack_engine.statistics.estimates import BlindBaseline, Histogram, MeanDifference, SplitTest


@dataclass(frozen=True)
class PublishedPValues:
    """What the published procedures say of the same scores. They are not valid, and no verdict reads them.

    Attributes:
        halved: half of the two-sided p-value, whichever group scores higher.
        resampled: of a t-test on differences of subsets that are drawn again and again from the same images.
        subsets: how many.
    """

    halved: float
    resampled: float
    subsets: int


@dataclass(frozen=True)
class OwnershipResult:
    """What only an audit of ownership finds.

    Attributes:
        difference: of the suspect's mean scores, private images less test images.
        controls: the same of each control, by name.
        paired: the suspect's difference less that of each negative control, image by image, by the control's name.
        published: the published p-values of the suspect ("suspect") and of each control, by name.
        blind: private against test images without asking any encoder.
        split_test: whether they look drawn alike.
        histogram: of the suspect's scores.
        known_private: private images that the test was fitted on, which no score is of.
        detectable: the standardised difference that would be found in four of five audits of this size.
        absent: names of the controls that were not run.
        split_by: how private were told from test images: "coin", "time", "source", or "" where that is not known.
        unreadable: why there is nothing to read; "" where there is.
    """

    difference: MeanDifference
    controls: Mapping[str, MeanDifference]
    paired: Mapping[str, MeanDifference]
    published: Mapping[str, PublishedPValues]
    blind: BlindBaseline
    split_test: SplitTest
    histogram: Histogram
    known_private: int
    detectable: float
    absent: tuple[str, ...] = ()
    split_by: str = ""
    unreadable: str = ""


OwnershipFinding = Finding[OwnershipResult]
SUSPECT = "suspect"
