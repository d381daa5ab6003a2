"""The process that a form is made or measured in, started by benchmarks/peers.py in the peer's own environment.

    python -m benchmarks.peers.worker make PEER VARIANT MODEL INPUTS OUT
    python -m benchmarks.peers.worker open PEER VARIANT FOLDER INPUTS THREADS

`open` answers one JSON request a line, until its input ends. A peer is a module beside this one with two functions:
make(variant, model, inputs, out) returns the folder of what it made, open_model(variant, folder, threads) a Forward.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from edgeafri.benchmark.timing import peak_rss_bytes, sentence_of
from edgeafri.bundle import TOKENIZER, read_config
from edgeafri.data.dataset import read_split
from edgeafri.inference.predict import Encoder, Forward, Ids, Predictor
from edgeafri.tasks import unit_of

BUDGET_S, FEWEST, MOST = 0.4, 3, 30  # of one turn at the clock: how long, and how many answers
SHORTEST, LONGEST = 8, 128


def main() -> None:
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not end up among the answers
    task, peer, variant, first, inputs, last = sys.argv[1:]
    module = importlib.import_module(f"benchmarks.peers.{peer}")
    if task == "make":
        folder = module.make(variant, Path(first), Path(inputs), Path(last))
        say(answers, {"folder": str(folder), "file_mb": round(weight_bytes(folder) / 1e6, 2)})
        return
    folder = Path(first)
    # A trimmed bundle has a vocabulary of its own; every other form reads what the subject reads.
    served = Served(folder if (folder / "bundle.json").is_file() else Path(inputs))
    began = time.perf_counter()
    served.forward = module.open_model(variant, folder, int(last))
    served.logits({"length": SHORTEST})  # some read their weights at the first answer, not before
    load_s = time.perf_counter() - began
    served.logits({"length": LONGEST})
    say(answers, {"load_s": round(load_s, 3), "peak_rss_mb": round(peak_rss_bytes() / 1e6, 1)})
    for line in sys.stdin:
        request = json.loads(line)
        say(answers, getattr(served, request.pop("do"))(request))


class Served:
    """An open form and the inputs it is measured with."""

    forward: Forward

    def __init__(self, inputs: Path) -> None:
        config = read_config(inputs)
        tokenizer = Tokenizer.from_file(str(inputs / TOKENIZER))
        self.encoder = Encoder(tokenizer, config.frame, config.max_tokens, unit_of(config.task))
        self.labels = config.labels
        self.vocabulary = tokenizer.get_vocab_size()

    def time(self, request: dict[str, Any]) -> dict[str, Any]:
        """The median wall time of an answer, and the processor time of one, in milliseconds."""
        ids, mask = self._sentence(request["length"])
        self.forward(ids, mask)
        times, began, cpu = [], time.perf_counter(), time.process_time()
        while len(times) < FEWEST or (len(times) < MOST and time.perf_counter() - began < BUDGET_S):
            start = time.perf_counter()
            self.forward(ids, mask)
            times.append(time.perf_counter() - start)
        cpu_ms = (time.process_time() - cpu) * 1000 / len(times)
        return {"ms": float(np.median(times)) * 1000, "cpu_ms": cpu_ms, "runs": len(times)}

    def logits(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"logits": np.asarray(self.forward(*self._sentence(request["length"]))).tolist()}

    def labels_on_test(self, request: dict[str, Any]) -> dict[str, Any]:
        """The labels of every sentence of test, by language."""
        predictor = Predictor(self.encoder, self.labels, self.forward)
        found = {}
        for code in request["languages"]:
            split = read_split(Path(request["data"]), code, "test", self.encoder.unit)
            answers = predictor.label([sentence.words for sentence in split.sentences])
            found[code] = [answer.labels for answer in answers]
        return found

    def peaks(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the processor's products reach; asked of a form in the project's own environment."""
        from benchmarks.peers.peaks import measure

        return dict(measure(request["threads"]))

    def _sentence(self, length: int) -> tuple[Ids, Ids]:
        ids = sentence_of(length, self.encoder, self.vocabulary)
        return ids, np.ones_like(ids)


def weight_bytes(folder: Path) -> int:
    """What is shipped of a form besides configuration and tokenizer."""
    kept = {".onnx", ".data", ".bin", ".xml", ".pt", ".pte", ".safetensors"}
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in kept)


def say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
