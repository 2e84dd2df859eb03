"""Whether paired differences could have come about by chance alone.

If two models were equally good, either could have got either score of a unit, so every difference could as well have
had the other sign (E. Pitman, Significance tests which may be applied to samples from any populations, 1937).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EXACT_UNITS = 16
"""Up to this number of differences all 65,536 ways to sign them are counted."""
RESAMPLES = 20_000

_ROUNDING = 1e-12


def sign_flip_p(differences: NDArray[np.float64], seed: int = 0) -> float:
    """The two-sided p of a mean as far from 0 as that of the differences (U,), U at least 1.

    Exact up to `EXACT_UNITS`; above, from `RESAMPLES` random draws of signs and the observed one, so never below
    1 / (1 + `RESAMPLES`) (B. Phipson, G. Smyth, Permutation p-values should never be zero, 2010).
    """
    observed = abs(differences.sum()) - _ROUNDING * np.abs(differences).sum()
    if len(differences) <= EXACT_UNITS:
        return float((np.abs(_all_signs(len(differences)) @ differences) >= observed).mean())
    generator = np.random.default_rng(seed)
    signs = generator.integers(2, size=(RESAMPLES, len(differences)), dtype=np.int8) * 2 - 1
    extreme = int((np.abs(signs @ differences) >= observed).sum())
    return (extreme + 1) / (RESAMPLES + 1)


def _all_signs(count: int) -> NDArray[np.int64]:
    """(2^count, count) of -1 and 1."""
    return (np.arange(2**count)[:, None] >> np.arange(count) & 1) * 2 - 1
