// The files of a bundle, fetched from beside the page, their sizes held against the manifest.

const FOLDER = new URL("../bundle/", import.meta.url).href;
const CONFIG = "bundle.json";
const GRAPH = "model.onnx";
const TOKENIZER = "tokenizer.json";
const BESIDE = ["manifest.json", CONFIG, GRAPH, TOKENIZER, "golden.jsonl", "card.md"];

/** A failure that the page has words for: `code` ends the name of its string, `message` is for who looks closer. */
export class Failure extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** What the page needs besides the model: manifest, bundle.json, golden sentences and the card. */
export async function readDescription() {
  const manifest = await parsed("manifest.json");
  const optional = (name) => (name in manifest.files ? text(name) : "");
  const [config, golden, card] = await Promise.all([parsed(CONFIG), optional("golden.jsonl"), optional("card.md")]);
  const lines = golden.split("\n").filter((line) => line);
  return { manifest, config, card, golden: lines.map((line) => JSON.parse(line)) };
}

/** What a model is opened from; `tick` hears (bytes read, bytes in all). */
export async function readModel(manifest, config, tick) {
  const beside = Object.keys(manifest.files).filter((name) => !BESIDE.includes(name));
  const names = [TOKENIZER, GRAPH, ...beside];
  const total = names.reduce((sum, name) => sum + (manifest.files[name]?.bytes ?? 0), 0);
  let done = 0;
  const parts = names.map((name) => bytes(name, manifest.files[name], (count) => tick((done += count), total)));
  const read = await Promise.all(parts);
  const found = Object.fromEntries(names.map((name, at) => [name, read[at]]));
  const weights = Object.fromEntries(beside.map((name) => [name, found[name]]));
  return { config, tokenizer: readJson(TOKENIZER, found[TOKENIZER]), graph: found[GRAPH], weights };
}

function readJson(name, data) {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch (error) {
    throw new Failure("tokenizer", `${name}: ${error.message}`);
  }
}

async function bytes(name, entry, tick) {
  if (!entry) throw new Failure(name === TOKENIZER ? "tokenizer" : "files", `${name}: not in the manifest`);
  const answer = await fetched(name);
  const data = new Uint8Array(entry.bytes);
  const reader = answer.body.getReader();
  let place = 0;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    if (place + piece.value.length > data.length) throw new Failure("files", `${name}: longer than the manifest says`);
    data.set(piece.value, place);
    place += piece.value.length;
    tick(piece.value.length);
  }
  if (place !== data.length) throw new Failure("files", `${name}: ${place} bytes, the manifest says ${data.length}`);
  return data;
}

async function parsed(name) {
  const found = await text(name);
  try {
    return JSON.parse(found);
  } catch (error) {
    throw new Failure("files", `${name}: ${error.message}`);
  }
}

async function text(name) {
  return (await fetched(name)).text();
}

async function fetched(name) {
  let answer;
  try {
    answer = await fetch(FOLDER + name);
  } catch (error) {
    throw new Failure("files", `${name}: ${error.message}`);
  }
  if (!answer.ok) throw new Failure("files", `${name}: ${answer.status}`);
  return answer;
}
