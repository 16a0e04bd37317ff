// The model in a Web Worker, so that the page stays alive while it computes.
//
// In: {drums, piano}, arrays of channels at 44.1 kHz. Out: {kind: "ready" | "progress" | "done" | "error"}.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { Renderer } from "../javascript/renderer.mjs";

const MODEL = new URL("./creative_mix.onnx", import.meta.url);
// Shorter than a native host's: progress shows sooner and less memory is held, for some more context.
const CHUNK_FRAMES = 768;

// Threads need shared memory, which a page gets with the COOP and COEP headers only (see serve.mjs).
const threads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1;

async function load() {
  const answer = await fetch(MODEL).catch(() => null);
  if (!answer?.ok) throw new Error(`the model ${MODEL.pathname} cannot be fetched; put it beside the page`);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.initTimeout = 60_000; // say so rather than wait for ever where threads do not come up
  return Renderer.open(ort, new Uint8Array(await answer.arrayBuffer()), { logSeverityLevel: 3 });
}

const loaded = load();
loaded.then(
  ({ facts }) => postMessage({ kind: "ready", facts, threads }),
  (error) => postMessage({ kind: "error", message: `The model could not be loaded: ${error.message}` }),
);

onmessage = async ({ data }) => {
  try {
    const renderer = await loaded;
    const began = performance.now();
    const made = await renderer.render(data.drums, data.piano, {
      chunkFrames: CHUNK_FRAMES,
      onChunk: (share) => postMessage({ kind: "progress", share }),
    });
    const seconds = (performance.now() - began) / 1000;
    const arrays = [...made.mix, ...made.weights, made.strikes];
    postMessage({ kind: "done", seconds, ...made }, arrays.map((array) => array.buffer));
  } catch (error) {
    postMessage({ kind: "error", message: `The model failed: ${error.message}` });
  }
};
