import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PINNED_RELEASE } from '../../../cli/nats/release.js';
import { parseDuration } from '../../../src/config/duration.js';
import { OPTIONS } from '../../../src/config/options.js';
import { PROCESS_STOP_MS } from '../../../src/limits.js';
import { DRAIN_TIMEOUT_MS } from '../../../workers/worker.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const compose = read('docker-compose.yml');
const gpu = read('docker-compose.gpu.yml');

/** The lines of one service. */
function service(file: string, name: string): string {
  const found = new RegExp(`^  ${name}:\\n((?:(?:    .*)?\\n)+)`, 'm').exec(
    file.slice(file.indexOf('\nservices:')),
  )?.[1];
  if (found === undefined) throw new Error(`cannot find the service ${name}`);
  return found;
}

describe('the Compose files', () => {
  it('use exactly the settings of .env.example, with the defaults that it shows', () => {
    const taken = new Map(
      [...`${compose}${gpu}`.matchAll(/\$\{(\w+):-([^}]*)\}/g)].map((match) => [match[1]!, match[2]!]),
    );
    // docker-compose.gpu.yml has a different default device.
    taken.set('SHOAL_DEVICE', 'auto');
    const explained = new Map(
      [...read('.env.example').matchAll(/^#(\w+)=(.*)$/gm)].map((match) => [match[1]!, match[2]!]),
    );
    expect(Object.fromEntries(explained)).toEqual(Object.fromEntries(taken));
    expect(`${compose}${gpu}`.match(/\$\{?\w+\}?(?!:-)/g)?.filter((use) => !/\$\{\w+$/.test(use)) ?? []).toEqual([]);
  });

  it('set only options that the roles have', () => {
    const known = new Map(
      Object.values(OPTIONS).map(({ variable, commands }) => [variable, commands as readonly string[]]),
    );
    const member = /^x-member:[\s\S]*?(?=^\S)/m.exec(compose.slice(compose.indexOf('x-member')))![0];
    const set = (text: string) => [...text.matchAll(/^ +(SHOAL_\w+):/gm)].map((match) => match[1]!);
    for (const role of ['coordinator', 'worker']) {
      const variables = [...set(member), ...set(service(compose, role))];
      expect(variables.length).toBeGreaterThan(10);
      expect(variables.filter((variable) => !known.get(variable)?.includes(role))).toEqual([]);
    }
  });

  it('give workers on further GPUs the same settings as the worker on the first GPU', () => {
    const section = (file: string, name: string) => file.slice(file.indexOf(`\nx-${name}:`) + 1).split(/\n\n/)[0]!;
    const said = (text: string) =>
      text
        .split('\n')
        .slice(1)
        .map((line) => line.trim())
        .filter((line) => line !== '' && !/^(?:#|<<:|build:|image:|SHOAL_DEVICE:|logging:)/.test(line));
    const first = [
      ...said(section(compose, 'role')),
      ...said(section(compose, 'member')),
      ...said(service(compose, 'worker')),
    ];
    const further = new Set(said(section(gpu, 'worker')));
    expect(first.filter((line) => !further.has(line) && !/^(?:deploy|replicas):/.test(line))).toEqual([]);
    expect([...gpu.matchAll(/^ {2}(worker(?:-\d)?):$/gm)].map((match) => match[1])).toEqual([
      'worker',
      ...[1, 2, 3, 4, 5, 6, 7].map((index) => `worker-${index}`),
    ]);
    expect([...gpu.matchAll(/device_ids: \["(\d)"\]/g)].map((match) => match[1]).join('')).toBe('01234567');
  });

  it('give roles more time to stop than they need', () => {
    const handOverMs = parseDuration(OPTIONS.handOver.default)!;
    const graceMs = (role: string) =>
      1000 * Number(/stop_grace_period: (?:\$\{COORDINATOR_STOP_GRACE:-)?(\d+)s/.exec(service(compose, role))![1]);
    expect(graceMs('worker')).toBeGreaterThan(Math.max(PROCESS_STOP_MS, DRAIN_TIMEOUT_MS + handOverMs));
    expect(graceMs('coordinator')).toBeGreaterThan(PROCESS_STOP_MS + parseDuration(OPTIONS.shutdownTimeout.default)!);
  });

  it('limit the processes of every service, and give each only the secrets and the networks that it needs', () => {
    const names = [...compose.slice(compose.indexOf('\nservices:')).matchAll(/^ {2}([a-z]+):$/gm)].map((m) => m[1]!);
    const services = names.slice(0, names.indexOf('front'));
    expect(services).toEqual(['secrets', 'nats', 'coordinator', 'worker', 'prometheus', 'grafana']);
    for (const name of services) expect(service(compose, name)).toMatch(/<<: \*role|pids_limit: \d+/);
    expect(compose).toMatch(/x-role: &role[\s\S]*?pids_limit: \d+[\s\S]*?x-member/);
    const mounted = (name: string) => [...service(compose, name).matchAll(/- ([a-z-]*secrets):/g)].map((m) => m[1]);
    for (const name of ['nats', 'coordinator', 'worker', 'prometheus', 'grafana'])
      expect(mounted(name)).toEqual([`${name}-secrets`]);
    const folders = [...service(compose, 'secrets').matchAll(/:(\/run\/fleet\/\w+)$/gm)].map((match) => match[1]!);
    expect(folders).toHaveLength(6);
    for (const folder of folders) expect(read('Dockerfile')).toContain(folder);
    const keyFile = '/run/shoal/metrics-key';
    expect(service(compose, 'coordinator')).toContain(`SHOAL_METRICS_KEY_FILE: ${keyFile}`);
    expect(read('deploy/prometheus/prometheus.yml')).toContain(`credentials_file: ${keyFile}`);
    expect(service(compose, 'worker')).not.toContain('API_KEYS');
    expect(compose).toMatch(/^ {2}back:\n {4}internal: true$/m);
    for (const name of ['nats', 'worker']) expect(service(compose, name)).not.toContain('front');
    expect(gpu).not.toContain('API_KEYS');
    expect(service(compose, 'grafana')).toContain('GF_AUTH_ANONYMOUS_ORG_ROLE: Viewer');
    expect(service(compose, 'grafana')).toContain('GF_SECURITY_ADMIN_PASSWORD__FILE');
  });

  it('pin the images of others by version and digest, each the same in all files', () => {
    const dockerfile = read('Dockerfile');
    const stages = [...dockerfile.matchAll(/ AS (\w+)$/gm)].map((match) => match[1]!);
    const bases = ['NODE_IMAGE', ...stages];
    for (const match of dockerfile.matchAll(/^FROM (?:\$\{(\w+)\}|(\S+))/gm))
      expect(bases).toContain(match[1] ?? match[2]);
    const composed = `${compose}${gpu}`;
    for (const [, image] of composed.matchAll(/^ +image: (\S+)$/gm)) expect(image).toMatch(/^\$\{\w+_IMAGE:-.+\}$/);
    const pins = [
      ...composed.matchAll(/\$\{((?!SHOAL)\w+_IMAGE):-([^}]+)\}/g),
      ...dockerfile.matchAll(/^ARG (\w+_IMAGE)=(.+)$/gm),
      ...read('deploy/helm/shoal/values.yaml').matchAll(/^ +(image): (\S+)$/gm),
      ...read('deploy/kubernetes/fleet.yaml').matchAll(/^ +(image): "(?!shoal:)(\S+)"$/gm),
    ].map((match) => [match[1]!.replace(/^image$/, 'NATS_IMAGE'), match[2]!] as const);
    expect(pins.length).toBe(8);
    for (const [, image] of pins) expect(image).toMatch(/^[a-z/]+:v?\d+\.\d+\.\d+[a-z-]*@sha256:[0-9a-f]{64}$/);
    expect(new Set(pins.map(String)).size).toBe(new Set(pins.map(([name]) => name)).size);
    expect(pins.find(([name]) => name === 'NATS_IMAGE')![1]).toContain(`nats:${PINNED_RELEASE.version}-`);
  });

  it('publish HTTP ports only, on loopback', () => {
    const ports = [...compose.matchAll(/^ +- "(.*:\d+)"$/gm)].map((match) => match[1]!);
    expect(ports).toHaveLength(3);
    for (const port of ports) expect(port).toMatch(/^\$\{\w+:-127\.0\.0\.1\}:/);
    expect(service(compose, 'nats')).not.toContain('ports:');
    expect(service(compose, 'worker')).not.toContain('ports:');
  });
});
