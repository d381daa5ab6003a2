"""A bundle in Python: it labels text in this process, and is evaluated, verified and timed in a fresh one."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

from edgeafri.api.arguments import ALL, StrPath, codes_of, no_language, path_of, texts_of, whole_number
from edgeafri.api.console import ask_worker
from edgeafri.artifact import load_bundle
from edgeafri.bundle import BundleConfig, read_config
from edgeafri.documents.answers import RunAnswer, TextEntities, TextLabel, VerifyAnswer
from edgeafri.documents.build import Diagnosis
from edgeafri.documents.html import table_html
from edgeafri.documents.measurement import Measurement
from edgeafri.documents.quality import BundleEvaluation
from edgeafri.documents.runtime_requests import BenchRequest, EvaluateRequest, RunRequest, VerifyRequest
from edgeafri.runners.local import RUNTIME
from edgeafri.util.files import Digests

if TYPE_CHECKING:  # onnxruntime is loaded when something is to be labelled
    from edgeafri.runtime.engine import Engine

_MOST_THREADS = 64
_SHORTEST = 3  # subwords: start, one of text, end


def load(path: StrPath, *, threads: int | None = None) -> "Bundle":
    """Open a bundle: the folder that `edgeafri build` printed, or that `result.bundle` is.

    `threads` are those it computes with; the bundle's own default when None. ArtifactError for a folder that is no
    bundle or whose files changed.

    >>> bundle = edgeafri.load("edgeafri-work/bundle-0123456789ab")
    >>> bundle.predict("Rais Samia alizuru Mombasa.")
    """
    return Bundle(path_of(path, "path"), threads)


class Bundle:
    """A bundle whose files were checked. `os.fspath(bundle)` is its folder, so it stands wherever a path does.

    `id` is its artifact id, `bytes` the size of all its files; `task`, `labels` and `languages` are those of its model.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        if threads is not None:
            whole_number(threads, "threads", 1, _MOST_THREADS)
        with Digests() as digests:
            artifact = load_bundle(path, digests)
        self.path, self.threads, self.id, self.bytes = path, threads, artifact.id, artifact.bytes
        self.task, self.languages = artifact.manifest.task, artifact.manifest.languages

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the model, in the order of its logits."""
        return self._config.labels

    @property
    def sample(self) -> bool:
        """Whether it was built from the embedded sample: then it is no real model."""
        return self._config.sample

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<edgeafri.Bundle {self.path}: {self.task}, {', '.join(self.languages)}, {self.bytes / 1e6:.1f} MB>"

    def _repr_html_(self) -> str:
        rows = [("folder", str(self.path)), ("task", self.task), ("languages", ", ".join(self.languages))]
        rows += [("labels", ", ".join(self.labels)), ("size", f"{self.bytes / 1e6:.1f} MB"), ("id", self.id)]
        return table_html([("bundle", ""), *rows])

    @overload
    def predict(self, texts: str) -> TextEntities | TextLabel: ...  # type: ignore[overload-overlap]  # one text is one

    @overload
    def predict(self, texts: Iterable[str]) -> list[TextEntities] | list[TextLabel]: ...

    def predict(self, texts: str | Iterable[str]) -> TextEntities | TextLabel | list[TextEntities] | list[TextLabel]:
        """Label one text, or every text of a list. A lone text is one text and gives one result.

        Entities have a label, offsets in code points of the text as it was given, and a score; where whole texts are
        labelled, the label and the probability of each. UsageError for what is not text.
        """
        from edgeafri.runtime.engine import label_texts

        results = label_texts(self._engine, texts_of(texts))
        return results[0] if isinstance(texts, str) else results

    def run(self, texts: str | Iterable[str]) -> RunAnswer:
        """Label texts in a fresh process, as `edgeafri run` does: a crash of the runtime does not end this process."""
        request = RunRequest(bundle=self.path, texts=tuple(texts_of(texts)), threads=self.threads)
        return RunAnswer.from_json(ask_worker("label", RUNTIME, request))

    def verify(self) -> VerifyAnswer:
        """Hash every file again and replay the golden sentences: does this machine compute what it should?"""
        request = VerifyRequest(bundle=self.path, threads=self.threads)
        return VerifyAnswer.from_json(ask_worker("verify", RUNTIME, request))

    def evaluate(
        self, data: StrPath, *, languages: str | Iterable[str] | None = None, split: str = "test"
    ) -> BundleEvaluation:
        """Quality per language on labelled data, in points of 0 to 100, measured on the bundle itself.

        `languages` are codes; the bundle's own when None, and 'all' of the data. DataError for data that does not fit.
        """
        root = path_of(data, "data")
        codes = self._languages(root, languages)
        request = EvaluateRequest(bundle=self.path, data=root, split=split, languages=codes, threads=self.threads)
        return _averaged(BundleEvaluation.from_json(ask_worker("evaluate", RUNTIME, request)))

    def benchmark(
        self, *, threads: int | None = None, seq_len: int = 128, runs: int = 50, warmup: int = 5
    ) -> Measurement:
        """Time one sentence of `seq_len` subwords after another in a fresh process; its load time and peak memory."""
        request = BenchRequest(
            bundle=self.path,
            threads=self.threads if threads is None else whole_number(threads, "threads", 1, _MOST_THREADS),
            seq_len=whole_number(seq_len, "seq_len", _SHORTEST),
            runs=whole_number(runs, "runs", 1),
            warmup=whole_number(warmup, "warmup", 0),
        )
        return Measurement.from_json(ask_worker("bench", RUNTIME, request))

    def explain(
        self,
        *,
        data: StrPath | None = None,
        text: StrPath | None = None,
        languages: str | Iterable[str] = (),
        work: StrPath | None = None,
    ) -> Diagnosis:
        """Which step of this bundle's build cost what, and which layer of the step that cost most.

        The steps are found in `work`, by default the folder that the bundle is in. They are compared on dev of the
        labelled `data`, or on raw `text`; one of them is needed.
        """
        from edgeafri.api.console import events_shown
        from edgeafri.builder.diagnosis import Case, diagnose

        case = Case(
            self.path,
            self.path.absolute().parent if work is None else path_of(work, "work"),
            None if data is None else path_of(data, "data"),
            None if text is None else path_of(text, "text"),
            codes_of(languages),
        )
        with Digests() as digests, events_shown() as shown:
            return diagnose(case, digests, shown)

    @cached_property
    def _config(self) -> BundleConfig:
        return read_config(self.path)

    @cached_property
    def _engine(self) -> "Engine":
        from edgeafri.runtime.engine import open_engine

        return open_engine(self.path, self.threads)

    def _languages(self, data: Path, languages: str | Iterable[str] | None) -> tuple[str, ...]:
        from edgeafri.data.dataset import languages_in
        from edgeafri.tasks import unit_of

        if languages == ALL:
            return languages_in(data, unit_of(self.task))
        codes = self.languages if languages is None else codes_of(languages)
        if not codes:
            raise no_language()
        return codes


def _averaged(answer: BundleEvaluation) -> BundleEvaluation:
    """With the mean over the languages, and without the counts of every sentence."""
    quality = {code: replace(entry, counts=None) for code, entry in answer.quality.items()}
    return replace(answer, quality=quality, average_f1=sum(entry.f1 for entry in quality.values()) / len(quality))
