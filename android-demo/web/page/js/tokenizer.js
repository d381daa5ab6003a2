// The tokenizer of a bundle, with SentencePiece's precompiled normaliser read from tokenizer.json itself.
//
// @huggingface/tokenizers puts Unicode's NFKC in its place. That is the same for nearly all text, yet not for a
// compatibility character before a combining mark, so the map that the runtime reads is read here too.

const LONGEST = 6; // bytes; a longer grapheme is looked up character by character, as the runtime does

/** The tokenizer that a tokenizer.json describes; `Tokenizer` is that of @huggingface/tokenizers. */
export function readTokenizer(Tokenizer, description) {
  const tokenizer = new Tokenizer(description, {});
  useCharsmap(tokenizer);
  return tokenizer;
}

function useCharsmap(tokenizer) {
  const top = tokenizer.normalizer;
  const inner = top?.normalizers ?? [];
  inner.forEach((item, at) => {
    if (isMap(item)) inner[at] = new Charsmap(item.config.precompiled_charsmap);
  });
  if (isMap(top)) {
    const map = new Charsmap(top.config.precompiled_charsmap);
    tokenizer.normalizer = (text) => map.normalize(text);
  }
}

function isMap(item) {
  return item?.config?.type === "Precompiled" && item.config.precompiled_charsmap && globalThis.Intl?.Segmenter;
}

/** A double-array trie from bytes to places in a list of strings that end with a zero byte. */
class Charsmap {
  constructor(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const size = new DataView(bytes.buffer).getUint32(0, true);
    this.units = new Uint32Array(bytes.slice(4, 4 + size).buffer);
    this.strings = bytes.subarray(4 + size);
    this.graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });
    this.encoder = new TextEncoder();
    this.decoder = new TextDecoder();
    this.known = new Map();
  }

  normalize(text) {
    let result = "";
    for (const { segment } of this.graphemes.segment(text)) result += this.replaced(segment);
    return result;
  }

  replaced(grapheme) {
    let found = this.known.get(grapheme);
    if (found === undefined) {
      found = this.lookUp(grapheme, LONGEST - 1) ?? Array.from(grapheme, (letter) => this.lookUp(letter, 4) ?? letter).join("");
      this.known.set(grapheme, found);
    }
    return found;
  }

  /** What the shortest prefix of a string that the map knows becomes; null where it knows none. */
  lookUp(part, longest) {
    const bytes = this.encoder.encode(part);
    if (bytes.length > longest) return null;
    let place = offset(this.units[0]);
    for (const byte of bytes) {
      place ^= byte;
      const unit = this.units[place];
      if (byte === 0 || (unit & 0x800000ff) >>> 0 !== byte) return null;
      place ^= offset(unit);
      if ((unit >>> 8) & 1) return this.stringAt(this.units[place] & 0x7fffffff);
    }
    return null;
  }

  stringAt(start) {
    return this.decoder.decode(this.strings.subarray(start, this.strings.indexOf(0, start)));
  }
}

function offset(unit) {
  return (unit >>> 10) << ((unit & 512) >>> 6);
}
