import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Assignment } from '../../../../coordinator/retention/assignment.js';
import type { BlockMeta } from '../../../../src/core/block.js';

/** A prompt of so many blocks, in segments of two. */
function prompt(id: string, blocks: number) {
  const key = (index: number) => `${id}${index}`;
  return {
    id,
    blocks: Array.from(
      { length: blocks },
      (_, index): BlockMeta => ({
        key: key(index),
        parent: index > 0 ? key(index - 1) : null,
        index,
        segment: key(index - (index % 2)),
      }),
    ),
  };
}

const all = (...keys: string[]) => new Set(keys);
const workforce = { homesOf: () => ['x', 'y'], mostBlocks: () => 100 };

describe('an assignment', () => {
  it('has every worker retain a block until all its homes have it, then only the homes', () => {
    const retained = [prompt('p', 2)];
    const first = new Assignment(retained, workforce);
    for (const worker of ['x', 'y', 'guest']) expect(first.keysFor(worker, all())).toEqual(all('p0', 'p1'));
    first.has('x', all('p0', 'p1'));
    first.has('y', all('p0'));
    first.has('guest', all('p0', 'p1'));
    expect(first.settled()).toEqual(['p0']);
    const next = new Assignment(retained, workforce);
    expect(next.keysFor('guest', all('p0'))).toEqual(all('p1'));
    expect(next.keysFor('x', all('p0', 'p1'))).toEqual(all('p0', 'p1'));
  });

  it('reports the number of copies, the blocks that homes lack, and lost blocks', () => {
    const assignment = new Assignment([prompt('p', 3), prompt('q', 1)], workforce);
    assignment.has('x', all('p0', 'p1', 'q0'));
    assignment.has('y', all('p0', 'p2', 'q0'));
    assignment.has('guest', all('p1', 'p2'));
    expect(assignment.progress()).toEqual([
      {
        id: 'p',
        copies: 1,
        held: false,
        lost: false,
        lacking: new Map([
          ['x', 1],
          ['y', 1],
        ]),
      },
      { id: 'q', copies: 2, held: true, lost: false, lacking: new Map() },
    ]);
    const nothing = new Assignment([prompt('p', 1)], workforce);
    expect(nothing.progress()).toMatchObject([{ copies: 0, held: false, lost: true }]);
  });

  it('asks no home for more than it has memory for: the oldest come first', () => {
    const assignment = new Assignment([prompt('old', 2), prompt('new', 2)], {
      ...workforce,
      mostBlocks: (id) => (id === 'x' ? 3 : 4),
    });
    expect(assignment.keysFor('x', all())).toEqual(all('old0', 'old1', 'new0'));
    assignment.has('x', all('old0', 'old1', 'new0'));
    assignment.has('y', all('old0', 'old1', 'new0', 'new1'));
    const [old, fresh] = assignment.progress();
    expect([old!.held, fresh!.held, fresh!.copies, fresh!.lacking.size]).toEqual([true, false, 1, 0]);
  });

  it('assigns no block if the ring is empty', () => {
    const assignment = new Assignment([prompt('p', 1)], { homesOf: () => [], mostBlocks: () => 100 });
    expect(assignment.progress()).toMatchObject([{ copies: 0, held: false }]);
    expect(assignment.keysFor('x', all())).toEqual(all('p0'));
  });

  it('never releases the last copy: with any ring and any copies, a worker that has the block retains it', () => {
    const workers = ['a', 'b', 'c', 'd'];
    const some = fc.subarray(workers, { minLength: 1 });
    fc.assert(
      fc.property(
        fc.array(some, { minLength: 3, maxLength: 3 }),
        fc.array(some, { minLength: 6, maxLength: 6 }),
        (rings, copies) => {
          const retained = [prompt('p', 6)];
          const homesOf = (segment: string) => rings[Number(segment.slice(1)) / 2]!.slice(0, 2);
          let settled: ReadonlySet<string> = all();
          for (let round = 0; round < 2; round++) {
            const assignment = new Assignment(retained, { homesOf, mostBlocks: () => 100 });
            const kept = new Map(workers.map((worker) => [worker, assignment.keysFor(worker, settled)]));
            for (const worker of workers) {
              assignment.has(
                worker,
                new Set([...kept.get(worker)!].filter((key) => copies[Number(key.slice(1))]!.includes(worker))),
              );
            }
            for (const [index, holders] of copies.entries()) {
              expect(holders.some((holder) => kept.get(holder)!.has(`p${index}`))).toBe(true);
            }
            settled = new Set(assignment.settled());
          }
        },
      ),
    );
  });
});
