import type { FleetEvent, FleetRequest } from '../../../../coordinator/fleet.js';
import type { GenerateEvent, GenerateRequest, Sampling } from '../../../../src/protocol/generate.js';
import { unpackTokens } from '../../../../src/protocol/generate.js';
import { GREEDY } from '../../engine/support/rig.js';
import { Hive, type ScriptedWorker } from '../support/hive.js';

/** A simulated fleet whose workers die of some prompts, and are restarted. */

/** The first tokens of prompts that kill their workers. */
export const POISON = 666;
export const POISONS: readonly number[] = Array.from({ length: 20 }, (_, i) => POISON + i);
/** How long a dead worker takes to serve again. */
const RESTART_MS = 2_600;

/** How long a supervisor takes to notice the end of a worker. */
const TOLD_AFTER_MS = 50;

export interface Run {
  readonly request: FleetRequest;
  readonly ids: number[];
  readonly abort: AbortController;
  error: Error | null;
  over: boolean;
}

export interface FleetSpec {
  readonly workers: number;
  /** Pause before each token. */
  readonly stepMs?: number;
  /** Tokens that a poisonous prompt generates before it kills. */
  readonly poisonAfter?: number;
  /** Time between the start of a poisonous prompt and the death. */
  readonly poisonMs?: number;
  /** Whether a request with a poisonous prompt kills; all do by default. */
  readonly kills?: (request: GenerateRequest) => boolean;
}

export class MortalFleet {
  readonly hives: Hive[];
  /** Ids of the workers that died, in order. */
  readonly deaths: string[] = [];
  /** How many workers each poisonous prompt has killed. */
  readonly killedBy = new Map<number, number>();
  /** How often a worker was asked to compute a poisonous prompt. */
  poisonAsked = 0;
  private readonly live = new Map<string, ScriptedWorker>();
  /** How many requests each worker computes. */
  private readonly running = new Map<ScriptedWorker, number>();
  private incarnations = 0;
  /** Coordinators that hear workers over direct links only. */
  private readonly cutOff = new Set<Hive>();
  private asked = 0;

  constructor(
    private readonly spec: FleetSpec,
    coordinators = 1,
  ) {
    const first = new Hive();
    this.hives = [first];
    for (let i = 1; i < coordinators; i++) this.hives.push(new Hive(first, `coordinator-${i + 1}`));
    for (const hive of this.hives) hive.alone = coordinators === 1;
  }

  get clock() {
    return this.hives[0]!.clock;
  }

  get workers(): readonly string[] {
    return [...this.live.keys()];
  }

  async start(): Promise<this> {
    for (let i = 1; i <= this.spec.workers; i++) await this.boot(`w${i}`);
    return this;
  }

  /** Sends a prompt to a coordinator. */
  send(first: number, maxTokens: number, hive: Hive = this.hives[0]!, sampling: Partial<Sampling> = {}): Run {
    const request: FleetRequest = {
      requestId: `r${++this.asked}`,
      tokens: Uint32Array.of(first, 1, 2),
      salt: null,
      sampling: { ...GREEDY, ...sampling },
      stopping: { maxTokens, minTokens: 0, tokenIds: [], ignoreEos: true },
      worker: null,
    };
    const run: Run = { request, ids: [], abort: new AbortController(), error: null, over: false };
    void (async () => {
      try {
        for await (const event of hive.router.generate(request, run.abort.signal)) run.ids.push(...idsOf(event));
      } catch (error) {
        run.error = error as Error;
      }
      run.over = true;
    })();
    return run;
  }

  /** Kills a worker, which is restarted. `told`: whether its supervisor tells the first coordinator that somebody killed it. */
  async kill(id: string, told = false): Promise<void> {
    const worker = this.live.get(id);
    if (!worker) return;
    this.live.delete(id);
    this.deaths.push(id);
    await worker.die();
    for (const hive of this.hives) {
      hive.cut(worker);
      hive.roster.linkClosed(id, worker.says.incarnation);
    }
    if (told) this.clock.after(TOLD_AFTER_MS, () => this.hives[0]!.poison.killed(id, worker.says.incarnation));
    this.clock.after(RESTART_MS, () => void this.boot(id));
  }

  /** Advances time while the living workers announce themselves. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      if (passed % 400 === 0) for (const worker of this.live.values()) this.announce(worker);
      await this.clock.advance(Math.min(50, ms - passed));
    }
  }

  /** Takes NATS away from some coordinators, who have connections to workers only. `noticed`: their buses know it. */
  silence(hives: readonly Hive[], noticed: boolean): void {
    for (const hive of hives) {
      this.cutOff.add(hive);
      if (noticed) hive.bus.lose();
    }
    const names = new Set([...this.cutOff].map(({ id }) => id));
    this.hives[0]!.broker.fault = ({ from, to }) => (names.has(from) || names.has(to) ? 0 : 1);
  }

  /** Passes time until all runs are over. */
  async finish(runs: readonly Run[], limitMs = 120_000): Promise<void> {
    for (let passed = 0; passed < limitMs && runs.some(({ over }) => !over); passed += 400) await this.pass(400);
  }

  /** Kills a coordinator: it says nothing any more. Another process takes its place, knowing nothing. */
  async replace(at: number, alone = false): Promise<Hive> {
    const [first] = this.hives as [Hive];
    const before = this.hives[at]!;
    await before.bus.close();
    const workers = before.workers.splice(0);
    await before.close();
    const after = new Hive(first, `${before.id}'`);
    after.workers.push(...workers);
    after.alone = alone;
    this.hives[at] = after;
    for (const worker of this.live.values()) after.link(worker);
    await this.pass(400);
    return after;
  }

  async close(): Promise<void> {
    this.live.clear();
    for (const hive of this.hives) await hive.close();
  }

  /** Over NATS, and directly to the coordinators that do not hear it. */
  private announce(worker: ScriptedWorker): void {
    const running = this.running.get(worker) ?? 0;
    worker.announce({ running });
    for (const hive of this.cutOff) hive.roster.hear({ ...worker.says, running });
  }

  private async boot(id: string): Promise<void> {
    const incarnation = String(++this.incarnations).padStart(6, '0');
    const linked = await this.hives[0]!.add(id, { incarnation }, [], (worker) => {
      worker.generate = (request, signal) => this.counted(worker, this.compute(id, worker, request), signal);
      this.live.set(id, worker);
    });
    for (const hive of this.hives) hive.link(linked);
  }

  private async *counted(
    worker: ScriptedWorker,
    events: AsyncIterable<GenerateEvent>,
    signal: AbortSignal,
  ): AsyncGenerator<GenerateEvent> {
    const count = (by: number) => this.running.set(worker, (this.running.get(worker) ?? 0) + by);
    let ended = false;
    const end = () => {
      if (!ended) count(-1);
      ended = true;
    };
    count(1);
    signal.addEventListener('abort', end);
    try {
      yield* events;
    } finally {
      end();
    }
  }

  private async *compute(id: string, worker: ScriptedWorker, request: GenerateRequest): AsyncGenerator<GenerateEvent> {
    const { stepMs = 20, poisonAfter = 0, poisonMs = 30, kills = () => true } = this.spec;
    // A dead process says nothing, even if a call still reaches it.
    if (this.live.get(id) !== worker) await new Promise(() => {});
    const first = unpackTokens(request.tokens)[0]!;
    const isPoison = POISONS.includes(first) && kills(request);
    if (isPoison) this.poisonAsked++;
    yield { type: 'start', cached: { local: 0, remote: 0, computed: 3 }, queueMs: 0 };
    for (let at = request.resumeTokens; at < request.stopping.maxTokens; at++) {
      if (isPoison && at >= poisonAfter) {
        await this.sleep(poisonMs);
        if (this.live.get(id) === worker) {
          this.killedBy.set(first, (this.killedBy.get(first) ?? 0) + 1);
          void this.kill(id);
        }
        await new Promise(() => {});
      }
      await this.sleep(stepMs);
      if (this.live.get(id) !== worker) await new Promise(() => {});
      yield { type: 'tokens', ids: [at] };
    }
    yield { type: 'end', reason: 'length', token: null };
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve));
  }
}

function idsOf(event: FleetEvent): readonly number[] {
  return event.type === 'tokens' ? event.ids : [];
}

/** Whether the run ended with all its tokens. */
export function isWhole({ request, ids, error, over }: Run): boolean {
  return over && error === null && ids.length === request.stopping.maxTokens && ids.every((id, at) => id === at);
}
