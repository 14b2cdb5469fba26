/**
 * The table by which SentencePiece normalizes texts, as tokenizer.json has it (`precompiled_charsmap`), applied as the Rust tokenizers do
 * (https://github.com/huggingface/spm_precompiled): to each grapheme of few bytes, else to each of its characters.
 *
 * The table is the size of a trie in bytes, the trie as a double array of 32-bit units (https://github.com/s-yata/darts-clone), and texts that end with
 * a zero byte, to whose beginnings the trie leads.
 */

/** Graphemes with as many bytes or more are normalized by their characters. */
const GRAPHEME_BYTES = 6;
const UNIT_BYTES = 4;
/** Text outside of ASCII, with the character before it: marks belong to it. */
const BEYOND_ASCII = /[\x20-\x7e]?[^\x20-\x7e]+/g;
/** Latin, Greek, Cyrillic, Chinese, Japanese and Korean text in which each character is a grapheme. */
const PLAIN =
  /^[\x20-\x7e\u00a1-\u02ff\u0370-\u03ff\u0400-\u0482\u048a-\u052f\u3000-\u3029\u3041-\u3096\u30a0-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff9d]*$/;
const ASCII = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i));

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** @throws Error if the table is damaged */
export function normalizationByMap(base64: string): (text: string) => string {
  const bytes = Buffer.from(base64, 'base64');
  const trieBytes = bytes.length < UNIT_BYTES ? -1 : bytes.readUInt32LE(0);
  if (trieBytes < UNIT_BYTES || trieBytes % UNIT_BYTES !== 0 || UNIT_BYTES + trieBytes > bytes.length)
    throw new Error('precompiled_charsmap of its normalizer is damaged');
  const trie = Uint32Array.from({ length: trieBytes / UNIT_BYTES }, (_, i) => bytes.readUInt32LE(UNIT_BYTES * (i + 1)));
  const texts = bytes.subarray(UNIT_BYTES + trieBytes);
  const known = new Map<string, string | null>();
  const mapped = (part: string) => {
    let found = known.get(part);
    if (found !== undefined) return found;
    const at = shortestMatch(trie, utf8.encode(part));
    found = at === null ? null : fromUtf8.decode(texts.subarray(at, Math.max(at, texts.indexOf(0, at))));
    // Only characters: there is no end of graphemes.
    if (part.length <= 2) known.set(part, found);
    return found;
  };
  const mappedChars = (part: string) => Array.from(part, (char) => mapped(char) ?? char).join('');
  const mappedGrapheme = (part: string) =>
    (utf8.encode(part).length < GRAPHEME_BYTES ? mapped(part) : null) ?? mappedChars(part);
  const mappedRun = (run: string) =>
    PLAIN.test(run)
      ? mappedChars(run)
      : Array.from(graphemes.segment(run), ({ segment }) => mappedGrapheme(segment)).join('');
  const keepsAscii = ASCII.every((char) => mapped(char) === null);
  return (text) => {
    let result = '';
    let at = 0;
    for (const { 0: run, index } of text.matchAll(BEYOND_ASCII)) {
      const before = text.slice(at, index);
      result += (keepsAscii ? before : mappedChars(before)) + mappedRun(run);
      at = index + run.length;
    }
    const rest = text.slice(at);
    return result + (keepsAscii ? rest : mappedChars(rest));
  };
}

/** The value of the shortest key with which `bytes` begin; null if there is none. */
function shortestMatch(trie: Uint32Array, bytes: Uint8Array): number | null {
  let at = offsetOf(trie[0]!);
  for (const byte of bytes) {
    if (byte === 0) return null;
    at ^= byte;
    const unit = trie[at];
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return null;
    at ^= offsetOf(unit);
    const hasValue = ((unit >>> 8) & 1) === 1;
    if (hasValue) return trie[at] === undefined ? null : trie[at]! & 0x7fffffff;
  }
  return null;
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
