// Compares words, offsets and ids of the page with those that the runtime gave: node compare-ids.mjs BUNDLE FILE.
//
// FILE holds a JSON object a line: {text, words: [[text, start, end]], rows: [{ids, words, firsts}]}. Prints one JSON
// document with the number of strings and the first mismatches.

import { createReadStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Tokenizer } from "@huggingface/tokenizers";
import { rowsOf } from "../page/js/encoder.js";
import { splitWords, wordsOf } from "../page/js/text.js";
import { readTokenizer } from "../page/js/tokenizer.js";

const SHOWN = 5;
const [bundle, file] = process.argv.slice(2);
const config = JSON.parse(readFileSync(`${bundle}/bundle.json`, "utf8"));
const tokenizer = readTokenizer(Tokenizer, JSON.parse(readFileSync(`${bundle}/tokenizer.json`, "utf8")));
const unit = config.task === "ner" ? "word" : "text";

const report = { strings: 0, words: 0, mismatches: 0, shown: [] };
for await (const line of createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Infinity })) {
  const { text, words, rows } = JSON.parse(line);
  const mine = unit === "word" ? splitWords(text).map((word) => [word.text, word.start, word.end]) : wordsOf(text, unit);
  const found = { words: mine, rows: rowsOf(unit === "word" ? mine.map(([word]) => word) : mine, tokenizer, config, unit) };
  report.strings += 1;
  report.words += words.length;
  if (JSON.stringify(found) === JSON.stringify({ words, rows })) continue;
  report.mismatches += 1;
  if (report.shown.length < SHOWN) report.shown.push({ text: text.slice(0, 200), found, expected: { words, rows } });
}
console.log(JSON.stringify(report));
