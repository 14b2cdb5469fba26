import { describe, expect, it } from 'vitest';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { Cancelled, InvalidRequest, Overloaded, Refused, Unavailable } from '../../../src/errors.js';
import type { TextThread, ThreadEvents } from '../../../src/text/lane-thread.js';
import { TextLane } from '../../../src/text/text-lane.js';
import type { TextTask } from '../../../src/text/text-task.js';
import type { TaskForThread } from '../../../src/text/thread-messages.js';

/** A thread that answers when the test says so. */
class ScriptedThread implements TextThread {
  readonly posted: TaskForThread[] = [];
  readonly cancelled: number[] = [];
  ended = false;

  constructor(readonly events: ThreadEvents) {}

  post(message: TaskForThread): void {
    this.posted.push(message);
  }

  cancel(id: number): void {
    this.cancelled.push(id);
  }

  async end(): Promise<void> {
    this.ended = true;
    this.events.onEnd('it was ended');
  }

  ready(): void {
    this.events.onMessage({ type: 'ready', hasTemplate: true });
  }

  /** Finishes the task in hand. */
  finish(): void {
    const { id } = this.posted.at(-1)!;
    this.events.onMessage({ type: 'done', id, result: { type: 'tokens', tokens: Uint32Array.of(id) } });
  }
}

function setUp() {
  const clock = new SimulatedClock();
  const threads: ScriptedThread[] = [];
  const replaced: string[] = [];
  /** Share of the time in which this process has a processor. */
  const machine = { share: 1 };
  const lane = new TextLane({
    cpuMs: () => clock.now() * machine.share,
    ...{ clock, priority: 'normal', taskMs: 400, threads: 2, maxWaiting: 3, maxWaitingChars: 50 },
    start: (events) => {
      threads.push(new ScriptedThread(events));
      return threads.at(-1)!;
    },
    onReplaced: (reason) => replaced.push(reason),
  });
  const run = (text = 'text', signal = new AbortController().signal, name = '') =>
    lane.run(task(text), text.length, { tenant: { name, weight: 1 }, signal });
  return { clock, machine, threads, replaced, lane, run };
}

const task = (text: string): TextTask => ({
  type: 'encode',
  text,
  options: { param: 'prompt', addSpecialTokens: true, parseSpecial: true, mostTokens: 10 },
});
const live = new AbortController().signal;
const textsOf = (thread: ScriptedThread) => thread.posted.map((message) => (message.task as { text: string }).text);

describe('a lane of texts', () => {
  it('does tasks one after another, in the order in which they came, once its thread is ready', async () => {
    const { threads, lane, run } = setUp();
    const results = [run('a'), run('b')];
    expect(threads[0]!.posted).toEqual([]);
    threads[0]!.ready();
    expect(await lane.started).toEqual({ hasTemplate: true });
    expect(textsOf(threads[0]!)).toEqual(['a']);
    threads[0]!.finish();
    expect(textsOf(threads[0]!)).toEqual(['a', 'b']);
    threads[0]!.finish();
    expect(await Promise.all(results)).toEqual([1, 2].map((id) => ({ type: 'tokens', tokens: Uint32Array.of(id) })));
  });

  it('refuses a text that takes too long, and goes on in another thread', async () => {
    const { clock, threads, replaced, run } = setUp();
    threads[0]!.ready();
    const slow = expect(run('slow')).rejects.toThrow(InvalidRequest);
    const next = run('next');
    await clock.advance(400);
    await slow;
    expect([threads[0]!.ended, threads.length, replaced]).toEqual([true, 2, ['a text took more than 400 ms']]);
    threads[0]!.finish();
    threads[1]!.ready();
    threads[1]!.finish();
    expect((await next).type).toBe('tokens');
    expect(clock.nextAtMs()).toBeNull();
  });

  it('blames no text for a busy machine, and gives up only after a long time', async () => {
    const { clock, machine, threads, replaced, run } = setUp();
    machine.share = 0.25;
    threads[0]!.ready();
    const first = run('first');
    await clock.advance(1_500);
    threads[0]!.finish();
    expect((await first).type).toBe('tokens');
    const slow = expect(run('slow')).rejects.toThrow(InvalidRequest);
    await clock.advance(1_700);
    await slow;
    machine.share = 0;
    threads[1]!.ready();
    const starved = expect(run('starved')).rejects.toThrow(Overloaded);
    await clock.advance(3_200);
    await starved;
    expect(replaced).toEqual(['a text took more than 400 ms', 'the machine was too busy for a text for 3200 ms']);
  });

  it('refuses the text whose memory ended the thread, and goes on in another thread', async () => {
    const { threads, run } = setUp();
    threads[0]!.ready();
    const big = run('big');
    const next = run('next');
    threads[0]!.events.onEnd('out of memory');
    await expect(big).rejects.toThrow(/prompt: takes more memory/);
    threads[1]!.ready();
    threads[1]!.finish();
    expect((await next).type).toBe('tokens');
  });

  it('drops a waiting text whose client left, and asks the thread to stop a running one without ending it', async () => {
    const { threads, run } = setUp();
    threads[0]!.ready();
    const [first, second] = [new AbortController(), new AbortController()];
    const running = expect(run('a', first.signal)).rejects.toThrow(Cancelled);
    const waiting = expect(run('b', second.signal)).rejects.toThrow(Cancelled);
    const last = run('c');
    second.abort();
    first.abort();
    await Promise.all([running, waiting]);
    expect([threads[0]!.cancelled, threads[0]!.ended]).toEqual([[1], false]);
    threads[0]!.finish();
    threads[0]!.finish();
    expect((await last).type).toBe('tokens');
    expect(textsOf(threads[0]!)).toEqual(['a', 'c']);
  });

  it('refuses more texts than may wait, and more text', async () => {
    const { threads, run } = setUp();
    threads[0]!.ready();
    const accepted = [run('busy'), run('x'.repeat(40))];
    await expect(run('x'.repeat(11))).rejects.toThrow(Overloaded);
    accepted.push(run('a'), run('b'));
    await expect(run('c')).rejects.toThrow(Overloaded);
    for (let i = 0; i < 4; i++) threads[0]!.finish();
    expect(await Promise.all(accepted)).toHaveLength(4);
    void run('x'.repeat(50));
    expect(threads[0]!.posted).toHaveLength(5);
  });

  it('lets tenants take turns by the time of their texts, however many one of them has', async () => {
    const { clock, threads, run } = setUp();
    const results = [run('a1', live, 'a'), run('a2', live, 'a')];
    threads[0]!.ready();
    results.push(run('b1', live, 'b'), run('a3', live, 'a'));
    // The tenant that took more time waits longer.
    for (const tookMs of [20, 5, 30, 1]) {
      await clock.advance(tookMs);
      threads[0]!.finish();
      if (results.length < 6) results.push(run(`b${results.length}`, live, 'b'));
    }
    threads[0]!.finish();
    threads[0]!.finish();
    await Promise.all(results);
    expect(textsOf(threads[0]!)).toEqual(['a1', 'b1', 'b4', 'a2', 'a3', 'b5']);
  });

  it('starts another thread for a tenant that the text of another one holds up, and for no other', async () => {
    const { clock, threads, run } = setUp();
    threads[0]!.ready();
    const results = [run('a1', live, 'a'), run('a2', live, 'a')];
    await clock.advance(300);
    expect(threads).toHaveLength(1);
    threads[0]!.finish();
    results.push(run('b1', live, 'b'));
    await clock.advance(100);
    expect(threads).toHaveLength(2);
    threads[1]!.ready();
    results.push(run('a3', live, 'a'));
    expect([textsOf(threads[0]!), textsOf(threads[1]!)]).toEqual([['a1', 'a2'], ['b1']]);
    threads[1]!.finish();
    expect(textsOf(threads[1]!)).toEqual(['b1']);
    threads[0]!.finish();
    for (const thread of threads) if (thread.posted.at(-1)!.id === 0) thread.finish();
    threads.find((thread) => textsOf(thread).includes('a3'))!.finish();
    await Promise.all(results);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('takes a place of a full line from the tenant with most of them', async () => {
    const { threads, run } = setUp();
    threads[0]!.ready();
    const [first, second, third, last] = ['a0', 'a1', 'a2', 'a3'].map((text) => run(text, live, 'a')) as [
      Promise<unknown>,
      ...Promise<unknown>[],
    ];
    const displaced = expect(last).rejects.toThrow(Overloaded);
    const other = run('b', live, 'b');
    await displaced;
    await expect(run('a4', live, 'a')).rejects.toThrow(Overloaded);
    for (let i = 0; i < 4; i++) threads[0]!.finish();
    await Promise.all([first, second, third, other]);
  });

  it('reports a model that cannot be used, once', async () => {
    const { threads, lane } = setUp();
    threads[0]!.events.onMessage({ type: 'refused', error: { code: 'refused', message: 'no template' } });
    await expect(lane.started).rejects.toThrow(Refused);
    await lane.close();
  });

  it('tries again after a pause if a thread does not start, and refuses what waits until then', async () => {
    const { clock, threads, run } = setUp();
    threads[0]!.ready();
    const first = expect(run()).rejects.toThrow(InvalidRequest);
    threads[0]!.events.onEnd('out of memory');
    await first;
    const second = expect(run()).rejects.toThrow(Unavailable);
    threads[1]!.events.onEnd('no such file');
    await second;
    expect(threads).toHaveLength(2);
    await clock.advance(1_000);
    const third = run();
    threads[2]!.ready();
    threads[2]!.finish();
    expect((await third).type).toBe('tokens');
  });

  it('ends its thread and refuses everything when it closes', async () => {
    const { clock, threads, replaced, lane, run } = setUp();
    threads[0]!.ready();
    const open = [run(), run()].map((result) => expect(result).rejects.toThrow(Unavailable));
    await lane.close();
    await Promise.all(open);
    await expect(run()).rejects.toThrow(Unavailable);
    await settled();
    expect([threads.length, threads[0]!.ended, replaced, clock.nextAtMs()]).toEqual([1, true, [], null]);
  });
});
