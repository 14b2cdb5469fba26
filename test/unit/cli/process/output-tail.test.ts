import { describe, expect, it } from 'vitest';
import { OutputTail } from '../../../../cli/process/output-tail.js';

function likelyCause(...lines: string[]): string | null {
  const tail = new OutputTail(1_000);
  for (const line of lines) tail.add(line);
  return tail.likelyCause();
}

describe('the line that explains the end of a child', () => {
  it('is its last logged error', () => {
    const error = JSON.stringify({ level: 50, msg: 'no such model' });
    expect(likelyCause(error, JSON.stringify({ level: 30, msg: 'bye' }), 'noise')).toBe('no such model');
    expect(likelyCause(JSON.stringify({ level: 'fatal', msg: 'out of memory' }))).toBe('out of memory');
  });

  it("is else Node's report of an uncaught error", () => {
    expect(
      likelyCause('file:///a.js:1', 'throw x', '', 'TypeError: x is not a function', '    at y', 'Node.js v20.0.0'),
    ).toBe('TypeError: x is not a function');
  });

  it('is else its last line, or null', () => {
    expect(likelyCause('one', 'two', '')).toBe('two');
    expect(likelyCause('{"level":30,"msg":"fine"}')).toBeNull();
    expect(likelyCause()).toBeNull();
  });

  it('stays within the bound', () => {
    const tail = new OutputTail(10);
    for (const line of ['first', 'second', 'x'.repeat(100)]) tail.add(line);
    expect(tail.likelyCause()).toBe('x'.repeat(10));
  });
});
