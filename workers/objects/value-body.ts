import type { ObjectBody } from '../../src/objects/object-node.js';
import type { ObjectValue } from '../../src/objects/object-value.js';

/** Reads a part of a value in this process's memory. Takes over a reference to the value. */
export function valueBody(value: ObjectValue, from: number, end: number | null): ObjectBody {
  const pieces = value.pieces(Math.min(from, value.bytes), Math.min(end ?? value.bytes, value.bytes));
  let open = true;
  return {
    next: async () => {
      const piece = pieces.next();
      return piece.done ? null : { bytes: piece.value, release: value.hold().release.bind(value) };
    },
    close: () => {
      if (open) value.release();
      open = false;
    },
  };
}
