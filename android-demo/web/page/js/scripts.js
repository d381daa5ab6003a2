// Which scripts a model has learnt, told from its own golden sentences, and whether a text is in one of them.

const NAMES =
  "Latin Ethiopic Arabic Nko Adlam Tifinagh Vai Osmanya Bamum Greek Cyrillic Hebrew Han Hiragana Katakana Hangul " +
  "Devanagari Bengali Tamil Telugu Thai Coptic";
const SCRIPTS = NAMES.split(" ").flatMap((name) => {
  try {
    return [[name, new RegExp(`\\p{Script=${name}}`, "u")]];
  } catch {
    return []; // a browser too old to know it
  }
});
const LETTER = /\p{L}/u;
const MOST = 0.5; // share of letters in a strange script from which the reader is told; foreign names are normal

/** The names of the scripts in these texts. */
export function scriptsOf(texts) {
  return new Set(texts.flatMap((text) => Array.from(text).map(scriptOf)).filter((name) => name));
}

/** Whether most letters of a text are in no script of `known`; no where nothing is known. */
export function isStrange(text, known) {
  const letters = Array.from(text).filter((letter) => LETTER.test(letter));
  if (!known.size || !letters.length) return false;
  return letters.filter((letter) => !known.has(scriptOf(letter))).length > MOST * letters.length;
}

function scriptOf(letter) {
  if (!LETTER.test(letter)) return "";
  return SCRIPTS.find(([, pattern]) => pattern.test(letter))?.[0] ?? "another";
}
