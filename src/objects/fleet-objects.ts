import { abortReason } from '../async/abort.js';
import type { Clock } from '../clock.js';
import { fromWire, type ShoalError, toWire, Unavailable } from '../errors.js';
import type { Random } from '../random.js';
import type { Expiry, ObjectInfo, WriteCondition } from './object.js';
import { type ObjectHash, type ObjectName, objectName, positionOf } from './object-name.js';
import type {
  ListPage,
  ObjectHost,
  ObjectNode,
  ReadOptions,
  ReadOutcome,
  StoreUse,
  WriteOptions,
  WriteOutcome,
} from './object-node.js';
import type { ObjectRing } from './object-ring.js';
import type { ObjectValue } from './object-value.js';
import type { GetOptions, GetOutcome, Objects } from './objects.js';
import { ResumedBody } from './resumed-body.js';
import type { SharedOutcome } from './shared-object.js';

/** Finds the homes of objects by the ring, and asks the live homes in order. */

/** Time for one call, over all attempts. */
const CALL_MS = 15_000;
const PAUSE_MS = 25;
const PAUSE_CEILING_MS = 400;
/** A home that has not answered a read by then is not waited for alone. */
const HEDGE_MS = 150;
const TOKEN_BYTES = 9;

/** The objects of this process, if it is a worker. */
interface OwnObjects extends ObjectHost {
  /** As `Objects.getNow`. */
  readNow(name: ObjectName): { readonly info: ObjectInfo; readonly value: ObjectValue } | null | undefined;
}

export interface FleetObjectsOptions {
  readonly ring: ObjectRing;
  readonly clock: Clock;
  readonly random: Random;
  /** The objects of a worker; null if it has no address. */
  readonly nodeOf: (worker: string) => ObjectNode | null;
  readonly own: { readonly id: string; readonly objects: OwnObjects } | null;
}

export class FleetObjects implements Objects {
  constructor(private readonly options: FleetObjectsOptions) {}

  getNow(name: ObjectName): { readonly info: ObjectInfo; readonly value: ObjectValue } | null | undefined {
    return this.options.own?.objects.readNow(name);
  }

  async get(name: ObjectName, { from = 0, end = null, floors }: GetOptions, signal: AbortSignal): Promise<GetOutcome> {
    const [have = null] = (await this.options.own?.objects.versions([name], signal)) ?? [];
    const options = { from, end, have, only: null };
    const read = await this.attempts(signal, async () => {
      const homes = this.candidates(name.hash);
      const { outcome, home } = await this.hedged(homes, name, options, signal);
      const info = outcome.type === 'absent' ? null : outcome.info;
      if (!floors.allows(name.hash, info)) {
        discard(outcome);
        throw new Unavailable(`worker ${home} has an older version of the object than another home`);
      }
      if (info !== null && home !== this.options.ring.homes(name.hash)[0]) floors.raise(name.hash, info.version);
      return outcome;
    });
    if (read.type === 'same')
      return this.readOwn(name, { ...options, have: null, only: read.info.version }, floors, signal);
    if (read.type !== 'found') return read;
    const reopen = (at: number) => this.reopen(name, read.info, at, end, signal);
    return { ...read, body: new ResumedBody(read.body, from, reopen) };
  }

  share(name: ObjectName, host: string, signal: AbortSignal): Promise<SharedOutcome> {
    const [home] = this.candidates(name.hash);
    if (home === undefined) return Promise.resolve({ type: 'elsewhere' });
    return new Promise((resolve, reject) => {
      // The bytes can be had from the next home.
      const timer = this.options.clock.after(HEDGE_MS, () => resolve({ type: 'elsewhere' }));
      this.shareOf(home, name, host, signal)
        .then(resolve, (error: unknown) => {
          if (isElsewhere(fromWire(toWire(error)))) resolve({ type: 'elsewhere' });
          else reject(error);
        })
        .finally(() => timer.cancel());
    });
  }

  async look(names: readonly ObjectName[], signal: AbortSignal): Promise<readonly (ObjectInfo | null)[]> {
    return Promise.all(
      names.map(async (name) => {
        const [info = null] = await this.atHome(name, (node) => node.look([name], signal), signal);
        return info;
      }),
    );
  }

  put(
    name: ObjectName,
    value: ObjectValue,
    options: Omit<WriteOptions, 'token'>,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    const token = Buffer.from(this.options.random.bytes(TOKEN_BYTES)).toString('base64url');
    return this.atHome(name, (node) => node.write(name, value, { ...options, token }, signal), signal);
  }

  remove(name: ObjectName, condition: WriteCondition, signal: AbortSignal): Promise<WriteOutcome> {
    return this.atHome(name, (node) => node.remove(name, { condition }, signal), signal);
  }

  retime(name: ObjectName, expiry: Expiry, condition: WriteCondition, signal: AbortSignal): Promise<WriteOutcome> {
    return this.atHome(name, (node) => node.retime(name, expiry, condition, signal), signal);
  }

  async list(space: string, from: number, least: number, signal: AbortSignal): Promise<ListPage> {
    const pages = await this.atAll((node) => node.list(space, from, least, signal), signal);
    // Beyond the shortest page that does not end its list, other pages may lack names.
    const ends = pages.flatMap(({ next }) => (next === null ? [] : [next]));
    const next = ends.length === 0 ? null : Math.min(...ends);
    const names = new Map<ObjectHash, Buffer>();
    for (const { keys } of pages) {
      for (const key of keys) {
        const { hash } = objectName(space, key);
        if (next === null || positionBefore(hash, next)) names.set(hash, key);
      }
    }
    return { keys: [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, key]) => key), next };
  }

  async count(space: string, signal: AbortSignal): Promise<number> {
    const counts = await this.atAll((node) => node.count(space, signal), signal);
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async use(signal: AbortSignal): Promise<StoreUse> {
    const uses = await this.atAll((node) => node.use(signal), signal);
    const sumOf = (field: keyof StoreUse) => uses.reduce((sum, use) => sum + use[field], 0);
    return {
      objects: sumOf('objects'),
      bytes: sumOf('bytes'),
      budgetBytes: sumOf('budgetBytes'),
      evicted: sumOf('evicted'),
    };
  }

  async flush(space: string, signal: AbortSignal): Promise<void> {
    await this.atAll((node) => node.flush(space, signal), signal);
  }

  /** The bytes that this process has itself, unless they have just been replaced. */
  private async readOwn(
    name: ObjectName,
    options: ReadOptions,
    floors: GetOptions['floors'],
    signal: AbortSignal,
  ): Promise<GetOutcome> {
    const read = await this.options.own!.objects.read(name, options, signal);
    if (read.type === 'found' || read.type === 'here') return read;
    return this.get(name, { from: options.from, end: options.end, floors }, signal);
  }

  /** The same version at another home, from a byte on. */
  private async reopen(
    name: ObjectName,
    { version }: ObjectInfo,
    from: number,
    end: number | null,
    signal: AbortSignal,
  ) {
    const options = { from, end, have: null, only: version };
    const read = await this.atHome(name, (node) => node.read(name, options, signal), signal);
    if (read.type === 'found') return read.body;
    discard(read);
    throw new Unavailable('the object was replaced or lost while it was being read; read it again');
  }

  /** Asks the first home, and the next ones too while it does not answer. */
  private hedged(
    homes: readonly string[],
    name: ObjectName,
    options: ReadOptions,
    signal: AbortSignal,
  ): Promise<{ outcome: ReadOutcome; home: string }> {
    const { clock } = this.options;
    if (homes.length === 0) return Promise.reject(new Unavailable('no worker serves objects now; retry'));
    return new Promise((resolve, reject) => {
      let next = 0;
      let open = 0;
      let done = false;
      const ask = () => {
        const home = homes[next++];
        if (done || home === undefined) return;
        open++;
        const timer = clock.after(HEDGE_MS, ask);
        this.readFrom(home, name, options, signal).then(
          (outcome) => {
            timer.cancel();
            if (done) discard(outcome);
            else resolve({ outcome, home });
            done = true;
          },
          (error: unknown) => {
            timer.cancel();
            open--;
            if (next < homes.length) ask();
            else if (open === 0) reject(error);
          },
        );
      };
      ask();
    });
  }

  /** Asks a home for the place of an object; rejects if it has left meanwhile. */
  private async shareOf(home: string, name: ObjectName, host: string, signal: AbortSignal): Promise<SharedOutcome> {
    return this.node(home).share(name, host, signal);
  }

  /** Reads from a home; rejects if it has left meanwhile. */
  private async readFrom(
    home: string,
    name: ObjectName,
    options: ReadOptions,
    signal: AbortSignal,
  ): Promise<ReadOutcome> {
    return this.node(home).read(name, options, signal);
  }

  /** Calls the homes one after another until one answers, again and again for `CALL_MS`. */
  private atHome<T>(name: ObjectName, call: (node: ObjectNode) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.attempts(signal, async () => {
      let failure: ShoalError | null = null;
      for (const home of this.candidates(name.hash)) {
        try {
          return await call(this.node(home));
        } catch (error) {
          failure = fromWire(toWire(error));
          if (!isElsewhere(failure)) throw failure;
        }
      }
      throw failure ?? new Unavailable('no worker serves objects now; retry');
    });
  }

  private async atAll<T>(call: (node: ObjectNode) => Promise<T>, signal: AbortSignal): Promise<T[]> {
    const { ring } = this.options;
    return this.attempts(signal, () =>
      Promise.all(
        ring
          .workers()
          .filter((worker) => ring.standing(worker) === 'live')
          // `async`: a worker without an address rejects its own promise, so that failures of the other calls are still handled.
          .map(async (worker) => call(this.node(worker))),
      ),
    );
  }

  private async attempts<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    const { clock } = this.options;
    const deadlineMs = clock.now() + CALL_MS;
    for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_CEILING_MS)) {
      if (signal.aborted) throw abortReason(signal);
      try {
        return await attempt();
      } catch (error) {
        const failure = fromWire(toWire(error));
        if (!isElsewhere(failure) || clock.now() > deadlineMs) throw failure;
      }
      await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
    }
  }

  /** The homes in the order in which they are asked: live homes first, then suspects. */
  private candidates(hash: ObjectHash): string[] {
    const { ring } = this.options;
    const homes = ring.homes(hash);
    const live = homes.filter((home) => ring.standing(home) === 'live');
    return [...live, ...homes.filter((home) => ring.standing(home) === 'suspect')];
  }

  /** Do not call it from a timer or a promise's handler. @throws Unavailable if the worker has left */
  private node(worker: string): ObjectNode {
    const { own, nodeOf } = this.options;
    if (own?.id === worker) return own.objects;
    const node = nodeOf(worker);
    if (node === null) throw new Unavailable(`worker ${worker} cannot be reached`);
    return node;
  }
}

/** Whether another home, or a later attempt, may do better. */
function isElsewhere({ code }: ShoalError): boolean {
  return code === 'unavailable' || code === 'deadline' || code === 'refused' || code === 'corrupt';
}

/** Releases an answer that is no longer needed. */
function discard(outcome: ReadOutcome): void {
  if (outcome.type === 'found') outcome.body.close();
  if (outcome.type === 'here') outcome.value.release();
}

function positionBefore(hash: ObjectHash, position: number): boolean {
  return positionOf(hash) < position;
}
