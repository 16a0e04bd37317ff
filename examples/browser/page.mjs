// The page: two files in, a performance to see, hear and keep.

import { writeWav } from "../javascript/wav.mjs";
import { COLOURS, drawWaveform, drawWeights, mean, strikeFrames } from "./drawing.mjs";
import { readRecording } from "./recordings.mjs";

const find = (selector) => document.querySelector(selector);
const page = find("main"), button = find("#render"), stop = find("#stop"), bar = find("#progress");
const player = find("#player"), download = find("#download"), result = find("#result");

const sources = { drums: null, piano: null }; // arrays of channels, once read
const latest = {}; // the file that was given last, by name: decoding one may take longer than the next
let worker, ready; // the model, and a promise of what it says of itself
let redraw = () => {};

/** Shows one of the states empty, ready, progress, done and error, with a line that says it. */
function show(state, line) {
  page.dataset.state = state;
  find("#status").textContent = line;
  button.disabled = state === "progress" || !(sources.drums && sources.piano);
  bar.hidden = stop.hidden = state !== "progress";
}

function ask() {
  const { drums, piano } = sources;
  if (drums && piano) return show("ready", "Ready.");
  const lacking = [!drums && "drums", !piano && "a piano"].filter(Boolean).join(" and ");
  show("empty", `Give ${lacking} to begin.`);
}

function startWorker() {
  worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });
  ready = new Promise((resolve, reject) => {
    const fail = (message) => {
      reject(new Error(message)); // where the model is not there at all; else of no effect
      show("error", message);
    };
    worker.onmessage = ({ data }) => {
      if (data.kind === "ready") resolve(data);
      if (data.kind === "progress") showProgress(data.share);
      if (data.kind === "done") finish(data);
      if (data.kind === "error") fail(data.message);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      fail("The renderer could not be started. Run npm install in this folder, then reload.");
    };
  });
  ready.catch(() => {});
}

function showProgress(share) {
  bar.value = share;
  show("progress", `Rendering: ${Math.round(100 * share)} %`);
}

async function take(name, file) {
  const zone = find(`#${name}`), said = zone.querySelector(".said"), canvas = zone.querySelector("canvas");
  zone.classList.remove("taken", "wrong");
  zone.querySelector(".file").textContent = file.name;
  said.textContent = "Reading…";
  canvas.hidden = true;
  sources[name] = null;
  latest[name] = file;
  if (page.dataset.state !== "progress") ask();
  try {
    const { facts } = await ready;
    const channels = await readRecording(file, facts);
    if (latest[name] !== file) return;
    sources[name] = channels;
    zone.classList.add("taken");
    const seconds = (channels[0].length / facts.sampleRate).toFixed(1);
    said.textContent = `${seconds} s, ${channels.length === 2 ? "stereo" : "mono"}`;
    canvas.hidden = false;
    drawWaveform(canvas, channels);
    if (page.dataset.state !== "progress") ask();
  } catch (error) {
    if (latest[name] !== file) return;
    zone.classList.add("wrong");
    said.textContent = error.message;
    if (page.dataset.state !== "progress") {
      const wrong = [...document.querySelectorAll(".wrong .title")].map((title) => title.textContent);
      show("error", `The ${wrong.join(" and the ").toLowerCase()} cannot be used.`);
    }
  }
}

async function render() {
  bar.removeAttribute("value"); // unknown until the first chunk is done
  show("progress", "Rendering…");
  await ready;
  const length = Math.min(sources.drums[0].length, sources.piano[0].length);
  const cut = (channels) => channels.map((channel) => channel.slice(0, length));
  worker.postMessage({ drums: cut(sources.drums), piano: cut(sources.piano) });
}

async function finish({ mix, weights, strikes, seconds }) {
  const { facts, threads } = await ready;
  const lasts = mix[0].length / facts.sampleRate;
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(new Blob([writeWav(mix, facts.sampleRate)], { type: "audio/wav" }));
  download.href = player.src;
  result.hidden = false;
  redraw = () => {
    for (const [name, channels] of Object.entries(sources)) {
      if (channels) drawWaveform(find(`#${name} canvas`), channels);
    }
    drawWaveform(find("#waveform"), mix, { strikes });
    drawWeights(find("#weights"), weights);
  };
  redraw();
  describe(facts.componentNames, weights.map(mean), strikeFrames(strikes).length, lasts);
  show(
    "done",
    `Done: ${lasts.toFixed(1)} s of audio in ${seconds.toFixed(1)} s, ` +
      `${threads} ${threads === 1 ? "thread" : "threads"}.`,
  );
}

/** Says in words what the drawings show. */
function describe(names, means, strikes, lasts) {
  find("#waveform").setAttribute("aria-label", `Waveform of ${lasts.toFixed(1)} s with ${strikes} strikes`);
  const plain = (name) => name.replace("input_", "drums: ").replace("target_", "piano: ");
  const parts = names.map((name, n) => `${plain(name)} ${means[n].toFixed(2)}`);
  find("#weights").setAttribute("aria-label", `Mean weights: ${parts.join(", ")}`);
  find("#legend").replaceChildren(
    ...names.map((name, n) => {
      const row = document.createElement("div");
      row.innerHTML = '<span class="swatch"></span><dt></dt><dd></dd>';
      row.children[0].style.background = COLOURS[n];
      row.children[1].textContent = plain(name);
      row.children[2].textContent = means[n].toFixed(2);
      return row;
    }),
  );
}

for (const name of Object.keys(sources)) {
  const zone = find(`#${name}`), input = zone.querySelector("input");
  input.addEventListener("change", () => input.files[0] && take(name, input.files[0]));
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files[0]) take(name, event.dataTransfer.files[0]);
  });
}
// A file that misses its place must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());

button.addEventListener("click", render);
stop.addEventListener("click", () => {
  worker.terminate();
  startWorker();
  ask();
});
find("#waveform").addEventListener("click", (event) => {
  player.currentTime = (event.offsetX / event.currentTarget.clientWidth) * player.duration;
  player.play().catch(() => {}); // paused before it began
});
addEventListener("resize", () => redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
(function follow() {
  const share = player.duration ? player.currentTime / player.duration : 0;
  for (const head of document.querySelectorAll(".playhead")) head.style.left = `${100 * share}%`;
  requestAnimationFrame(follow);
})();

startWorker();
ready.then(() => page.dataset.state === "empty" && ask(), () => {});
