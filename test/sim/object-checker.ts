import { compareVersions, type Version } from '../../src/objects/version.js';
import type { World } from './world.js';

/**
 * Knows, apart from the code under test, what clients did to one object: a read gives right bytes, and no state that an acknowledged change was
 * known to be later than.
 */

/** A put or a delete. */
export interface Change {
  /** Null: a delete. */
  readonly value: string | null;
  readonly beganMs: number;
  /** When it was acknowledged; null while it is open, and where its outcome stays unknown. */
  endedMs: number | null;
}

/** What one connection has read last of the object, and how many losses of it had been excused by then. */
export interface Seen {
  version: Version | null;
  losses: number;
}

export class ObjectChecker {
  private readonly changes: Change[] = [];
  private losses = 0;

  constructor(
    private readonly world: World,
    readonly key: string,
    /** Whether acknowledged changes are owed. */
    private readonly isStrict: boolean,
  ) {}

  began(value: string | null): Change {
    const change = { value, beganMs: this.world.time.nowMs, endedMs: null };
    this.changes.push(change);
    return change;
  }

  acknowledged(change: Change): void {
    change.endedMs = this.world.time.nowMs;
  }

  /** A delete found no object: it changed nothing. */
  unmet(change: Change): void {
    this.changes.splice(this.changes.indexOf(change), 1);
  }

  /**
   * More workers died than copies are kept against: nothing of before is owed any more. Versions may also begin again behind the lost ones, since
   * the clock of a new worker may be behind and nobody is left to tell it of them.
   */
  excuse(): void {
    this.losses++;
    for (const change of this.changes) change.endedMs = null;
    this.changes.push({ value: null, beganMs: this.world.time.nowMs, endedMs: null });
  }

  /** A read that began at `beganMs` has given a value; null for no object. */
  read(value: string | null, version: Version | null, beganMs: number, seen: Seen): void {
    const source = this.changes.findLast((change) => change.value === value);
    if (source === undefined && (value !== null || this.changes.some(({ value: put }) => put === null))) {
      this.world.violate('right bytes', `${this.key} reads as ${value?.slice(0, 40)}, which nobody wrote`);
      return;
    }
    this.checkOrder(value, version, seen);
    const later = this.changes.find((change) => this.isLater(change, value, beganMs));
    if (later !== undefined && this.isStrict) {
      const gave = value === null ? 'no object' : value.slice(0, 40);
      this.world.violate(
        'acknowledged objects',
        `${this.key} reads as ${gave} after ${nameOf(later)} was acknowledged`,
      );
    }
  }

  /** Whether a change was acknowledged before a read began, and is not what the read gave, nor anything that may be later than it. */
  private isLater(change: Change, value: string | null, beganMs: number): boolean {
    if (change.endedMs === null || change.endedMs >= beganMs || change.value === value) return false;
    const given = this.changes.filter((each) => each.value === value);
    return given.every(({ endedMs }) => endedMs !== null && endedMs < change.beganMs);
  }

  private checkOrder(value: string | null, version: Version | null, seen: Seen): void {
    if (version === null) return;
    if (seen.version !== null && seen.losses === this.losses && compareVersions(version, seen.version) < 0) {
      this.world.violate(
        'reads go forward',
        `${this.key} reads as ${value?.slice(0, 40)}, older than the connection's last read`,
      );
    }
    seen.version = version;
    seen.losses = this.losses;
  }
}

function nameOf({ value }: Change): string {
  return value === null ? 'a delete' : value.slice(0, 40);
}
