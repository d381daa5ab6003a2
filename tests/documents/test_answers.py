"""The answers of a bundle: a result with entities is told from one with a label."""

from edgeafri.documents.answers import Entity, RunAnswer, TextEntities, TextLabel

RESULTS = (
    TextEntities("Ẹ̀kó", (Entity("LOC", "Ẹ̀kó", 0, 4, 0.98),)),
    TextLabel("", None, None, {}),
    TextLabel("Nzuri!", "positive", 0.9, {"negative": 0.1, "positive": 0.9}),
)


def test_results_are_read_back_as_what_they_are():
    """
    Entities or a label, each by its own keys, also where a text has neither words nor a label.
    """
    answer = RunAnswer("ab", sample=False, results=RESULTS)

    assert RunAnswer.from_json(answer.to_json()) == answer
