"""Training: `fit` runs the loop on Lightning; `TrainingConfig` holds its settings.

It is handed a model, a task and a loader, and imports neither models nor data. `from segkit.training.fit import fit`:
the import takes seconds and happens only where training does.
"""

from segkit.training.config import TrainingConfig

__all__ = ["TrainingConfig"]
