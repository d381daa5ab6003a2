"""The comparison: ways to keep one model's weights, measured side by side, beside the compression study's figures."""

from collections.abc import Sequence
from dataclasses import replace

from edgeafri.build.events import OnEvent
from edgeafri.build.teacher import config_of, find_teacher, labels_of
from edgeafri.data.dataset import languages_in
from edgeafri.errors import ModelError
from edgeafri.studies import quantization
from edgeafri.studies.methods import chosen
from edgeafri.studies.page import Page
from edgeafri.studies.study import Bench, Order
from edgeafri.tasks import tasks_of, unit_of
from edgeafri.util.files import Digests


def run(order: Order, names: Sequence[str], digests: Digests, on_event: OnEvent) -> Page:
    """Check names, model and all data, then measure. Without languages in the order, those of the data.

    UsageError for an unknown method, ModelError for a model without a task's head, DataError for data that does not
    fit; a method that this machine cannot run is a row with its reason.
    """
    methods = chosen(names)
    task = _task_of(order, digests, on_event)
    languages = order.languages or languages_in(order.data, unit_of(task))
    bench = Bench(replace(order, languages=languages), task, digests, on_event)
    model = bench.teacher()
    bench.check_data(labels_of(model))
    return Page(tuple(quantization.compared(bench, model, methods)))


def _task_of(order: Order, digests: Digests, on_event: OnEvent) -> str:
    """The task of the model's head; of a text classifier, the first that has such a head, as they are judged alike."""
    found = find_teacher(order.teacher, "ner", order.languages, order.work, True, digests, on_event)
    architecture = str((config_of(found).get("architectures") or [""])[0])
    named = [row.name for row in tasks_of(architecture) if row.unit != "sub-word"]
    if not named:
        hint = f"Fine-tune it first: edgeafri finetune {order.teacher} --data {order.data} --languages LANG --out MODEL"
        raise ModelError(f"compare: {order.teacher} has no head for a task", hint)
    return named[0]
