// WAV files to and from arrays of samples: PCM of 16, 24 or 32 bits and 32-bit float.

/**
 * @param {Uint8Array} bytes
 * @returns {{sampleRate: number, channels: Float32Array[]}}
 */
export function readWav(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12 || tag(0) !== "RIFF" || tag(8) !== "WAVE") throw new Error("not a WAV file");
  let format = null, data = null;
  for (let at = 12; at + 8 <= bytes.length && !data; ) {
    const size = view.getUint32(at + 4, true);
    if (tag(at) === "fmt ") format = at + 8;
    // A recorder that was stopped leaves a size behind that is larger than the file.
    if (tag(at) === "data") data = { at: at + 8, size: Math.min(size, bytes.length - at - 8) };
    at += 8 + size + (size % 2);
  }
  if (format === null || !data) throw new Error("a WAV file without samples");
  let kind = view.getUint16(format, true);
  const count = view.getUint16(format + 2, true);
  const bits = view.getUint16(format + 14, true);
  if (kind === 0xfffe) kind = view.getUint16(format + 24, true); // WAVE_FORMAT_EXTENSIBLE
  const read = {
    "1/16": (at) => view.getInt16(at, true) / 2 ** 15,
    "1/24": (at) => (view.getUint8(at) + view.getInt16(at + 1, true) * 256) / 2 ** 23,
    "1/32": (at) => view.getInt32(at, true) / 2 ** 31,
    "3/32": (at) => view.getFloat32(at, true),
  }[`${kind}/${bits}`];
  if (!read) throw new Error(`a WAV file of kind ${kind} and ${bits} bits; give 16 to 32 bits PCM or float`);
  const width = bits / 8;
  const length = Math.floor(data.size / width / count);
  const channels = Array.from({ length: count }, () => new Float32Array(length));
  for (let n = 0; n < length; n++) {
    for (let c = 0; c < count; c++) channels[c][n] = read(data.at + (n * count + c) * width);
  }
  return { sampleRate: view.getUint32(format + 4, true), channels };
}

/** Returns the bytes of a 24-bit WAV file; where a peak is above full scale, all is made quieter. */
export function writeWav(channels, sampleRate) {
  const length = channels[0].length, count = channels.length;
  let peak = 1;
  for (const channel of channels) for (const x of channel) peak = Math.max(peak, Math.abs(x));
  const bytes = new Uint8Array(44 + length * count * 3);
  const view = new DataView(bytes.buffer);
  const put = (at, word) => [...word].forEach((c, n) => (bytes[at + n] = c.charCodeAt(0)));
  put(0, "RIFF"), put(8, "WAVEfmt "), put(36, "data");
  view.setUint32(4, bytes.length - 8, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, count, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * count * 3, true);
  view.setUint16(32, count * 3, true);
  view.setUint16(34, 24, true);
  view.setUint32(40, length * count * 3, true);
  let at = 44;
  for (let n = 0; n < length; n++) {
    for (const channel of channels) {
      const whole = Math.round((channel[n] / peak) * (2 ** 23 - 1));
      view.setUint8(at, whole & 255);
      view.setInt16(at + 1, whole >> 8, true);
      at += 3;
    }
  }
  return bytes;
}
