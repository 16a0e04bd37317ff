"""Everything a training run depends on, as one frozen dataclass and one JSON file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from creative_mix.errors import TrainingDataError
from creative_mix.model.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Factor of every term of the loss."""

    mel: float = 1.0
    """Log-mel distance to the truth."""
    log_stft: float = 0.5
    """Log-magnitude distance to the truth at three resolutions."""
    convergence: float = 0.3
    """Linear-magnitude distance, relative to the truth's own magnitude."""
    onset_envelope: float = 0.5
    """Distance of the rises of the log-mel spectrum."""
    chroma: float = 0.2
    """One minus the cosine of the chromas."""
    drum_onsets: float = 1.0
    """Rhythm head on the drums against the known hits."""
    piano_onsets: float = 0.5
    """Rhythm head on the piano against the known notes."""
    onset_time: float = 0.5
    """Regressed times, in frames."""
    permit: float = 0.5
    """The cascade's word on the strikes, against those of the truth."""
    rhythm_share: float = 0.3
    """The selector's share of the drums' rhythm, through the strikes that it leads to."""
    pitch: float = 0.5
    """Harmony probes against the sounding pitches."""
    keys: float = 5.0
    """The pitch reader against the sounding pitches."""
    timbre: float = 0.2
    """Timbre probes against the piano's spectral envelope."""
    strange_hits: float = 0.5
    """Adversary that reads drum hits where they should not be; the extractors work against it."""
    strange_pitch: float = 0.5
    """Adversary that reads pitches from timbre."""
    balance: float = 0.3
    """Distance of the selector's weight for each aspect from a third, so that none starves."""
    novelty: float = 0.02
    """Mean cosine similarity of the composed encoding to both sources."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """A training run."""

    pairs: str = ""
    """Folder of pairs as ``creative-mix pairs`` writes them."""
    output: str = "runs/default"
    """Folder of checkpoints and logs."""
    steps: int = 10_000
    """Optimizer steps."""
    batch_size: int = 5
    """Crops a step."""
    crop_frames: int = 512
    """Frames of a crop (512 samples each)."""
    context_frames: int = 128
    """Frames at a crop's start that are context and do not count, unless the file starts there."""
    learning_rate: float = 8e-4
    """Peak of the cosine schedule."""
    warmup_steps: int = 150
    """Steps of linear rise."""
    final_rate: float = 0.02
    """Learning rate at the end, relative to the peak."""
    weight_decay: float = 0.01
    """AdamW's decay."""
    clip_norm: float = 3.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.999
    """Decay of the averaged weights, which are the ones that ship."""
    known_until: float = 0.5
    """Share of the run in which known onsets give way to the rhythm head's, linearly."""
    bfloat16: bool = True
    """Autocast matrix products to bfloat16."""
    threads: int = 0
    """CPU threads; 0 leaves torch's own choice."""
    seed: int = 1
    """Of weights, order and crops."""
    save_every: int = 200
    """Steps between checkpoints."""
    log_every: int = 20
    """Steps between progress lines."""
    initial: str = ""
    """Weights to start from (ONNX or safetensors); empty for random ones."""
    frozen: tuple[str, ...] = ()
    """Parts of the model that keep their weights, by the beginning of their names."""
    loss: LossWeights = LossWeights()
    model: ModelConfig = ModelConfig()

    @classmethod
    def from_file(cls, path: str | Path, overrides: dict[str, str] | None = None) -> TrainingConfig:
        """The configuration in a JSON file, with ``key=value`` overrides (dots reach inside)."""
        try:
            values = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise TrainingDataError(
                f"{path}: not a readable JSON configuration: {error}"
            ) from error
        for key, text in (overrides or {}).items():
            place = values
            *parents, leaf = key.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
            try:
                place[leaf] = json.loads(text)
            except ValueError:
                place[leaf] = text
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """The configuration in nested dictionaries; an unknown key is refused by name."""
        values = dict(values)
        loss = _build(LossWeights, values.pop("loss", {}), "loss.")
        model = _build(ModelConfig, values.pop("model", {}), "model.")
        return dataclasses.replace(_build(cls, values, ""), loss=loss, model=model)

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries that ``from_dict`` takes back."""
        return dataclasses.asdict(self)


def _build(kind: Any, values: dict[str, Any], prefix: str) -> Any:
    names = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise TrainingDataError(
            f"unknown configuration key {prefix}{unknown[0]!s}; known: {', '.join(sorted(names))}"
        )
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
