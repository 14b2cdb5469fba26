import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Call } from '../../../src/actors/protocol.js';
import type { ActorRef } from '../../../src/actors/ref.js';
import { DEFAULT_RESTART_POLICY } from '../../../src/actors/restart-policy.js';
import type { ActorSystem } from '../../../src/actors/system.js';
import {
  Cancelled,
  Corrupt,
  DeadlineExceeded,
  InternalError,
  InvalidRequest,
  Overloaded,
  Refused,
  Unavailable,
} from '../../../src/errors.js';
import * as limits from '../../../src/limits.js';
import { Counter, CounterProtocol, deferred, drain, ScriptProtocol, scripted, type World } from './world.js';

/** The contract of actors, run between two nodes and within one, over any transport. */
export function actorSuite(name: string, makeWorld: () => World | Promise<World>): void {
  for (const place of ['elsewhere', 'here'] as const) {
    describe(`${name}: an actor ${place}`, () => callSuite(makeWorld, place));
    describe(`${name}: a stream from ${place}`, () => streamSuite(makeWorld, place));
  }
}

interface Stage {
  readonly world: World;
  /** Where the actors are. */
  readonly home: ActorSystem;
  /** The caller's reference to the same actor. */
  seen<P extends Parameters<ActorSystem['ref']>[0]>(ref: ActorRef<P>): ActorRef<P>;
}

function onStage(makeWorld: () => World | Promise<World>, place: 'here' | 'elsewhere'): () => Stage {
  let stage: Stage;
  beforeEach(async () => {
    const world = await makeWorld();
    const home = place === 'here' ? world.a : world.b;
    stage = { world, home, seen: (ref) => world.a.ref(ref.protocol, ref.address) };
  });
  afterEach(() => stage.world.close());
  return () => stage;
}

function callSuite(makeWorld: () => World | Promise<World>, place: 'here' | 'elsewhere'): void {
  const stage = onStage(makeWorld, place);

  test('answers and keeps the order of messages', async () => {
    const { home, seen } = stage();
    const counter = seen(await home.spawn(CounterProtocol, 'counter', () => new Counter()));
    for (const amount of [1, 2, 3]) counter.tell('add', { amount });
    expect(await counter.ask('total', {})).toBe(6);
    expect(await counter.ask('divide', { by: 4 })).toBe(1.5);
  });

  test('handles one message at a time', async () => {
    const { home, seen } = stage();
    const gate = deferred();
    const begun = deferred();
    const trace: string[] = [];
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          async run(note) {
            trace.push(`begin ${note}`);
            begun.resolve();
            await gate.promise;
            trace.push(`end ${note}`);
          },
        }),
      ),
    );
    const both = Promise.all([actor.ask('run', { note: 1 }), actor.ask('run', { note: 2 })]);
    await begun.promise;
    gate.resolve();
    await both;
    expect(trace).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2']);
  });

  test('passes its errors to the caller with their class and the wrong field', async () => {
    const { home, seen } = stage();
    const counter = seen(await home.spawn(CounterProtocol, 'counter', () => new Counter()));
    const error = await counter.ask('divide', { by: 0 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidRequest);
    expect(error).toMatchObject({ message: 'cannot divide by zero', param: 'by' });
    for (const Class of [Corrupt, Refused, Overloaded, Unavailable]) {
      const actor = seen(
        await home.spawn(ScriptProtocol, Class.name, () =>
          scripted({
            run() {
              throw new Class('on purpose');
            },
          }),
        ),
      );
      await expect(actor.ask('run', { note: null })).rejects.toThrow(Class);
    }
    expect(stage().world.events).toEqual([]);
  });

  test('refuses a request that violates its protocol, and names the field', async () => {
    const { home, seen } = stage();
    const counter = seen(await home.spawn(CounterProtocol, 'counter', () => new Counter()));
    const error = await counter.ask('divide', { by: 0.5 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidRequest);
    expect(error).toMatchObject({ param: 'by' });
    await expect(counter.ask('divide', { by: 1, more: 2 } as { by: number })).rejects.toThrow(InvalidRequest);
  });

  test('refuses another protocol', async () => {
    const { home, seen } = stage();
    const { address } = await home.spawn(CounterProtocol, 'counter', () => new Counter());
    const wrong = stage().world.a.ref(ScriptProtocol, address);
    await expect(seen(wrong).ask('run', { note: null })).rejects.toThrow(Refused);
    const inherited = stage().world.a.ref({ ...ScriptProtocol, name: 'counter' }, address);
    await expect(inherited.ask('run', { note: null })).rejects.toThrow(Refused);
  });

  test('is Unavailable if the node has no actor of that name', async () => {
    const { home, world } = stage();
    const missing = world.a.ref(CounterProtocol, { ...home.node, actor: 'missing' });
    await expect(missing.ask('total', {})).rejects.toThrow(Unavailable);
    expect(await drain(missing.stream('upTo', { limit: 1 }))).toMatchObject({
      items: [],
      error: expect.any(Unavailable),
    });
  });

  test('is Overloaded at once when its mailbox is full', async () => {
    const { home, seen } = stage();
    const begun = deferred();
    const gate = deferred();
    const actor = seen(
      await home.spawn(
        ScriptProtocol,
        'slow',
        () =>
          scripted({
            async run() {
              begun.resolve();
              await gate.promise;
            },
          }),
        { mailbox: 2 },
      ),
    );
    const first = actor.ask('run', { note: 0 });
    await begun.promise;
    const waiting = [actor.ask('run', { note: 1 }), actor.ask('run', { note: 2 })];
    await expect(actor.ask('run', { note: 3 })).rejects.toThrow(Overloaded);
    gate.resolve();
    await Promise.all([first, ...waiting]);
  });

  test('gets an aborted signal when its caller cancels; the caller does not wait for it', async () => {
    const { home, seen } = stage();
    const begun = deferred();
    const reason = deferred<unknown>();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'endless', () =>
        scripted({
          run: (_note, { signal }) =>
            new Promise((_, reject) => {
              begun.resolve();
              signal.addEventListener('abort', () => {
                reason.resolve(signal.reason);
                reject(new Error('a library that was aborted'));
              });
            }),
        }),
      ),
    );
    const abort = new AbortController();
    const call = actor.ask('run', { note: null }, { signal: abort.signal });
    await begun.promise;
    abort.abort();
    await expect(call).rejects.toThrow(Cancelled);
    expect(await reason.promise).toBeInstanceOf(Cancelled);
    await expect(actor.ask('run', { note: null }, { signal: abort.signal })).rejects.toThrow(Cancelled);
    expect(stage().world.events).toEqual([]);
  });

  test('gets an aborted signal when the deadline passes, and the caller DeadlineExceeded', async () => {
    const { home, seen, world } = stage();
    const begun = deferred<number | null>();
    const reason = deferred<unknown>();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'endless', () =>
        scripted({
          run: (_note, { signal, deadlineMs }) =>
            new Promise(() => {
              begun.resolve(deadlineMs);
              signal.addEventListener('abort', () => reason.resolve(signal.reason));
            }),
        }),
      ),
    );
    const call = actor.ask('run', { note: null }, { timeoutMs: 400 });
    const outcome = expect(call).rejects.toThrow(DeadlineExceeded);
    const deadlineMs = await begun.promise;
    expect(deadlineMs).toBeGreaterThan(0);
    expect(deadlineMs).toBeLessThanOrEqual(400);
    await world.pass(500);
    await outcome;
    expect(await reason.promise).toSatisfy((why) => why instanceof DeadlineExceeded || why instanceof Cancelled);
    await expect(actor.ask('run', { note: null }, { timeoutMs: 0 })).rejects.toThrow(DeadlineExceeded);
  });

  test('never sees a call that was cancelled while it waited', async () => {
    const { home, seen } = stage();
    const gate = deferred();
    const begun = deferred();
    const seenNotes: unknown[] = [];
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          async run(note) {
            seenNotes.push(note);
            begun.resolve();
            await gate.promise;
          },
        }),
      ),
    );
    const first = actor.ask('run', { note: 1 });
    await begun.promise;
    const abort = new AbortController();
    const second = actor.ask('run', { note: 2 }, { signal: abort.signal });
    const third = actor.ask('run', { note: 3 });
    abort.abort();
    await expect(second).rejects.toThrow(Cancelled);
    // Messages between two nodes keep their order, so the cancellation has arrived when this call is answered.
    const other = seen(await home.spawn(CounterProtocol, 'counter', () => new Counter()));
    await other.ask('total', {});
    gate.resolve();
    await Promise.all([first, third]);
    expect(seenNotes).toEqual([1, 3]);
  });

  test('crashes on an unexpected error, answers internal, and handles the waiting calls in its next life', async () => {
    const { home, seen, world } = stage();
    const gate = deferred();
    const begun = deferred();
    const lives: number[] = [];
    const released: number[] = [];
    const ref = await home.spawn(ScriptProtocol, 'fragile', ({ onStop }) => {
      const life = lives.push(lives.length);
      onStop(() => void released.push(life));
      return scripted({
        async run(note) {
          begun.resolve();
          if (note !== 'crash') return life;
          await gate.promise;
          throw new TypeError('undefined is not a function');
        },
      });
    });
    const actor = seen(ref);
    const crashing = actor.ask('run', { note: 'crash' });
    await begun.promise;
    const waiting = actor.ask('run', { note: 'go on' });
    const outcome = expect(crashing).rejects.toThrow(InternalError);
    gate.resolve();
    await outcome;
    await world.pass(DEFAULT_RESTART_POLICY.backoffMs);
    expect(await waiting).toBe(2);
    expect(released).toEqual([1]);
    expect(world.events).toMatchObject([
      { type: 'crashed', actor: 'fragile', restartAfterMs: DEFAULT_RESTART_POLICY.backoffMs },
    ]);
  });

  test('fails waiting and running calls when it is stopped', async () => {
    const { home, seen } = stage();
    const begun = deferred();
    let released = false;
    const ref = await home.spawn(ScriptProtocol, 'script', ({ onStop }) => {
      onStop(() => {
        released = true;
      });
      return scripted({
        run: () => {
          begun.resolve();
          return new Promise(() => undefined);
        },
      });
    });
    const actor = seen(ref);
    const calls = [actor.ask('run', { note: 1 }), actor.ask('run', { note: 2 })];
    const outcomes = Promise.allSettled(calls);
    await begun.promise;
    await home.stopActor('script');
    expect(released).toBe(true);
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: expect.any(Unavailable) });
    await expect(actor.ask('run', { note: 3 })).rejects.toThrow(Unavailable);
  });

  test('shares no objects with its callers', async () => {
    const { home, seen } = stage();
    const counter = seen(await home.spawn(CounterProtocol, 'counter', () => new Counter()));
    const request = { by: 0 };
    const call = counter.ask('divide', request).catch((error: unknown) => error);
    expect(await call).toBeInstanceOf(InvalidRequest);
    const kept: unknown[] = [];
    const actor = await home.spawn(CounterProtocol, 'keeper', () => ({
      add: (message) => void kept.push(message),
      total: () => kept.length,
      divide: () => 0,
      async *upTo() {},
    }));
    const message = { amount: 1 };
    seen(actor).tell('add', message);
    await seen(actor).ask('total', {});
    message.amount = 2;
    expect(kept).toEqual([{ amount: 1 }]);
  });
}

function streamSuite(makeWorld: () => World | Promise<World>, place: 'here' | 'elsewhere'): void {
  const stage = onStage(makeWorld, place);

  test('yields many times the window of items, in order', async () => {
    const { home, seen } = stage();
    const counter = seen(await home.spawn(CounterProtocol, 'counter', () => new Counter()));
    const limit = limits.STREAM_WINDOW_ITEMS * 5 + 3;
    const { items, error } = await drain(counter.stream('upTo', { limit }));
    expect(error).toBeNull();
    expect(items).toEqual(Array.from({ length: limit }, (_, i) => i + 1));
    expect(await drain(counter.stream('upTo', { limit: 0 }))).toEqual({ items: [], error: null });
  });

  test('runs concurrently with other messages', async () => {
    const { home, seen } = stage();
    const gate = deferred();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          run: () => 'answered',
          async *flow() {
            yield 'first';
            await gate.promise;
            yield 'last';
          },
        }),
      ),
    );
    const items = actor.stream('flow', { note: null })[Symbol.asyncIterator]();
    expect(await items.next()).toEqual({ done: false, value: 'first' });
    expect(await actor.ask('run', { note: null })).toBe('answered');
    gate.resolve();
    expect(await items.next()).toEqual({ done: false, value: 'last' });
    expect((await items.next()).done).toBe(true);
  });

  test('does not get ahead of its reader by more than the window', async () => {
    const { home, seen, world } = stage();
    let made = 0;
    const stalled = deferred();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          async *flow() {
            for (;;) {
              if (made === limits.STREAM_WINDOW_ITEMS) stalled.resolve();
              yield made++;
            }
          },
        }),
      ),
    );
    const items = actor.stream('flow', { note: null })[Symbol.asyncIterator]();
    await items.next();
    // Messages sent before this call have been handled when it is answered.
    await actor.ask('run', { note: null });
    await world.pass(1);
    await actor.ask('run', { note: null });
    expect(made).toBeLessThanOrEqual(limits.STREAM_WINDOW_ITEMS + 1);
    for (let i = 0; i < limits.STREAM_WINDOW_ITEMS; i++) await items.next();
    await stalled.promise;
    await items.return?.();
  });

  test('ends its iterable when the reader leaves', async () => {
    const { home, seen } = stage();
    const ended = deferred();
    const aborted = deferred();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          async *flow(_note, { signal }) {
            signal.addEventListener('abort', () => aborted.resolve());
            try {
              for (let i = 0; ; i++) yield i;
            } finally {
              ended.resolve();
            }
          },
        }),
      ),
    );
    for await (const item of actor.stream('flow', { note: null })) if (item === 3) break;
    await Promise.all([ended.promise, aborted.promise]);
  });

  test('throws Cancelled at once, and aborts the handler, when the reader cancels while it waits', async () => {
    const { home, seen } = stage();
    const aborted = deferred();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          async *flow(_note, { signal }) {
            signal.addEventListener('abort', () => aborted.resolve());
            yield 1;
            await new Promise(() => undefined);
          },
        }),
      ),
    );
    const abort = new AbortController();
    const items = actor.stream('flow', { note: null }, { signal: abort.signal })[Symbol.asyncIterator]();
    await items.next();
    const next = items.next();
    abort.abort();
    await expect(next).rejects.toThrow(Cancelled);
    await aborted.promise;
    expect((await items.next()).done).toBe(true);
  });

  test('throws Cancelled at once, even if items wait to be read', async () => {
    const { home, seen, world } = stage();
    const counter = seen(await home.spawn(CounterProtocol, 'counter', () => new Counter()));
    const abort = new AbortController();
    const source = counter.stream('upTo', { limit: 10_000 }, { signal: abort.signal });
    const items = source[Symbol.asyncIterator]();
    await items.next();
    await counter.ask('total', {});
    await world.pass(1);
    abort.abort();
    await expect(items.next()).rejects.toThrow(Cancelled);
    expect((await items.next()).done).toBe(true);
  });

  test('ends with DeadlineExceeded after the items that arrived before the deadline', async () => {
    const { home, seen, world } = stage();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          async *flow() {
            yield 1;
            await new Promise(() => undefined);
          },
        }),
      ),
    );
    const done = drain(actor.stream('flow', { note: null }, { timeoutMs: 400 }));
    await world.pass(500);
    expect(await done).toMatchObject({ items: [1], error: expect.any(DeadlineExceeded) });
  });

  test('yields the items before an error, then throws the error', async () => {
    const { home, seen } = stage();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          async *flow() {
            yield 1;
            yield 2;
            throw new Corrupt('bad bytes');
          },
        }),
      ),
    );
    expect(await drain(actor.stream('flow', { note: null }))).toMatchObject({
      items: [1, 2],
      error: expect.any(Corrupt),
    });
    expect(stage().world.events).toEqual([]);
  });

  test('crashes the actor with an unexpected error, and other streams of that life fail with Unavailable', async () => {
    const { home, seen, world } = stage();
    const actor = seen(
      await home.spawn(ScriptProtocol, 'script', () =>
        scripted({
          run: () => 'alive',
          async *flow(note) {
            yield note;
            if (note === 'crash') throw new TypeError('undefined is not a function');
            await new Promise(() => undefined);
          },
        }),
      ),
    );
    const innocent = actor.stream('flow', { note: 'innocent' })[Symbol.asyncIterator]();
    await innocent.next();
    const next = innocent.next();
    const outcome = expect(next).rejects.toThrow(Unavailable);
    const guilty = await drain(actor.stream('flow', { note: 'crash' }));
    expect(guilty).toMatchObject({ items: ['crash'], error: expect.any(InternalError) });
    await outcome;
    await world.pass(DEFAULT_RESTART_POLICY.backoffMs);
    expect(await actor.ask('run', { note: null })).toBe('alive');
  });

  test('refuses items that violate the protocol', async () => {
    const { home, seen } = stage();
    const aborted = deferred();
    const counter = await home.spawn(CounterProtocol, 'counter', () =>
      Object.assign(new Counter(), {
        async *upTo(_request: unknown, { signal }: Call) {
          signal.addEventListener('abort', () => aborted.resolve());
          yield 1;
          yield 1.5;
          await new Promise<never>(() => undefined);
        },
      }),
    );
    const { items, error } = await drain(seen(counter).stream('upTo', { limit: 3 }));
    expect(items).toEqual([1]);
    expect(error).toBeInstanceOf(InternalError);
    await aborted.promise;
  });
}
