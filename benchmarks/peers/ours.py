"""EdgeAfri: a bundle, made by the stages of a recipe and opened by the project's own runtime.

The variant is a recipe's name; or "export" and assignments as `edgeafri build --set` takes them, for all steps
but trim; or "bundle" and the folder of one that is there.
"""

import json
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401  # imported before the clock starts

from benchmarks.peers.inputs import ASKED
from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.recipe import Step, override, read_change, read_recipe
from edgeafri.inference.predict import Forward
from edgeafri.runtime.engine import open_engine

STEPS = (Step("export-onnx"), Step("optimize"), Step("quantize"), Step("bundle", {"margin": 0.0}))


def make(variant: str, model: Path, inputs: Path, out: Path) -> Path:
    """The bundle's folder; steps that an earlier form or run made already are reused."""
    from edgeafri.artifact import adopt
    from edgeafri.builder import pipeline
    from edgeafri.util.files import Digests

    asked: dict[str, Any] = json.loads((inputs / ASKED).read_text("utf-8"))
    name, *assignments = variant.split()
    if name == "bundle":
        return Path(variant.removeprefix("bundle "))
    steps = override(STEPS if name == "export" else read_recipe(name).steps, map(read_change, assignments))
    given = {key: Path(value) if key in ("data", "text") and value else value for key, value in asked.items()}
    with Digests() as digests:
        source = adopt(model, "torch", "ner", asked["languages"], digests)
        jobs = plan_jobs(steps, "torch", {"task": "ner", **given})
        return pipeline.run_jobs(jobs, source, out.parent / "work", digests, lambda event: None)[-1].artifact.path


def open_model(variant: str, folder: Path, threads: int) -> Forward:
    return open_engine(folder, threads).predictor.forward
