"""What the tests of studies share: quality as it is measured, made of counts."""

import numpy as np
import pytest

from edgeafri.documents.quality import LanguageQuality
from edgeafri.inference.metrics import scores

ENTITIES = 10


def quality_of(*languages: str, **correct: int) -> dict:
    """Quality per language with so many of ten entities found; all of them where no number is given."""
    return {code: _entry(correct.get(code, ENTITIES)) for code in (*languages, *correct)}


@pytest.fixture(scope="session")
def quality():
    """A function: languages and how many of ten entities were found, to their quality."""
    return quality_of


def _entry(correct: int) -> LanguageQuality:
    counts = np.array([[1, 1, 1]] * correct + [[0, 1, 1]] * (ENTITIES - correct))
    found = scores(counts)
    return LanguageQuality(
        precision=found.precision,
        recall=found.recall,
        f1=found.f1,
        loss=1 - correct / ENTITIES,
        seconds=0.5,
        sentences=ENTITIES,
        words=ENTITIES,
        counts=tuple(map(tuple, counts.tolist())),
    )
