"""Lines of a build: what stages say of themselves in numbers."""

import pytest

from edgeafri.cli.lines import detail_table, fact_line


def adapted(before, **after):
    """Facts of adapt-maft with these perplexities."""
    found = {code: {"before": before, "after": value} for code, value in after.items()}
    average = {"before": before, "after": sum(after.values()) / len(after)}
    corpus = {code: {"inputs": 6000, "no_letter": 20, "too_short": 3} for code in after}
    return {"inputs": 12345, "corpus": corpus, "perplexity": found, "perplexity_average": average}


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (adapted(4000.5, swa=20, amh=40), "12,345 inputs, perplexity 4,000.5 -> 30.0, worst amh 40.0"),
        (adapted(None, swa=20, amh=40), "12,345 inputs, perplexity 30.0, worst amh 40.0"),
        (adapted(50, swa=20), "12,345 inputs, perplexity 50.0 -> 20.0"),
    ],
)
def test_adaptation_is_told_in_perplexity(facts, line):
    """
    Before and after where there was a head before; a mean never hides the worst language.
    """
    assert fact_line("adapt-maft", facts) == line


@pytest.mark.parametrize(("more", "cost"), [({"flops": 2.25e12}, ", 2.2 x 10^12 operations"), ({}, "")])
def test_a_new_vocabulary_is_told_with_its_cost(more, cost):
    """
    Where the family's layers are known, so that it could be counted.
    """
    facts = {"vocabulary": 8000, "perplexity": 386.84, **more}

    assert fact_line("adapt-mini", facts) == f"8,000 sub-words, perplexity 386.8{cost}"


def test_every_language_of_an_adaptation_has_a_row():
    """
    What it was learnt from, what was left out, and its perplexity.
    """
    assert detail_table("adapt-maft", adapted(4000.5, swa=20, amh=40)).splitlines() == [
        "  language  inputs  left out   before  perplexity",
        "  swa        6,000        23  4,000.5  20.0",
        "  amh        6,000        23  4,000.5  40.0",
    ]
    assert (
        detail_table("adapt-maft", adapted(None, swa=20)).splitlines()[1]
        == "  swa        6,000        23          20.0"
    )


@pytest.mark.parametrize(
    ("mixed", "end"),
    [
        ({}, ""),
        (
            {"mixed": {"measure": "F1 on dev", "float_layers": ["a", "b"], "loss": {"swa": 0.1, "hau": 0.4}}},
            ", 2 layers in float32, 0.40 lost in hau",
        ),
        (
            {"mixed": {"measure": "labels changed on text", "float_layers": [], "loss": {"swa": -0.0}}},
            ", 0 layers in float32, 0.00 % of labels changed in swa",
        ),
    ],
)
def test_mixed_precision_is_told_by_its_worst_language(mixed, end):
    """
    Only where it was asked for.
    """
    facts = {"linear_layers": 13, "weight_bits": 8, "tables": 3, "embedding_bits": 8, **mixed}

    assert fact_line("quantize", facts) == f"13 linear layers at 8 bits, 3 tables at 8{end}"
