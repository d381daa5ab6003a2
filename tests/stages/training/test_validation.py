"""Validation: F1 as on the device, the loss on examples held out, and what stands in the manifest of either."""

from types import SimpleNamespace

import pytest
import torch

from edgeafri.data.dataset import Sentence, Split
from edgeafri.errors import DataError
from edgeafri.inference.evaluate import evaluate
from edgeafri.inference.predict import Predictor
from edgeafri.menu.settings import DistillSettings, FinetuneSettings
from edgeafri.stages.models import checkpoint
from edgeafri.stages.training import losses
from edgeafri.stages.training.examples import IGNORED, Collator, Example, Examples, Item
from edgeafri.stages.training.validation import dataset_of, dev_facts, hard_loss, on_labels, on_text, text_facts

LABELS = ("O", "B-DATE", "I-DATE", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")


def split(language, *sentences):
    found = tuple(Sentence(tuple(words.split()), tuple(tags.split())) for words, tags in sentences)
    return Split(language, "dev", found, {})


def epoch(swa, hau):
    return {"score": (swa + hau) / 2, "f1_swa": swa, "f1_hau": hau, "loss_swa": 0.123456, "loss_hau": 1.0}


def test_labels_are_judged_as_on_the_device(teacher):
    """
    F1 and loss of every language by the shared predictor; the score is the mean F1, languages counting the same.
    """
    dev = [
        split("swa", ("Amina alizuru Mombasa", "B-PER O B-LOC")),
        split("hau", ("Bala ya je Kano", "B-PER O O B-LOC")),
    ]
    model = checkpoint.read_model(teacher.path)
    encoder = checkpoint.encoder(checkpoint.read_tokenizer(teacher.path), 64)
    quality = evaluate(Predictor(encoder, LABELS, checkpoint.forward(model)), dev)
    found = on_labels(encoder, LABELS, dev)(model)

    assert set(found) == {"score", "f1_swa", "f1_hau", "loss_swa", "loss_hau"}
    assert {name: found[f"f1_{name}"] for name in quality} == {name: entry.f1 for name, entry in quality.items()}
    assert found["loss_swa"] == pytest.approx(quality["swa"].loss, rel=1e-5)  # batches differ, floats round
    assert found["score"] == (found["f1_swa"] + found["f1_hau"]) / 2


def test_texts_are_judged_too(classifier_folder):
    """
    One label a text.
    """
    dev = [Split("swa", "dev", (Sentence(("Rais", "Amina"), ("negative",)),), {}, "text")]
    encoder = checkpoint.encoder(checkpoint.read_tokenizer(classifier_folder), 64, "text")
    validate = on_labels(encoder, ("negative", "neutral", "positive"), dev)

    assert validate(checkpoint.read_model(classifier_folder))["score"] == 100.0


def validated(languages):
    """What validation finds on so many examples per language, of 1 to 3 positions, each of which costs its number."""
    codes = [code for code, count in languages.items() for _ in range(count)]
    sizes = [1 + number % 3 for number in range(len(codes))]
    rows = Examples(
        [
            Example((0, *[5] * n, 2), tuple(range(1, n + 1)), (5,) * n, code)
            for n, code in zip(sizes, codes, strict=True)
        ]
    )
    seen = []

    def loss(model, batch):
        seen.append((batch["numbers"].tolist(), torch.is_inference_mode_enabled()))
        counts = (batch["attention_mask"].sum(dim=1) - 2).tolist()
        positions = [number for number, count in zip(seen[-1][0], counts, strict=True) for _ in range(count)]
        return torch.tensor(positions).float().mean()

    return on_text(rows, 1, loss)(SimpleNamespace(device="cpu")), seen, sizes


def test_raw_text_is_judged_by_the_loss_a_place():
    """
    Whatever batch it is in a position counts the same, and so do languages in the score, whose sign makes more better.
    """
    found, seen, sizes = validated({"swa": 70, "hau": 5})
    positions = {
        "swa": [n for n in range(70) for _ in range(sizes[n])],
        "hau": [n for n in range(70, 75) for _ in range(sizes[n])],
    }
    means = {code: sum(own) / len(own) for code, own in positions.items()}
    mean = (means["swa"] + means["hau"]) / 2

    assert found == {
        "score": pytest.approx(-mean),
        "loss": pytest.approx(mean),
        "loss_swa": pytest.approx(means["swa"]),
        "loss_hau": pytest.approx(means["hau"]),
    }
    assert sorted(number for numbers, _ in seen for number in numbers) == list(range(75))
    assert [(len(numbers), inference) for numbers, inference in seen] == [(32, True), (32, True), (6, True), (5, True)]


def test_of_much_raw_text_a_part_is_judged():
    """
    Spread over all rows of the language; small ones are read whole.
    """
    _, seen, _ = validated({"swa": 5000, "hau": 5})
    numbers = sorted(number for numbers, _ in seen for number in numbers)

    assert numbers[:4] == [0, 2, 5, 7]
    assert (len(numbers), numbers[-5:]) == (2005, [5000, 5001, 5002, 5003, 5004])


def test_the_best_epoch_is_the_first_with_the_highest_mean():
    """
    Its F1 per language in two decimals, and every epoch's numbers in four.
    """
    history = [epoch(50, 20), epoch(60.004, 40), epoch(40, 60.004), epoch(99, 0)]
    facts = dev_facts(history, ("swa", "hau")).to_json()

    assert facts["best_epoch"] == 2
    assert facts["dev_f1"] == {"swa": 60.0, "hau": 40.0}
    assert facts["dev_f1_average"] == 50.0
    assert facts["epochs"][0] == {"score": 35.0, "f1_swa": 50, "f1_hau": 20, "loss_swa": 0.1235, "loss_hau": 1.0}
    assert len(facts["epochs"]) == 4


def test_on_raw_text_the_lowest_loss_is_the_best():
    """
    Importance is its negative.
    """
    history = [{"score": -value, "loss": value} for value in (3.0, 1.23456, 1.23456, 2.0)]

    assert text_facts(history).to_json() == {
        "dev_loss": 1.2346,
        "best_epoch": 2,
        "epochs": [{"score": -round(value, 4), "loss": round(value, 4)} for value in (3.0, 1.23456, 1.23456, 2.0)],
    }


def test_where_steps_are_counted_the_best_step_is_named():
    """
    Judgements are no epochs then.
    """
    history = [{"score": -value, "loss": value, "step": step} for step, value in ((200, 3.0), (400, 1.5), (450, 2.0))]
    facts = text_facts(history).to_json()

    assert (facts["dev_loss"], facts["best_step"], "best_epoch" in facts) == (1.5, 400, False)
    assert [entry["step"] for entry in facts["judgements"]] == [200, 400, 450]


@pytest.mark.parametrize("weights", [None, torch.arange(1.0, 10.0)])
def test_true_labels_are_learnt_where_there_are_any(teacher, weights):
    """
    Cross entropy over the positions with a target, rare labels counting more where weights say so.
    """
    model = checkpoint.read_model(teacher.path)
    items = [Item(0, (0, 5, 9, 17, 2), (1, 2, 3), (3, IGNORED, 0))]
    batch = Collator(1)(items)
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0, [1, 3]]
        found = hard_loss(weights)(model, batch)

    torch.testing.assert_close(found, losses.hard_targets(logits, torch.tensor([3, 0]), weights))


def test_in_bfloat16_true_labels_are_learnt_in_float32(teacher):
    """
    The products are short, the softmax is not.
    """
    batch = Collator(1)([Item(0, (0, 5, 2), (1,), (3,))])
    with torch.autocast("cpu", torch.bfloat16):
        found = hard_loss(None)(checkpoint.read_model(teacher.path), batch)

    assert found.dtype == torch.float32


def test_a_split_is_read_for_every_language(data):
    """
    In the order in which they were named.
    """
    found = dataset_of("finetune", FinetuneSettings(("hau", "swa"), data=data), "word").splits("dev")

    assert [(item.language, item.name, len(item.sentences)) for item in found] == [("hau", "dev", 4), ("swa", "dev", 4)]


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({}, "distill: no labelled data", "Add --data DIR with a train and a dev file for every language."),
        (
            {"data": True},
            "distill: no language named",
            "Add --languages swa,hau: the folders of --data to learn from.",
        ),
    ],
)
def test_missing_data_or_languages_are_refused(data, given, message, hint):
    """
    The message names the stage, the hint the option.
    """
    with pytest.raises(DataError) as caught:
        dataset_of("distill", DistillSettings(data=data if given else None), "word")
    assert (caught.value.message, caught.value.hint) == (message, hint)
