"""template: a file of templates/ filled in with jinja2; the page and the plots are made this way."""

from pathlib import Path

from edgeafri.errors import MissingPackage
from edgeafri.report.words import fact_lines, megabytes, number, points

_FOLDER = Path(__file__).parent / "templates"


def render(name: str, **values: object) -> str:
    """Fill in a template. Text of other people is escaped. MissingPackage when jinja2 is not installed."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise MissingPackage("jinja2 is not installed; reports and plots need it", "pip install jinja2") from None
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, points=points, megabytes=megabytes, fact_lines=fact_lines)
    return str(environment.get_template(name).render(**values))
