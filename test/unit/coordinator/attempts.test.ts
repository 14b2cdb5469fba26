import { describe, expect, it } from 'vitest';
import {
  type Attempted,
  type Choose,
  type Placed,
  REQUEST_ATTEMPTS,
  REQUEST_LOSSES,
  REQUEST_OUTAGES_MS,
  runToItsEnd,
} from '../../../coordinator/attempts.js';
import type { FleetEvent } from '../../../coordinator/fleet.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import {
  Cancelled,
  InternalError,
  InvalidRequest,
  Overloaded,
  PoisonousPrompt,
  Refused,
  RunFailed,
  Unavailable,
} from '../../../src/errors.js';
import { type GenerateEvent, type GenerateRequest, unpackTokens } from '../../../src/protocol/generate.js';
import { GREEDY, TEN_TOKENS } from '../engine/support/rig.js';

const REQUEST: Attempted = {
  requestId: 'r',
  fingerprint: 'f'.repeat(64),
  tokens: Uint32Array.of(1, 2, 3),
  salt: 'tenant',
  sampling: GREEDY,
  stopping: TEN_TOKENS,
};
const START: GenerateEvent = { type: 'start', cached: { local: 0, remote: 0, computed: 3 }, queueMs: 1 };
const END: GenerateEvent = { type: 'end', reason: 'stop', token: 9 };
const promptPart = (...logprobs: (number | null)[]): GenerateEvent => ({
  type: 'prompt',
  logprobs: logprobs.map((logprob) => (logprob === null ? null : { logprob, top: [] })),
});
const tokens = (...ids: number[]): GenerateEvent => ({ type: 'tokens', ids });

type Step = GenerateEvent | Error | 'forever';

/** Scripted workers, chosen in order. */
class Stage {
  readonly requests: GenerateRequest[] = [];
  readonly placements: { readonly tokens: number[]; readonly tried: string[]; readonly cutOff: string[] }[] = [];
  readonly calls: string[] = [];
  /** Workers on which the cached prefix was in place. */
  readonly starts: string[] = [];
  readonly trials: string[] = [];
  /** Indices of placements whose worker died. */
  readonly dead = new Set<number>();
  /** Whether it is known that somebody killed them. */
  killed = false;
  /** Indices of placements during which the bus is lost. */
  readonly outages = new Set<number>();
  /** Attempts whose direct connection breaks. */
  readonly cuts = new Set<number>();
  readonly clock = new SimulatedClock();
  /** Time that each attempt takes. */
  attemptMs = 0;
  resumed = 0;
  readonly abort = new AbortController();

  constructor(private readonly parts: readonly (readonly Step[])[]) {}

  readonly choose: Choose = async (prompt, _resumed, { tried, cutOff }) => {
    const index = this.placements.length;
    const part = this.parts[index];
    if (!part) return null;
    this.placements.push({ tokens: [...prompt], tried: [...tried], cutOff: [...cutOff] });
    const placed: Placed = {
      worker: {
        id: `w${index}`,
        instance: `w${index}`,
        run: (request, signal) => this.play(part, request, signal),
      },
      trial: {
        started: () => this.trials.push(`started w${index}`),
        generated: (count) => this.trials.push(`${count} of w${index}`),
        complete: () => this.trials.push(`completed w${index}`),
        lost: () => {
          this.trials.push(`lost w${index}`);
          return { fate: this.dead.has(index) ? 'dead' : 'spared', explained: this.killed };
        },
      },
      sources: [{ worker: 'peer', blocks: index }],
      started: () => this.starts.push(`w${index}`),
      prefilled: () => this.calls.push(`prefilled w${index}`),
      busWasLost: () => this.outages.has(index),
      connectionWasLost: () => this.cuts.has(index),
      done: () => this.calls.push(`done w${index}`),
    };
    return placed;
  };

  run(request = REQUEST): AsyncGenerator<FleetEvent> {
    return runToItsEnd(request, this.choose, this.abort.signal, this.clock, () => this.resumed++);
  }

  async all(request = REQUEST): Promise<{ events: FleetEvent[]; error: unknown }> {
    const events: FleetEvent[] = [];
    try {
      for await (const event of this.run(request)) events.push(event);
    } catch (error) {
      return { events, error };
    }
    return { events, error: null };
  }

  private async *play(part: readonly Step[], request: GenerateRequest, signal: AbortSignal) {
    this.requests.push(request);
    await this.clock.advance(this.attemptMs);
    for (const step of part) {
      if (step === 'forever') {
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        throw new Unavailable('the call was dropped');
      }
      if (step instanceof Error) throw step;
      yield step;
    }
  }
}

describe('running a request to its end', () => {
  it('ends with the worker that ends it', async () => {
    const stage = new Stage([[START, tokens(4), tokens(5, 6), END]]);
    const { events, error } = await stage.all();
    expect(error).toBeNull();
    expect(events).toEqual([{ ...START, worker: 'w0' }, tokens(4), tokens(5, 6), END]);
    expect(stage.requests[0]).toMatchObject({
      requestId: 'r',
      resumeTokens: 0,
      sources: [{ worker: 'peer', blocks: 0 }],
    });
    expect(stage.requests[0]!.sources).toEqual([{ worker: 'peer', blocks: 0 }]);
    expect(stage.requests[0]!.salt).toBe('tenant');
    expect(stage.resumed).toBe(0);
    expect(stage.calls.filter((call) => call === 'done w0').length).toBe(1);
  });

  it('resumes on another worker, without repeating or skipping a token', async () => {
    const lost = new Unavailable('gone');
    const stage = new Stage([
      [START, tokens(4), tokens(5, 6), lost],
      [START, lost],
      [START, tokens(7), END],
    ]);
    const { events, error } = await stage.all();
    expect(error).toBeNull();
    expect(events).toEqual([{ ...START, worker: 'w0' }, tokens(4), tokens(5, 6), tokens(7), END]);
    expect(stage.placements).toEqual([
      { tokens: [1, 2, 3], tried: [], cutOff: [] },
      { tokens: [1, 2, 3, 4, 5, 6], tried: ['w0'], cutOff: [] },
      { tokens: [1, 2, 3, 4, 5, 6], tried: ['w0', 'w1'], cutOff: [] },
    ]);
    expect(stage.requests.map((request) => [...unpackTokens(request.tokens)])).toEqual([
      [1, 2, 3],
      [1, 2, 3, 4, 5, 6],
      [1, 2, 3, 4, 5, 6],
    ]);
    expect(stage.requests.map(({ resumeTokens }) => resumeTokens)).toEqual([0, 3, 3]);
    expect(stage.requests.map(({ sources }) => sources[0]?.blocks)).toEqual([0, 1, 2]);
    expect(stage.requests.map(({ stopping }) => stopping)).toEqual([TEN_TOKENS, TEN_TOKENS, TEN_TOKENS]);
    expect(stage.resumed).toBe(2);
    expect(stage.calls.filter((call) => call.startsWith('done'))).toEqual(['done w0', 'done w1', 'done w2']);
  });

  it('needs no other worker if all tokens arrived before the worker was lost', async () => {
    const ten = tokens(...Array.from({ length: 10 }, (_, i) => i));
    const stage = new Stage([
      [START, ten, new Unavailable('lost')],
      [START, END],
    ]);
    const { events, error } = await stage.all();
    expect(error).toBeNull();
    expect(events.at(-1)).toEqual({ type: 'end', reason: 'length', token: null });
    expect(stage.placements).toHaveLength(1);
    expect(stage.calls).toContain('done w0');
  });

  it('names the worker of the first output, once', async () => {
    const stage = new Stage([
      [START, new Unavailable('gone')],
      [START, tokens(4), new Unavailable('gone')],
      [START, tokens(5), END],
    ]);
    const { events } = await stage.all();
    expect(events).toEqual([{ ...START, worker: 'w1' }, tokens(4), tokens(5), END]);
    expect(stage.resumed).toBe(1);
  });

  it('requests the log-probabilities of the prompt until they have arrived', async () => {
    const prompt = promptPart(null, -1, -2);
    const stage = new Stage([
      [START, new Unavailable('gone')],
      [START, prompt, new Unavailable('gone')],
      [START, tokens(5), END],
    ]);
    const { events } = await stage.all({ ...REQUEST, sampling: { ...GREEDY, promptLogprobs: true } });
    expect(events.filter(({ type }) => type === 'prompt')).toEqual([prompt]);
    expect(stage.requests.map(({ sampling }) => sampling.promptLogprobs)).toEqual([true, true, false]);
  });

  it('passes on each log-probability of the prompt once, whichever parts were lost', async () => {
    const stage = new Stage([
      [START, promptPart(null), new Unavailable('gone')],
      [START, promptPart(null), new Unavailable('gone')],
      [START, promptPart(null, -1), promptPart(-2), tokens(5), END],
    ]);
    const { events, error } = await stage.all({ ...REQUEST, sampling: { ...GREEDY, promptLogprobs: true } });
    expect(error).toBeNull();
    expect(events).toEqual([
      { ...START, worker: 'w0' },
      promptPart(null),
      promptPart(-1),
      promptPart(-2),
      tokens(5),
      END,
    ]);
    expect(stage.requests.map(({ sampling }) => sampling.promptLogprobs)).toEqual([true, true, true]);
    expect(stage.calls).toEqual(['done w0', 'done w1', 'prefilled w2', 'prefilled w2', 'prefilled w2', 'done w2']);
  });

  it('reports the end of the prefill with the first output, and not before', async () => {
    const stage = new Stage([[START, tokens(4), END]]);
    const events = stage.run();
    await events.next();
    expect([stage.starts, stage.calls]).toEqual([['w0'], ['prefilled w0']]);
    const other = new Stage([[START, 'forever']]);
    const waiting = other.run().next();
    await settled();
    other.abort.abort();
    await expect(waiting).rejects.toBeInstanceOf(Cancelled);
    expect(other.calls).toEqual(['done w0']);
    await events.return(undefined);
    expect(stage.calls.at(-1)).toBe('done w0');
  });

  it('tries another worker if a queue is full; is Overloaded if all are full', async () => {
    const full = new Overloaded('full');
    const passed = await new Stage([[full], [START, tokens(4), END]]).all();
    expect(passed.error).toBeNull();
    const stage = new Stage([[full], [full]]);
    expect((await stage.all()).error).toBe(full);
    const many = new Stage([...Array.from({ length: 3 * REQUEST_ATTEMPTS }, () => [full]), [START, tokens(4), END]]);
    expect((await many.all()).error).toBeNull();
  });

  it('is Unavailable if no worker serves', async () => {
    expect((await new Stage([]).all()).error).toBeInstanceOf(Unavailable);
  });

  it('tries one other worker if the run fails, and does not count it as a loss of the worker', async () => {
    const failed = new RunFailed('the graph cannot be run');
    const stage = new Stage([
      [START, tokens(4), failed],
      [START, tokens(5), END],
    ]);
    const { events, error } = await stage.all();
    expect(error).toBeNull();
    expect(events.slice(1)).toEqual([tokens(4), tokens(5), END]);
    expect(stage.placements[1]).toEqual({ tokens: [1, 2, 3, 4], tried: ['w0'], cutOff: [] });
    expect(stage.trials).not.toContain('lost w0');
    const poison = new Stage([
      [START, failed],
      [START, failed],
      [START, tokens(4), END],
    ]);
    expect((await poison.all()).error).toBe(failed);
    expect(poison.placements.length).toBe(2);
  });

  it.each([new InvalidRequest('wrong', 'prompt'), new Refused('another fleet'), new InternalError('crashed')])(
    'does not try another worker after %s',
    async (error) => {
      const stage = new Stage([[error], [START, tokens(4), END]]);
      expect((await stage.all()).error).toBe(error);
      expect(stage.placements.length).toBe(1);
      expect(stage.calls).toEqual(['done w0']);
    },
  );

  it('tries a limited number of workers', async () => {
    const lost = new Unavailable('gone');
    const stage = new Stage(Array.from({ length: REQUEST_ATTEMPTS + 1 }, () => [lost]));
    expect((await stage.all()).error).toBe(lost);
    expect(stage.placements.length).toBe(REQUEST_ATTEMPTS);
  });

  it('reports the progress of each attempt, and a loss only if NATS is not to blame', async () => {
    const lost = new Unavailable('lost on the way');
    const stage = new Stage([
      [START, tokens(4, 5), lost],
      [START, lost],
      [START, tokens(6), END],
    ]);
    stage.outages.add(1);
    expect((await stage.all()).error).toBeNull();
    expect(stage.trials).toEqual([
      ...['started w0', '2 of w0', 'lost w0'],
      'started w1',
      ...['started w2', '1 of w2', 'completed w2'],
    ]);
  });

  it('is not charged for deaths, but witnesses a limited number of them', async () => {
    const lost = new Unavailable('gone');
    const patient = new Stage([...Array.from({ length: 2 * REQUEST_ATTEMPTS }, () => [START, lost]), [START, END]]);
    for (let i = 0; i < 2 * REQUEST_ATTEMPTS; i++) patient.dead.add(i);
    expect((await patient.all()).error).toBeNull();
    const stage = new Stage(Array.from({ length: REQUEST_LOSSES + 1 }, () => [START, lost]));
    for (let i = 0; i <= REQUEST_LOSSES; i++) stage.dead.add(i);
    stage.killed = true;
    const { error } = await stage.all();
    expect((error as Error).message).toBe(
      `cannot finish the answer: ${REQUEST_LOSSES} workers died that ran it; retry when /health/ready returns 200`,
    );
    expect((error as Error).cause).toBe(lost);
    expect(stage.placements.length).toBe(REQUEST_LOSSES);
  });

  it('that crashed workers only gets an error that does not invite to retry', async () => {
    const lost = new Unavailable('gone');
    const outcomeOf = async (parts: readonly (readonly Step[])[], ...dead: number[]) => {
      const stage = new Stage(parts);
      for (const index of dead) stage.dead.add(index);
      return (await stage.all()).error;
    };
    expect(
      await outcomeOf(
        [
          [START, lost],
          [START, lost],
        ],
        0,
        1,
      ),
    ).toBeInstanceOf(PoisonousPrompt);
    // One worker lives on, one death is no pattern, and a request that has not begun cannot have crashed its worker.
    expect(
      await outcomeOf(
        [
          [START, lost],
          [START, lost],
          [START, lost],
        ],
        0,
        1,
      ),
    ).toBe(lost);
    for (const error of [await outcomeOf([[START, lost]], 0), await outcomeOf([[START, lost], [lost]], 0, 1)]) {
      expect(error).not.toBeInstanceOf(PoisonousPrompt);
      expect(error).toBeInstanceOf(Unavailable);
      expect((error as Error).message).toMatch(/died.*; retry when/);
    }
  });

  it('does not blame a worker for a loss of the bus, but always for a full queue', async () => {
    const lost = new Unavailable('lost on the way');
    const stage = new Stage([[START, tokens(4), lost], [new Overloaded('full')], [lost], [START, tokens(5), END]]);
    stage.outages.add(0).add(1);
    expect((await stage.all()).events).toEqual([{ ...START, worker: 'w0' }, tokens(4), tokens(5), END]);
    expect(stage.placements.map(({ tried }) => tried)).toEqual([[], [], ['w1'], ['w1', 'w2']]);
  });

  it('is not charged for losses of the bus, however many', async () => {
    const lost = new Unavailable('lost on the way');
    const many = 2 * REQUEST_LOSSES;
    const stage = new Stage([...Array.from({ length: many }, () => [START, lost]), [START, tokens(4), END]]);
    for (let i = 0; i < many; i++) stage.outages.add(i);
    expect((await stage.all()).error).toBeNull();
  });

  it('gives up where the bus is lost again and again for too long, unless the answer advances meanwhile', async () => {
    const lost = new Unavailable('lost on the way');
    const many = 100;
    const stuck = new Stage(Array.from({ length: many }, () => [START, lost]));
    const advancing = new Stage([...Array.from({ length: many }, () => [START, tokens(4), lost]), [START, END]]);
    for (const stage of [stuck, advancing]) {
      stage.attemptMs = REQUEST_OUTAGES_MS / 10;
      for (let i = 0; i < many; i++) stage.outages.add(i);
    }
    expect((await stuck.all()).error).toEqual(
      expect.objectContaining({ message: expect.stringMatching(/^cannot answer: 11 attempts .* within 60 s; retry/) }),
    );
    expect((await advancing.all({ ...REQUEST, stopping: { ...TEN_TOKENS, maxTokens: 2 * many } })).error).toBeNull();
  });

  it('names the workers whose connection broke', async () => {
    const lost = new Unavailable('items were lost');
    const stage = new Stage([[START, tokens(4), lost], [lost], [START, tokens(5), END]]);
    stage.cuts.add(0);
    expect((await stage.all()).events).toEqual([{ ...START, worker: 'w0' }, tokens(4), tokens(5), END]);
    expect(stage.placements.map(({ tried }) => tried)).toEqual([[], ['w0'], ['w0', 'w1']]);
    expect(stage.placements.map(({ cutOff }) => cutOff)).toEqual([[], ['w0'], ['w0']]);
  });

  it('survives broken connections while the answer advances, and gives up otherwise', async () => {
    const lost = new Unavailable('items were lost');
    const advancing = Array.from({ length: 8 }, () => [START, tokens(4), lost]);
    const stage = new Stage([...advancing, [START, tokens(5), END]]);
    for (let i = 0; i < 8; i++) stage.cuts.add(i);
    expect((await stage.all()).error).toBeNull();
    const stuck = new Stage(Array.from({ length: REQUEST_ATTEMPTS + 1 }, () => [START, lost]));
    for (let i = 0; i <= REQUEST_ATTEMPTS; i++) stuck.cuts.add(i);
    expect((await stuck.all()).error).toBe(lost);
    expect(stuck.placements.length).toBe(REQUEST_ATTEMPTS);
  });

  it('fails if a worker ends its stream without an end event', async () => {
    expect((await new Stage([[START, tokens(4)]]).all()).error).toBeInstanceOf(InternalError);
  });

  it("ends as cancelled when the client disconnects, regardless of the worker's error", async () => {
    const stage = new Stage([[START, tokens(4), 'forever'], [END]]);
    const events = stage.run();
    await events.next();
    await events.next();
    const last = events.next();
    stage.abort.abort();
    await expect(last).rejects.toBeInstanceOf(Cancelled);
    expect(stage.placements.length).toBe(1);
    expect(stage.calls.at(-1)).toBe('done w0');
  });
});
