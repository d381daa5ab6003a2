"""The page of all devices: every number that a profile may have, where it comes from, and what is not known."""

from collections.abc import Iterable

from edgeafri.device.profile import Cluster, DeviceProfile, Fact, numbers
from edgeafri.documents.table import markdown_table

_HEADING = """# Devices

Made from the profiles by `edgeafri devices --markdown`; change the YAML files, not this page.
MB is 1,000,000 bytes. What is "assumed" has its reason beside it; what is not known is never used.
"""
_COLUMNS = ("device", "what", "cores", "isa", "free MB", "bundle MB", "peak MB", "p95 ms", "load ms", "recipe")
_NUMBERS = (4, 5, 6, 8)


def devices_page(profiles: Iterable[DeviceProfile]) -> str:
    """The page as Markdown: a table of budgets, then a table of numbers for each device."""
    found = list(profiles)
    table = markdown_table([_COLUMNS, *map(_summary, found)], _NUMBERS)
    return "\n".join([_HEADING, table + "\n", *map(_section, found)])


def _summary(profile: DeviceProfile) -> tuple[str, ...]:
    budget = profile.budget
    learnt = f", with data {profile.recipe_with_data}" if profile.recipe_with_data else ""
    return (
        f"[{profile.name}](#{profile.name})",
        profile.title,
        ", ".join(_core(cluster) for cluster in profile.cores),
        profile.isa,
        _value(profile.memory.free),
        _value(budget.bundle_mb),
        _value(budget.peak_rss_mb),
        f"{_value(budget.p95_ms)} at {budget.seq_len} subwords",
        _value(budget.load_ms),
        profile.recipe + learnt,
    )


def _section(profile: DeviceProfile) -> str:
    rows = [("number", "value", "unit", "where from")]
    rows += [(f"`{place}`", _value(fact), unit, _origin(fact)) for place, fact, unit in numbers(profile, "")]
    cores = [f"- {_core(cluster)}: {_identity(cluster)}" for cluster in profile.cores]
    sources = [f"- `{key}`: {source}" for key, source in profile.sources.items()]
    facts = f"{profile.title}; {profile.soc}; {profile.threads} threads unless told otherwise."
    table = markdown_table(rows, (1,))
    return "\n".join([f"\n## {profile.name}\n\n{facts}\n", *cores, "", table, "\nSources:\n", *sources]) + "\n"


def _core(cluster: Cluster) -> str:
    clock = "" if cluster.ghz is None else f" at {cluster.ghz.value:g} GHz"
    return f"{cluster.count} x {cluster.type}{clock}"


def _identity(cluster: Cluster) -> str:
    part = "part not known" if cluster.part is None else f"part {cluster.part:#x}"
    return f"{part}, {' '.join(cluster.features) or 'features not known'}"


def _value(fact: Fact | None) -> str:
    return "not known" if fact is None else f"{fact.value:g}"


def _origin(fact: Fact | None) -> str:
    if fact is None:
        return ""
    return f"`{fact.source}`" if fact.source else f"assumed: {fact.assumed}"
