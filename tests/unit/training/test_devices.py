"""The processor is divided for two fits, and left as it is once TensorFlow works."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

BEGUN = "import tensorflow as tf; tf.constant(1.0)\n"
NAMES = "from training.devices import devices, divide_processor; divide_processor(); print(*devices())"


@pytest.mark.parametrize(("before", "names"), [("", 2), (BEGUN, 1)], ids=["at once", "TensorFlow works"])
def test_there_are_two_devices_where_there_can_be(before, names):
    done = subprocess.run(
        [sys.executable, "-c", before + NAMES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert len(set(done.stdout.split())) == names
