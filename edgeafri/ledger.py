"""The ledger of a build: what was measured of which artifact, on which data, on which machine, kept and reused."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeafri.artifact import Artifact
from edgeafri.files import Digests, json_text, write_whole
from edgeafri.measurement import machine_id
from edgeafri.pipeline import Noted, Started, Tell, Ticked, versions
from edgeafri.progress import Tick
from edgeafri.runners.local import RUNTIME, TORCH, ask

SPLIT = "test"
_ROOT = Path(__file__).parent
# A change in one of these changes what a measurement would say.
_CODE = ("text.py", "dataset.py", "predict.py", "evaluate.py", "metrics.py", "probe.py", "session.py", "ledger.py")
_CODE_FILES = (*_CODE, "runtime/engine.py", "stages/model.py")


class Ledger:
    """Measurements below `work`, each made once for its artifact, data, code and machine; `fresh` makes them again."""

    def __init__(self, work: Path, digests: Digests, tell: Tell, fresh: bool) -> None:
        self._folder, self._digests, self._tell, self._fresh = work / "measurements", digests, tell, fresh
        self.log = work / "build.log"

    def measured(
        self, what: str, artifact: Artifact, request: Mapping[str, Any], measure: Callable[[Tick], Any]
    ) -> Any:
        """The result of `measure`, or what is on file for the same artifact and request."""
        file = self._folder / f"{what.split()[0]}-{self._key(artifact, request)}.json"
        if file.is_file() and not self._fresh:
            self._tell(Noted(what, "", reused=True))
            return json.loads(file.read_text("utf-8"))
        self._tell(Started(what))
        began = time.monotonic()
        result = measure(lambda done, total: self._tell(Ticked(what, done, total)))
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json_text(result))
        self._tell(Noted(what, "", seconds=time.monotonic() - began))
        return result

    def quality(
        self, reference: Artifact, bundle: Artifact, data: Path | None, languages: Sequence[str]
    ) -> dict[str, Any] | None:
        """Entity F1 per language of teacher and bundle on the test split, and the drop with its interval."""
        if data is None:
            return None
        request = {"do": "evaluate", "data": str(data), "languages": list(languages), "split": SPLIT}
        before = self._evaluated("evaluate teacher", reference, TORCH, {**request, "model": str(reference.path)})
        after = self._evaluated("evaluate bundle", bundle, RUNTIME, {**request, "bundle": str(bundle.path)})
        pair = {**request, "reference": reference.id}
        return dict(self.measured("compare", bundle, pair, lambda _: _compared(before, after)))

    def _evaluated(self, what: str, artifact: Artifact, module: str, request: Mapping[str, Any]) -> Any:
        return self.measured(what, artifact, request, lambda tick: ask(module, request, tick, self.log))["quality"]

    def _key(self, artifact: Artifact, request: Mapping[str, Any]) -> str:
        plain = {name: value for name, value in request.items() if name not in ("data", "model", "bundle")}
        code = [self._digests.of(_ROOT / name) for name in _CODE_FILES]
        parts = [artifact.id, plain, self._data(request), code, machine_id(), versions()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _data(self, request: Mapping[str, Any]) -> list[str]:
        if "data" not in request:
            return []
        from edgeafri.dataset import files_of

        return [
            self._digests.of(file)
            for file in files_of(Path(request["data"]), request["languages"], (request["split"],))
        ]


def data_notes(
    data: Path, languages: Sequence[str], labels: Sequence[str] | None, work: Path, digests: Digests
) -> list[str]:
    """What is odd about the data, in words: repairs by the reader, test sentences that also stand in train.

    DataError, before any work, when the data has labels that the teacher does not know.
    """
    from edgeafri.dataset import check_labels, files_of, leaked, read_split

    files = files_of(data, languages, ("train", "dev", SPLIT))
    parts = [
        [digests.of(file) for file in files],
        list(languages),
        list(labels or ()),
        digests.of(_ROOT / "dataset.py"),
    ]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    cached = work / "measurements" / f"data-{key}.json"
    if cached.is_file():
        return list(json.loads(cached.read_text("utf-8")))
    notes: list[str] = []
    for code in languages:
        splits = {name: read_split(data, code, name) for name in ("train", "dev", SPLIT)}
        for name, split in splits.items():
            if labels is not None and name == SPLIT:
                check_labels(split, labels)
            notes += [f"{code} {name}: {count} {what.replace('_', ' ')}" for what, count in split.notes.items()]
        count = leaked(splits["train"], splits[SPLIT])
        notes += [f"{code}: {count} test sentences also stand in train"] if count else []
    cached.parent.mkdir(parents=True, exist_ok=True)
    write_whole(cached, json_text(notes))
    return notes


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    from edgeafri.metrics import average_drop, drop

    codes = list(before)
    teacher = {code: np.array(before[code]["counts"]) for code in codes}
    bundle = {code: np.array(after[code]["counts"]) for code in codes}
    drops = {code: asdict(drop(teacher[code], bundle[code])) for code in codes}
    worst = max(codes, key=lambda code: drops[code]["value"])
    return {
        "metric": "entity F1",
        "split": SPLIT,
        "teacher": _with_average({code: before[code]["f1"] for code in codes}),
        "bundle": _with_average({code: after[code]["f1"] for code in codes}),
        "drop": {**drops, "avg": asdict(average_drop(teacher, bundle))},
        "worst": {"lang": worst, "drop": drops[worst]["value"]},
    }


def _with_average(values: Mapping[str, float]) -> dict[str, float]:
    rounded = {code: round(value, 2) for code, value in values.items()}
    return {**rounded, "avg": round(sum(values.values()) / len(values), 2)}
