"""How much is tried: little in every run of the tests, as much as one likes with OFFNORMAL_FUZZ."""

import os

# Multiplies the number of cases everywhere; `make fuzz-live` sets it.
TIMES = int(os.environ.get("OFFNORMAL_FUZZ", "1"))


def cases(usual: int) -> int:
    """So many cases, times what was asked for."""
    return usual * TIMES
