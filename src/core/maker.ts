import { InternalError } from '../errors.js';

/** The maker of a block, the worker that computed it: its name, and its packed form. */

/** A worker in one incarnation. A block carries its maker in every copy, for as long as the block exists. */
export interface Maker {
  readonly id: string;
  readonly incarnation: string;
}

/** Size of a packed maker: two lengths of one byte, both names, zeros. */
export const PACKED_MAKER_BYTES = 128;

/** Whether both are the same. */
export function sameMaker(a: Maker, b: Maker): boolean {
  return a.id === b.id && a.incarnation === b.incarnation;
}

/** A string that is different for each maker, for use as a key of maps and in log lines. */
export function makerName({ id, incarnation }: Maker): string {
  return `${id}/${incarnation}`;
}

/** Writes a maker to the `PACKED_MAKER_BYTES` at an offset, which must be zero. @throws InternalError if the names do not fit */
export function writeMaker(maker: Maker, into: Buffer, at: number): void {
  const id = Buffer.from(maker.id, 'utf8');
  const incarnation = Buffer.from(maker.incarnation, 'utf8');
  if (id.length === 0 || incarnation.length === 0 || 2 + id.length + incarnation.length > PACKED_MAKER_BYTES) {
    throw new InternalError(`the maker of a block, ${makerName(maker)}, does not fit ${PACKED_MAKER_BYTES} bytes`);
  }
  into.writeUInt8(id.length, at);
  into.writeUInt8(incarnation.length, at + 1);
  into.set(id, at + 2);
  into.set(incarnation, at + 2 + id.length);
}

/** Reads what `writeMaker` wrote; null if it can have written no such bytes. */
export function readMaker(bytes: Buffer, at: number): Maker | null {
  const idEnd = at + 2 + bytes[at]!;
  const end = idEnd + bytes[at + 1]!;
  const limit = at + PACKED_MAKER_BYTES;
  if (idEnd === at + 2 || end === idEnd || end > limit) return null;
  for (let i = end; i < limit; i++) if (bytes[i] !== 0) return null;
  return { id: bytes.toString('utf8', at + 2, idEnd), incarnation: bytes.toString('utf8', idEnd, end) };
}
