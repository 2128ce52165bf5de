"""Keeping libraries quiet that write to the terminal behind Python's back."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_stderr_hidden() -> Iterator[None]:
    """Hide what native code writes to standard error; show it after all when the block fails.

    TensorFlow's notes on being imported precede any setting that could silence them.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            if failed:
                hidden.seek(0)
                os.write(2, hidden.read())
