"""Renders drums and piano with numpy and ONNX Runtime alone.

python render.py MODEL.onnx DRUMS.wav PIANO.wav OUT.wav
PCM WAV files of 44.1 kHz, one or two channels; OUT has 24 bits and lasts as long as the shorter.
"""

import sys
import wave

import numpy as np
import onnxruntime

CHUNK_FRAMES = 736  # frames of the result that one call makes: 8.5 s


def render(session, drums, piano, bias=None, chunk_frames=CHUNK_FRAMES):
    """Float32 arrays (channels, samples) of one length in, (piano channels, samples) out."""
    facts = session.get_modelmeta().custom_metadata_map
    hop, rate = int(facts["hop_length"]), int(facts["sample_rate"])
    behind, ahead = int(facts["lookback_frames"]), int(facts["lookahead_frames"])
    length, least = piano.shape[1], int(facts["least_samples"])
    if length < least:
        raise SystemExit(f"{length / rate:.3f} s is too short; give {least / rate:.3f} s or more")
    feeds = {"bias": np.zeros((1, 6), np.float32) if bias is None else bias}
    feeds["skip_frames"] = np.array([behind])  # the context is heard, but not given out
    frames = -(-length // hop)
    # Silence before and behind: the model must hear a first stroke begin, and a last one end.
    pads = (0, 0), (behind * hop, (frames + ahead) * hop - length)
    drums, piano = np.pad(drums, pads), np.pad(piano, pads)
    out = np.empty((piano.shape[0], frames * hop), np.float32)
    for first in range(0, frames, chunk_frames):
        last = min(frames, first + chunk_frames)
        heard = slice(first * hop, (behind + last + ahead) * hop)
        feeds |= {"drums": drums[None, :, heard], "piano": piano[None, :, heard]}
        mix = session.run(["mix"], feeds)[0][0]
        out[:, first * hop : last * hop] = mix[:, : (last - first) * hop]
    return out[:, :length]


def read_wav(path):
    """Samples from -1 to 1, shape (channels, samples)."""
    try:
        with wave.open(path) as file:
            width, rate = file.getsampwidth(), file.getframerate()
            data = np.frombuffer(file.readframes(file.getnframes()), np.uint8)
            channels = file.getnchannels()
    except (OSError, EOFError, wave.Error) as error:
        raise SystemExit(f"{path}: not a PCM WAV file ({error})") from None
    if rate != 44100 or width not in (2, 3, 4) or channels > 2:
        raise SystemExit(f"{path}: {rate} Hz, {8 * width} bits, {channels} channels; "
                         "give 44100 Hz, 16 to 32 bits, 1 or 2 channels")  # fmt: skip
    # Each sample fills the upper bytes of an int32, whatever its width.
    wide = np.zeros((data.size // width, 4), np.uint8)
    wide[:, 4 - width :] = data.reshape(-1, width)
    return (wide.view("<i4").reshape(-1, channels).T / 2.0**31).astype(np.float32)


def write_wav(path, samples):
    samples = samples / max(1.0, np.abs(samples).max())  # quieter rather than clipped
    whole = np.rint(samples.T * (2.0**23 - 1)).astype("<i4")
    with wave.open(path, "wb") as file:
        file.setparams((len(samples), 3, 44100, 0, "NONE", ""))
        file.writeframes(whole.reshape(-1, 1).view(np.uint8)[:, :3].tobytes())


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False  # less memory where lengths vary
    options.log_severity_level = 3  # no warning that skip_frames has a default
    model = onnxruntime.InferenceSession(sys.argv[1], options, ["CPUExecutionProvider"])
    sources = [read_wav(path) for path in sys.argv[2:4]]
    shorter = min(source.shape[1] for source in sources)
    write_wav(sys.argv[4], render(model, *(source[:, :shorter] for source in sources)))
