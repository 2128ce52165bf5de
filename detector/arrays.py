"""Arrays of a model's folder: read from an npz that may hold anything, believed as far as they go."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import ArtefactRefused


def read_arrays(
    folder: Path, file_name: str, names: Sequence[str], *optional: Sequence[str]
) -> Mapping[str, NDArray[Any]]:
    """The arrays of these names. Nothing is unpickled.

    optional: groups of names, of each of which a file has all or none.
    Raises ArtefactRefused for whatever is no such file.
    """
    try:
        with np.load(folder / file_name, allow_pickle=False) as file:
            more = [group for group in optional if any(name in file for name in group)]
            return {name: np.asarray(file[name]) for name in itertools.chain(names, *more)}
    except Exception as error:  # of a crafted archive the libraries raise far more than they document
        what = str(error) or type(error).__name__
        raise ArtefactRefused(folder, f"{file_name} cannot be read: {what}") from None
