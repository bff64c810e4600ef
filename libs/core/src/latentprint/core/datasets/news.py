"""`news`: scikit-learn's 20 newsgroups as TF-IDF vectors, from their official archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.code_digest import code_digest
from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset, Vectors
from latentprint.core.datasets.checks import check_at_least
from latentprint.core.datasets.fingerprints import fingerprint
from latentprint.core.datasets.news_archive import ARCHIVE, FOLDERS, read_documents
from latentprint.core.datasets.sources import find_source
from latentprint.core.datasets.vector_cache import kept_vectors


@dataclass(frozen=True)
class NewsOptions:
    """Options of `news`.

    Attributes:
        path: 20news-bydate.tar.gz, or a folder with it, or with 20news-bydate-train and 20news-bydate-test.
        features: the most frequent words that are kept; 134,410 are all of them, 4 bytes each and document.
        stripped: leave out headers, footers and quotes, as scikit-learn does, which name the newsgroup.
        cache: folder for the vectors; none: LATENTPRINT_CACHE, else ~/.cache/latentprint.
    """

    path: Path
    features: int = 5000
    stripped: bool = True
    cache: Path | None = None


@DATASETS.register(
    "news",
    summary="18,846 postings as TF-IDF vectors; ids training, then test; labels: class (20 newsgroups)",
    source="Lang, NewsWeeder, ICML 1995; the version by date, as scikit-learn has it",
    needs={
        "options": "path, features (5000; 134,410 in all), stripped (true), cache",
        "files": f"{ARCHIVE} or its extracted folders",
    },
)
def news(options: Mapping[str, Any]) -> Dataset:
    """Open `news`: training documents, then test, each sorted by newsgroup and number; class i is the i-th newsgroup.

    Words are weighed over all documents (scikit-learn's TfidfVectorizer, every vector of length 1 or 0).

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, by name.
    """
    given = from_mapping(NewsOptions, options, "data set 'news'")
    check_at_least(given.features, 1, "features", "news")
    place = given.path
    if not place.is_file() and not (place / FOLDERS[0]).is_dir():
        place = find_source(place, (ARCHIVE, "20news-bydate"), "the newsgroups by date")
    import sklearn  # takes a second to import, which other data sets need not wait for

    code = [code_digest(news), str(sklearn.__version__)]
    chosen = {"features": given.features, "stripped": given.stripped}
    made_from = {"source": [fingerprint(part) for part in _sources(place)], "options": chosen, "code": code}
    return kept_vectors("news", made_from, given.cache, lambda: _weighed(place, given))


def _sources(place: Path) -> list[Path]:
    return [place] if place.is_file() else [place / folder for folder in FOLDERS]


def _weighed(place: Path, options: NewsOptions) -> tuple[Vectors, NDArray[np.int64]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, classes = read_documents(place)
    shown = _stripped(texts) if options.stripped else texts
    weighed = TfidfVectorizer(max_features=options.features, dtype=np.float32).fit_transform(shown)
    return np.asarray(weighed.toarray(), dtype=np.float32), classes


def _stripped(texts: Sequence[str]) -> list[str]:
    """The texts without headers, quotes and footers, by scikit-learn's own rules."""
    from sklearn.datasets import _twenty_newsgroups as rules

    return [
        rules.strip_newsgroup_footer(rules.strip_newsgroup_quoting(rules.strip_newsgroup_header(text)))
        for text in texts
    ]
