// Renders drums and piano with onnxruntime-node.
//
//   node render.mjs MODEL.onnx DRUMS.wav PIANO.wav OUT.wav
//
// WAV files of 44.1 kHz, one or two channels; OUT has 24 bits and lasts as long as the shorter.

import { readFileSync, writeFileSync } from "node:fs";
import ort from "onnxruntime-node";
import { Renderer } from "../javascript/renderer.mjs";
import { readWav, writeWav } from "../javascript/wav.mjs";

function load(path, sampleRate) {
  const recording = readWav(readFileSync(path));
  const { length } = recording.channels;
  if (recording.sampleRate !== sampleRate || length > 2) {
    throw new Error(`${recording.sampleRate} Hz, ${length} channels; give ${sampleRate} Hz, 1 or 2`);
  }
  return recording.channels;
}

/** Does `job` on a file; what goes wrong there names the file. */
function on(path, job) {
  try {
    return job(path);
  } catch (error) {
    throw new Error(`${path}: ${error.message}`);
  }
}

async function main([model, drums, piano, output]) {
  if (!output) throw new Error("usage: node render.mjs MODEL.onnx DRUMS.wav PIANO.wav OUT.wav");
  const bytes = on(model, readFileSync);
  const renderer = await Renderer.open(ort, bytes, {
    enableMemPattern: false, // less memory where lengths vary
    logSeverityLevel: 3,
    intraOpNumThreads: Number(process.env.THREADS ?? 0), // 0: as many as there are cores
  });
  const { sampleRate } = renderer.facts;
  const sources = [drums, piano].map((path) => on(path, () => load(path, sampleRate)));
  const shorter = Math.min(...sources.map((channels) => channels[0].length));
  const both = sources.map((channels) => channels.map((channel) => channel.subarray(0, shorter)));
  const { mix } = await renderer.render(...both, {
    onChunk: (share) => process.stderr.write(`\r${Math.round(100 * share)} %${share < 1 ? "" : "\n"}`),
  });
  writeFileSync(output, writeWav(mix, sampleRate));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`render: ${error.message}`);
  process.exitCode = 1;
});
