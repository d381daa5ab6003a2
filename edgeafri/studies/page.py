"""The page of a study: its tables and plots in order, as one Markdown file with a CSV and a JSON file a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeafri.documents.table import Table, escaped, one_line, to_csv, to_markdown
from edgeafri.report.plot import Plot, to_svg
from edgeafri.util.files import json_text, storage, write_whole


@dataclass(frozen=True)
class StudyPage:
    """What a study found, in the order in which it is read."""

    parts: tuple[Table | Plot, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(part for part in self.parts if isinstance(part, Table))

    @property
    def plots(self) -> tuple[Plot, ...]:
        return tuple(part for part in self.parts if isinstance(part, Plot))


def write(page: StudyPage, folder: Path, heading: str, commands: Sequence[str]) -> Path:
    """Write one page named after the folder, a CSV and a JSON file a table, and an SVG file a plot.

    The same page gives the same bytes. Returns the Markdown file. StorageError when the disk refuses.
    """
    file = folder / f"{folder.resolve().name}.md"
    texts = {file: _markdown(page.parts, heading, commands)}
    for table in page.tables:
        texts |= {
            folder / f"{table.name}.csv": to_csv(table),
            folder / f"{table.name}.json": json_text(table.to_json()),
        }
    for plot in page.plots:
        texts[folder / f"{plot.name}.svg"] = to_svg(plot)
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for target, text in texts.items():
            write_whole(target, text)
    return file


def _markdown(parts: Iterable[Table | Plot], heading: str, commands: Sequence[str]) -> str:
    sections = [f"# {escaped(heading)}\n", *(_section(part) for part in parts)]
    if commands:
        sections.append("## Repeat it\n\n" + "".join(f"    {one_line(command)}\n" for command in commands))
    return "\n".join(sections)


def _section(part: Table | Plot) -> str:
    if isinstance(part, Plot):
        return f"![{escaped(part.title)}]({part.name}.svg)\n"
    if part.long:
        return f"{escaped(part.title)}: `{part.name}.csv`, {len(part.rows):,} rows.\n"
    return to_markdown(part)
