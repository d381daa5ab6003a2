"""`edgeafri study`: what is asked wrongly is said before any work."""

import pytest

from edgeafri.cli import execute

ASKED = ["--teacher", "nowhere", "--data", "nowhere", "--text", "nowhere", "--out", "out"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seeds", "one"], "--seeds: not a list of whole numbers"),
        (["--seeds", "²"], "--seeds: not a list of whole numbers"),
        (["--seeds", "99999999999", "--lang", "swa"], "study.seed: 99999999999 is out of range"),
        (["--grid", "smoky", "--lang", "swa"], "study comet: there is no grid 'smoky'"),
        (["--lang", "swa"], "nowhere"),
        (["--lang", ","], "--lang names no language"),
    ],
)
def test_a_wrong_order_ends_before_work(more, message, capsys, tmp_path, monkeypatch):
    """
    The message names what is wrong, the next step follows, and nothing was written.
    """
    monkeypatch.chdir(tmp_path)
    code = execute(["study", "comet", *ASKED, *more])
    said = capsys.readouterr().err

    assert code in (2, 4)
    assert message in said
    assert "next: " in said
    assert not (tmp_path / "out").exists()


def test_an_unknown_study_is_refused(capsys):
    """
    The known ones are named.
    """
    assert execute(["study", "rocket", *ASKED]) == 2
    assert "'comet'" in capsys.readouterr().err


@pytest.mark.parametrize("study", ["comet", "distillation", "maft"])
@pytest.mark.parametrize("option", ["--ood-data", "--few-shot-data"])
def test_an_option_of_another_study_is_refused(study, option, capsys):
    """
    It would be silently without effect.
    """
    assert execute(["study", study, *ASKED, option, "nowhere"]) == 2
    assert f"study {study}: it has no {option}" in capsys.readouterr().err


@pytest.mark.parametrize("study", ["comet", "compression", "distillation", "mini-model"])
def test_a_teacher_may_be_missing_for_maft_alone(study, capsys):
    """
    It makes an encoder of its own; the others have nothing to begin with.
    """
    assert execute(["study", study, *ASKED[2:]]) == 2
    assert f"study {study}: --teacher is missing" in capsys.readouterr().err


def test_the_mini_model_study_asks_for_new_languages(capsys, tmp_path, monkeypatch):
    """
    And has no use for data of a high-resource one.
    """
    monkeypatch.chdir(tmp_path)

    assert execute(["study", "mini-model", *ASKED, "--lang", "swa"]) == 2
    assert "study mini-model: no language to adapt to" in capsys.readouterr().err
    assert execute(["study", "mini-model", *ASKED, "--ood-data", "nowhere"]) == 2
    assert "study mini-model: it has no --ood-data" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_unseen_languages_are_for_maft_alone(capsys):
    """
    The other studies ask nothing of what a teacher saw.
    """
    assert execute(["study", "comet", *ASKED, "--unseen", "lug"]) == 2
    assert "study comet: it has no --unseen" in capsys.readouterr().err


def test_maft_asks_what_a_teacher_never_saw(capsys, tmp_path, monkeypatch):
    """
    Else what the encoder remembers would be measured as adaptation.
    """
    monkeypatch.chdir(tmp_path)

    assert execute(["study", "maft", *ASKED, "--lang", "swa,lug"]) == 2
    assert "study maft: what nowhere never saw is not known" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_raw_text_may_be_missing_for_compression_alone(capsys, tmp_path, monkeypatch):
    """
    The others learn from it; compression leaves out the parts that do.
    """
    monkeypatch.chdir(tmp_path)
    without = [word for place, word in enumerate(ASKED) if "--text" not in (word, ASKED[place - 1])]

    assert execute(["study", "distillation", *without]) == 2
    assert "study distillation: --text is missing" in capsys.readouterr().err
    assert execute(["study", "compression", *without, "--lang", "swa"]) == 4
    assert "--text" not in capsys.readouterr().err.splitlines()[0]
