import type { Member } from '../../src/core/member.js';
import { Refused, ShoalError } from '../../src/errors.js';
import type { FoundPrefix, WorkerActivity } from '../../src/protocol/activity.js';

/** Asks the workers in turns what they have done, and tells what is new since the answer before. */

/** Workers that are asked in one round. @internal exported for tests. */
export const ASKED_AT_ONCE = 16;

/** What one worker has done between two of its answers. Bytes are those of blocks. */
export interface ActivityNews {
  readonly worker: string;
  /** Blocks from each peer that sent some. */
  readonly received: readonly { readonly peer: string; readonly fetched: number; readonly pushed: number }[];
  readonly fetchedBytes: number;
  readonly copiedBytes: number;
  readonly evicted: number;
  readonly damaged: number;
  readonly right: number;
  readonly wrong: number;
  /** What requests found that was not in its device memory already. */
  readonly found: readonly FoundPrefix[];
}

export interface WorkerActivitiesOptions {
  readonly members: () => readonly Member[];
  /** @param since number of the last request of which the worker has told; 0 for none */
  readonly ask: (worker: Member, since: number) => Promise<WorkerActivity>;
}

interface Known {
  readonly incarnation: string;
  /** Null for a worker of a release that does not count. */
  readonly activity: WorkerActivity | null;
}

const NOTHING: WorkerActivity = {
  received: [],
  evicted: 0,
  damaged: 0,
  audits: { right: 0, wrong: 0, skipped: 0 },
  seq: 0,
  found: [],
};

export class WorkerActivities {
  private readonly known = new Map<string, Known>();
  private readonly asking = new Set<string>();
  /** The last worker of the round before. */
  private last = '';

  constructor(private readonly options: WorkerActivitiesOptions) {}

  /** Asks the next workers. `listener` gets the news of each that answers; a worker that does not answer is asked again in its next turn. */
  round(listener: (news: ActivityNews) => void): void {
    const members = this.options.members();
    const ids = new Set(members.map(({ id }) => id));
    for (const id of this.known.keys()) if (!ids.has(id)) this.known.delete(id);
    const able = members.filter((member) => this.mayAnswer(member)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const from = able.findIndex(({ id }) => id > this.last);
    const turn = from <= 0 ? able : [...able.slice(from), ...able.slice(0, from)];
    for (const member of turn.slice(0, ASKED_AT_ONCE)) {
      this.last = member.id;
      if (!this.asking.has(member.id)) void this.ask(member, listener);
    }
  }

  private mayAnswer({ id, incarnation, state }: Member): boolean {
    const known = this.known.get(id);
    return state !== 'dead' && !(known?.incarnation === incarnation && known.activity === null);
  }

  private async ask(member: Member, listener: (news: ActivityNews) => void): Promise<void> {
    const { id, incarnation } = member;
    this.asking.add(id);
    try {
      const before = this.known.get(id);
      const base = before?.incarnation === incarnation ? before.activity : null;
      const activity = await this.options.ask(member, base?.seq ?? 0);
      // What it told of is not kept.
      this.known.set(id, { incarnation, activity: { ...activity, found: [] } });
      if (base !== null) listener(newsOf(member, base, activity));
      else if (before !== undefined) listener(newsOf(member, NOTHING, activity));
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
      if (error instanceof Refused) this.known.set(id, { incarnation, activity: null });
    } finally {
      this.asking.delete(id);
    }
  }
}

function newsOf({ id, blockBytes }: Member, before: WorkerActivity, after: WorkerActivity): ActivityNews {
  const known = new Map(before.received.map((row) => [row.peer, row]));
  const received = after.received
    .map(({ peer, fetched, pushed }) => {
      const old = known.get(peer);
      return { peer, fetched: fetched - (old?.fetched ?? 0), pushed: pushed - (old?.pushed ?? 0) };
    })
    .filter(({ fetched, pushed }) => fetched + pushed > 0);
  const sum = (how: 'fetched' | 'pushed') => received.reduce((blocks, row) => blocks + row[how], 0);
  return {
    worker: id,
    received,
    fetchedBytes: blockBytes * sum('fetched'),
    copiedBytes: blockBytes * sum('pushed'),
    evicted: after.evicted - before.evicted,
    damaged: after.damaged - before.damaged,
    right: after.audits.right - before.audits.right,
    wrong: after.audits.wrong - before.audits.wrong,
    found: after.found,
  };
}
