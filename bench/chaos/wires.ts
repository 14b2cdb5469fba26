import type { Random } from '../../src/random.js';

/** The conditions of the connections between members that go through proxies. */

/** The fate of the bytes that one member sends to another. */
export type WireCondition =
  | { readonly kind: 'open' }
  /** Bytes wait, as while packets are dropped; they are forwarded afterwards. */
  | { readonly kind: 'silent' }
  /** Connections are reset, and new ones too. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'slow'; readonly bitsPerS: number; readonly delayMs: number }
  /** One bit in about `everyBytes` is flipped. */
  | { readonly kind: 'corrupt'; readonly everyBytes: number; readonly random: Random }
  /** One bit of the byte at this offset of a connection is flipped, or the connection is closed before that byte. */
  | { readonly kind: 'flip' | 'cut'; readonly at: number; readonly onSpoilt: () => void }
  /** A connection is closed after at most this many bytes, drawn. */
  | { readonly kind: 'truncate'; readonly mostBytes: number; readonly random: Random };

const OPEN: WireCondition = { kind: 'open' };

/** The condition of each pair of members, by direction; open where none was set. */
export class Wires {
  private readonly conditions = new Map<string, WireCondition>();
  private readonly listeners = new Set<() => void>();

  of(from: string, to: string): WireCondition {
    return this.conditions.get(keyOf(from, to)) ?? OPEN;
  }

  set(from: string, to: string, condition: WireCondition): void {
    this.conditions.set(keyOf(from, to), condition);
    for (const listener of [...this.listeners]) listener();
  }

  /** Both directions. */
  setBoth(a: string, b: string, condition: WireCondition): void {
    this.set(a, b, condition);
    this.set(b, a, condition);
  }

  heal(): void {
    this.conditions.clear();
    for (const listener of [...this.listeners]) listener();
  }

  /** Calls back after each change. Returns what ends that. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

function keyOf(from: string, to: string): string {
  return `${from} ${to}`;
}
