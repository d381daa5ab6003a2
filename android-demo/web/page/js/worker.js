// The worker: holds the model, so that the page answers while it computes. One message in, one out, by its number.

import { measure, replay } from "./bench.js";
import { Failure, readModel } from "./files.js";
import { openModel } from "./model.js";

const heaps = [];
let model = null;
let opened = null;
let stopped = 0;

const loading = libraries(); // while the page reads what the bundle is
loading.catch(() => {}); // told when a model is to be opened

const JOBS = {
  async open({ manifest, config }, tick) {
    const began = performance.now();
    const files = await readModel(manifest, config, tick);
    const read = performance.now();
    const [ort, { Tokenizer }] = await loading;
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(config.threads, navigator.hardwareConcurrency) : 1;
    model = await openModel({ ort, Tokenizer, files });
    const ended = performance.now();
    opened = { load_ms: ended - began, files_ms: read - began, threads: ort.env.wasm.numThreads };
    return { ...opened, runtime: `onnxruntime-web ${ort.env.versions.web}` };
  },

  async answer({ text }, tick, number) {
    return model.answer(text, async (done, total) => {
      tick(done, total);
      await new Promise((resolve) => setTimeout(resolve)); // lets a "stop" come in
      if (stopped >= number) throw new Failure("stopped", "");
    });
  },

  async measure({ runs, named, golden }, tick) {
    const equal = await replay(model, golden);
    const conditions = { ...named.conditions, golden: golden.length, golden_equal: equal };
    const result = await measure(model, runs, { ...named, conditions }, tick);
    return { ...result, conditions: { ...result.conditions, wasm_memory_mb: heapMegabytes() } };
  },
};

self.onmessage = async ({ data }) => {
  const { number, job, request } = data;
  if (job === "stop") {
    stopped = number;
    return;
  }
  try {
    const tick = (done, total) => self.postMessage({ number, done, total });
    self.postMessage({ number, result: await JOBS[job](request, tick, number) });
  } catch (error) {
    self.postMessage({ number, failure: { code: codeOf(error, job), message: String(error?.message ?? error) } });
  }
};

async function libraries() {
  rememberHeaps();
  try {
    const loaded = await Promise.all([
      import("../vendor/ort.wasm.bundle.min.mjs"),
      import("../vendor/tokenizers.min.mjs"),
    ]);
    loaded[0].env.wasm.wasmPaths = { wasm: new URL("../vendor/ort-wasm-simd-threaded.wasm", import.meta.url).href };
    return loaded;
  } catch (error) {
    throw new Failure("engine", error.message);
  }
}

/** The engine does not say how much memory it took, so what it asks the browser for is noted. */
function rememberHeaps() {
  const Memory = WebAssembly.Memory;
  WebAssembly.Memory = class extends Memory {
    constructor(description) {
      super(description);
      heaps.push(this);
    }
  };
}

function heapMegabytes() {
  if (!heaps.length) return null;
  return Math.round(heaps.reduce((sum, heap) => sum + heap.buffer.byteLength, 0) / 1e5) / 10;
}

/** Which of the page's words fit a failure. */
function codeOf(error, job) {
  if (error instanceof Failure) return error.code;
  const said = String(error?.message ?? error);
  if (error instanceof RangeError || /memory|allocat/i.test(said)) return "memory";
  if (/tokenizer|normalizer|decoder/i.test(said)) return "tokenizer";
  if (/WebAssembly|no available backend|CompileError/i.test(said)) return "engine";
  return job === "open" ? "graph" : "other";
}
