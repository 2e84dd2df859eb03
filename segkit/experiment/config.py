"""Everything that decides a training run. None means: the plan decides, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from segkit.config import Config
from segkit.data.config import DataConfig
from segkit.models.config import Option
from segkit.pipeline import NormalizationName
from segkit.structures import TaskName
from segkit.training.config import TrainingConfig


class ModelSettings(Config):
    """Which network, and what it starts from."""

    backbone: str | None = Field(None, description="name from 'segkit models'")
    decoder: str | None = Field(None, description="name from 'segkit models'")
    backbone_options: dict[str, Option] = Field(
        default_factory=dict, description="options of the backbone, for example width: 24"
    )
    decoder_options: dict[str, Option] = Field(
        default_factory=dict, description="options of the decoder, for example upsample: bilinear"
    )
    detect_options: dict[str, Option] = Field(
        default_factory=dict, description="options of the head of boxes, for example channels: 64"
    )
    weights: str = Field("none", description="none, imagenet, or a segkit model file whose weights fit in part")


class SamplingSettings(Config):
    """What of an image the network sees in one training step."""

    crop: int | None = Field(
        None, ge=16, description="side of the square crop in pixels; for classification the side images are resized to"
    )
    draws_per_image: int | None = Field(None, ge=1, description="crops of each image per epoch")
    foreground_share: float | None = Field(
        None, ge=0, le=1, description="share of crops centred on a class drawn at random"
    )
    augment: Literal["none", "light", "standard", "strong", "alexnet"] | None = Field(
        None, description="augmentation preset"
    )
    orientation_free: bool | None = Field(
        None, description="whether images mean the same turned by 90 degrees or upside down"
    )


class ExperimentConfig(Config):
    """A whole training run; a run folder's `config.yaml` holds it with nothing left open, of several folds as asked."""

    path: Path = Field(description="the data set's folder or table")
    task: TaskName | None = None
    heads: tuple[TaskName, ...] | None = Field(
        None, min_length=2, description="several tasks learnt by one network; the data may have any target of any image"
    )
    folds: int | None = Field(
        None, ge=2, description="cross-validation: so many runs, each validated on another part of the images"
    )
    data: DataConfig = DataConfig()
    normalization: NormalizationName | None = Field(
        None, description="8bit, percentile, zscore or ct; None: what suits the training images"
    )
    model: ModelSettings = ModelSettings()
    sampling: SamplingSettings = SamplingSettings()
    training: TrainingConfig = TrainingConfig()
    licence: str | None = Field(None, description="licence of the trained weights, kept in the model file")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps")
    devices: int = Field(1, ge=1, description="GPUs of each machine, or processes on its CPU, that train together")
    nodes: int = Field(1, ge=1, description="machines; more than one are started by torchrun or srun")

    @model_validator(mode="after")
    def _check_heads(self) -> ExperimentConfig:
        if self.heads is None:
            return self
        if self.task not in (None, *self.heads[:1]):
            raise ValueError(f"task {self.task} and heads {', '.join(self.heads)} both name what is learnt; give heads")
        if len(set(self.heads)) < len(self.heads):
            raise ValueError(f"heads {', '.join(self.heads)}: name each once")
        return self

    def from_anywhere(self) -> ExperimentConfig:
        """The same settings with absolute paths, true from any folder."""
        files = {
            name: path.resolve() for name in ("classes", "split") if isinstance(path := getattr(self.data, name), Path)
        }
        weights = Path(self.model.weights)
        absolute = {"weights": str(weights.resolve())} if weights.exists() else {}
        return self.model_copy(
            update={
                "path": self.path.resolve(),
                "data": self.data.model_copy(update=files),
                "model": self.model.model_copy(update=absolute),
            }
        )
