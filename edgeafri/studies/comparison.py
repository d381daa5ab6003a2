"""The comparison: ways to keep one model's weights, measured side by side, beside the compression study's figures."""

from collections.abc import Sequence
from dataclasses import replace

from edgeafri.builder.events import OnEvent
from edgeafri.builder.teacher import find_teacher, labels_of
from edgeafri.data.dataset import languages_in
from edgeafri.errors import ModelError
from edgeafri.studies import quantization
from edgeafri.studies.methods import choose_methods
from edgeafri.studies.page import StudyPage
from edgeafri.studies.workbench import StudyRequest, Workbench, architecture_of
from edgeafri.tasks import tasks_of, unit_of
from edgeafri.util.files import Digests


def run(request: StudyRequest, names: Sequence[str], digests: Digests, on_event: OnEvent) -> StudyPage:
    """Check names, model and all data, then measure. Without languages in the request, those of the data.

    UsageError for an unknown method, ModelError for a model without a task's head, DataError for data that does not
    fit; a method that this machine cannot run is a row with its reason.
    """
    methods = choose_methods(names)
    task = _task_of(request, digests, on_event)
    languages = request.languages or languages_in(request.data, unit_of(task))
    bench = Workbench(replace(request, languages=languages), task, digests, on_event)
    model = bench.teacher()
    bench.check_data(labels_of(model))
    return StudyPage(tuple(quantization.compare_methods(bench, model, methods)))


def _task_of(request: StudyRequest, digests: Digests, on_event: OnEvent) -> str:
    """The task of the model's head; of a text classifier, the first that has such a head: they are evaluated alike."""
    found = find_teacher(request.teacher, "ner", request.languages, request.work, True, digests, on_event)
    named = [row.name for row in tasks_of(architecture_of(found)) if row.unit != "token"]
    if not named:
        learning = f"--data {request.data} --languages LANG"
        hint = f"Fine-tune it first: edgeafri finetune {request.teacher} {learning} --out MODEL"
        raise ModelError(f"compare: {request.teacher} has no head for a task", hint)
    return named[0]
