// Renders recordings of any length, chunk by chunk, with either of ONNX Runtime's JavaScript packages.

import { readModel } from "./model.mjs";

export const CHUNK_FRAMES = 736; // frames of the result that one call makes: 8.5 s

export class Renderer {
  /**
   * @param {object} ort the module onnxruntime-node or onnxruntime-web
   * @param {Uint8Array} bytes the model file
   * @param {object} options those of `ort.InferenceSession.create`
   */
  static async open(ort, bytes, options = {}) {
    const model = readModel(bytes);
    const session = await ort.InferenceSession.create(model.bytes, options);
    return new Renderer(ort, session, model.facts);
  }

  constructor(ort, session, facts) {
    Object.assign(this, { ort, session, facts });
  }

  /**
   * Renders the piano in the rhythm of the drums.
   * @param {Float32Array[]} drums one array a channel, at 44.1 kHz
   * @param {Float32Array[]} piano one array a channel, as long
   * @param {object} settings
   * @param {number[]} [settings.bias] added to the selection of the components, -8 to 8
   * @param {number} [settings.density] share of the strikes that stay, 0 to 1
   * @param {number} [settings.dynamics] factor on the differences between loud and soft, 0 to 2
   * @param {Float32Array[]} [settings.biasCurve] added to `bias`: one array a component, one value a
   *   frame of the result
   * @param {number} [settings.chunkFrames] frames of the result that one call makes
   * @param {function} [settings.onChunk] is told the share that is done
   * @returns {Promise<{mix: Float32Array[], weights: Float32Array[], strikes: Float32Array}>}
   */
  async render(drums, piano, settings = {}) {
    const { bias = [0, 0, 0, 0, 0, 0], density = 1, dynamics = 1, biasCurve } = settings;
    const { chunkFrames = CHUNK_FRAMES, onChunk } = settings;
    const { hop, behind, ahead, least, sampleRate, optional } = this.facts;
    const length = piano[0].length;
    if (drums[0].length !== length) {
      throw new Error(`drums have ${drums[0].length} samples and the piano ${length}; cut the longer`);
    }
    if (length < least) {
      throw new Error(
        `${(length / sampleRate).toFixed(3)} s is too short; ` +
          `give ${(least / sampleRate).toFixed(3)} s or more`,
      );
    }
    const { Tensor } = this.ort;
    const frames = Math.ceil(length / hop);
    const mix = piano.map(() => new Float32Array(length));
    const weights = this.facts.componentNames.map(() => new Float32Array(frames));
    const strikes = new Float32Array(frames);
    for (let first = 0; first < frames; first += chunkFrames) {
      const last = Math.min(frames, first + chunkFrames);
      const start = (first - behind) * hop, stop = (last + ahead) * hop;
      const defaults = {
        // The frames of context before the chunk are heard, but not given out.
        skip_frames: new Tensor("int64", BigInt64Array.from([BigInt(behind)]), [1]),
        density: new Tensor("float32", Float32Array.from([density]), [1]),
        dynamics: new Tensor("float32", Float32Array.from([dynamics]), [1]),
        bias_curve: curve(Tensor, biasCurve, bias.length, first - behind, last + ahead),
      };
      const made = await this.session.run({
        drums: new Tensor("float32", cut(drums, start, stop), [1, drums.length, stop - start]),
        piano: new Tensor("float32", cut(piano, start, stop), [1, piano.length, stop - start]),
        bias: new Tensor("float32", Float32Array.from(bias), [1, bias.length]),
        ...Object.fromEntries(optional.map((name) => [name, defaults[name]])),
      });
      keep(made.mix, mix, first * hop, Math.min(length, last * hop));
      keep(made.weights, weights, first, last);
      keep(made.strikes, [strikes], first, last);
      onChunk?.(last / frames);
    }
    return { mix, weights, strikes };
  }
}

/** The curve's frames from start to stop, its ends held beyond them; zeros where there is none. */
function curve(Tensor, rows, count, start, stop) {
  if (!rows) return new Tensor("float32", new Float32Array(count), [1, count, 1]);
  const width = stop - start;
  const out = new Float32Array(count * width);
  rows.forEach((row, index) => {
    for (let at = 0; at < width; at++) {
      out[index * width + at] = row[Math.min(row.length - 1, Math.max(0, start + at))];
    }
  });
  return new Tensor("float32", out, [1, count, width]);
}

/** Samples start to stop of every channel, one channel after the other, with silence around. */
function cut(channels, start, stop) {
  const out = new Float32Array(channels.length * (stop - start));
  channels.forEach((channel, index) => {
    const begin = Math.max(0, start);
    out.set(channel.subarray(begin, stop), index * (stop - start) + begin - start);
  });
  return out;
}

/** Copies the beginning of every row of a tensor to start..stop of an array. */
function keep(tensor, rows, start, stop) {
  const width = tensor.dims.at(-1);
  rows.forEach((row, index) => {
    row.set(tensor.data.subarray(index * width, index * width + stop - start), start);
  });
}
