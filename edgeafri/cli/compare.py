"""`edgeafri compare`: ways to store a model's weights, side by side: size, quality per language, time and memory."""

import shlex
from functools import partial
from pathlib import Path

import click

from edgeafri.cli.options import codes, json_option, print_json
from edgeafri.errors import UsageError

_EPILOG = """\b
Examples:
  edgeafri compare ./my-ner --data ./masakhaner --lang swa,hau
  edgeafri compare ./my-ner --data ./masakhaner --methods torch-dynamic,ort-int8-per-tensor,ort-int8 --out comparison
"""
_FOLDER = click.Path(path_type=Path)


@click.command("compare", epilog=_EPILOG)
@click.argument("model")
@click.option("--methods", help="Names separated by commas; all if not given. fp32 is always there.")
@click.option("--data", required=True, type=_FOLDER, help="Labelled data of the model's task; test is what counts.")
@click.option("--lang", help="ISO 639-3 codes separated by commas; all in the data if not given.")
@click.option("--text", type=_FOLDER, help="Raw text to calibrate int8 on: a folder with LANG.txt; dev if not given.")
@click.option("--work", type=_FOLDER, default="edgeafri-work", show_default=True, help="Where steps are kept.")
@click.option("--out", type=_FOLDER, help="A folder for the tables as Markdown, CSV and JSON.")
@json_option
@click.pass_obj
def compare_command(
    arguments: list[str],
    /,
    model: str,
    methods: str | None,
    data: Path,
    lang: str | None,
    text: Path | None,
    work: Path,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure MODEL, a folder from save_pretrained() or a hub id, with its weights stored in several ways.

    fp32, bf16, fp32-gpu, fp16-gpu: torch. torch-dynamic, torchscript, torchscript-int8: PyTorch's int8 and traces.
    llm-int8, llm-int8-embeddings: LLM.int8() through bitsandbytes, on a GPU where there is one, else on the CPU.
    ort-int8-per-tensor: ONNX Runtime's dynamic int8. ort-int8: the same with outlier channels in float32, as a build
    makes it. ort-fp32, ort-static, ort-int4: other forms. All that begin with ort are EdgeAfri's bundles, with all of
    the vocabulary. What this machine cannot run is in the tables with the reason. The compression study's figures
    (arXiv 2404.04759) stand beside ours.
    """
    from edgeafri.api.arguments import ALL
    from edgeafri.api.studies import compare
    from edgeafri.cli.lines import echo_ended

    study = compare(
        model,
        data,
        methods=None if methods is None else _listed("--methods", methods, "fp32,llm-int8,ort-int8"),
        languages=ALL if lang is None else _listed("--lang", lang, "swa,hau,yor"),
        text=text,
        work=work,
        out=out,
        command=shlex.join(["edgeafri", *arguments]),
        on_event=partial(echo_ended, err=as_json),
    )
    if as_json:
        print_json([table.to_json() for table in study.tables])
    else:
        click.echo(f"\n{study.markdown}")


def _listed(option: str, text: str, example: str) -> tuple[str, ...]:
    found = codes(text)
    if not found:
        raise UsageError(f"{option}: nothing is named", f"Example: {option} {example}; without it, all.")
    return found
