// A bundle, opened: text in, entities or a label out. Runs in a worker of the page and in Node alike.

import { rowsOf } from "./encoder.js";
import { best, classOf, entitiesOf } from "./labels.js";
import { splitWords, wordsOf } from "./text.js";
import { readTokenizer } from "./tokenizer.js";

// What edgeafri/inference/session.py tells every session; its fused kernel for a sum and a layer norm is slower than the two.
const OPTIONS = {
  executionProviders: ["wasm"],
  enableMemPattern: false,
  extra: { optimization: { disable_specified_optimizers: "SkipLayerNormFusion" } },
};
const UNITS = { ner: "word" }; // what is labelled; whole texts where a task is not listed

/**
 * Open a bundle. `files` holds config (bundle.json), tokenizer (tokenizer.json), graph and, where weights stand beside
 * it, weights: {name: bytes}. `ort` and `Tokenizer` are the two libraries.
 */
export async function openModel({ ort, Tokenizer, files }) {
  const externalData = Object.entries(files.weights).map(([path, data]) => ({ path, data }));
  // The tokenizer is read while the browser compiles the engine on its own threads.
  const session = ort.InferenceSession.create(files.graph, { ...OPTIONS, externalData });
  session.catch(() => {}); // awaited below, unless the tokenizer fails first
  const tokenizer = readTokenizer(Tokenizer, files.tokenizer);
  return new Model(ort, await session, tokenizer, files.config);
}

export class Model {
  constructor(ort, session, tokenizer, config) {
    Object.assign(this, { ort, session, tokenizer, config });
    this.unit = UNITS[config.task] ?? "text";
  }

  /** What the bundle says of a text: {words, unknown, cut, entities} or {..., label, score, labels}; `tick` hears (done, total). */
  async answer(text, tick = () => {}) {
    if (this.unit === "text") {
      const words = wordsOf(text, "text");
      if (!words.length) return { words: 0, label: null, score: null, labels: {} };
      const [logits] = await this.read(words, tick);
      return { ...this.looked(words), ...classOf(logits, this.config.labels) };
    }
    const words = splitWords(text);
    const read = words.map((word) => word.text);
    const { tags, scores } = await this.label(read, tick);
    return { ...this.looked(read), entities: entitiesOf(text, words, tags, scores) };
  }

  /** What a reader should know of a text: how many words, in which share of them a sub-word is unknown, whether it was cut. */
  looked(words) {
    const pieces = words.map((word) => this.tokenizer.encode(word, { add_special_tokens: false }).ids);
    const strange = pieces.filter((ids) => ids.includes(this.tokenizer.model.unk_token_id));
    const cut = this.unit === "text" && pieces.flat().length > this.config.max_tokens - 2;
    return { words: words.length, unknown: strange.length / Math.max(1, words.length), cut };
  }

  /** A label for every word, or one for the text, with its probability. A word that is not read is no entity. */
  async label(words, tick = () => {}) {
    const read = await this.read(words, tick);
    const found = read.map((logits) => (logits ? best(logits) : { index: -1, score: 1 / this.config.labels.length }));
    return {
      tags: found.map(({ index }) => (index < 0 ? "O" : this.config.labels[index])),
      scores: found.map(({ score }) => score),
    };
  }

  /** Logits of every word, or of the text; null where a word was not read. */
  async read(words, tick = () => {}) {
    const rows = this.rows(words);
    const found = new Array(this.unit === "text" ? 1 : words.length).fill(null);
    for (const [done, row] of rows.entries()) {
      const logits = await this.forward(row.ids);
      const width = this.config.labels.length;
      row.words.forEach((word, at) => {
        found[word] = logits.slice(row.firsts[at] * width, (row.firsts[at] + 1) * width);
      });
      await tick(done + 1, rows.length);
    }
    return found;
  }

  /** The model's inputs for words. */
  rows(words) {
    return rowsOf(words, this.tokenizer, this.config, this.unit);
  }

  /** Logits of one input as one flat array: a row of labels a sub-word, or one row for a text. */
  async forward(ids) {
    const shape = [1, ids.length];
    const feeds = {};
    for (const name of this.session.inputNames) {
      const values = name === "input_ids" ? ids : ids.map(() => 1);
      feeds[name] = new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
    }
    const { logits } = await this.session.run(feeds);
    const values = logits.data.slice();
    logits.dispose();
    return values;
  }
}
