import type { Position } from './machine.js';

/**
 * Lengths of tokens in bytes that divide a vocabulary. Which tokens of a part may follow is looked up once for all positions that no text as long as the
 * longest of them tells apart, so few tokens should be in a part with longer ones: of 128,000 tokens, 5 % have more than 12 bytes, and 0.3 % more than 24.
 */
const PART_BYTES = [12, 24];

/** The tokens of a vocabulary by their bytes. */
export class TokenTrie {
  /** The tokens by their length, the shortest first. */
  readonly parts: readonly TokenPart[];
  /** The bytes of all tokens, one after another, and where each token's begin. */
  private readonly packed: Uint8Array;
  private readonly starts: Uint32Array;

  /**
   * @param vocab the ids are less than this
   * @param bytesOf the bytes of a token; null or none for one that no text may have
   */
  constructor(
    readonly vocab: number,
    bytesOf: (id: number) => Uint8Array | null,
  ) {
    this.starts = new Uint32Array(vocab + 1);
    for (let id = 0; id < vocab; id++) this.starts[id + 1] = this.starts[id]! + (bytesOf(id)?.byteLength ?? 0);
    this.packed = new Uint8Array(this.starts[vocab]!);
    for (let id = 0; id < vocab; id++) this.packed.set(bytesOf(id) ?? [], this.starts[id]!);
    const ids = Array.from({ length: vocab }, (_, id) => id).filter((id) => this.bytesOf(id).byteLength > 0);
    ids.sort((a, b) => Buffer.compare(this.bytesOf(a), this.bytesOf(b)));
    this.parts = [...PART_BYTES, Number.POSITIVE_INFINITY].flatMap((most, i) => {
      const isIn = (bytes: number) => bytes > (PART_BYTES[i - 1] ?? 0) && bytes <= most;
      const part = ids.filter((id) => isIn(this.bytesOf(id).byteLength));
      return part.length === 0 ? [] : new TokenPart(part, (id) => this.bytesOf(id));
    });
  }

  /** The position after a token; null if the token may not follow. */
  after(position: Position, token: number): Position | null {
    const [start, end] = [this.starts[token]!, this.starts[token + 1]!];
    if (start === end) return null;
    let at: Position | null = position;
    for (let i = start; at !== null && i < end; i++) at = at.next(this.packed[i]!);
    return at;
  }

  private bytesOf(id: number): Uint8Array {
    return this.packed.subarray(this.starts[id]!, this.starts[id + 1]!);
  }
}

/** The bytes of some tokens as a tree, in which tokens that begin alike share a path. */
export class TokenPart {
  /** Length of the longest token. */
  readonly mostBytes: number;
  /** Nodes in the order of a walk that visits a node before the nodes below it. */
  private readonly bytes: Uint8Array;
  private readonly depths: Uint16Array;
  /** By node: the next one that is not below it. */
  private readonly skips: Uint32Array;
  /** By node: where its tokens begin in `tokens`; they end where the next node's begin. */
  private readonly tokenStarts: Uint32Array;
  private readonly tokens: Uint32Array;

  /** @param ids in the order of their bytes */
  constructor(ids: readonly number[], bytesOf: (id: number) => Uint8Array) {
    const nodes: { byte: number; depth: number; tokens: number[] }[] = [];
    let before: Uint8Array = new Uint8Array();
    let mostBytes = 0;
    for (const id of ids) {
      const bytes = bytesOf(id);
      mostBytes = Math.max(mostBytes, bytes.byteLength);
      for (let depth = commonPrefix(before, bytes); depth < bytes.length; depth++)
        nodes.push({ byte: bytes[depth]!, depth, tokens: [] });
      nodes.at(-1)!.tokens.push(id);
      before = bytes;
    }
    this.mostBytes = mostBytes;
    this.bytes = Uint8Array.from(nodes, ({ byte }) => byte);
    this.depths = Uint16Array.from(nodes, ({ depth }) => depth);
    this.skips = skipsOf(this.depths);
    this.tokens = Uint32Array.from(nodes.flatMap(({ tokens }) => tokens));
    this.tokenStarts = new Uint32Array(nodes.length + 1);
    for (const [i, { tokens }] of nodes.entries()) this.tokenStarts[i + 1] = this.tokenStarts[i]! + tokens.length;
  }

  /** Sets the bits of the tokens that may follow a position. */
  mark(position: Position, mask: Uint32Array): void {
    const path: Position[] = [position];
    const nodes = this.bytes.length;
    for (let node = 0; node < nodes; ) {
      const depth = this.depths[node]!;
      const next = path[depth]!.next(this.bytes[node]!);
      if (next === null) {
        node = this.skips[node]!;
        continue;
      }
      path[depth + 1] = next;
      for (let i = this.tokenStarts[node]!; i < this.tokenStarts[node + 1]!; i++) {
        const id = this.tokens[i]!;
        mask[id >>> 5]! |= 1 << (id & 31);
      }
      node++;
    }
  }
}

function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

/** By node, the next node that is not deeper. */
function skipsOf(depths: Uint16Array): Uint32Array {
  const skips = new Uint32Array(depths.length);
  const open: number[] = [];
  for (let node = 0; node < depths.length; node++) {
    while (open.length > 0 && depths[open.at(-1)!]! >= depths[node]!) skips[open.pop()!] = node;
    open.push(node);
  }
  for (const node of open) skips[node] = depths.length;
  return skips;
}
