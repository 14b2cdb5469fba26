import type { FleetApi, WorkerRow } from '../fleet/fleet-api.js';

const POLL_MS = 50;

/** Watches a coordinator's view of the workers, and counts how often each leaves `serving` or is replaced by another process. */
export class Views {
  private readonly changes = new Map<string, number>();
  private readonly before = new Map<string, WorkerRow>();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly api: FleetApi) {
    this.timer = setInterval(() => void this.look(), POLL_MS);
  }

  /** The most changes of one worker so far. */
  get most(): number {
    return Math.max(0, ...this.changes.values());
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    for (const row of await this.api.workers().catch(() => [])) {
      const last = this.before.get(row.id);
      this.before.set(row.id, row);
      if (last !== undefined && isChange(last, row)) this.changes.set(row.id, (this.changes.get(row.id) ?? 0) + 1);
    }
  }
}

/** A change of the fleet's view of one worker: lost, or another process. Its return is the end of the same change. */
function isChange(last: WorkerRow, now: WorkerRow): boolean {
  if (last.incarnation !== now.incarnation) return true;
  return last.state === 'serving' && now.state !== 'serving';
}

/** The workers that serve. */
export function serving(workers: readonly WorkerRow[]): WorkerRow[] {
  return workers.filter(({ state }) => state === 'serving');
}

/** Whether `count` workers serve, among them this one as another process than `pid`. */
export async function hasComeBack(
  api: FleetApi,
  { id, pid }: Pick<WorkerRow, 'id' | 'pid'>,
  count: number,
): Promise<boolean> {
  const workers = await api.workers();
  return serving(workers).length === count && rowOf(workers, id).pid !== pid;
}

/** A worker's row. @throws Error if the fleet does not know it */
export function rowOf(workers: readonly WorkerRow[], id: string): WorkerRow {
  const row = workers.find((worker) => worker.id === id);
  if (row === undefined) throw new Error(`the fleet does not know ${id}`);
  return row;
}
