import { describe, expect, it } from 'vitest';
import { createLog } from '../../../src/log.js';

function logged(say: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const lines: string[] = [];
  say(createLog({ level: 'info', fields: { role: 'worker' }, write: (line) => lines.push(line) }));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the log', () => {
  it('writes one JSON line per event, with level, time and the fields of its process', () => {
    const [line, child] = logged((log) => {
      log.info({ blocks: 3 }, 'took blocks');
      log.child({ peer: 'w2' }).warn({ err: new Error('gone') }, 'lost a peer');
      log.debug({}, 'not at this level');
    });
    expect(line).toMatchObject({ level: 'info', role: 'worker', blocks: 3, msg: 'took blocks' });
    expect(Date.parse(String(line!.time))).not.toBeNaN();
    expect(child).toMatchObject({ level: 'warn', role: 'worker', peer: 'w2', err: { message: 'gone' } });
  });

  it('writes neither user content nor secrets', () => {
    const lines = logged((log) => {
      log.info({ prompt: 'hush', request: { messages: ['hush'], tokens: [1] }, secret: 'hush' }, 'a request');
      log
        .child({ apiKeys: ['hush'] })
        .info({ url: 'nats://me:hush@host:4222', nats: ['nats://hush@a', 'nats://b'] }, 'x');
    });
    expect(JSON.stringify(lines)).not.toContain('hush');
    expect(lines[1]).toMatchObject({ url: 'nats://[redacted]@host:4222', nats: ['nats://[redacted]@a', 'nats://b'] });
  });
});
