// What onnxruntime-node and onnxruntime-web do not tell or do: their sessions hide a file's metadata,
// and neither takes an input that has a default, as `skip_frames` (Node drops it, the web refuses it).
// An ONNX file is protobuf, so both are a walk over its outermost fields; no library is needed.

const GRAPH = 7, METADATA = 14; // of the model
const INITIALIZER = 5, INPUT = 11; // of the graph
const INITIALIZER_NAME = 8, INPUT_NAME = 1;
const text = new TextDecoder();

/**
 * Returns what a host needs to know of a model file, and the file without the defaults of its
 * inputs: a runtime for JavaScript takes them then, and they must all be given. `facts.optional`
 * names them.
 * @param {Uint8Array} bytes a file that `creative-mix export` wrote, or the one that ships
 * @returns {{facts: object, bytes: Uint8Array}}
 */
export function readModel(bytes) {
  const said = {};
  const pieces = [];
  let optional = [];
  try {
    for (const field of fields(bytes)) {
      if (field.number === METADATA) {
        const [key, value] = [...fields(field.body)].map((each) => text.decode(each.body));
        said[key] = value;
      }
      if (field.number === GRAPH) {
        const plain = withoutDefaults(field.body);
        optional = plain.names;
        pieces.push(header(GRAPH, plain.graph.length), plain.graph);
      } else {
        pieces.push(field.whole);
      }
    }
  } catch {
    throw new Error("not an ONNX file");
  }
  const facts = { componentNames: (said.component_names ?? "").split(","), optional };
  for (const [name, key] of Object.entries({
    sampleRate: "sample_rate", hop: "hop_length", behind: "lookback_frames",
    ahead: "lookahead_frames", least: "least_samples",
  })) {
    facts[name] = Number(said[key]);
    if (said.format_version !== "1" || !Number.isInteger(facts[name])) {
      throw new Error("an ONNX file, but not one of creative-mix");
    }
  }
  return { facts, bytes: join(pieces) };
}

/** The graph without the initializers that are defaults of its inputs, and the names of these. */
function withoutDefaults(graph) {
  const all = [...fields(graph)];
  const nameOf = (field, number) =>
    text.decode([...fields(field.body)].find((each) => each.number === number).body);
  const inputs = new Set(
    all.filter((field) => field.number === INPUT).map((field) => nameOf(field, INPUT_NAME)),
  );
  const names = [];
  const kept = all.filter((field) => {
    if (field.number !== INITIALIZER) return true;
    const name = nameOf(field, INITIALIZER_NAME);
    if (inputs.has(name)) names.push(name);
    return !inputs.has(name);
  });
  return { graph: join(kept.map((field) => field.whole)), names };
}

/** Yields a message's fields: number, body (of those that have a length), and whole. */
function* fields(message) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (at >= message.length || factor > 2 ** 63) throw new Error("torn");
      const byte = message[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const start = at;
    const tag = varint();
    const kind = tag % 8;
    let body = null;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      body = message.subarray(at, (at += length));
    } else throw new Error("torn");
    if (at > message.length) throw new Error("torn");
    yield { number: Math.floor(tag / 8), body, whole: message.subarray(start, at) };
  }
}

function header(number, length) {
  const out = [number * 8 + 2];
  for (; length > 127; length = Math.floor(length / 128)) out.push((length % 128) | 128);
  return Uint8Array.from([...out, length]);
}

function join(pieces) {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
