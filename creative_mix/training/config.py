"""Everything a training run depends on, as one frozen dataclass and one JSON file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from creative_mix.errors import TrainingDataError
from creative_mix.model.config import ModelConfig

SHIPPED = "shipped"
"""Stands for the weights inside the package."""


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
    level: float = 1.0
    """Levels of the drums' hits."""
    permit: float = 0.5
    """The cascade's word on the strikes, against those of the truth."""
    rhythm_share: float = 0.3
    """The selector's share of the drums' rhythm, through the strikes that it leads to."""
    pitch: float = 0.5
    """Harmony probes against the sounding pitches."""
    keys: float = 5.0
    """The key reader against the sounding pitches."""
    voices: float = 5.0
    """The same against the key that each voice is."""
    ends: float = 10.0
    """The same against the ends of notes, which are few."""
    begins: float = 1.0
    """What is read of beginnings, at the piano's attacks, against the notes."""
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

    # What is learnt from.
    pairs: str = ""
    """Folder of ready pairs: `*.drums.wav`, `*.piano.wav`, `*.truth.wav` (and `*.json`)."""
    material: str = ""
    """Folder of sample kits and MIDI that pairs are made from while the run goes on."""
    soundfonts: tuple[str, ...] = ()
    """SoundFonts that play in such pairs too."""
    unpaired: str = ""
    """Folder with recordings in `drums/` and `piano/`, for the terms that need no truth."""
    material_share: float = 0.5
    """Share of crops made from the material, where there are ready pairs as well."""
    unpaired_share: float = 0.1
    """Share of crops that are unpaired recordings, where there are any."""
    varied_share: float = 0.0
    """Share of the ready pairs' crops that sound as if played by another instrument."""
    bias_share: float = 0.3
    """Share of the pairs made from the material that have a selector bias."""
    loop_share: float = 0.0
    """Share of them whose drums are synthesised, or have a bass, a voice or chords beside them."""
    assembled_kits: float = 0.0
    """Share of them whose drums are taken from several kits, each time otherwise."""
    synthesised_pianos: float = 0.0
    """Share of them that a piano plays of which there are no samples, each time another."""
    voiced_share: float = 0.0
    """Share of them whose recorded piano sounds as if it were another, each time otherwise."""
    hissing_share: float = 0.0
    """Share of them whose recorded piano's strokes bring a hiss along, each time another."""
    exchanged_hands: float = 0.0
    """Share of the played performances in them whose left hand is another's."""
    soft_share: float = 0.0
    """Share of them whose recordings were made at too low a level, by up to 36 dB."""
    coded_share: float = 0.0
    """Share of them of which one recording, or both, comes through MP3."""
    validation: str = ""
    """Folder of ready pairs that are never trained on; empty for no validation."""

    # What is written.
    output: str = "runs/default"
    """Folder of checkpoints and logs."""
    save_every: int = 200
    """Steps between checkpoints."""
    keep: int = 3
    """How many of the newest checkpoints stay, beside `last` and `best`."""
    log_every: int = 20
    """Steps between progress lines."""
    tensorboard: bool = True
    """Write TensorBoard files, where tensorboard is installed."""
    validate_every: int = 1000
    """Steps between validations."""
    validation_pairs: int = 8
    """How many validation pairs are rendered, the first of the folder."""
    patience: int = 0
    """Validations without a better mel distance after which the run stops; 0 for never."""

    # How it learns.
    steps: int = 10_000
    """Optimizer steps."""
    batch_size: int = 5
    """Crops a step, over all ranks and micro-steps together."""
    accumulate: int = 1
    """Micro-steps that a rank cuts its part of the batch into."""
    crop_frames: int = 512
    """Frames of a crop (512 samples each)."""
    context_frames: int = 128
    """Frames at a crop's start that are context and do not count, unless the file starts there."""
    optimizer: str = "adamw"
    """`adamw`, or `sgd` without momentum."""
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
    seed: int = 1
    """Of weights, order and crops."""
    initial: str = ""
    """Weights to start from (ONNX or safetensors), or `shipped`; empty for random ones."""
    frozen: tuple[str, ...] = ()
    """Parts of the model that keep their weights, by the beginning of their names."""

    # How it runs.
    bfloat16: bool = True
    """Autocast matrix products to bfloat16."""
    compile: bool = False
    """Compile the model (`torch.compile`); pays on CUDA after some minutes."""
    threads: int = 0
    """CPU threads; 0 leaves torch's own choice."""
    workers: int = 0
    """Processes a rank that read or render ahead; 0 for a thread that reads one step ahead."""
    watch_every: int = 5
    """Steps between looks for red flags."""
    bad_steps: int = 10
    """Skipped steps in a row (loss or gradient not finite) after which the run stops."""

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
        _check_object(values, str(path))
        for key, text in (overrides or {}).items():
            place = values
            *parents, leaf = key.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
                _check_object(place, parent)
            try:
                place[leaf] = json.loads(text)
            except ValueError:
                place[leaf] = text
        if values.get("initial"):
            from creative_mix.model.checkpoint import read_weights

            found = read_weights(initial_path(str(values["initial"]))).config
            own = values.get("model", {})
            _check_object(own, "model")
            values["model"] = (dataclasses.asdict(found) if found else {}) | own
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """The configuration in nested dictionaries; an unknown key is refused by name."""
        values = dict(values)
        loss = _build(LossWeights, values.pop("loss", {}), "loss.")
        model = _build(ModelConfig, values.pop("model", {}), "model.")
        config: TrainingConfig = _build(cls, values, "")
        config = dataclasses.replace(config, loss=loss, model=model)
        _check(config)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries that ``from_dict`` takes back."""
        return dataclasses.asdict(self)


def initial_path(initial: str) -> Path:
    """The file of the weights to start from."""
    if initial == SHIPPED:
        return Path(__file__).parents[1] / "weights" / "creative_mix.onnx"
    return Path(initial)


def _check_object(values: Any, name: str) -> None:
    if not isinstance(values, dict):
        raise TrainingDataError(f"{name}: must be a JSON object, {{...}}, not {values!r}")


def _build(kind: Any, values: dict[str, Any], prefix: str) -> Any:
    _check_object(values, prefix.removesuffix(".") or "the configuration")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise TrainingDataError(
            f"unknown configuration key {prefix}{unknown[0]!s}; known: {', '.join(sorted(fields))}"
        )
    return kind(
        **{key: _typed(value, fields[key].default, prefix + key) for key, value in values.items()}
    )


def _typed(value: Any, default: Any, key: str) -> Any:
    """The value, if it is of its default's kind."""
    if isinstance(default, tuple) and isinstance(value, (list, tuple)):
        return tuple(str(item) for item in value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        wanted = {tuple: "a list", str: "a text", bool: "true or false"}
        raise TrainingDataError(
            f"{key}={value!r}: must be {wanted.get(type(default), type(default).__name__)}"
        )
    return value


def _check(config: TrainingConfig) -> None:
    """Refuse figures that no run can have."""
    least = {"steps": 1, "batch_size": 1, "accumulate": 1, "crop_frames": 16, "keep": 1}
    least |= {"log_every": 1, "save_every": 1, "watch_every": 1, "validate_every": 1}
    least |= {"workers": 0, "bad_steps": 1, "validation_pairs": 1, "context_frames": 0}
    least |= {"warmup_steps": 0, "patience": 0, "threads": 0, "seed": 0, "weight_decay": 0}
    for key, low in least.items():
        if getattr(config, key) < low:
            raise TrainingDataError(f"{key}={getattr(config, key)}: must be {low} or more")
    _check_model(config.model)
    if config.context_frames >= config.crop_frames:
        raise TrainingDataError(
            f"context_frames={config.context_frames}: must be below crop_frames, "
            f"{config.crop_frames}"
        )
    if config.optimizer not in ("adamw", "sgd"):
        raise TrainingDataError(f"optimizer={config.optimizer!r}: must be 'adamw' or 'sgd'")
    for key in ("learning_rate", "clip_norm"):
        if not getattr(config, key) > 0:
            raise TrainingDataError(f"{key}={getattr(config, key)}: must be above 0")
    if config.patience and not config.validation:
        raise TrainingDataError(
            f"patience={config.patience}: needs `validation`, a folder of pairs to be judged by"
        )
    shares = ("material_share", "unpaired_share", "varied_share", "bias_share", "loop_share")
    others = (
        "assembled_kits",
        "synthesised_pianos",
        "voiced_share",
        "hissing_share",
        "exchanged_hands",
    )
    recordings = ("soft_share", "coded_share")
    rates = ("known_until", "final_rate", "ema_decay")
    for key in (*shares, *others, *recordings, *rates):
        if not 0 <= getattr(config, key) <= 1:
            raise TrainingDataError(f"{key}={getattr(config, key)}: must be 0 to 1")


def _check_model(model: ModelConfig) -> None:
    """Refuse sizes that no model can have."""
    may_be_zero = ("cascade_stages", "attention_lookahead", "novelty_weight")
    for field in dataclasses.fields(model):
        value, low = getattr(model, field.name), 0 if field.name in may_be_zero else 1
        if value < low:
            raise TrainingDataError(f"model.{field.name}={value}: must be {low} or more")
    if model.composer_width % model.attention_heads:
        raise TrainingDataError(
            f"model.attention_heads={model.attention_heads}: must divide composer_width, "
            f"{model.composer_width}"
        )
