import { describe, expect, test } from 'vitest';
import { KnownSenders } from '../../../src/bus/known-senders.js';

interface State {
  readonly name: string;
  nonce: Uint8Array | null;
}

const NONCE = new Uint8Array(16);

describe('known senders', () => {
  function room(limit: number) {
    const forgotten: string[] = [];
    const senders = new KnownSenders<State>('self', { name: 'self', nonce: null }, limit, ({ name }) => {
      forgotten.push(name);
    });
    const hear = (name: string) => senders.touch(name, () => ({ name, nonce: NONCE }));
    const prove = (name: string) => {
      hear(name).nonce = null;
    };
    return { forgotten, hear, prove, names: () => [...senders.all()].map(({ name }) => name) };
  }

  test('are forgotten from the least recently heard one on, but never the receiver itself', () => {
    const { forgotten, prove, names } = room(3);
    for (const name of ['a', 'b', 'a', 'c', 'd']) prove(name);
    expect(forgotten).toEqual(['b', 'a']);
    expect(names()).toEqual(['self', 'c', 'd']);
  });

  test('are kept if they have proved that they live, however many others do not', () => {
    const { forgotten, hear, prove, names } = room(4);
    prove('a');
    prove('b');
    for (let i = 0; i < 10; i++) hear(`gone ${i}`);
    expect(forgotten).toHaveLength(9);
    expect(names()).toEqual(['self', 'a', 'b', 'gone 9']);
  });

  test('make room for a new one if all of them live', () => {
    const { forgotten, hear, prove } = room(3);
    prove('a');
    prove('b');
    expect(hear('c')).toBe(hear('c'));
    expect(forgotten).toEqual(['a']);
  });
});
