"""layer_names: what layers of an encoder are called for people, where one name is not enough."""

import re
from collections.abc import Sequence
from itertools import takewhile

_NUMBERED = re.compile(r"layer (\d+) (.+)")


def together(names: Sequence[str]) -> str:
    """Several layers as one name, with the words that they begin with said once: 'layer 3 attention key, query'."""
    words = [name.split() for name in names]
    beginnings = zip(*(item[:-1] for item in words), strict=False)  # without the last word: no name becomes empty
    shared = [same[0] for same in takewhile(lambda same: len(set(same)) == 1, beginnings)]
    return " ".join([*shared, ", ".join(" ".join(item[len(shared) :]) for item in words)])


def number_and_rest(name: str) -> tuple[str, str]:
    """The number of the layer in a name, and what follows it; empty and the whole name where there is no number."""
    found = _NUMBERED.fullmatch(name)
    return (found[1], found[2]) if found else ("", name)
