"""The page: it needs nothing else, tells nothing by colour alone, and nobody's text becomes a tag."""

import copy
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from edgeafri.documents.build import BuildResult
from edgeafri.documents.profile import Profile
from edgeafri.errors import MissingPackage
from edgeafri.report import from_documents
from edgeafri.report.entry import Entry, merged
from edgeafri.report.page import to_html

Document = dict[str, Any]


def of_build(document: dict[str, Any]) -> Entry:
    return from_documents.of_build(BuildResult.from_json(document))


def of_profile(document: dict[str, Any]) -> Entry:
    return from_documents.of_profile(Profile.from_json(document))


_OPEN = {"meta", "line", "rect", "circle", "polyline", "br"}  # tags without an end


def page_of(*documents: Document) -> str:
    return to_html(list(map(of_build, documents)))


class Outline(HTMLParser):
    """What a page is made of: tags that do not close, headings in order, ids, and tables without a row of heads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.ids: list[str] = []
        self.named: list[str] = []
        self.headings: list[str] = []
        self.heads: list[int] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.ids += [known["id"] or ""] if "id" in known else []
        self.named += (known.get("aria-labelledby") or "").split()
        self.headings += [tag] if re.fullmatch("h[1-6]", tag) else []
        if tag == "table":
            self.heads.append(0)
        if tag == "th":
            assert known["scope"] in ("col", "row")
            self.heads[-1] += 1
        if tag not in _OPEN:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _OPEN:
            assert self.stack.pop() == tag


def test_the_page_says_the_verdict_in_words_and_marks_the_worst_language(document: Document):
    """
    Nothing is told by colour alone.
    """
    page = page_of(document)

    assert re.search(r"<strong>\? Nothing over its limit</strong>", page)
    assert page.count("✓ passed") == 4
    assert page.count("? not known") == 2
    assert 'hau <span class="soft">worst</span>' in page
    assert "hau: 3 test sentences also stand in train." in page
    assert page.count("<circle") == 4  # three languages and the average
    assert page.count("<rect") == 1  # the worst language


def test_outlier_channels_are_drawn_and_listed(document: Document, outliers: Document):
    """
    A panel for every kind of input, each with its words; what is in float32 has a shape of its own.
    """
    document["steps"][2]["facts"] = {"weights": "int8", "outliers": outliers}
    page = page_of(document)
    outline = Outline(page)

    assert "3 channels are multiplied in float32" in page
    assert page.count("<figure>") == page.count('<desc id="reach1n') == 4
    assert page.count('l4.5,4.5l-4.5,4.5l-4.5,-4.5z"/>') == 3  # diamonds
    assert "Diamond: a channel in float32." in page
    assert '<th scope="row">1</th><td>output</td><td>778</td><td>70.2</td>' in page
    assert "<td>NaN yor</td>" in page
    assert set(outline.named) <= set(outline.ids)
    assert outline.stack == []


def test_a_build_without_a_search_has_no_such_section(document: Document):
    """
    As one of an early version.
    """
    assert "Outlier channels" not in page_of(document)


def test_facts_of_every_language_have_a_line_each(document: Document):
    """
    In one line with all others, nobody would find a language's own.
    """
    facts = {"vocabulary": 500, "languages": {"swa": {"coverage": 1.0}, "hau": {"coverage": 0.5}}}
    document["steps"] = [{"stage": "trim", "id": "x", "reused": True, "seconds": 0, "facts": facts}]
    page = page_of(document)

    assert '<div class="facts">vocabulary 500</div>' in page
    assert '<div class="facts">hau: coverage 0.50</div>' in page


def test_a_report_on_whole_texts_speaks_of_texts(document: Document):
    """
    The metric is the document's, and what leaked were texts.
    """
    document["quality"] |= {"metric": "macro F1", "counted": "texts", "units": {"hau": 1000}}

    assert "macro F1 on test" in page_of(document)
    assert "hau: 3 test texts also stand in train." in page_of(document)


def test_a_build_shows_its_groups_its_tiers_and_its_memory(document: Document, profile: Document):
    """
    The same sections as a profile has, from the same template.
    """
    document["steps"][-1]["facts"]["group_bytes"] = profile["groups"]
    document["host"] = profile["tiers"]["host"]["measurement"]
    document["device"]["seq_len"] = 128
    page = page_of(document)

    assert '<i class="part0" style="width:46.35%">E</i>' in page
    assert "</span>feed-forward</th><td>28 MB</td><td>32.4 %</td>" in page
    assert '<b>estimate</b> <span class="soft">by arithmetic, 128 subwords</span></span><span>271.7 to 1,364' in page
    assert '<b>host</b> <span class="soft">a workstation, 128 subwords, 2 threads</span></span><span>61.2 ms' in page
    assert "The limit is 1,000 ms: the upright line." in page
    assert "limit 400 MB" in page
    assert ">run</text>" in page


def test_a_limit_far_off_is_told_and_not_drawn(document: Document):
    """
    Beside a limit of a second, bars of milliseconds would all be points.
    """
    document["device"] |= {"low_ms": 4.0, "high_ms": 5.0}

    assert "The limit is 1,000 ms, beyond the right end." in page_of(document)


def test_a_profile_shows_the_device_and_what_was_wrong_with_its_runs(profile: Document):
    """
    The interval of p50, throttling, and no time for what was emulated.
    """
    page = to_html([of_profile(profile)])

    assert "600 to 680 (p50 with its 95 % interval)" in page
    assert "! throttled: the clock was held back during the runs" in page
    assert "! not settled: p50 is known within 6.25 %" in page
    assert '<b>emulated</b> <span class="soft">cortex-a72</span></span><span>no time</span>' in page
    assert '<th scope="row">SDOT</th><td>0 M</td>' in page
    assert "<dt>memory limit</dt><dd>survived at 400 MB (cgroup v2)</dd>" in page


def test_a_build_and_its_profile_are_one_report(document: Document, profile: Document):
    """
    What both tell of one bundle stands together, and a check made twice counts as it was made last.
    """
    page = to_html(merged([of_build(document), of_profile(profile)]))

    assert "<h1>ner for rpi4: amh, hau, swa, yor</h1>" in page
    assert page.count("<h2>Checks</h2>") == 1
    assert "Not decided yet: load time." in page
    assert page.count("<dt>p50</dt>") == 3  # the build's host, the profile's host, the device


def test_several_bundles_have_a_plot_of_what_is_paid_and_lost(several: list[Document]):
    """
    The third is larger and worse than the second: it is not on the front.
    """
    page = page_of(*several)

    assert "<title>3 bundles: ner for rpi4</title>" in page
    assert "<figcaption>Size against loss</figcaption>" in page
    assert 'font-weight="600">1*</text>' in page
    assert 'font-weight="600">2*</text>' in page
    assert 'font-weight="600">3</text>' in page
    assert "<h2>3. recipe2 (bundle-2)</h2>" in page
    assert "1 recipe0 (bundle-0) is on the front. 2 recipe1 (bundle-1) is on the front. </desc>" in page


def test_instructions_of_several_bundles_are_columns(profile: Document):
    """
    They are exact enough to compare two graphs for one device.
    """
    other = copy.deepcopy(profile)
    other["bundle_id"] = "f" * 16
    other["tiers"]["emulated"]["instructions"]["total"] = 406_000_000
    page = to_html([of_profile(profile), of_profile(other)])

    assert '<th scope="row">all instructions</th><td>812 M</td><td>406 M (0.50 x)</td>' in page
    assert page.count("Instructions of one inference</h") == 1


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_is_well_formed_and_can_be_listened_to(count: int, several: list[Document], profile: Document):
    """
    Every tag closes, headings skip no level, pictures have a title and a description, tables have heads.
    """
    entries = merged([*map(of_build, several), of_profile({**profile, "bundle_id": "0" * 16})])[:count]
    outline = Outline(to_html(entries))
    levels = [int(heading[1]) for heading in outline.headings]

    assert outline.stack == []
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(set(outline.ids)) == len(outline.ids)
    assert set(outline.named) == set(outline.ids) != set()
    assert min(outline.heads) >= 3


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_asks_nothing_of_the_network(count: int, several: list[Document], profile: Document):
    """
    It must open in the field: no address, no script, no style sheet, no picture, no font from outside; and the page
    itself forbids its browser to fetch any.
    """
    page = to_html(merged([*map(of_build, several), of_profile({**profile, "bundle_id": "0" * 16})])[:count])

    assert not re.search(r"https?:|//\w|<script|<link|<img|<iframe|<object|src=|href=|url\(|@import", page)
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'\"" in page


def colours(page: str) -> tuple[dict[str, str], dict[str, str]]:
    """The colours by name, in light and in dark."""
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in re.findall(r":root {(.*?)}", page, re.S)
    )
    return light, {**light, **dark}


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_what_is_behind_it(dark: bool, document: Document):
    """
    At least 4.5 to 1 for text and 3 to 1 for bars, as WCAG 2.2 asks (1.4.3 and 1.4.11).
    """
    page = page_of(document)
    known = colours(page)[dark]
    texts = [(text, "card") for text in ("ink", "soft", "good", "bad", "open")]
    texts += [("soft", "page"), ("ink", "track"), ("ink", "open-page")]
    texts += [(tone, f"{tone}-page") for tone in ("good", "bad", "open")]

    assert min(contrast(known[text], known[behind]) for text, behind in texts) >= 4.5
    assert contrast(known["bar"], known["card"]) >= 3
    assert contrast(known["bar"], known["band"]) >= 1.5  # the dot on its interval; its number stands beside it
    assert min(contrast("#ffffff", part) for part in re.findall(r"\.part\d { background: (#\w{6})", page)) >= 4.5


def test_hostile_text_stays_text(document: Document, profile: Document, with_checks: Callable[[Document], Document]):
    """
    Names of bundles, languages, facts and notes come from other people's files; none of them may become a tag.
    """
    attack = "<script>alert('x')</script>\"'><img onerror=x>"
    keys = ("bundle", "artifact_id", "target", "task", "recipe")
    document |= dict.fromkeys(keys, attack) | {"languages": [attack], "commands": [attack], "notes": [attack]}
    document["steps"] = [{"stage": attack, "id": attack, "reused": False, "seconds": 1.0, "facts": {attack: [attack]}}]
    document["quality"]["metric"] = attack
    for part in ("teacher", "bundle", "drop"):
        document["quality"][part][attack] = document["quality"][part].pop("hau")
    document["quality"]["worst"]["lang"] = attack
    document["quality"]["test_sentences_in_train"] = {attack: 2}
    document["device"] |= {"basis": attack, "notes": [attack]}
    document["host"] |= {"conditions": {"system": attack}, "device": attack, "memory": {attack: [[0, 1], [1, 2]]}}
    tiers = profile["tiers"]
    tiers["device"] |= dict.fromkeys(("on", "device"), attack) | {"notes": [attack]}
    tiers["device"]["before"] = {"governor": attack}
    tiers["device"]["verify"]["differences"] = [attack]
    tiers["emulated"]["cpu"] = attack
    tiers["host"]["isa"]["note"] = attack
    entries = [of_build(with_checks(document)), of_profile({**profile, "commands": [attack], "bundle": attack})]

    for page in (to_html(entries), to_html(entries[:1]), to_html(entries[1:])):
        assert "<script" not in page
        assert "<img" not in page
        assert page.count("&lt;script&gt;") >= 10


def test_a_sample_says_so(document: Document):
    """
    Numbers of the embedded sample must never be taken for those of a real model.
    """
    words = "Built from the embedded sample; not a real model."

    assert words in page_of({**document, "sample": True})
    assert words not in page_of(document)


@pytest.mark.parametrize("part", ["quality", "size", "host", "device", "steps", "commands", "notes", "checks"])
def test_a_missing_part_is_left_out_calmly(part: str, document: Document):
    """
    Null and absent read alike, and the rest of the report is still there.
    """
    absent = copy.deepcopy(document)
    del absent[part]

    assert page_of({**document, part: None}) == page_of(absent)
    assert "ner for rpi4" in page_of(absent)


def test_an_almost_empty_document_renders(document: Document):
    """
    A build that stopped early still has a report.
    """
    empty = {"artifact_id": "1", "target": "", "task": "", "size": {"bundle_bytes": 0}}
    parts = {"device": {**document["device"], "low_ms": None, "high_ms": None}, "host": document["host"]}
    page = page_of({**empty, **parts, "quality": {"teacher": {"swa": 80.0}}, "steps": [{"stage": "trim"}]})

    assert "Nothing was checked." in page
    assert "None" not in page


def test_bars_show_a_negative_drop_left_of_zero(document: Document, with_checks: Callable[[Document], Document]):
    """
    A bundle that is better than its teacher has a drop below zero; every place stays on the bar.
    """
    document["quality"]["drop"]["avg"] = {"value": -0.4, "low": -0.9, "high": 0.1}

    places = [float(item) for item in re.findall(r"(?:left|width):(-?[\d.]+)%", page_of(with_checks(document)))]

    assert places
    assert min(places) >= 0
    assert max(places) <= 100


def test_without_jinja2_the_page_names_the_package(monkeypatch: pytest.MonkeyPatch, document: Document):
    """
    A board has no jinja2; asking for the page there says what to install.
    """
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(MissingPackage, match="jinja2 is not installed; reports and plots need it") as error:
        page_of(document)

    assert error.value.hint == "pip install jinja2"


def test_the_steps_stand_beside_each_other(document: Document):
    """
    A row each under a heading of its own, with F1 per language; a build without text has no such table.
    """
    gap = {"words": 90, "largest": 0.14, "mean": 0.013, "flips": 1, "flips_percent": 1.111}
    first = {"stage": "teacher", "another_model": False, "f1": {"hau": 79.75}, "step": None, "reference": None}
    last = {**first, "stage": "quantize", "f1": {"hau": 79.5}, "step": gap, "reference": gap}
    parity = {"on": "text", "sentences": {"hau": 8, "swa": 64}, "int8_arithmetic": "exact", "rows": [first, last]}
    page = page_of({**document, "parity": parity})

    assert "<h2>Parity, step by step</h2>" in page
    assert '<th scope="row">quantize</th><td>0.14</td><td>0.013</td><td>1 (1.11 %)</td><td>79.50</td>' in page
    assert "Parity" not in page_of(document)
