import { describe, expect, it } from 'vitest';
import { Recording } from '../../../coordinator/http/recording.js';
import { settled } from '../../../src/clock.js';
import { Cancelled, Unavailable } from '../../../src/errors.js';
import { collect } from './support/collect.js';

const never = new AbortController().signal;

/** A source of numbered events of about a quarter of a mebibyte, which counts how many were pulled. */
class Source {
  pulled = 0;
  left = false;

  constructor(
    private readonly count: number,
    private readonly failure: Error | null = null,
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<object> {
    try {
      for (; this.pulled < this.count; ) yield { at: this.pulled++, filling: 'x'.repeat(2 ** 18) };
      if (this.failure) throw this.failure;
    } finally {
      this.left = true;
    }
  }
}

function recorded(source: Source) {
  const told = { bytes: 0, ends: [] as boolean[] };
  const owner = {
    grew: (bytes: number) => {
      told.bytes += bytes;
    },
    ended: (ok: boolean) => void told.ends.push(ok),
  };
  return { recording: new Recording(source, owner), told };
}

const numbers = (texts: readonly string[]) => texts.map((text) => (JSON.parse(text) as { at: number }).at);

describe('a recording', () => {
  it('gives every reader all events, pulled once, at the pace of the foremost', async () => {
    const source = new Source(6);
    const { recording, told } = recorded(source);
    const early = recording.read(never);
    await early.next();
    await early.next();
    expect(source.pulled).toBe(2);
    expect(numbers(await collect(recording.read(never)))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(numbers(await collect(early))).toEqual([2, 3, 4, 5]);
    expect(numbers(await collect(recording.read(never)))).toEqual([0, 1, 2, 3, 4, 5]);
    expect([source.pulled, told.ends, told.bytes > 6 * 2 ** 18]).toEqual([6, [true], true]);
  });

  it('fails for every reader where its source fails, after the events before', async () => {
    const { recording, told } = recorded(new Source(1, new Unavailable('gone')));
    for (let i = 0; i < 2; i++) {
      const reading = recording.read(never);
      expect((await reading.next()).done).toBe(false);
      await expect(reading.next()).rejects.toThrow('gone');
    }
    expect(told.ends).toEqual([false]);
  });

  it('lets a reader go while the others read on', async () => {
    const { recording } = recorded(new Source(4));
    const leaving = new AbortController();
    const [gone, stays] = [recording.read(leaving.signal), recording.read(never)];
    await gone.next();
    leaving.abort(new Cancelled('the client disconnected'));
    await expect(gone.next()).rejects.toThrow('disconnected');
    expect(numbers(await collect(stays))).toEqual([0, 1, 2, 3]);
  });

  it('holds the foremost reader back for the slowest once it no longer keeps its start', async () => {
    const source = new Source(20);
    const { recording } = recorded(source);
    const [fast, slow] = [recording.read(never), recording.read(never)];
    await Promise.all([fast.next(), slow.next()]);
    recording.forgetStart();
    const rest = collect(fast);
    for (let i = 0; i < 20; i++) await settled();
    expect(source.pulled).toBeLessThan(10);
    expect(numbers(await collect(slow))).toHaveLength(19);
    expect(numbers(await rest)).toHaveLength(19);
  });

  it('does not hold it back for a reader that has left, nor for itself', async () => {
    const source = new Source(20);
    const { recording } = recorded(source);
    const [fast, slow] = [recording.read(never), recording.read(never)];
    await Promise.all([fast.next(), slow.next()]);
    recording.forgetStart();
    const rest = collect(fast);
    for (let i = 0; i < 20; i++) await settled();
    await slow.return();
    expect(await rest).toHaveLength(19);
  });

  it('ends its source when it is closed', async () => {
    const source = new Source(4);
    const { recording } = recorded(source);
    const reading = recording.read(never);
    await reading.next();
    await reading.return();
    expect(source.left).toBe(false);
    await recording.close();
    expect(source.left).toBe(true);
  });
});
