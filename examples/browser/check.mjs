// Drives the page in headless Chromium, as a person would, and keeps what it shows and makes.
//
//   node check.mjs DRUMS PIANO FOLDER [serve.mjs's options]
//
// FOLDER gets a picture of every state and out.wav; what was seen is printed as JSON.

import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { writeWav } from "../javascript/wav.mjs";

const [drums, piano, folder, ...options] = process.argv.slice(2);
const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = places.find((place) => place && existsSync(place));

async function serve() {
  const script = fileURLToPath(new URL("serve.mjs", import.meta.url));
  const server = spawn(process.execPath, [script, "--port", "0", ...options]);
  server.stderr.pipe(process.stderr);
  const [line] = await new Promise((resolve) => server.stdout.once("data", (data) => resolve(String(data).split("\n"))));
  return { server, address: line };
}

/** Drops a file on an element the way the mouse does. */
async function drop(page, selector, path) {
  const transfer = await page.evaluateHandle(
    ([bytes, name]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
      return data;
    },
    [readFileSync(path).toString("base64"), basename(path)],
  );
  for (const kind of ["dragover", "drop"]) await page.dispatchEvent(selector, kind, { dataTransfer: transfer });
}

const { server, address } = await serve();
// Rendering in software and without a sandbox: the check runs in containers, too.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const seen = { complaints: [] };
const page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
try {
  page.setDefaultTimeout(120_000);
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("console", (line) => line.type() === "error" && seen.complaints.push(line.text()));
  const shoot = (name) => page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  const status = () => page.locator("#status").textContent();
  const reach = (state, timeout) => page.waitForSelector(`main[data-state="${state}"]`, { timeout });

  await page.goto(address);
  await page.waitForFunction(() => document.querySelector("#status").textContent.startsWith("Give"));
  seen.empty = await status();
  seen.isolated = await page.evaluate(() => crossOriginIsolated);
  await shoot("empty");

  const words = join(folder, "words.wav"), click = join(folder, "click.wav");
  writeFileSync(words, "These are words and no sound.\n");
  writeFileSync(click, writeWav([new Float32Array(441)], 44100));
  await drop(page, "#drums", words);
  await page.waitForSelector("#drums.wrong");
  seen.notAudio = await page.locator("#drums .said").textContent();
  await page.setInputFiles("#piano input", click);
  await page.waitForSelector("#piano.wrong");
  seen.tooShort = await page.locator("#piano .said").textContent();
  seen.errorState = await page.locator("main").getAttribute("data-state");
  seen.buttonAfterErrors = await page.locator("#render").isEnabled();
  await shoot("error");

  await drop(page, "#drums", drums);
  await page.setInputFiles("#piano input", piano);
  await reach("ready");
  await shoot("ready");

  // Stopped and begun again, as an impatient person does.
  await page.focus("#render");
  await page.keyboard.press("Enter");
  await reach("progress");
  await page.click("#stop");
  await reach("ready");
  await page.click("#render");
  await reach("progress");
  seen.progress = await status();
  await shoot("progress");
  await reach("done", 900_000);
  seen.done = await status();
  seen.waveform = await page.locator("#waveform").getAttribute("aria-label");
  seen.weights = await page.locator("#weights").getAttribute("aria-label");
  // Colours on the canvases: an empty one has a single colour.
  seen.colours = await page.evaluate(() =>
    ["waveform", "weights"].map((id) => {
      const canvas = document.getElementById(id);
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    }),
  );
  await page.waitForFunction(() => document.querySelector("#player").duration > 0);
  await page.click("#waveform", { position: { x: 400, y: 80 } });
  await page.waitForFunction(() => document.querySelector("#player").currentTime > 0);
  seen.plays = await page.evaluate(() => {
    const player = document.querySelector("#player");
    player.pause();
    return player.duration;
  });
  await shoot("done");
  await page.emulateMedia({ colorScheme: "dark" });
  await shoot("done-dark");
  await page.setViewportSize({ width: 380, height: 800 });
  seen.overflow = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  await shoot("done-narrow");
  const [saved] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  seen.downloadName = saved.suggestedFilename();
  await saved.saveAs(join(folder, "out.wav"));
  console.log(JSON.stringify(seen));
} catch (error) {
  const said = await page.locator("#status").textContent().catch(() => "nothing");
  console.error(`check: ${error.message}; the page says: ${said}; seen: ${JSON.stringify(seen)}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  server.kill();
}
