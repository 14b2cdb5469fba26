import { OneTimeEvent } from '../../async/event.js';
import { ShoalError, Unavailable } from '../../errors.js';
import type { NodeView } from '../core/node-view.js';
import type { RuntimeMember } from '../member/member.js';
import { HOST_ACTOR, HostProtocol, type LogLine } from '../messages.js';

/** Gathers the console output of the actors of a name or id, on all nodes where they run or will run. */

export interface ActorLogOptions {
  /** Whether lines that are still to come are wanted too. Default: false. */
  readonly follow?: boolean | undefined;
  /** Ends the iteration. */
  readonly signal?: AbortSignal | undefined;
}

/** Lines that wait for a slow reader; then the nodes wait. */
const WAITING_LINES = 4_096;

/**
 * Yields lines as they come, in order for each node; without `follow`, all lines sorted by time.
 * @throws Unavailable at the end, without `follow`, if a node did not answer
 */
export async function* actorLogs(
  member: RuntimeMember,
  actor: string,
  { follow = false, signal }: ActorLogOptions,
): AsyncGenerator<LogLine> {
  const unheard = follow ? [] : await member.rollCall.unheard();
  const gathering = new Gathering(member, actor, follow, signal);
  try {
    yield* follow ? gathering.lines() : (await all(gathering.lines())).toSorted((a, b) => a.timeMs - b.timeMs);
    const silent = [...unheard, ...gathering.silent];
    if (silent.length > 0 && !signal?.aborted)
      throw new Unavailable(`cannot read all lines: no answer of ${silent.join(', ')}`);
  } finally {
    gathering.end();
  }
}

async function all(lines: AsyncIterable<LogLine>): Promise<LogLine[]> {
  const gathered: LogLine[] = [];
  for await (const line of lines) gathered.push(line);
  return gathered;
}

class Gathering {
  /** The nodes that did not answer. */
  readonly silent: string[] = [];
  private readonly over = new AbortController();
  private readonly waiting: LogLine[] = [];
  private open = 0;
  private wake: () => void = () => undefined;
  private room = new OneTimeEvent();
  private readonly unlisten: () => void;

  constructor(
    private readonly member: RuntimeMember,
    private readonly actor: string,
    private readonly follow: boolean,
    signal: AbortSignal | undefined,
  ) {
    const { directory } = member;
    this.unlisten = follow ? directory.listen(({ type, node }) => type === 'joined' && this.read(node)) : () => {};
    signal?.addEventListener('abort', () => this.end(), { signal: this.over.signal });
    if (signal?.aborted) this.end();
    for (const node of directory.nodes()) this.read(node);
  }

  async *lines(): AsyncGenerator<LogLine> {
    for (;;) {
      for (let line = this.waiting.shift(); line; line = this.waiting.shift()) {
        if (this.waiting.length === WAITING_LINES - 1) {
          this.room.set();
          this.room = new OneTimeEvent();
        }
        yield line;
      }
      if (this.over.signal.aborted || (!this.follow && this.open === 0)) return;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  end(): void {
    this.over.abort();
    this.unlisten();
    this.wake();
  }

  private read(node: NodeView): void {
    if (node.kind !== 'node' || this.over.signal.aborted) return;
    this.open++;
    void this.readAll(node).finally(() => {
      this.open--;
      this.wake();
    });
  }

  private async readAll({ id, incarnation }: NodeView): Promise<void> {
    const host = this.member.actors.ref(HostProtocol, { node: id, incarnation, actor: HOST_ACTOR });
    const { signal } = this.over;
    try {
      for await (const lines of host.stream('logs', { actor: this.actor, follow: this.follow }, { signal })) {
        this.waiting.push(...lines);
        this.wake();
        if (this.waiting.length < WAITING_LINES) continue;
        await this.room.wait(signal);
      }
    } catch (error) {
      // A node that is gone has no more lines; the actor continues elsewhere.
      if (!(error instanceof ShoalError)) throw error;
      const { directory } = this.member;
      // A node whose link has closed has most likely ended, and its lines with it.
      const isThere = directory.get(incarnation) !== null && !directory.suspects(incarnation);
      if (!this.follow && isThere) this.silent.push(id);
    }
  }
}
