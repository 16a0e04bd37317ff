// Files to samples at the model's rate.

import { readWav } from "../javascript/wav.mjs";

/**
 * @param {File} file any format that the browser can decode
 * @param {{sampleRate: number, least: number}} facts of the model
 * @returns {Promise<Float32Array[]>} one array a channel, at most two
 */
export async function readRecording(file, { sampleRate, least }) {
  const bytes = await file.arrayBuffer();
  const channels = asIs(new Uint8Array(bytes), sampleRate) ?? (await decode(bytes, sampleRate));
  if (!channels) {
    throw new Error(`${file.name} is not audio that this browser can read. Try WAV, FLAC or MP3.`);
  }
  const { length } = channels[0];
  if (length < least) {
    const seconds = (samples) => (samples / sampleRate).toFixed(3);
    throw new Error(`${file.name} is too short: ${seconds(length)} s. Give ${seconds(least)} s or more.`);
  }
  return channels;
}

/**
 * The samples of a WAV file that needs no conversion, else null. A browser's decoder may bend them:
 * Chromium divides by 32767 above zero and by 32768 below.
 */
function asIs(bytes, sampleRate) {
  try {
    const recording = readWav(bytes);
    const fits = recording.sampleRate === sampleRate && recording.channels.length <= 2;
    return fits ? recording.channels : null;
  } catch {
    return null;
  }
}

/** The samples of any other file, else null. */
async function decode(bytes, sampleRate) {
  // An offline context decodes to its own rate, whatever the file's; it has no use for a sound card.
  const context = new OfflineAudioContext(2, 1, sampleRate);
  let buffer;
  try {
    buffer = await context.decodeAudioData(bytes);
  } catch {
    return null;
  }
  if (buffer.numberOfChannels > 2) buffer = await toStereo(buffer);
  return Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
}

function toStereo(buffer) {
  const context = new OfflineAudioContext(2, buffer.length, buffer.sampleRate);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return context.startRendering();
}
