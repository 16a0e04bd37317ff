"""What can go wrong, in kinds that a caller may want to tell apart."""

from __future__ import annotations


class CreativeMixError(Exception):
    """Base of every error that this package raises on purpose.

    The message is one line that names the file or the value, and what to do about it.
    """


class AudioFileError(CreativeMixError):
    """A recording cannot be read, or a result cannot be written."""


class OptionError(CreativeMixError):
    """An argument is out of its range, or two of them do not go together."""


class CurveFileError(CreativeMixError):
    """A file with a bias over time cannot be read, or holds something else."""


class RuntimeMissingError(CreativeMixError):
    """A package that this job needs is not installed."""


class DeviceError(CreativeMixError):
    """The device that was asked for cannot be used."""


class ModelFileError(CreativeMixError):
    """The model file is missing, damaged, or of another format."""


class TrainingDataError(CreativeMixError):
    """Material to make or read training pairs from is missing or damaged."""


class TrainingError(CreativeMixError):
    """A training run cannot begin or go on."""
