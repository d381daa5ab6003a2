"""EdgeAfri: from a fine-tuned African-language transformer to a verified bundle for a small device."""

import os

__version__ = "0.1.0"

# onnxruntime's Linux wheels report to their maker since 1.29 (its pull request 27379), from the import on; this has to
# be said before that. What runs offline for people's own text reports to nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
