/**
 * Finds out that a server is silent. The library's own pings cannot tell a server that has stopped from one that has seconds of messages to pass
 * before the answer: here, a flood of messages and each confirmation of bytes sent count as signs of life too. A few messages do not: a server can
 * pass on what others say, and no more read what this process sends.
 */

/** Interval of the checks. @internal exported for tests. */
export const PULSE_INTERVAL_MS = 1_000;
/**
 * Checks without a sign of life after which a connection is lost. From the last sign it takes one interval more at most, which is less than
 * `CALL_SILENCE_MS`, so that calls do not fail for silence first. @internal exported for tests.
 */
export const PULSES_MISSED = 2;

/** Bytes received between two checks that may hold up the answer to a ping. @internal exported for tests. */
export const FLOOD_BYTES = 256 * 1024;
/** Checks after which an unanswered ping counts, even if bytes arrive: servers drop clients that are further behind. @internal exported for tests. */
export const PULSES_UNANSWERED = 10;

/** The parts of a connection that the pulse uses. */
interface PulsedConnection {
  stats(): { readonly inBytes: number };
  flush(): Promise<void>;
  /** Gives the server up, and dials again. */
  reconnect(): Promise<void>;
}

export class NatsPulse {
  private timer: NodeJS.Timeout | null = null;
  private missed = 0;
  /** Since the last check. */
  private confirmed = false;
  private receivedBytes = 0;
  private pinging = false;
  /** Checks since the ping that is not answered yet. */
  private unanswered = 0;

  constructor(private readonly connection: PulsedConnection) {}

  /** Begins to check, afresh after each connection. */
  start(): void {
    this.stop();
    this.missed = 0;
    this.confirmed = true;
    this.pinging = false;
    this.timer = setInterval(() => this.check(), PULSE_INTERVAL_MS);
    this.timer.unref();
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
  }

  /** Called when the server has confirmed that it read what was sent. */
  confirm(): void {
    this.confirmed = true;
  }

  private check(): void {
    const { inBytes } = this.connection.stats();
    const alive = this.confirmed || inBytes - this.receivedBytes >= FLOOD_BYTES;
    this.receivedBytes = inBytes;
    this.confirmed = false;
    this.missed = alive ? 0 : this.missed + 1;
    this.unanswered = this.pinging ? this.unanswered + 1 : 0;
    if (this.missed >= PULSES_MISSED || this.unanswered >= PULSES_UNANSWERED) this.lose();
    else this.ping();
  }

  private lose(): void {
    this.stop();
    this.connection.reconnect().catch(() => undefined);
  }

  private ping(): void {
    if (this.pinging) return;
    this.pinging = true;
    const { timer } = this;
    const over = (confirmed: boolean) => {
      if (this.timer !== timer) return;
      this.pinging = false;
      if (confirmed) this.confirm();
    };
    this.connection.flush().then(
      () => over(true),
      () => over(false),
    );
  }
}
