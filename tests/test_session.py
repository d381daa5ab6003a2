"""Sessions: what cannot be read is said clearly, what is fed is what the graph asks for, what the processor can do."""

from types import SimpleNamespace

import numpy as np
import pytest

from edgeafri import session
from edgeafri.errors import ArtifactError


@pytest.fixture(autouse=True)
def _forgotten():
    """What is remembered of the processor is forgotten before and after each test."""
    for remembered in (session.has_vnni, session.int8_arithmetic):
        remembered.cache_clear()
    yield
    for remembered in (session.has_vnni, session.int8_arithmetic):
        remembered.cache_clear()


class FakeSession:
    """A session whose graph has these inputs; it remembers what it was fed."""

    def __init__(self, *names):
        self.names = names
        self.fed = None

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self.names]

    def run(self, outputs, feed):
        assert outputs == ["logits"]
        self.fed = feed
        return [np.zeros((1, 2, 3), dtype=np.float32)]


def flags(monkeypatch, *names):
    monkeypatch.setattr(session, "_cpu_flags", lambda: frozenset(names))


@pytest.mark.parametrize("content", [b"not a graph", b"", b"\x08\x08\x12\x04"])
def test_an_unreadable_graph_is_an_artifact_error(tmp_path, content):
    """
    The message names the file and what onnxruntime says of it, in one line.
    """
    (tmp_path / "model.onnx").write_bytes(content)

    with pytest.raises(ArtifactError, match="onnxruntime cannot read it") as caught:
        session.open_session(tmp_path / "model.onnx", threads=1)
    assert caught.value.message.startswith(f"{tmp_path / 'model.onnx'}: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint == "Build the bundle again."


def test_a_missing_graph_is_an_artifact_error(tmp_path):
    """
    A path without a file is told apart from no error at all.
    """
    with pytest.raises(ArtifactError, match=r"nothing\.onnx: onnxruntime cannot read it"):
        session.open_session(tmp_path / "nothing.onnx", threads=1)


def test_the_mask_is_fed_when_the_graph_asks_for_it():
    """
    Ids and mask go in under the names of the graph's inputs.
    """
    fake = FakeSession("input_ids", "attention_mask")
    logits = session.forward(fake)(np.array([[5, 6]]), np.array([[1, 1]]))

    assert sorted(fake.fed) == ["attention_mask", "input_ids"]
    assert logits.shape == (1, 2, 3)


def test_the_mask_stays_out_when_the_graph_has_none():
    """
    onnxruntime refuses inputs that a graph does not have.
    """
    fake = FakeSession("input_ids")
    session.forward(fake)(np.array([[5, 6]]), np.array([[1, 1]]))

    assert list(fake.fed) == ["input_ids"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("avx2", "avx512f", "avx512_vnni"), True),
        (("avx2", "avx_vnni"), True),
        (("avx2", "avx512f"), False),
        ((), False),
    ],
)
def test_vnni_is_read_from_the_processors_flags(monkeypatch, names, expected):
    """
    Both spellings count; a processor that says nothing counts as one without.
    """
    flags(monkeypatch, *names)

    assert session.has_vnni() is expected


def test_flags_come_from_the_first_processor(tmp_path, monkeypatch):
    """
    /proc/cpuinfo repeats them for every core.
    """
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n\nprocessor\t: 1\nflags\t\t: fpu\n", "utf-8")
    monkeypatch.setattr(session, "Path", lambda _: cpuinfo)

    assert {"fpu", "avx2", "avx_vnni"} <= session._cpu_flags()


def test_a_machine_without_cpuinfo_has_no_flags(tmp_path, monkeypatch):
    """
    On systems without /proc nothing is known, and nothing fails.
    """
    monkeypatch.setattr(session, "Path", lambda _: tmp_path / "none")

    assert session._cpu_flags() == frozenset()


@pytest.mark.parametrize(
    ("machine", "names", "expected"),
    [
        ("aarch64", (), "exact"),
        ("armv7l", ("avx_vnni",), "exact"),
        ("x86_64", ("avx512_vnni",), "u8 x s8 with VNNI, exact"),
        ("AMD64", ("avx_vnni",), "u8 x s8 with VNNI, exact"),
        ("x86_64", ("avx2",), "no VNNI: the exact u8 x u8 twin is computed (weights + 128, zero point 128)"),
    ],
)
def test_int8_arithmetic_in_words(monkeypatch, machine, names, expected):
    """
    A measurement's conditions say which products this processor computes.
    """
    flags(monkeypatch, *names)
    monkeypatch.setattr(session.platform, "machine", lambda: machine)

    assert session.int8_arithmetic() == expected
