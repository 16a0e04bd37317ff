// Serves the page with the two headers that let WebAssembly use threads.
//
//   node serve.mjs [--port 8080] [--model MODEL.onnx] [--no-isolation]
//
// Any static server does as well: put this folder, ../javascript and the model (as
// creative_mix.onnx, beside index.html) on it. Without the headers the page renders on one thread.

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8080" },
    model: { type: "string" },
    "no-isolation": { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const model = values.model ?? join(root, "../creative_mix/weights/creative_mix.onnx");
const TYPES = {
  ".html": "text/html; charset=utf-8", ".css": "text/css", ".mjs": "text/javascript",
  ".wasm": "application/wasm", ".onnx": "application/octet-stream",
};
const isolation = values["no-isolation"]
  ? {}
  : { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** Returns the file that a path stands for, or null: only the page's own folders are open. */
function resolve(path) {
  if (path === "/browser/creative_mix.onnx") return model;
  const clean = normalize(path.endsWith("/") ? `${path}index.html` : path);
  return /^\/(browser|javascript)\//.test(clean) ? join(root, clean) : null;
}

const server = createServer((request, response) => {
  let path = "/";
  try {
    path = decodeURIComponent(new URL(request.url, "http://local").pathname);
  } catch {
    // What cannot be decoded is the root.
  }
  if (path === "/") return response.writeHead(302, { Location: "/browser/" }).end();
  const file = resolve(path);
  const found = file && statSync(file, { throwIfNoEntry: false });
  if (!found?.isFile()) return response.writeHead(404).end("not found\n");
  response.writeHead(200, {
    "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
    "Content-Length": found.size,
    "Cache-Control": "no-cache",
    ...isolation,
  });
  createReadStream(file).pipe(response);
});
server.on("error", (error) => {
  console.error(`serve: ${error.message}; try another --port`);
  process.exitCode = 1;
});
server.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`http://localhost:${server.address().port}/browser/`);
});
