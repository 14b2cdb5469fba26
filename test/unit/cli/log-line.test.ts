import { describe, expect, it } from 'vitest';
import { readableLine } from '../../../cli/log-line.js';

describe('a line of a log on a terminal', () => {
  it('names the process, and keeps the fields that matter', () => {
    const line =
      '{"level":"warn","time":"2026-01-01T00:00:00.000Z","role":"worker","worker":"worker-2","peer":"worker-1","ms":3,"msg":"a worker left"}';
    expect(readableLine(line)).toBe('worker-2: warn: a worker left (peer: worker-1, ms: 3)');
    expect(readableLine('{"level":"info","role":"nats","msg":"ready"}')).toBe('nats: info: ready');
  });

  it('stays as it is where it is not one of a log', () => {
    for (const line of ['', 'Error: x', '{"a":1}', '{broken', '[]']) expect(readableLine(line)).toBe(line);
  });
});
