import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopPattern, StopStrings } from '../../../src/text/stop-strings.js';

const stopStrings = (stops: readonly string[]) => new StopStrings(stops.map((stop) => new StopPattern(stop)));

/** Reference: looks for every stop string after each character. */
function naive(text: string, stops: readonly string[]): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.map((stop) => text.slice(0, end).indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) return { text: text.slice(0, Math.min(...found)), stopped: true };
  }
  return { text, stopped: false };
}

function inPieces(pieces: readonly string[], stops: readonly string[]): { text: string; stopped: boolean } {
  const matcher = stopStrings(stops);
  let text = '';
  for (const piece of pieces) {
    const { text: shown, stopped } = matcher.push(piece);
    text += shown;
    if (stopped) return { text, stopped };
  }
  return { text: text + matcher.flush(), stopped: false };
}

const fewLetters = (options: { minLength?: number; maxLength: number }) =>
  fc.string({ unit: fc.constantFrom('a', 'a', 'b', '😀'), ...options });

describe('StopStrings', () => {
  it('stops where a search of the whole text stops, however the text is split', () => {
    fc.assert(
      fc.property(
        fc.array(fewLetters({ maxLength: 6 }), { maxLength: 12 }),
        fc.array(fewLetters({ minLength: 1, maxLength: 6 }), { maxLength: 4 }),
        (pieces, stops) => {
          expect(inPieces(pieces, stops)).toEqual(naive(pieces.join(''), stops));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('finds stop strings with repeated parts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'aab', 'aabaa'), { minLength: 2, maxLength: 4 }),
        fc.array(fc.constantFrom('a', 'aab', 'aabaa', 'b'), { maxLength: 16 }),
        (parts, pieces) => {
          const stops = [parts.join('')];
          expect(inPieces(pieces, stops)).toEqual(naive(pieces.join(''), stops));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('holds back no more than a possible beginning of a stop string', () => {
    const matcher = stopStrings(['\n\nQ:', 'END']);
    expect(matcher.push('It is E')).toEqual({ text: 'It is ', stopped: false });
    expect(matcher.push('N in')).toEqual({ text: 'EN in', stopped: false });
    expect(matcher.push('\n\n')).toEqual({ text: '', stopped: false });
    expect(matcher.push('\n')).toEqual({ text: '\n', stopped: false });
    expect(matcher.push('Q: more')).toEqual({ text: '', stopped: true });
    expect(matcher.flush()).toBe('');
  });

  it('passes text through if there are no stop strings', () => {
    expect(stopStrings([]).push('anything')).toEqual({ text: 'anything', stopped: false });
  });
});
