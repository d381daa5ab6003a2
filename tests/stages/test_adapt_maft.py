"""adapt-maft: a masked LM of several languages learns raw text, from a bare encoder or one with another head."""

import json
import math
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeafri.errors import ConfigError, DataError, ModelError, TrainingError
from edgeafri.menu.settings import AdaptMaftSettings, DistillSettings
from edgeafri.stages import adapt_maft, distill
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import token_store
from edgeafri.util.progress import silent

LANGUAGES = ("swa", "hau")
SENTENCES = {
    "swa": ("Rais Amina Juma alizuru Mombasa Jumatatu ya {} .", "Watoto {} walicheza mpira karibu na mto ."),
    "hau": ("Gwamna Bala Ɗanjuma ya je Kano ranar Litinin {} .", "Yara {} sun yi wasa kusa da kogi ."),
}


def settings(text, **changed):
    """38 lines to learn from, eight a step: five steps an epoch."""
    values = {"languages": LANGUAGES, "text": text, "epochs": 3, "batch": 8, "learning_rate": 1e-3, "max_length": 64}
    return AdaptMaftSettings(**{**values, **changed})


def prepared(source, chosen, folder):
    """Model and training, on a store in a folder."""
    tokenizer = checkpoint.read_tokenizer(source.path)
    corpus = token_store.RawText(chosen.text, chosen.languages, chosen.lines, checkpoint.encoder(tokenizer, 64))
    setup = adapt_maft.prepare(source.path, chosen, token_store.open_store(folder / "tokens", corpus, silent))
    return setup.model, setup.training


def refused(error, source, chosen, tmp_path):
    """What is said of what cannot be learnt from; nothing has been written by then."""
    out = tmp_path / "refused"
    out.mkdir()
    with pytest.raises(error) as caught:
        adapt_maft.run(source, chosen, out, silent)
    assert list(out.iterdir()) == []
    return caught.value


@pytest.mark.parametrize("kind", ["encoder", "teacher"])
def test_the_model_is_a_masked_lm(kind, encoder, teacher, text, tmp_path):
    """
    Also from a model with another head. Its head is tied to its embeddings; the manifest's task is mask.
    """
    source = {"encoder": encoder, "teacher": teacher}[kind]
    facts = adapt_maft.run(source, settings(text, epochs=1, dropout=0.05), tmp_path, silent).to_json()
    model = checkpoint.read_model(tmp_path)

    assert type(model).__name__ == "XLMRobertaForMaskedLM"
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight
    assert (model.config.hidden_dropout_prob, model.config.attention_probs_dropout_prob) == (0.05, 0.05)
    assert (facts["task"], facts["inputs"], facts["best_epoch"]) == ("mask", 38, 1)
    assert not {"checkpoints", "tokens"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_the_text_is_learnt(encoder, tmp_path):
    """
    Two sentences a language, again and again: the loss on lines held out falls far below that of guessing.
    """
    root, out = tmp_path / "text", tmp_path / "out"
    root.mkdir()
    out.mkdir()
    for code, sentences in SENTENCES.items():
        lines = [sentences[number % 2].format(number) for number in range(200)]
        (root / f"{code}.txt").write_text("\n".join(lines), "utf-8")
    facts = adapt_maft.run(encoder, settings(root, epochs=4, learning_rate=1e-2), out, silent).to_json()
    found = [epoch["loss"] for epoch in facts["epochs"]]

    assert facts["dev_loss"] == min(found) == found[facts["best_epoch"] - 1]
    assert facts["dev_loss"] < 0.75 * math.log(checkpoint.read_config(out)["vocab_size"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masked", "encoder"])
def test_perplexity_is_told_before_and_after(kind, masked, encoder, text, tmp_path):
    """
    By language, of the same positions of the same lines. A new head can only guess, so nothing is told of it.
    """
    source = {"masked": masked, "encoder": encoder}[kind]
    chosen = settings(text, learning_rate=1e-2)
    facts = adapt_maft.run(source, chosen, tmp_path, silent).to_json()
    model, training = prepared(source, chosen, tmp_path)
    best = facts["epochs"][facts["best_epoch"] - 1]
    before = training.validate(model) if kind == "masked" else None

    for code in LANGUAGES:
        loss, perplexity = facts["loss"][code], facts["perplexity"][code]
        assert loss["after"] == best[f"loss_{code}"]
        assert perplexity["after"] == pytest.approx(math.exp(best[f"loss_{code}"]), rel=1e-3)  # a loss of four decimals
        assert loss["before"] == (before and round(before[f"loss_{code}"], 4))
        assert (perplexity["before"] is None) == (kind == "encoder")
    mean = facts["perplexity_average"]
    assert mean["after"] == pytest.approx(math.exp(facts["dev_loss"]), rel=1e-3)
    assert mean["before"] is None or mean["before"] == pytest.approx(math.exp(before["loss"]), rel=1e-3)


def test_a_perplexity_is_a_number_for_any_loss():
    """
    A manifest holds no infinity.
    """
    found = adapt_maft.before_after({"loss_swa": 9e9}, {"loss_swa": 0.0}, "loss_swa", adapt_maft.perplexity)

    assert found.after == 1.0
    assert json.dumps(found.to_json(), allow_nan=False)


def test_what_was_left_out_is_told(encoder, text, tmp_path):
    """
    By language: lines without a letter, and inputs under six subwords.
    """
    root, out = shutil.copytree(text, tmp_path / "text"), tmp_path / "out"
    out.mkdir()
    with (root / "hau.txt").open("a", encoding="utf-8") as file:
        file.write("\n12 34\n5 %\nKo\n")
    facts = adapt_maft.run(encoder, settings(root, epochs=1), out, silent).to_json()
    counts = {
        code: (own["lines"], own["no_letter"], own["inputs"], own["too_short"]) for code, own in facts["corpus"].items()
    }

    assert counts == {"swa": (30, 0, 30, 0), "hau": (11, 2, 10, 1)}
    assert facts["inputs"] == 38


@pytest.mark.slow
def test_its_model_teaches_an_agnostic_student(teacher, text, as_artifact, tmp_path):
    """
    What the hint of that mode says, done.
    """
    out, student = tmp_path / "out", tmp_path / "student"
    out.mkdir()
    student.mkdir()
    adapt_maft.run(teacher, settings(text, epochs=1), out, silent)
    chosen = DistillSettings(LANGUAGES, mode="agnostic", text=text, layers=1, epochs=1, max_length=64)

    assert distill.run(as_artifact(out, "torch"), chosen, student, silent).to_json()["layers"] == 1


def test_every_epoch_masks_others_and_validation_the_same(encoder, text, tmp_path):
    """
    What is learnt from changes, what epochs are compared by does not.
    """
    _, training = prepared(encoder, settings(text), tmp_path)
    model, again = prepared(encoder, settings(text), tmp_path)
    first = training.examples[0].ids.tolist()
    training.examples.epoch = again.examples.epoch = 1

    assert training.examples[0].ids.tolist() == again.examples[0].ids.tolist() != first
    assert training.validate(model) == again.validate(model)


def test_settings_reach_the_training(encoder, text, tmp_path):
    """
    Whole words are masked in validation too, so that epochs are compared by what they learn.
    """
    _, plain = prepared(encoder, settings(text), tmp_path)
    _, training = prepared(encoder, settings(text, mixing="single", whole_words=True, validation_steps=4), tmp_path)

    assert (plain.one_language_per_batch, plain.validation_steps, plain.examples.masking.whole_words) == (
        False,
        None,
        False,
    )
    assert (training.one_language_per_batch, training.validation_steps, training.examples.masking.whole_words) == (
        True,
        4,
        True,
    )


def test_lines_are_limited_a_language(encoder, text, tmp_path):
    """
    Eight of either, of which one each is held out: the large one does not drown the small one.
    """
    _, training = prepared(encoder, settings(text, lines=8), tmp_path)

    assert len(training.examples) == 14
    assert training.examples.outline.languages.tolist() == [0] * 7 + [1] * 7


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [1.0, 0.3])
def test_a_killed_run_ends_where_it_would_have(encoder, text, killed_and_resumed, sampling):
    """
    The masked subwords of an epoch are its own, also when it is the first after a kill.
    """
    chosen = settings(text, sampling=sampling, dropout=0.1)
    differing, first = killed_and_resumed(adapt_maft.run, encoder, chosen, (9, 15))

    assert differing == []
    assert first == (6, 15)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "total"),
    [
        ({"validation_steps": 2, "mixing": "single"}, 18),
        ({"validation_steps": 4, "accumulate": 2, "whole_words": True, "sampling": 0.3}, 9),
    ],
)
def test_a_run_killed_inside_an_epoch_ends_where_it_would_have(encoder, text, killed_and_resumed, changed, total):
    """
    It goes on after the last validation, the eighth step: in the second of epochs of six steps, the third of three.
    """
    differing, first = killed_and_resumed(adapt_maft.run, encoder, settings(text, dropout=0.1, **changed), (9, total))

    assert differing == []
    assert first == (9, total)


@pytest.mark.slow
def test_two_processes_train_one_model(encoder, text, tmp_path):
    """
    Full batches without dropout, so a step is the same for one process and for two, but that each averages over the
    positions of its own half: the text is learnt alike, and the processes' models are compared at every validation.
    """
    found, ticks = {}, []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        out.mkdir()
        chosen = settings(
            text, processes=processes, mixing="single", dropout=0.0, learning_rate=1e-2, validation_steps=7, epochs=6
        )
        found[processes] = adapt_maft.run(encoder, chosen, out, lambda *progress: ticks.append(progress)).to_json()
    alone, together = ([entry["loss"] for entry in found[processes]["judgements"]] for processes in (1, 2))

    assert together[-1] < 0.95 * together[0]
    assert together == pytest.approx(alone, rel=0.05)
    assert ticks[: len(ticks) // 2] == ticks[len(ticks) // 2 :]
    assert (found[2]["processes"], found[2]["best_step"] % 7) == (2, 0)
    assert type(checkpoint.read_model(tmp_path / "2")).__name__ == "XLMRobertaForMaskedLM"
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == sorted(
        path.name for path in (tmp_path / "2").iterdir()
    )


@pytest.mark.slow
def test_a_killed_team_ends_where_it_would_have(encoder, text, killed_and_resumed):
    """
    Every process finds its random numbers again.
    """
    chosen = settings(text, processes=2, dropout=0.1, sampling=0.3, validation_steps=4)
    differing, first = killed_and_resumed(adapt_maft.run, encoder, chosen, (10, 15))

    assert differing == []
    assert first == (9, 15)


@pytest.mark.slow
def test_what_stops_a_team_is_told_as_alone(encoder, text, as_artifact, tmp_path):
    """
    A model with a NaN weight: the error of the process that met it first.
    """
    folder, out = shutil.copytree(encoder.path, tmp_path / "broken"), tmp_path / "out"
    out.mkdir()
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"][0] = math.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(TrainingError, match="the loss is nan at step 1 of 15"):
        adapt_maft.run(as_artifact(folder, "torch"), settings(text, processes=2), out, silent)


def test_a_batch_must_be_shared_evenly(encoder, text, tmp_path):
    """
    A batch that fits is named.
    """
    error = refused(ConfigError, encoder, settings(text, processes=3), tmp_path)

    assert error.message == "adapt-maft: 3 processes cannot share a batch of 8 evenly"
    assert error.hint == "Add --batch 9."


def test_two_processes_do_not_share_a_gpu(encoder, text, tmp_path, monkeypatch):
    """
    Without any GPU they share the processor.
    """
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    error = refused(ConfigError, encoder, settings(text, processes=2), tmp_path)

    assert error.message == "adapt-maft: 2 processes, but this machine has 1 GPU"
    assert error.hint == "Leave out --processes: there is one for every GPU then."


@pytest.mark.parametrize(("gpus", "batch", "processes"), [(0, 16, 1), (1, 16, 1), (4, 16, 4), (3, 16, 2), (8, 7, 7)])
def test_there_is_a_process_for_every_gpu(text, monkeypatch, gpus, batch, processes):
    """
    As many as can share a batch evenly, and one where there is no GPU.
    """
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)

    assert adapt_maft.processes_of(settings(text, batch=batch)) == processes


def test_a_forecast_is_given_in_words(encoder, text):
    """
    Time, inputs, subwords, and how many of these a second.
    """
    said = adapt_maft.forecast(encoder, settings(text))
    shared = adapt_maft.forecast(encoder, settings(text, processes=2))

    pattern = r"about \d+ s on this machine: 38 inputs x 3 epochs, 0\.0 million subwords, [\d,]+ subwords/s"
    assert re.fullmatch(pattern, said)
    assert re.fullmatch(rf"{pattern}; less with 2 processes", shared)


@pytest.mark.parametrize(("lines", "inputs"), [(None, 38), (20, 28)])
def test_a_forecast_reads_a_sample(encoder, text, monkeypatch, lines, inputs):
    """
    Ten lines of thirty stand for all, or for as many as are asked for.
    """
    monkeypatch.setattr(adapt_maft, "_SAMPLE", 10)
    said = adapt_maft.forecast(encoder, settings(text, lines=lines))
    found = int(re.search(r"(\d+) inputs", said)[1])

    assert found == pytest.approx(inputs, abs=3)  # of ten lines one is held out, of fifty one


def test_missing_raw_text_is_refused(encoder, tmp_path):
    """
    The message names the option and the layout.
    """
    error = refused(DataError, encoder, settings(None), tmp_path)

    assert error.message == "adapt-maft: no raw text"
    assert error.hint == "Add --text DIR with LANG.txt, one sentence per line."


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ((), "{text}: no language named to read raw text of"),
        (("swa", "yor"), "{text}/yor.txt: no such file"),
    ],
)
def test_languages_without_raw_text_are_refused(encoder, text, tmp_path, languages, message):
    """
    None named, or one that is not there.
    """
    error = refused(DataError, encoder, settings(text, languages=languages), tmp_path)

    assert error.message == message.format(text=text)


@pytest.mark.parametrize("lines", ["", "12 34\n5.6 %\n"])
def test_raw_text_without_words_is_refused(encoder, text, tmp_path, lines):
    """
    An empty file and one of numbers teach nothing, and the language is named.
    """
    root = shutil.copytree(text, tmp_path / "text")
    (root / "hau.txt").write_text(lines, "utf-8")
    error = refused(DataError, encoder, settings(root), tmp_path)

    assert (error.message, error.hint) == (f"{root}/hau.txt: no line of text in it", "Write one sentence per line.")


def test_raw_text_in_another_script_is_refused(encoder, text, tmp_path):
    """
    Before anything is learnt; file, line and script are named.
    """
    root = shutil.copytree(text, tmp_path / "text")
    shutil.copy(root / "swa.txt", root / "amh.txt")
    error = refused(DataError, encoder, settings(root, languages=("swa", "amh")), tmp_path)

    assert error.message.startswith(
        f"{root}/amh.txt:1: Amharic (amh) is written in Ethiopic script, and this line is not"
    )


def test_too_little_raw_text_is_refused(encoder, text, tmp_path):
    """
    One line cannot both teach and validate.
    """
    error = refused(DataError, encoder, settings(text, languages=("swa",), lines=1), tmp_path)

    message = f"{text}/swa.txt: too little raw text: at least one line for training and one for validation are needed"
    assert (error.message, error.hint) == (message, "Add lines of 6 subwords or more.")


def test_a_tokenizer_without_a_mask_is_refused(encoder, text, without_mask, tmp_path):
    """
    Sub-words could not be hidden.
    """
    source = without_mask(encoder)
    error = refused(ModelError, source, settings(text), tmp_path)

    assert error.message == f"{source.path}: its tokenizer has no mask token"
    assert error.hint == "Use an encoder that was trained with one."


def test_only_what_text_teaches_changes(encoder, text, tmp_path):
    """
    Without a step, rate 0, the encoder's weights are those it came with.
    """
    adapt_maft.run(encoder, settings(text, epochs=1, learning_rate=0.0), tmp_path, silent)
    before, after = (load_file(folder / "model.safetensors") for folder in (encoder.path, tmp_path))
    kept = {name: weight for name, weight in before.items() if "pooler" not in name}

    assert all(torch.equal(after[f"roberta.{name}"], weight) for name, weight in kept.items())
