"""The page's own unit tests, run by Node."""

import shutil
import subprocess

import pytest

from edgeafri.apps.web import page_folder


def test_the_small_functions_of_the_page():
    """
    Percentiles, names of devices, entities, windows, scripts and unknown words.
    """
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node: apt install nodejs npm")
    test = page_folder().parent / "test" / "units.test.mjs"
    done = subprocess.run([program, "--test", str(test)], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout
