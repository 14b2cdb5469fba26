import { open } from 'node:fs/promises';
import { type Clock, SystemClock } from '../../src/clock.js';
import { readValues } from '../../src/config/config.js';
import { WrongUsage } from '../../src/config/wrong-usage.js';
import { Corrupt, Unavailable } from '../../src/errors.js';
import type { CommandContext } from '../context.js';
import type { ArchivedObject } from './archive-head.js';
import { ArchiveReader, type ArchiveRecord } from './archive-reader.js';
import { KvHttp } from './kv-http.js';
import { retried } from './retried.js';

/** Limit on the objects in transit. */
const AT_ONCE = 4;
/** Attempts to replace an object that others write. */
const WRITE_TRIES = 8;

/**
 * `present`: the fleet has the same bytes. `kept`: it has others, which stay. `expired`: its time was over. `damaged`: the file does not have the bytes that
 * were written.
 */
type Outcome = 'written' | 'present' | 'kept' | 'expired' | 'damaged';

/**
 * `shoal kv import FILE`: writes the objects of a file into a fleet. Run again after an interruption, it finds the objects that are there already, and sends the
 * rest. The exit code is 1 if an object is damaged, or if the file has no end.
 */
export async function kvImport(context: CommandContext): Promise<number> {
  const { url, apiKey, prefix, replace, json } = readValues('kv import', context);
  const path = context.args[0] ?? '';
  const file = await open(path).catch((error: unknown) => {
    throw new WrongUsage(`file: cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  });
  try {
    const restore = new Restore(new KvHttp(url, apiKey), new ArchiveReader(file), new SystemClock(), replace);
    const whole = await restore.all(Buffer.from(prefix), (line) => context.io.err(`shoal: ${line}\n`));
    const { counts } = restore;
    if (!whole) context.io.err(`shoal: ${path} has no end: what was behind it is missing\n`);
    context.io.out(json ? `${JSON.stringify({ file: path, complete: whole, ...counts })}\n` : `${describe(counts)}\n`);
    return whole && counts.damaged === 0 ? 0 : 1;
  } finally {
    await file.close();
  }
}

class Restore {
  readonly counts: Record<Outcome, number> = { written: 0, present: 0, kept: 0, expired: 0, damaged: 0 };

  constructor(
    private readonly fleet: KvHttp,
    private readonly archive: ArchiveReader,
    private readonly clock: Clock,
    private readonly replace: boolean,
  ) {}

  /** Restores the objects whose keys begin with `prefix`. False if the file has no end. */
  async all(prefix: Buffer, report: (line: string) => void): Promise<boolean> {
    const records = this.archive.records();
    let whole = false;
    const line = async () => {
      for (let next = await records.next(); !next.done; next = await records.next()) {
        const { head, valueAt } = next.value;
        if (head.type === 'end') whole = true;
        if (head.type !== 'object' || !beginsWith(head.key, prefix)) continue;
        const outcome = await this.one(head, valueAt);
        this.counts[outcome]++;
        if (outcome === 'damaged')
          report(`the object ${head.key} (base64url) is damaged in the file, and was left out`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, line));
    return whole;
  }

  private async one(object: ArchivedObject, valueAt: ArchiveRecord['valueAt']): Promise<Outcome> {
    for (let tries = 0; tries < WRITE_TRIES; tries++) {
      const ttlS = object.expiresAtMs === null ? null : (object.expiresAtMs - Date.now()) / 1_000;
      if (ttlS !== null && ttlS < 0.001) return 'expired';
      const there = await retried(this.clock, () => this.fleet.digest(object.key));
      if (there === object.digest) return 'present';
      if (there !== null && !this.replace) return 'kept';
      const written = await retried(this.clock, () => this.write(object, valueAt, ttlS, there));
      if (written === 'damaged') return 'damaged';
      if (written === object.digest) return 'written';
      if (written !== null) throw new Corrupt(`the fleet has other bytes of the object ${object.key} than were sent`);
    }
    throw new Unavailable(`other clients write the object ${object.key} (base64url) all the time; retry`);
  }

  private async write(
    object: ArchivedObject,
    valueAt: number,
    ttlS: number | null,
    there: string | null,
  ): Promise<string | null> {
    let damaged = false;
    const { archive } = this;
    const bytes = async function* () {
      try {
        yield* archive.value(object, valueAt);
      } catch (error) {
        damaged = error instanceof Corrupt;
        throw error;
      }
    };
    try {
      return await this.fleet.write(object, bytes(), ttlS, there);
    } catch (error) {
      // The request was broken off before its end, so that the fleet has nothing of it.
      if (damaged) return 'damaged';
      throw error;
    }
  }
}

function beginsWith(key: string, prefix: Buffer): boolean {
  return Buffer.from(key, 'base64url').subarray(0, prefix.byteLength).equals(prefix);
}

function describe({ written, present, kept, expired, damaged }: Readonly<Record<Outcome, number>>): string {
  return [
    `wrote ${written} objects`,
    ...(present > 0 ? [`${present} were there already`] : []),
    ...(kept > 0 ? [`${kept} have other bytes in the fleet and stay; --replace replaces them`] : []),
    ...(expired > 0 ? [`${expired} have expired`] : []),
    ...(damaged > 0 ? [`${damaged} are damaged in the file`] : []),
  ].join(', ');
}
