"""EdgeAfri: from a fine-tuned African-language transformer to a verified bundle for a small device.

Use a bundle:

    >>> import edgeafri
    >>> bundle = edgeafri.load("edgeafri-work/bundle-0123456789ab")
    >>> bundle.predict("Rais Samia alizuru Mombasa.")       # entities with offsets, label, score
    >>> bundle.predict(["...", "..."])                      # a list of texts gives a list
    >>> bundle.evaluate("masakhaner", languages=["swa"])    # quality per language
    >>> bundle.benchmark(threads=4)                         # latency, load time, memory
    >>> bundle.verify()

Make one:

    >>> result = edgeafri.build("my-ner", target="rpi4", data="masakhaner", languages=["swa", "hau"])
    >>> result.quality["swa"].drop, result.bundle
    >>> result.report.show()

Or take single steps, each a function with the settings of its command: `trim`, `distill`, `shrink`, `prune`,
`quantize` and the others that `edgeafri stages` lists. Every error is an `edgeafri.errors.EdgeAfriError` that says what
to do next.
"""

import os
from importlib import import_module

__version__ = "0.2.0"

# onnxruntime's Linux wheels report to their maker since 1.29 (its pull request 27379), from the import on; this has to
# be said before that. What runs offline for people's own text reports to nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# The public names and the modules of edgeafri.api that hold them. A module is imported when one of its names is used,
# so that `import edgeafri` stays light. Type checkers and editors read __init__.pyi.
HOLDERS = {
    "builds": ("Build", "build", "plan_build"),
    "bundles": ("Bundle", "load"),
    "devices": ("FarmResults", "devices", "farm", "profile"),
    "models": ("convert",),
    "reports": ("Report", "make_report"),
    "studies": ("Study", "compare"),
    "steps": (
        *("StepResult", "adapt_maft", "adapt_mini", "distill", "export_onnx", "export_torchscript", "finetune"),
        *("make_bundle", "optimize", "prune", "quantize", "quantize_torch", "scratch", "shrink", "trim"),
    ),
}
_MODULE_OF = {name: module for module, names in HOLDERS.items() for name in names}
__all__ = sorted(_MODULE_OF)  # made from the one list of names


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'edgeafri' has no attribute '{name}'")
    return getattr(import_module(f"edgeafri.api.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
