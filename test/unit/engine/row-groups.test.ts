import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { movesToFill, movesToFree, type RowMove, rowFor } from '../../../src/engine/row-groups.js';

type Row = { readonly kind: string; readonly id: number } | null;

function move(rows: Row[], moves: readonly RowMove[]): void {
  for (const { from, to } of moves) {
    // Each move goes to a row whose content is not needed any more.
    expect(rows[to] ?? null).toBeNull();
    rows[to] = rows[from]!;
    rows[from] = null;
  }
}

function groupsOf(rows: readonly Row[]): string[] {
  return rows.map((row) => row!.kind).filter((kind, i, kinds) => kind !== kinds[i - 1]);
}

describe('rows of several kinds', () => {
  it('stay adjacent by kind while rows come and go, and none is lost', () => {
    const step = fc.oneof(fc.record({ come: fc.constantFrom('a', 'b', 'c', 'd') }), fc.record({ go: fc.nat(1_000) }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const rows: Row[] = [];
        const alive = new Set<number>();
        for (const [id, each] of steps.entries()) {
          const kinds = rows.map((row) => row!.kind);
          if ('come' in each) {
            const place = rowFor(kinds, each.come);
            move(rows, movesToFree(kinds, place));
            expect(rows[place] ?? null).toBeNull();
            rows[place] = { kind: each.come, id };
            alive.add(id);
          } else if (rows.length > 0) {
            const index = each.go % rows.length;
            alive.delete(rows[index]!.id);
            rows[index] = null;
            move(rows, movesToFill(kinds, index));
            expect(rows.pop()).toBeNull();
          }
          expect(new Set(rows.map((row) => row!.id))).toEqual(alive);
          const groups = groupsOf(rows);
          expect(new Set(groups).size).toBe(groups.length);
        }
      }),
    );
  });

  it('of one kind move once when a row goes, and not when one comes', () => {
    expect(rowFor(['a', 'a', 'a'], 'a')).toBe(3);
    expect(movesToFree(['a', 'a', 'a'], 3)).toEqual([]);
    expect(movesToFill(['a', 'a', 'a'], 0)).toEqual([{ from: 2, to: 0 }]);
    expect(movesToFill(['a', 'a', 'a'], 2)).toEqual([]);
  });
});
