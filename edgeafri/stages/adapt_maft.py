"""adapt-maft: masked-LM training on raw text of several languages at once, from where an encoder stands.

Multilingual adaptive fine-tuning (Alabi et al. 2022): one model for all languages, lines without words left out. An
encoder that carries another head gets a masked-LM head, tied to its embeddings.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeafri.artifact import Artifact
from edgeafri.errors import DataError, ModelError
from edgeafri.progress import Tick
from edgeafri.stages import judge, rows
from edgeafri.stages import model as door
from edgeafri.stages.menu import AdaptMaft
from edgeafri.stages.rows import Masks, Rows
from edgeafri.stages.training import Course, expected, train, used_precision
from edgeafri.tasks import task


def run(source: Artifact, settings: AdaptMaft, out: Path, tick: Tick) -> Mapping[str, Any]:
    """Train on every language's text together; the epoch with the lowest loss on lines held back is kept."""
    model, tokenizer, course = prepare(source, settings)
    history = train(model, course, settings, out / "checkpoints", tick)
    door.write_model(model, tokenizer, out)
    facts = {"task": "mask", "inputs": len(course.rows), "precision": used_precision(out / "checkpoints")}
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return {**facts, **judge.text_facts(history)}


def forecast(source: Artifact, settings: AdaptMaft) -> str:
    """How long it will take on this machine."""
    model, _, course = prepare(source, settings)
    return expected(model, course, settings)


def prepare(source: Artifact, settings: AdaptMaft) -> tuple[Any, Any, Course]:
    """Model, tokenizer and course. DataError or ModelError for what cannot be learnt from, before any work."""
    if settings.text is None:
        raise DataError("adapt-maft: no raw text", "Add --text DIR with LANG.txt, one sentence a line.")
    tokenizer = door.read_tokenizer(source.path)
    if tokenizer.mask_token_id is None:
        raise ModelError(f"{source.path}: its tokenizer has no mask token", "Use an encoder that was trained with one.")
    model = door.with_head(source.path, task("mask").head, None, settings.seed, settings.dropout)
    encoder = door.encoder(tokenizer, min(settings.max_length, door.max_tokens(model.config.to_dict())))
    lines = rows.raw_lines(settings.text, settings.languages, settings.lines)
    learnt, judged = rows.held_out([row for code, own in lines.items() for row in rows.masked_rows(encoder, own, code)])
    fresh = Masks(tokenizer.mask_token_id, model.config.vocab_size, settings.seed, everywhere=False, fixed=False)
    fixed = Masks(tokenizer.mask_token_id, model.config.vocab_size, settings.seed, everywhere=False, fixed=True)
    pad, loss = encoder.frame.pad, judge.hard_loss(None)
    return model, tokenizer, Course(Rows(learnt, fresh), pad, loss, judge.on_text(Rows(judged, fixed), pad, loss))
