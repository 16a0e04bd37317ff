// Waveforms and component weights on canvas.

/** Colours of the six components: what comes of the drums is warm, what comes of the piano cool. */
export const COLOURS = ["#d1495b", "#e8833a", "#f2c14e", "#2a6fbb", "#2f9c95", "#7a5ea8"];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

/** Returns a cleared context in CSS pixels, sharp on any screen, with its width and height. */
function begin(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return { pen, width, height };
}

/** Draws the extremes of all channels in every column; the loudest touches the border. */
export function drawWaveform(canvas, channels, { strikes = null, threshold = 0.3 } = {}) {
  const { pen, width, height } = begin(canvas);
  const length = channels[0].length;
  const columns = Math.max(1, Math.floor(width));
  const low = new Float32Array(columns), high = new Float32Array(columns);
  let peak = 1e-4;
  for (let x = 0; x < columns; x++) {
    const stop = Math.ceil(((x + 1) * length) / columns);
    for (const channel of channels) {
      for (let n = Math.floor((x * length) / columns); n < stop; n++) {
        if (channel[n] < low[x]) low[x] = channel[n];
        if (channel[n] > high[x]) high[x] = channel[n];
      }
    }
    peak = Math.max(peak, high[x], -low[x]);
  }
  const top = strikes ? 14 : 0;
  const middle = top + (height - top) / 2;
  const unit = (height - top) / 2 / peak;
  pen.fillStyle = colour("--wave");
  for (let x = 0; x < columns; x++) {
    pen.fillRect(x, middle - high[x] * unit, 1, Math.max(1, (high[x] - low[x]) * unit));
  }
  if (!strikes) return;
  pen.fillStyle = colour("--strike");
  for (const frame of strikeFrames(strikes, threshold)) {
    pen.fillRect(Math.round((frame / strikes.length) * width), 0, 2, 10);
  }
}

/** Frames in which the probability of a strike rises above the threshold. */
export function strikeFrames(strikes, threshold = 0.3) {
  const found = [];
  strikes.forEach((p, t) => {
    if (p > threshold && !(strikes[t - 1] > threshold)) found.push(t);
  });
  return found;
}

/** Draws the six weights as layers that fill the height, each column a mean over its frames. */
export function drawWeights(canvas, weights) {
  const { pen, width, height } = begin(canvas);
  const frames = weights[0].length;
  const columns = Math.max(1, Math.min(Math.floor(width), frames));
  for (let x = 0; x < columns; x++) {
    const start = Math.floor((x * frames) / columns);
    const stop = Math.max(start + 1, Math.floor(((x + 1) * frames) / columns));
    // Whole pixels, so that no seam shows between columns.
    const left = Math.round((x * width) / columns), right = Math.round(((x + 1) * width) / columns);
    let bottom = height;
    weights.forEach((row, index) => {
      const layer = mean(row.subarray(start, stop)) * height;
      pen.fillStyle = COLOURS[index];
      pen.fillRect(left, bottom - layer, right - left, layer);
      bottom -= layer;
    });
  }
}

export function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
