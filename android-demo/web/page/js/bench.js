// Speed of a bundle on this device, in the form of edgeafri/documents/measurement.py; what a browser does not tell is null.

import { rowsOf } from "./encoder.js";
import { best } from "./labels.js";
import { wordsOf } from "./text.js";

const SCHEMA = 3;
const SEQ_LEN = 128;
// A browser runs code that it translated in haste until it has translated it well, which takes seconds: the clock starts
// when three batches in a row bring nothing more, at the latest after this time.
const WARMUP = { batch: 5, better: 0.95, batches: 3, ms: 15_000 };

/** Sub-words of the sentence that is timed. */
export function benchLength(config) {
  return Math.min(SEQ_LEN, config.max_tokens);
}

/**
 * Time `runs` sentences of the same ids one after another; `tick` hears (done, total). `named` are the values of a
 * measurement that the caller knows: bundle_id, device, runtime, threads, load_ms, work, conditions.
 */
export async function measure(model, runs, named, tick) {
  const ids = sentenceOf(benchLength(model.config), model);
  const warmup = await warmUp(model, ids);
  const times = [];
  for (let run = 0; run < runs; run += 1) {
    times.push(await timed(() => model.forward(ids)));
    tick(run + 1, runs);
  }
  const p50 = percentile(times, 50);
  const { bundle_id, device, runtime, threads, load_ms, work, conditions } = named;
  return {
    schema: SCHEMA,
    bundle_id,
    device,
    runtime,
    threads,
    seq_len: ids.length,
    runs,
    warmup,
    load_ms: rounded(load_ms, 2),
    p50_ms: rounded(p50, 3),
    p95_ms: rounded(percentile(times, 95), 3),
    mean_ms: rounded(times.reduce((sum, time) => sum + time, 0) / runs, 3),
    cpu_ms: null,
    ...(await beside(model, ids, Math.min(runs, 10))),
    tokens_per_s: rounded((ids.length / p50) * 1000, 1),
    peak_rss_mb: null,
    memory: null,
    work,
    conditions,
    after: null,
  };
}

/** How many golden sentences get the ids and labels that every device must give. */
export async function replay(model, golden) {
  let equal = 0;
  for (const { text, ids, labels } of golden) {
    const words = wordsOf(text, model.unit);
    const rows = model.rows(words);
    const { tags } = await model.label(words);
    equal += rows.length === 1 && same(rows[0].ids, ids) && same(tags, labels) ? 1 : 0;
  }
  return equal;
}

/** The q-th percentile, between neighbours in a straight line as numpy's. */
export function percentile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = ((sorted.length - 1) * q) / 100;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

/** Ids spread evenly over the vocabulary, so that few embedding rows are in the cache already. */
function sentenceOf(length, model) {
  const { start, end, pad } = model.config.frame;
  const vocabulary = model.tokenizer.model.vocab.length;
  let state = 1;
  const inner = Array.from({ length: length - 2 }, () => {
    state = (state * 48271) % 2147483647; // Lehmer's generator: the same sentence on every device
    const piece = 4 + (state % (vocabulary - 4));
    return piece === pad ? end : piece;
  });
  return [start, ...inner, end];
}

/** What goes on before and after the model, in milliseconds a sentence: medians, after one that is not counted. */
async function beside(model, ids, runs) {
  const text = model.tokenizer.decode(ids);
  const width = model.config.labels.length;
  const logits = await model.forward(ids);
  const rows = Array.from({ length: model.unit === "text" ? 1 : ids.length }, (_, at) =>
    logits.slice(at * width, (at + 1) * width),
  );
  const before = [];
  const after = [];
  for (let run = 0; run <= runs; run += 1) {
    before.push(await timed(() => rowsOf(wordsOf(text, model.unit), model.tokenizer, model.config, model.unit)));
    after.push(await timed(() => rows.forEach(best)));
  }
  return {
    tokenize_ms: rounded(percentile(before.slice(1), 50), 3),
    decode_ms: rounded(percentile(after.slice(1), 50), 3),
  };
}

/** How many sentences were read before the clock starts. */
async function warmUp(model, ids) {
  const began = performance.now();
  let [runs, best, idle] = [0, Infinity, 0];
  while (idle < WARMUP.batches && performance.now() - began < WARMUP.ms) {
    const times = [];
    for (let run = 0; run < WARMUP.batch; run += 1) times.push(await timed(() => model.forward(ids)));
    runs += WARMUP.batch;
    const middle = percentile(times, 50);
    idle = middle < WARMUP.better * best ? 0 : idle + 1;
    best = Math.min(best, middle);
  }
  return runs;
}

async function timed(work) {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function same(one, other) {
  return one.length === other.length && one.every((value, at) => value === other[at]);
}

function rounded(value, digits) {
  return Number(value.toFixed(digits));
}
