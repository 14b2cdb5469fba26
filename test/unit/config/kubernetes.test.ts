import { describe, expect, it } from 'vitest';
import { unknownVariables } from '../../../cli/doctor.js';
import { run } from '../../../cli/program.js';
import { serviceVariables } from '../../../src/config/kubernetes.js';
import { OPTIONS } from '../../../src/config/options.js';

/** The variables of the Services `shoal` and `shoal-metrics`. */
const SERVICES = {
  SHOAL_SERVICE_HOST: '10.96.0.12',
  SHOAL_SERVICE_PORT: '8080',
  SHOAL_SERVICE_PORT_HTTP: '8080',
  SHOAL_PORT: 'tcp://10.96.0.12:8080',
  SHOAL_PORT_8080_TCP: 'tcp://10.96.0.12:8080',
  SHOAL_PORT_8080_TCP_PROTO: 'tcp',
  SHOAL_PORT_8080_TCP_PORT: '8080',
  SHOAL_PORT_8080_TCP_ADDR: '10.96.0.12',
  SHOAL_METRICS_SERVICE_HOST: '10.96.0.13',
  SHOAL_METRICS_PORT: 'tcp://[fd00::13]:8080',
  SHOAL_NATS_PORT: 'tcp://10.96.0.14:4222',
};

async function shoal(args: string[], environment: Record<string, string>) {
  const err: string[] = [];
  const io = { out: () => {}, err: (text: string) => void err.push(text) };
  return { code: await run(args, { environment, io }), err };
}

describe('the variables of Kubernetes', () => {
  it("are distinguished from the user's variables by their form", () => {
    expect(Object.keys(serviceVariables(OPTIONS, SERVICES)).sort()).toEqual(['SHOAL_METRICS_PORT', 'SHOAL_PORT']);
    const own = ['8080', 'tcp://host:8080', 'http://10.0.0.1:80', 'tcp://10.0.0.1', '10.0.0.1:8080', ''];
    for (const value of own) expect(serviceVariables(OPTIONS, { SHOAL_PORT: value })).toEqual({});
    expect(serviceVariables(OPTIONS, { SHOAL_NATS: 'tcp://10.96.0.12:4222' })).toEqual({});
  });

  it('are ignored in one line of the log, in every command', async () => {
    const [worker, up, status] = [
      await shoal(['worker'], SERVICES),
      await shoal(['up', '--model', '/nonexistent'], SERVICES),
      await shoal(['status', '--url', 'http://127.0.0.1:1'], SERVICES),
    ];
    const ignored = 'ignoring SHOAL_PORT=tcp://10.96.0.12:8080, SHOAL_METRICS_PORT=tcp://[fd00::13]:8080: Kubernetes';
    for (const { err } of [worker, up, status]) expect(err.filter((line) => line.includes(ignored))).toHaveLength(1);
    expect(JSON.parse(worker.err[0]!)).toMatchObject({ level: 'warn', role: 'worker' });
    expect(worker.err[1]).toContain('SHOAL_SECRET: must be 16 to 1024 characters');
    expect([worker.code, up.code, status.code]).toEqual([2, 2, 1]);
  });

  it('do not hide a wrong value', async () => {
    const { code, err } = await shoal(['up'], { SHOAL_PORT: 'tcp://host:8080' });
    expect([code, err]).toEqual([
      2,
      ['shoal: SHOAL_PORT: must be a whole number from 0 to 65535, got "tcp://host:8080"\n'],
    ]);
  });

  it('are not taken for misspelt names', () => {
    expect(unknownVariables({ ...SERVICES, SHOAL_PROT: '1' }).map(({ detail }) => detail)).toEqual([
      'SHOAL_PROT is set, but no option has this name',
    ]);
  });
});
