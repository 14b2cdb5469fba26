import type { FleetEvent } from '../../coordinator/fleet.js';
import { InvalidRequest, ShoalError } from '../../src/errors.js';
import { BLOCK_TOKENS } from '../../src/limits.js';
import { GREEDY } from '../../src/protocol/generate.js';
import type { SeededRandom } from '../../src/random.js';
import type { Fleet } from './fleet.js';
import type { Service } from './plan.js';
import { Retained } from './retained.js';
import { Connection, stoppingAfter } from './sim-completions.js';
import type { SimCoordinator } from './sim-coordinator.js';
import { POISON_TOKEN, reference, VOCAB } from './sim-model.js';
import { describe, type World } from './world.js';

/** Clients of the simulated fleet: they send prompts with common prefixes, and check every token of every answer. */

/** An accepted request ends by then, whatever happens. */
const ENDS_WITHIN_MS = 150_000;

/** A repetition that comes sooner after the connection was lost joins the running answer, as documented. */
const GRACE_MS = 5_000;

/** The longest answer to a request of a healed fleet. */
const LAST_ANSWER_TOKENS = 24;

export interface Load {
  /** Requests per second of the whole fleet. */
  readonly perSecond: number;
  /** Prefixes that prompts begin with. */
  readonly families: number;
  /** Blocks of the longest prefix. */
  readonly prefixBlocks: number;
  readonly answerTokens: number;
  /** Share of requests whose client leaves before the end. */
  readonly leaving: number;
  /** Prompts that clients have the fleet retain. */
  readonly retentions: number;
  /** Share of requests whose client loses its connection, and sends the request again. */
  readonly repeating: number;
}

type Outcome = 'done' | 'failed' | 'refused' | 'left' | 'abandoned';

export interface Tally extends Record<Outcome, number> {
  open: number;
  /** Requests that were sent again under their ID. */
  repeated: number;
}

export class Clients {
  readonly tally: Tally = { done: 0, failed: 0, refused: 0, left: 0, abandoned: 0, open: 0, repeated: 0 };
  readonly retained: Retained;
  private readonly random: SeededRandom;
  private readonly prefixes: Uint32Array[];
  private requests = 0;

  constructor(
    private readonly world: World,
    private readonly fleet: Fleet,
    private readonly load: Load,
    private readonly due: Service,
  ) {
    this.random = world.randomOf('clients');
    this.retained = new Retained(world, fleet, () => this.coordinator());
    this.prefixes = Array.from({ length: load.families }, () =>
      this.tokens(BLOCK_TOKENS * (1 + this.random.below(load.prefixBlocks))),
    );
  }

  /** Sends requests until `untilMs`. */
  start(untilMs: number): void {
    const { time } = this.world;
    for (const prefix of this.prefixes.slice(0, this.load.retentions)) {
      time.after(this.random.next() * (untilMs - time.nowMs), () => this.retained.order(prefix, untilMs));
    }
    const next = () => {
      if (time.nowMs >= untilMs) return;
      this.send(this.coordinator(), this.prompt(), this.due);
      time.after((-Math.log(1 - this.random.next()) * 1_000) / this.load.perSecond, next);
    };
    next();
  }

  /** One request that has to succeed. */
  mustSucceed(coordinator: SimCoordinator): void {
    this.send(coordinator, this.prompt(), 'innocent', LAST_ANSWER_TOKENS);
  }

  /** A prompt that crashes workers, sent several times. */
  poison(times: number): void {
    const prompt = new Uint32Array([...this.tokens(BLOCK_TOKENS + 10), POISON_TOKEN]);
    for (let i = 0; i < times; i++) {
      this.world.time.after(i * 400, () => this.send(this.coordinator(), prompt, 'none'));
    }
  }

  private coordinator(): SimCoordinator | undefined {
    const all = [...this.fleet.coordinators.values()];
    return all[this.random.below(all.length)];
  }

  private tokens(count: number): Uint32Array {
    return Uint32Array.from({ length: count }, () => this.random.below(VOCAB - 1));
  }

  private prompt(): Uint32Array {
    const prefix = this.prefixes[this.random.below(this.prefixes.length)]!;
    const own = this.tokens(1 + this.random.below(2 * BLOCK_TOKENS));
    const prompt = new Uint32Array(prefix.length + own.length);
    prompt.set(prefix);
    prompt.set(own, prefix.length);
    return prompt;
  }

  private send(
    coordinator: SimCoordinator | undefined,
    prompt: Uint32Array,
    due: Service,
    mostTokens = this.load.answerTokens,
  ): void {
    const maxTokens = 1 + this.random.below(mostTokens);
    const leavesAfterMs = this.random.next() < this.load.leaving ? 2_000 * this.random.next() : null;
    const repeats = this.random.next() < this.load.repeating ? this.drawRepetition() : null;
    if (!coordinator?.serving || !coordinator.process.running) return;
    const { answer, blocks } = reference(prompt, maxTokens);
    this.world.blocks.learn(blocks);
    const request = new ClientRequest(
      this.world,
      this.tally,
      `request-${++this.requests}`,
      answer,
      leavesAfterMs === null ? due : 'none',
    );
    request.run(coordinator, prompt, leavesAfterMs, repeats);
  }

  private drawRepetition(): Repetition {
    return { lostAfterMs: 1_500 * this.random.next() ** 2, pauseMs: 3_000 * this.random.next() ** 2 };
  }
}

/** When a client loses its connection, and how long after that it sends its request again. */
interface Repetition {
  readonly lostAfterMs: number;
  readonly pauseMs: number;
}

class ClientRequest {
  private tokens: number[] = [];
  private ended = false;
  private over = false;
  private readonly leaving = new AbortController();

  constructor(
    private readonly world: World,
    private readonly tally: Tally,
    private readonly id: string,
    private readonly answer: readonly number[],
    private readonly due: Service,
  ) {}

  run(
    coordinator: SimCoordinator,
    prompt: Uint32Array,
    leavesAfterMs: number | null,
    repetition: Repetition | null,
  ): void {
    const { time } = this.world;
    this.tally.open++;
    coordinator.process.onDeath(() => this.finish('abandoned'));
    if (leavesAfterMs !== null) time.after(leavesAfterMs, () => coordinator.process.post(() => this.leaving.abort()));
    time.after(ENDS_WITHIN_MS, () => {
      if (!this.over) this.world.violate('requests end', `${this.id} is open after ${ENDS_WITHIN_MS} ms`);
    });
    if (repetition === null) void this.read(this.ask(coordinator, prompt));
    else this.askTwice(coordinator, prompt, repetition);
  }

  private ask(coordinator: SimCoordinator, prompt: Uint32Array): AsyncIterable<FleetEvent> {
    const stopping = stoppingAfter(this.answer.length);
    const request = { requestId: this.id, tokens: prompt, salt: null, sampling: GREEDY, stopping, worker: null };
    return coordinator.parts!.fleet.generate(request, this.leaving.signal);
  }

  /** Loses the connection, and sends the same request again: its answer comes from the start, and is not computed twice. */
  private askTwice(coordinator: SimCoordinator, prompt: Uint32Array, { lostAfterMs, pauseMs }: Repetition): void {
    const { time } = this.world;
    const { process, completions } = coordinator;
    const body = { tokens: [...prompt], maxTokens: this.answer.length };
    const first = new Connection(this.id);
    this.drain(completions!.ask(first, body)).catch(() => {});
    const again = () => {
      this.tally.repeated++;
      const second = new Connection(this.id);
      this.leaving.signal.addEventListener('abort', () => second.disconnect());
      const lostForMs = process.clock.now() - lostMs;
      void this.read(completions!.ask(second, body)).then(() => {
        second.close();
        const computed = completions!.computations.get(this.id)!;
        if (computed > 1 && lostForMs < GRACE_MS) this.violate(`it was sent twice and computed ${computed} times`);
      });
    };
    let lostMs = 0;
    const lose = () => {
      first.disconnect();
      lostMs = process.clock.now();
      time.after(pauseMs, () => process.post(again));
    };
    time.after(lostAfterMs, () => process.post(lose));
  }

  private async drain(events: AsyncIterable<FleetEvent>): Promise<void> {
    for await (const _ of events);
  }

  private async read(events: AsyncIterable<FleetEvent>): Promise<void> {
    try {
      for await (const event of events) {
        if (this.ended) this.violate('an event after the end');
        if (event.type === 'tokens') this.take(event.ids);
        if (event.type === 'end') this.end(event.reason);
      }
      if (!this.ended) this.violate('its stream ended without an end event');
      this.finish('done');
    } catch (error) {
      if (this.ended) this.violate(`an error after the end: ${describe(error)}`);
      if (!(error instanceof ShoalError)) this.violate(`an error without a class: ${describe(error)}`);
      if (this.isBroken(error)) this.violate(`it failed, though workers serve: ${describe(error)}`);
      this.finish(this.leaving.signal.aborted ? 'left' : error instanceof InvalidRequest ? 'refused' : 'failed');
    }
  }

  private isBroken(error: unknown): boolean {
    return this.due === 'innocent' || (this.due === 'unless refused' && !(error instanceof InvalidRequest));
  }

  private take(ids: readonly number[]): void {
    for (const id of ids) {
      const right = this.answer[this.tokens.length];
      if (id !== right) {
        this.world.violate(
          'right or nothing',
          `${this.id}: token ${this.tokens.length} is ${id} and should be ${right}`,
        );
        this.leaving.abort();
      }
      this.tokens.push(id);
    }
  }

  private end(reason: string): void {
    if (reason !== 'length' || this.tokens.length !== this.answer.length)
      this.violate(`it ended by ${reason} after ${this.tokens.length} of ${this.answer.length} tokens`);
    this.ended = true;
  }

  private finish(outcome: Outcome): void {
    if (this.over) return;
    this.over = true;
    this.tally.open--;
    this.tally[outcome]++;
    this.world.trace.noteText(this.world.time.nowMs, `${this.id} ${outcome} ${this.tokens.length}`);
  }

  private violate(what: string): void {
    this.world.violate('one end, each token once', `${this.id}: ${what}`);
  }
}
