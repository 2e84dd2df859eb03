"""Predicts the images of a folder in a process of its own, with arithmetic in the network's place and no torch.

python -m tests.inference.folder_run IMAGES OUT [milliseconds per image]
"""

from __future__ import annotations

import sys
from pathlib import Path

from segkit.inference.inputs import expand_inputs
from segkit.inference.writer import write_predictions
from tests.inference.large_run import ramp_predictor


def main() -> None:
    predictor = ramp_predictor(seconds=float(sys.argv[3]) / 1000 if len(sys.argv) > 3 else 0.0)
    write_predictions(predictor, expand_inputs([sys.argv[1]]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
