"""Published models in Python: a pickled checkpoint becomes safetensors without running code from it."""

from dataclasses import replace

from edgeafri.api.arguments import StrPath, path_of
from edgeafri.api.console import ask_worker
from edgeafri.documents.torch_requests import Conversion, ConvertRequest
from edgeafri.runners.local import TORCH


def convert(checkpoint: StrPath, out: StrPath) -> Conversion:
    """Write the weights of a folder with pytorch_model.bin as safetensors into the new folder `out`.

    A pickle can run code when it is loaded. Here torch reads tensors and nothing else from it, in a process of its own.
    """
    folder = path_of(out, "out")
    request = ConvertRequest(source=path_of(checkpoint, "checkpoint"), out=folder)
    return replace(Conversion.from_json(ask_worker("convert", TORCH, request)), out=str(folder))
