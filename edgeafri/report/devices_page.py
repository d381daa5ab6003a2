"""The page of all devices: every number that a profile may have, where it comes from, and what is not known."""

from collections.abc import Iterable, Sequence

from edgeafri.device.profile import Cluster, DeviceProfile, Fact, numbers

_HEAD = """# Devices

Made from the profiles by `edgeafri devices --markdown`; change the YAML files, not this page.
MB is 1,000,000 bytes. What is "assumed" has its reason beside it; what is not known is never used.
"""


def devices_page(profiles: Iterable[DeviceProfile]) -> str:
    """The page as Markdown: a table of budgets, then a table of numbers for each device."""
    found = list(profiles)
    head = ("device", "what", "cores", "isa", "free MB", "bundle MB", "peak MB", "p95 ms", "load ms", "recipe")
    return "\n".join([_HEAD, _table([head, *(_summary(profile) for profile in found)]), *map(_section, found)])


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
        f"{_value(budget.p95_ms)} at {budget.seq_len} sub-words",
        _value(budget.load_ms),
        profile.recipe + learnt,
    )


def _section(profile: DeviceProfile) -> str:
    rows = [("number", "value", "unit", "where from")]
    rows += [(f"`{place}`", _value(fact), unit, _origin(fact)) for place, fact, unit in numbers(profile, "")]
    cores = [f"- {_core(cluster)}: {_identity(cluster)}" for cluster in profile.cores]
    sources = [f"- `{key}`: {source}" for key, source in profile.sources.items()]
    facts = f"{profile.title}; {profile.soc}; {profile.threads} threads unless told otherwise."
    return "\n".join([f"\n## {profile.name}\n\n{facts}\n", *cores, "", _table(rows), "Sources:\n", *sources]) + "\n"


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


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"
