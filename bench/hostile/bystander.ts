import { Agent, type IncomingMessage, request } from 'node:http';

/** The effect of an attack on another client: the latency of health checks, and gaps in a running stream. */

/** Pause between two health checks. */
const PROBE_PAUSE_MS = 10;
/** After this, a health check counts as answered this late. */
const PROBE_LIMIT_MS = 30_000;

export class Bystander {
  private readonly healthAgent = new Agent({ keepAlive: true, maxSockets: 1 });
  private readonly streamAgent = new Agent({ keepAlive: true, maxSockets: 1 });
  private over = false;
  private healthMs: number[] = [];
  private longestGapMs = 0;
  private lastChunkMs = 0;
  private loops: Promise<void>[] = [];

  constructor(
    private readonly url: string,
    /** The body of a request for one very long stream. */
    private readonly stream: object,
  ) {}

  /** Resolves once the stream runs. */
  async start(): Promise<void> {
    let running = () => {};
    const ready = new Promise<void>((resolve) => {
      running = resolve;
    });
    this.loops = [this.probe(), this.read(running)];
    await Promise.race([ready, ...this.loops]);
  }

  /** Drops the measurements. */
  reset(): void {
    this.healthMs = [];
    this.longestGapMs = 0;
    this.lastChunkMs = performance.now();
  }

  /** The measurements since `reset`, including the gap that is still open. */
  get figures(): { readonly healthMs: readonly number[]; readonly gapMs: number } {
    return { healthMs: this.healthMs, gapMs: Math.max(this.longestGapMs, performance.now() - this.lastChunkMs) };
  }

  /** Resolves once `count` more health checks have been answered. */
  async answered(count: number): Promise<void> {
    const wanted = this.healthMs.length + count;
    while (!this.over && this.healthMs.length < wanted) await pause(PROBE_PAUSE_MS);
  }

  async stop(): Promise<void> {
    this.over = true;
    this.streamAgent.destroy();
    await Promise.all(this.loops);
    this.healthAgent.destroy();
  }

  private async probe(): Promise<void> {
    while (!this.over) {
      const startMs = performance.now();
      await this.get('/health/live').catch(() => pause(PROBE_PAUSE_MS));
      this.healthMs.push(performance.now() - startMs);
      await pause(PROBE_PAUSE_MS);
    }
  }

  private get(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const sent = request(
        new URL(path, this.url),
        { agent: this.healthAgent, timeout: PROBE_LIMIT_MS },
        (response) => {
          response.resume().on('end', resolve).on('error', reject);
        },
      );
      sent.on('timeout', () => sent.destroy(new Error('no answer')));
      sent.on('error', reject).end();
    });
  }

  /** Reads one stream after another. The time between two streams is not a gap. */
  private async read(onRunning: () => void): Promise<void> {
    while (!this.over) {
      try {
        let begun = false;
        for await (const _ of await this.ask()) {
          const nowMs = performance.now();
          if (begun) this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.lastChunkMs);
          this.lastChunkMs = nowMs;
          begun = true;
          onRunning();
        }
      } catch (error) {
        if (this.over) return;
        if (this.lastChunkMs === 0) throw error;
        await pause(PROBE_PAUSE_MS);
      }
    }
  }

  private ask(): Promise<IncomingMessage> {
    const body = JSON.stringify(this.stream);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const options = { method: 'POST', headers, agent: this.streamAgent };
    return new Promise((resolve, reject) => {
      const sent = request(new URL('/v1/completions', this.url), options, (response) => {
        if (response.statusCode === 200) resolve(response);
        else reject(new Error(`the fleet answered ${response.statusCode} for a stream`));
      });
      sent.on('error', reject).end(body);
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
