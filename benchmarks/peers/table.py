"""The table of forms: which there are, who makes them, and what each peer's virtual environment holds."""

from dataclasses import dataclass

BASE = "pytorch-fp32"
# LAYERS,WIDTH,HEADS,FFN,VOCABULARY
SHAPES = {"afriberta-large": "10,768,6,3072,70006", "afriberta-large-16k": "10,768,6,3072,16000"}
OUR_SHAPES = {"afriberta-large-16k"}  # a vocabulary that was trimmed: no peer trims, so ours alone are measured
_TORCH, _TRANSFORMERS, _BESIDE = "torch==2.13.0", "transformers==4.57.6", ("tokenizers==0.22.2", "psutil==7.2.2")
# Peers without an entry run in the project's own environment, whose versions constraints.txt holds.
ENVIRONMENTS = {
    "openvino": ("openvino==2026.4.1", "nncf==3.4.0", "onnx==1.23.2", *_BESIDE),
    "executorch": (_TORCH, "executorch==1.5.1", _TRANSFORMERS, *_BESIDE),
    # The last with onnxruntime. Its graphs run in the same onnxruntime as ours, which NumPy 1 does not hinder.
    "neural_compressor": (
        "neural-compressor==2.6",
        "onnx==1.16.2",
        "onnxruntime==1.31.1",
        _TRANSFORMERS,
        "six==1.17.0",  # imported and not asked for
        *_BESIDE,
    ),
    "bitsandbytes": (_TORCH, "bitsandbytes==0.50.2", _TRANSFORMERS, "accelerate==1.15.0", *_BESIDE),
    # Olive imports requests and datasets and does not ask for them.
    "olive": (
        _TORCH,
        "olive-ai==0.13.0",
        "requests",
        "datasets==5.0.1",
        _TRANSFORMERS,
        "onnx==1.23.2",
        "onnxruntime==1.31.1",
        *_BESIDE,
    ),
}
_TENSOR = "one scale per tensor"
_SPLIT = f"{_TENSOR}, outliers in float"


@dataclass(frozen=True)
class Form:
    """One form of a model: the module that makes and opens it, what it is asked for, and the environment it runs in.

    `activations` says how the inputs of linear layers are rounded. Logits of forms with the same weights are compared.
    A form that needs real labels is not made of shapes.
    """

    name: str
    peer: str
    variant: str = ""
    home: str | None = None
    activations: str = "float32"
    same_weights: bool = True
    on_shapes: bool = True


FORMS = (
    Form(BASE, "pytorch", "fp32"),
    Form("pytorch-int8", "pytorch", "int8", activations=f"{_TENSOR}, 7 bits"),
    Form("onnxruntime-fp32", "onnx_runtime", "fp32"),
    Form("optimum-arm64-int8", "onnx_runtime", "arm64", activations=_TENSOR),
    Form("optimum-avx512_vnni-int8", "onnx_runtime", "avx512_vnni", activations=_TENSOR),
    Form("olive-int8", "olive", home="olive", activations=_TENSOR),
    Form("openvino-nncf-int8", "openvino", "ptq-int8", "openvino", "fixed scales, SmoothQuant 0.95"),
    Form("openvino-weights-int4", "openvino", "weights-int4", "openvino"),
    Form("neural-compressor-int8", "neural_compressor", "0.7", "neural_compressor", "fixed scales, SmoothQuant 0.7"),
    Form("executorch-xnnpack-int8", "executorch", home="executorch", activations="one scale per token"),
    Form("bitsandbytes-int8", "bitsandbytes", home="bitsandbytes", activations="scale per token, outliers in float"),
    Form("edgeafri-int8", "ours", "export quantize.outliers=none", activations=_TENSOR),
    Form("edgeafri-int8-outliers", "ours", "export", activations=_SPLIT),
    Form("edgeafri-int8-fused", "ours", "export optimize.fuse=attention", activations=_SPLIT),
    Form("edgeafri-static-int8", "ours", "export quantize.form=static", activations="fixed scales, outliers in float"),
    Form("edgeafri-int8-embeddings-int4", "ours", "export quantize.embeddings=int4", activations=_SPLIT),
    Form("edgeafri-int4", "ours", "export quantize.form=weights quantize.embeddings=int4"),
    Form("edgeafri-faithful", "ours", "faithful", activations=_SPLIT, same_weights=False, on_shapes=False),
)
