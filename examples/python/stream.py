"""Plays drums and piano through the model block by block, as a live host would.

python stream.py STREAM.onnx DRUMS.wav PIANO.wav OUT.wav [BLOCK]
STREAM.onnx is of `creative-mix export --stream`; BLOCK is in samples, 2048 unless given, a multiple
of 512. WAV files are as for render.py. Says how long a block took beside how long it lasts.
"""

import sys
import time

import numpy as np
import onnxruntime
from render import read_wav, write_wav


class Live:
    """A stream: `play` takes a block of each source and gives one, late by `latency` samples."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # no warning that inputs have defaults
        self.session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        facts = self.session.get_modelmeta().custom_metadata_map
        if "latency_samples" not in facts:
            raise SystemExit(f"{path}: takes whole recordings; export it with --stream")
        self.latency, self.channels = int(facts["latency_samples"]), int(facts["channels"])
        names = facts["state_names"].split(",")
        self.inputs = ["in_" + name for name in names]
        self.outputs = ["mix", *("out_" + name for name in names)]
        self.state = {}  # before the first block: what is left out is silence

    def play(self, drums, piano, **controls):
        """Float32 arrays (channels, samples); controls: bias (1, 6), density (1), dynamics (1)."""
        given = {"drums": drums[None], "piano": piano[None], **controls}
        values = {k: onnxruntime.OrtValue.ortvalue_from_numpy(v) for k, v in given.items()}
        mix, *state = self.session.run_with_ort_values(self.outputs, values | self.state)
        self.state = dict(zip(self.inputs, state, strict=True))  # the runtime keeps it, uncopied
        return mix.numpy()[0]


def main(model, drums_path, piano_path, out_path, block="2048"):
    if not block.isdigit() or int(block) % 512 or not int(block):
        raise SystemExit(f"a block of {block} samples; give a multiple of 512")
    live, block = Live(model), int(block)
    sources = [read_wav(path) for path in (drums_path, piano_path)]
    length = min(source.shape[1] for source in sources)
    total = -(-(length + live.latency) // block) * block  # silence, until the last sound is out
    sources = [
        np.pad(
            np.broadcast_to(each[:, :length], (live.channels, length)),
            ((0, 0), (0, total - length)),
        )
        for each in sources
    ]
    made, took = [], []
    for start in range(0, total, block):
        blocks = [np.ascontiguousarray(each[:, start : start + block]) for each in sources]
        began = time.perf_counter()
        made.append(live.play(*blocks))
        took.append(time.perf_counter() - began)
    write_wav(out_path, np.concatenate(made, 1)[:, live.latency : live.latency + length])
    print(f"a block of {block / 44.1:.1f} ms took {1000 * np.median(took):.1f} ms, at most "
          f"{1000 * max(took):.1f}; latency {live.latency / 44.1:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
