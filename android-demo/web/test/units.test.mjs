// The page's small functions, where numbers say more than a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { percentile } from "../page/js/bench.js";
import { browserIn, modelIn } from "../page/js/device.js";
import { isLong } from "../page/js/dom.js";
import { best, entitiesOf, shares, spans } from "../page/js/labels.js";
import { Model } from "../page/js/model.js";
import { isStrange, scriptsOf } from "../page/js/scripts.js";
import { splitWords, windows } from "../page/js/text.js";

const WEBVIEW =
  "Mozilla/5.0 (Linux; Android 13; TECNO BF7 Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) " +
  "Version/4.0 Chrome/120.0.6099.43 Mobile Safari/537.36";
const CHROME =
  "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36";

test("percentiles lie between neighbours in a straight line, as numpy's", () => {
  assert.equal(percentile([4, 1, 3, 2], 50), 2.5);
  assert.equal(percentile([10], 95), 10);
  assert.ok(Math.abs(percentile([1, 2, 3, 4, 5], 95) - 4.8) < 1e-12);
});

test("a phone's model is read where its browser says it, and not made up where it does not", () => {
  assert.equal(modelIn(WEBVIEW), "TECNO BF7");
  assert.equal(modelIn(CHROME), null);
  assert.equal(modelIn("Mozilla/5.0 (X11; Linux x86_64)"), null);
});

test("a WebView is told from Chrome", () => {
  assert.equal(browserIn(WEBVIEW), "Android System WebView 120.0.6099.43");
  assert.equal(browserIn(CHROME), "Chrome 126.0.0.0");
  assert.equal(browserIn("curl/8"), "curl/8");
});

test("an I- that continues nothing of its type starts an entity, a B- ends the one before", () => {
  assert.deepEqual(spans(["I-PER", "I-PER", "B-PER", "I-LOC", "O"]), [
    { kind: "PER", first: 0, last: 1 },
    { kind: "PER", first: 2, last: 2 },
    { kind: "LOC", first: 3, last: 3 },
  ]);
});

test("offsets are code points of the user's own text, emoji and marks included", () => {
  const text = "👍🏿 Ọba Adé̩";
  const words = splitWords(text);
  const [entity] = entitiesOf(text, words, ["O", "B-PER", "I-PER"], [1, 0.5, 0.9]);

  assert.deepEqual(entity, { label: "PER", text: "Ọba Adé̩", start: 3, end: Array.from(text).length, score: 0.7 });
});

test("probabilities add up to one, however large the logits", () => {
  const found = shares([1000, 999, -1000]);

  assert.ok(Math.abs(found.reduce((sum, value) => sum + value, 0) - 1) < 1e-12);
  assert.equal(best([1, 3, 3]).index, 1);
});

test("windows overlap, and every word is kept once", () => {
  const found = windows(new Array(10).fill(1), 4, 2);
  const kept = found.flatMap(({ keepStart, keepEnd }) => Array.from({ length: keepEnd - keepStart }, (_, at) => keepStart + at));

  assert.deepEqual(kept, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.ok(found.every(({ start, end, keepStart, keepEnd }) => start <= keepStart && keepEnd <= end && end - start <= 4));
});

test("a script is strange when most letters are of none that the golden sentences are written in", () => {
  const known = scriptsOf(["Rais alizuru", "ሰላም"]);

  assert.equal(isStrange("Привет, друзья", known), true);
  assert.equal(isStrange("Rais Привет alizuru Mombasa", known), false);
  assert.equal(isStrange("ጤና ይስጥልኝ", known), false);
  assert.equal(isStrange("123 !?", known), false);
  assert.equal(isStrange("Привет", new Set()), false);
});

test("a word is unknown where one of its sub-words is, as in the native app", () => {
  const tokenizer = { model: { unk_token_id: 3 }, encode: (word) => ({ ids: word === "Rais" ? [7] : [5, 3] }) };
  const model = new Model(null, null, tokenizer, { task: "ner", max_tokens: 48 });

  assert.deepEqual(model.looked(["😀", "😃", "Rais", "😄"]), { words: 4, unknown: 0.75, cut: false });
  assert.equal(model.looked([]).unknown, 0);
});

test("of a text that is labelled as a whole, what does not fit is cut", () => {
  const tokenizer = { model: { unk_token_id: 3 }, encode: () => ({ ids: [7, 8] }) };
  const model = new Model(null, null, tokenizer, { task: "topic", max_tokens: 6 });

  assert.equal(model.looked(["one", "two"]).cut, false);
  assert.equal(model.looked(["one", "two", "three"]).cut, true);
});

test("a hash may be broken over lines, a word of a language may not", () => {
  assert.equal(isLong("artifact 55b5ecc40a529b0e with EdgeAfri"), true);
  assert.equal(isLong("names in a text: people, organisations, places"), false);
});
