import { describe, expect, it } from 'vitest';
import { AROUND, cutBefore, partingPieces } from '../../../console/explain/parting.js';
import { keyProblem, loginProblem } from '../../../console/session/login-words.js';

describe('the place where two prompts part', () => {
  it('is shown with marks where the texts are cut', () => {
    const shared = Array.from({ length: AROUND + 1 }, (_, i) => i);
    const { before, first, second } = partingPieces([...shared, 100], [...shared, ...shared.map((i) => 200 + i)]);
    expect([before.cut, first.cut, second.cut]).toEqual([true, false, true]);
    expect([before.tokens, first.tokens, second.tokens.length]).toEqual([shared.slice(1), [100], AROUND]);
    expect(partingPieces([1, 2], [1, 3]).before).toEqual({ tokens: [1], cut: false });
  });

  it('begins with a whole word', () => {
    expect(cutBefore('as a lighthouse')).toBe('… a lighthouse');
    expect(cutBefore('lighthouse')).toBe('… lighthouse');
    expect(cutBefore('house\n')).toBe('… house\n');
  });
});

describe('the login', () => {
  it('says what is wrong with a key, without the header', () => {
    const why = 'authorization: has an unknown API key; send "authorization: Bearer KEY"';
    expect(loginProblem('a-key', 401, why)).toBe('This key is not known here.');
    expect(loginProblem('a-key', 403, 'the key is locked')).toBe('the key is locked');
    expect(loginProblem(null, 401, why)).toBeNull();
  });

  it('names a character that no header can carry', () => {
    expect(loginProblem('key-of-ann’s', 401, '')).toMatch(/^The key has the character “’”/);
    expect(loginProblem('ключ', 401, '')).toMatch(/“к”/);
    expect(loginProblem('key\u200b', 401, '')).toMatch(/an invisible character/);
    expect(['key-1_~!', 'clé'].map(keyProblem)).toEqual([null, null]);
    for (const key of ['key-1_~!', 'clé']) expect(() => new Headers({ authorization: key })).not.toThrow();
  });
});
