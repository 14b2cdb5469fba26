import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  FLOOD_BYTES,
  NatsPulse,
  PULSE_INTERVAL_MS,
  PULSES_MISSED,
  PULSES_UNANSWERED,
} from '../../../src/bus/nats-pulse.js';

/** A connection whose server does what the test says. */
class Connection {
  inBytes = 0;
  lost = 0;
  answers = true;
  private readonly pings: (() => void)[] = [];

  stats = () => ({ inBytes: this.inBytes, outBytes: 0, inMsgs: 0, outMsgs: 0 });
  flush = (): Promise<void> =>
    this.answers ? Promise.resolve() : new Promise((resolve) => void this.pings.push(resolve));
  reconnect = (): Promise<void> => {
    this.lost++;
    return Promise.resolve();
  };

  get openPings(): number {
    return this.pings.length;
  }
}

describe('the pulse of a NATS connection', () => {
  let connection: Connection;
  let pulse: NatsPulse;

  beforeEach(() => {
    vi.useFakeTimers();
    connection = new Connection();
    pulse = new NatsPulse(connection);
    pulse.start();
  });

  afterEach(() => {
    pulse.stop();
    vi.useRealTimers();
  });

  const pass = (checks: number) => vi.advanceTimersByTimeAsync(checks * PULSE_INTERVAL_MS);

  test('an idle server that answers pings is alive', async () => {
    await pass(100);
    expect(connection.lost).toBe(0);
  });

  test('a server that stops is lost, once', async () => {
    await pass(3);
    connection.answers = false;
    await pass(PULSES_MISSED);
    expect(connection.lost).toBe(0);
    await pass(1);
    expect(connection.lost).toBe(1);
    await pass(10);
    expect(connection.lost).toBe(1);
  });

  test('a server with a long backlog is alive while its messages come in, and is asked by one ping at a time', async () => {
    connection.answers = false;
    for (let check = 0; check < PULSES_UNANSWERED; check++) {
      connection.inBytes += FLOOD_BYTES;
      await pass(1);
    }
    expect(connection.lost).toBe(0);
    expect(connection.openPings).toBe(1);
    connection.inBytes += FLOOD_BYTES;
    await pass(1);
    expect(connection.lost).toBe(1);
  });

  test('a server that passes on a few messages, and answers nothing, is lost', async () => {
    connection.answers = false;
    for (let check = 0; check <= PULSES_MISSED; check++) {
      connection.inBytes += FLOOD_BYTES - 1;
      await pass(1);
    }
    expect(connection.lost).toBe(1);
  });

  test('a server that reads a long backlog is alive while it confirms parts of it', async () => {
    connection.answers = false;
    for (let check = 0; check < PULSES_UNANSWERED; check++) {
      pulse.confirm();
      await pass(1);
    }
    expect(connection.lost).toBe(0);
  });

  test('after a new connection it counts afresh', async () => {
    connection.answers = false;
    await pass(PULSES_MISSED);
    pulse.start();
    await pass(PULSES_MISSED);
    expect(connection.lost).toBe(0);
    await pass(1);
    expect(connection.lost).toBe(1);
  });
});
