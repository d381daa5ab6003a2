// From logits to labels, entities and classes, as edgeafri/inference/predict.py, metrics.py and runtime/engine.py do.

/** The index of the best logit of one place and its probability. */
export function best(logits) {
  let top = 0;
  for (let index = 1; index < logits.length; index += 1) if (logits[index] > logits[top]) top = index;
  return { index: top, score: shares(logits)[top] };
}

/** Probabilities of all labels of one place. */
export function shares(logits) {
  const most = Math.max(...logits);
  const raised = Array.from(logits, (value) => Math.exp(value - most));
  const sum = raised.reduce((total, value) => total + value, 0);
  return raised.map((value) => value / sum);
}

/** Entities {kind, first, last} of a sentence's tags, in order; an I- that continues nothing of its type starts one. */
export function spans(tags) {
  const found = [];
  let start = 0;
  let kind = "";
  [...tags, "O"].forEach((tag, place) => {
    const dash = tag.indexOf("-");
    const prefix = dash < 0 ? tag : tag.slice(0, dash);
    const here = dash < 0 ? "" : tag.slice(dash + 1);
    if (kind && (prefix !== "I" || here !== kind)) found.push({ kind, first: start, last: place - 1 });
    if (prefix === "O") kind = "";
    else if (prefix === "B" || here !== kind) [start, kind] = [place, here];
  });
  return found;
}

/** The entities of a text: label, the user's own characters, offsets in code points, mean probability of its words. */
export function entitiesOf(text, words, tags, scores) {
  const letters = Array.from(text);
  return spans(tags).map(({ kind, first, last }) => {
    const [start, end] = [words[first].start, words[last].end];
    const sum = scores.slice(first, last + 1).reduce((total, value) => total + value, 0);
    return { label: kind, text: letters.slice(start, end).join(""), start, end, score: rounded(sum / (last + 1 - first)) };
  });
}

/** The label of a whole text with its probability, and that of every label, in the bundle's order. */
export function classOf(logits, labels) {
  const found = shares(logits).map(rounded);
  const top = best(logits).index;
  return { label: labels[top], score: found[top], labels: Object.fromEntries(labels.map((name, at) => [name, found[at]])) };
}

function rounded(value) {
  return Math.round(value * 1e4) / 1e4;
}
