import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { Library } from '../../../src/runtime/library.js';

let dir: string;
let files = 0;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-library-'));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

async function hosted(code: string): Promise<string[]> {
  const file = join(dir, `module-${files++}.mjs`);
  await writeFile(file, code);
  const { exports } = await Library.load([file]);
  return exports.map(({ kind, name }) => `${kind} ${name}`);
}

describe('a module of a node', () => {
  it('is named if it takes long to load', async () => {
    const file = join(dir, 'endless.mjs');
    await writeFile(file, 'await new Promise(() => {}); export class Late {}');
    const clock = new SimulatedClock();
    const slow: string[] = [];
    void Library.load([file], { clock, onSlow: (name) => slow.push(name) });
    await clock.advance(9_999);
    expect(slow).toEqual([]);
    await clock.advance(1);
    expect(slow).toEqual([file]);
  });

  it('has functions whose text looks like that of a class', async () => {
    expect(
      await hosted('export const f = classes => 1; export const g = class{}; export class H extends g {}'),
    ).toEqual(['function f', 'class g', 'class H']);
  });

  it('hosts renamed and default exports under their own names too', async () => {
    expect(await hosted('class A {} function b() {} export { A as B, b as default }')).toEqual([
      'class B',
      'class A',
      'function b',
    ]);
    expect(await hosted('export class A {} export const Alias = A; export default A;')).toEqual([
      'class A',
      'class Alias',
    ]);
  });

  it('is refused where a class has more generators than others can know', async () => {
    const methods = (count: number) => Array.from({ length: count }, (_, i) => `async *m${i}() {}`).join(' ');
    expect(await hosted(`export class Many { ${methods(64)} }`)).toEqual(['class Many']);
    await expect(hosted(`export class Many { ${methods(65)} }`)).rejects.toThrow(
      /^--actors: Many in .* has 65 methods that are generators; at most 64 are allowed$/,
    );
  });
});
