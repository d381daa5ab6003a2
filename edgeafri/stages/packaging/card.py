"""card: the model card of a bundle, as Markdown."""

from pathlib import Path

import jinja2

from edgeafri import __version__
from edgeafri.artifact import Artifact
from edgeafri.bundle import BundleConfig
from edgeafri.data.languages import language
from edgeafri.documents.table import escaped
from edgeafri.menu import facts_of
from edgeafri.menu.facts.conversion import BundleFacts, QuantizeFacts, SentenceCosts
from edgeafri.tasks import unit_of


def render_card(config: BundleConfig, source: Artifact, facts: BundleFacts, licence: str) -> str:
    """What the model is, serves and was made from; figures of quality are added by a build's report."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # Markdown, not HTML
    )
    environment.filters["cell"] = escaped
    named = [language(code) for code in config.languages]
    card: str = environment.get_template("card.md.j2").render(
        config=config,
        languages=named,
        unit=unit_of(config.task),
        facts=facts,
        in_float=_in_float(facts.costs),
        outliers=_outliers(source),
        licence=licence,
        parent=source.id,
        version=__version__,
    )
    return card


def _in_float(costs: SentenceCosts) -> str:
    """The share of the linear layers' products in float32 where the others have fewer bits; "" where there is none."""
    share = 100 * costs.float_macs_per_token / max(1, costs.linear_macs_per_token)
    return f"{share:.1f} %" if costs.weight_bits < 32 and share else ""


def _outliers(source: Artifact) -> str:
    """Which channels of the graph are in float32 and why, in words; empty where none are."""
    facts = facts_of(source.manifest)
    found = facts.outliers if isinstance(facts, QuantizeFacts) else None
    return found.told() if found and found.channels else ""
