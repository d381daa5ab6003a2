"""The counting plugin: every instruction in its class, marks read, differences taken, a compiler that fails named."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from edgeafri.emulator.plugin import HEADER, SOURCES, InstructionCounts, between, compile_plugin, option, parse_marks
from edgeafri.errors import MissingPackage, WorkerError

# A disassembler (capstone 5) reads these words as these instructions.
WORDS = {
    "fmla": {
        0x4E22CC20: "fmla v0.4s, v1.4s, v2.4s",
        0x4F821020: "fmla v0.4s, v1.4s, v2.s[0]",
        0x4E62CC20: "fmla v0.2d, v1.2d, v2.2d",
        0x4E420C20: "fmla v0.8h, v1.8h, v2.8h",
        0x4F021020: "fmla v0.8h, v1.8h, v2.h[0]",
    },
    "smull_smlal": {
        0x0E22C020: "smull v0.8h, v1.8b, v2.8b",
        0x4E62C020: "smull2 v0.4s, v1.8h, v2.8h",
        0x0E628020: "smlal v0.4s, v1.4h, v2.4h",
        0x4F422020: "smlal2 v0.4s, v1.8h, v2.h[0]",
        0x0F42A020: "smull v0.4s, v1.4h, v2.h[0]",
    },
    "umull_umlal": {
        0x2E22C020: "umull v0.8h, v1.8b, v2.8b",
        0x6E628020: "umlal2 v0.4s, v1.8h, v2.8h",
        0x2F42A020: "umull v0.4s, v1.4h, v2.h[0]",
    },
    "sdot": {0x4E829420: "sdot v0.4s, v1.16b, v2.16b", 0x4F82E020: "sdot v0.4s, v1.16b, v2.4b[0]"},
    "udot": {0x6E829420: "udot v0.4s, v1.16b, v2.16b", 0x6F82E020: "udot v0.4s, v1.16b, v2.4b[0]"},
    "loads": {
        0xF9400020: "ldr x0, [x1]",
        0x3DC00020: "ldr q0, [x1]",
        0xA9400440: "ldp x0, x1, [x2]",
        0xAD400440: "ldp q0, q1, [x2]",
        0x4C407020: "ld1 {v0.16b}, [x1]",
        0x4D40C820: "ld1r {v0.4s}, [x1]",
        0x58000020: "ldr x0, label",
        0x39400020: "ldrb w0, [x1]",
        0xB9800020: "ldrsw x0, [x1]",
        0xC85FFC20: "ldaxr x0, [x1]",
        0xF8610020: "ldaddl x1, x0, [x1]",
    },
    "stores": {
        0xF9000020: "str x0, [x1]",
        0x3D800020: "str q0, [x1]",
        0xA9000440: "stp x0, x1, [x2]",
        0x4C007020: "st1 {v0.16b}, [x1]",
        0xC81FFC20: "stlxr wzr, x0, [x1]",
        0x39000020: "strb w0, [x1]",
    },
    "other": {
        0x8B020020: "add x0, x1, x2",
        0x4E22D420: "fadd v0.4s, v1.4s, v2.4s",
        0x6E22DC20: "fmul v0.4s, v1.4s, v2.4s",
        0xF9800020: "prfm pldl1keep, [x1]",
        0xD8000020: "prfm pldl1keep, label",
        0x14000001: "b",
        0xD65F03C0: "ret",
        0x9B027C20: "mul x0, x1, x2",
        0x00000000: "udf #0",
    },
}
MAIN = """
#include "{header}"
#include <stdio.h>
int main(void) {{
    uint32_t word;
    while (fread(&word, 4, 1, stdin) == 1)
        puts(NAMES[class_of(word)]);
}}
"""
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory):
    """The classes of instruction words, by the plugin's own table."""
    folder = tmp_path_factory.mktemp("classes")
    (folder / "main.c").write_text(MAIN.format(header=SOURCES[1]), "utf-8")
    subprocess.run([str(shutil.which("gcc")), "-Wall", "-Werror", folder / "main.c", "-o", folder / "main"], check=True)

    def run(words: list[int]) -> list[str]:
        packed = b"".join(struct.pack("<I", word) for word in words)
        return subprocess.run([folder / "main"], input=packed, capture_output=True, check=True).stdout.decode().split()

    return run


@needs_gcc
@pytest.mark.parametrize("name", WORDS)
def test_an_instruction_is_of_its_class(classify, name: str):
    """
    Each way an instruction is written in bits: whole vectors, by element, halves, sizes, addressing.
    """
    words = list(WORDS[name])

    assert dict(zip(WORDS[name].values(), classify(words), strict=True)) == dict.fromkeys(WORDS[name].values(), name)


@needs_gcc
@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "the plugin of QEMU does not compile: .*error"),
        ("#include <glib.h>\n", "the plugin of QEMU needs the headers of glib"),
    ],
)
def test_a_plugin_that_does_not_compile_is_told(tmp_path: Path, monkeypatch, header: str, message: str):
    """
    The compiler's first error, or the package that a newer QEMU's header asks for.
    """
    (tmp_path / HEADER).write_text(header, "utf-8")
    if header:
        real = shutil.which("gcc")
        (tmp_path / "gcc").symlink_to(str(real))
        monkeypatch.setenv("PATH", str(tmp_path))  # without pkg-config

    with pytest.raises(MissingPackage, match=message) as error:
        compile_plugin(tmp_path)
    assert "sudo apt-get install" in error.value.hint


def test_commas_in_a_path_are_doubled():
    """
    QEMU would read one as the end of the path.
    """
    assert option(Path("/a,b/counts.so"), Path("/c/out")) == ("-plugin", "/a,,b/counts.so,out=/c/out")


def test_marks_are_read_as_they_stand():
    """
    A line a mark.
    """
    assert parse_marks("0 total=5 fmla=2\n1 total=9 fmla=4\n") == [
        InstructionCounts(0, {"total": 5, "fmla": 2}),
        InstructionCounts(1, {"total": 9, "fmla": 4}),
    ]


def test_counts_are_those_between_marks():
    """
    Start, import and warm-up lie before the first mark and do not count.
    """
    marks = [
        InstructionCounts(0, {"total": 500}),
        InstructionCounts(1, {"total": 600}),
        InstructionCounts(2, {"total": 710}),
    ]

    assert between(marks) == [{"total": 100}, {"total": 110}]


@pytest.mark.parametrize(
    "marks", [[], [InstructionCounts(0, {})], [InstructionCounts(0, {}), InstructionCounts(2, {})]]
)
def test_a_missing_mark_is_told(marks: list[InstructionCounts]):
    """
    A number from half of the marks would look like a number.
    """
    with pytest.raises(WorkerError, match="the emulator counted no whole inference"):
        between(marks)
