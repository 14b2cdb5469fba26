import { describe, expect, it } from 'vitest';
import { AdjustableLog } from '../../src/log.js';

describe('a log whose level can change', () => {
  it('takes the new level at once, in its children too', () => {
    const lines: string[] = [];
    const log = AdjustableLog.create({ level: 'warn', write: (line) => lines.push(JSON.parse(line).msg) });
    const child = log.child({ part: 'p' });
    log.info({}, 'a');
    child.warn({}, 'b');
    log.level = 'debug';
    child.debug({}, 'c');
    log.level = 'silent';
    child.error({}, 'd');
    expect(lines).toEqual(['b', 'c']);
  });
});
