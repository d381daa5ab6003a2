// Text as edgeafri/data/text.py sees it: NFC, the one word splitter with offsets in code points, and windows.

const APOSTROPHES = "'`´‘’‛′";
const JOINERS = "\u200c\u200d";
const INVISIBLE =
  "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff";
const SKIN_TONES = "🏻🏼🏽🏾🏿";
const WORDSPACE = "፡";

// What Python's str.isspace() and str.split() take for a space; JavaScript's \s has other members.
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

const WORD = new RegExp(
  "w+://[^ c]*[w/]" + // a link, up to its last letter, number or slash
    "|[wm'](?:[ij]*[wm'])*" +
    '|"+' +
    "|rr?m*" +
    "|፡፡+|(?<![^ c])፡(?![^ c])" +
    "|[x:/e]m*e?(?:jxm*e?)*",
  "g",
);

const kinds = new Map();

/** The words of raw text: {text, start, end}, offsets in code points of what the user typed. */
export function splitWords(text) {
  const letters = Array.from(text);
  const shape = letters.map(kindOf).join("");
  return Array.from(shape.matchAll(WORD), (match) => {
    const start = match.index;
    const end = start + match[0].length;
    return { text: clean(letters.slice(start, end)), start, end };
  });
}

/** The words as a model reads them: those of splitWords, or what stands between spaces where texts are labelled. */
export function wordsOf(text, unit) {
  if (unit === "word") return splitWords(text).map((word) => word.text);
  return text
    .split(SPACES)
    .map((part) => clean(Array.from(part)))
    .filter((word) => word);
}

/** NFC without what nobody sees: zero-width characters, direction marks, control characters, lone surrogates. */
function clean(letters) {
  return letters
    .filter((letter) => !"ic".includes(kindOf(letter)))
    .join("")
    .normalize("NFC");
}

/** One letter for the kind of a character, as `_Kinds` of edgeafri/data/text.py names them. */
function kindOf(letter) {
  let kind = kinds.get(letter);
  if (kind === undefined) {
    kind = kindOfNew(letter);
    kinds.set(letter, kind);
  }
  return kind;
}

function kindOfNew(letter) {
  const code = letter.codePointAt(0);
  if (/\p{Cc}/u.test(letter)) return SPACES.test(letter) ? "c" : "i";
  if (code >= 0xe0020 && code <= 0xe007f) return "m"; // the tags that spell the flag of a region
  if (code >= 0x1f1e6 && code <= 0x1f1ff) return "r";
  if (APOSTROPHES.includes(letter)) return "'";
  if (JOINERS.includes(letter)) return "j";
  if (INVISIBLE.includes(letter)) return "i";
  if (code > 0xffff && SKIN_TONES.includes(letter)) return "e";
  if ((':/"' + WORDSPACE).includes(letter)) return letter;
  if (/[\p{L}\p{N}]/u.test(letter)) return "w";
  if (/\p{M}/u.test(letter)) return "m";
  if (/\p{Z}/u.test(letter)) return " ";
  return code >= 0xd800 && code <= 0xdfff ? "i" : "x";
}

/**
 * Windows of at most `limit` sub-words over words that have `pieces` sub-words each: {start, end, keepStart, keepEnd}.
 * Neighbours share at most `overlap` sub-words; a word is kept by the window where it is farther from an edge.
 */
export function windows(pieces, limit, overlap) {
  const before = [0];
  for (const count of pieces) before.push(before[before.length - 1] + count);
  const spans = spansOf(before, limit, overlap);
  const borders = spans.slice(1).map((span, index) => border(before, spans[index].end, span.start));
  return spans.map((span, index) => ({
    ...span,
    keepStart: index ? borders[index - 1] : 0,
    keepEnd: index < borders.length ? borders[index] : pieces.length,
  }));
}

function spansOf(before, limit, overlap) {
  const words = before.length - 1;
  const spans = [];
  let start = 0;
  let end = 0;
  while (end < words) {
    while (start < end && (before[end] - before[start] > overlap || before[end + 1] - before[start] > limit)) start += 1;
    end += 1;
    while (end < words && before[end + 1] - before[start] <= limit) end += 1;
    spans.push({ start, end });
  }
  return spans;
}

/** The first word of the overlap [start, end) with more context in the later window than in the earlier one. */
function border(before, end, start) {
  for (let word = start; word < end; word += 1) {
    if (before[word] - before[start] > before[end] - before[word + 1]) return word;
  }
  return end;
}
