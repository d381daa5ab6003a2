// From words to the inputs of the model, as `Encoder` of edgeafri/inference/predict.py makes them.

import { windows } from "./text.js";

const OVERLAP = 32; // sub-words that neighbouring windows share

/**
 * The inputs of one sentence: rows of {ids, words, firsts}, where `firsts` says where each kept word's first sub-word
 * stands. Of a text that is labelled as a whole, the beginning is one row, its answer stands at 0.
 */
export function rowsOf(words, tokenizer, config, unit) {
  const pieces = words.map((word) => tokenizer.encode(word, { add_special_tokens: false }).ids);
  const room = config.max_tokens - 2;
  if (unit === "text") return [{ ids: framed(pieces.flat().slice(0, room), config.frame), words: [0], firsts: [0] }];
  const counts = pieces.map((ids) => ids.length);
  const cuts = windows(counts, room, Math.min(OVERLAP, Math.floor(room / 4)));
  return cuts.map((window) => rowOf(pieces, counts, window, room, config.frame));
}

function rowOf(pieces, counts, window, room, frame) {
  const ids = [];
  const words = [];
  const firsts = [];
  for (let word = window.start; word < window.end; word += 1) {
    if (word >= window.keepStart && word < window.keepEnd && counts[word]) {
      words.push(word);
      firsts.push(ids.length + 1);
    }
    ids.push(...pieces[word]);
  }
  return { ids: framed(ids.slice(0, room), frame), words, firsts };
}

function framed(ids, frame) {
  return [frame.start, ...ids, frame.end];
}
