import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';

/** A real Prometheus that scrapes every second, with the alerts of shoal made quick. */

export interface Target {
  readonly role: 'coordinator' | 'worker';
  /** Base URL. */
  readonly url: string;
  /** A key that it asks for. */
  readonly key?: string;
}

const UNIT_S = { m: 60, h: 3_600 } as const;

/**
 * The alerts without their patience: each fires as soon as its condition holds.
 * @param haste the windows of rates, and how far an alert looks back, are shorter by this factor
 */
export function impatient(rules: string, haste = 1): string {
  const shorter = (amount: string, unit: string) =>
    `${(Number(amount) * UNIT_S[unit as keyof typeof UNIT_S]) / haste}s`;
  return rules
    .replace(/^( *for:).*$/gm, '$1 0s')
    .replace(/\[(\d+)([mh])\]/g, (_, amount: string, unit: string) => `[${shorter(amount, unit)}]`)
    .replace(/\boffset (\d+)([mh])\b/g, (_, amount: string, unit: string) => `offset ${shorter(amount, unit)}`);
}

export class Prometheus {
  private constructor(
    private readonly child: ChildProcess,
    private readonly url: string,
  ) {}

  static async start(program: string, folder: string, rules: string, targets: readonly Target[]): Promise<Prometheus> {
    await writeFile(join(folder, 'alerts.yml'), rules);
    const config = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: ['alerts.yml'],
      scrape_configs: targets.map(({ role, url, key }, at) => ({
        job_name: `${role}-${at}`,
        ...(key !== undefined && { authorization: { credentials: key } }),
        static_configs: [{ targets: [new URL(url).host], labels: { role, fleet: 'tested' } }],
      })),
    };
    await writeFile(join(folder, 'prometheus.yml'), stringify(config));
    const args = ['--config.file=prometheus.yml', '--storage.tsdb.path=data', '--web.listen-address=127.0.0.1:0'];
    const child = spawn(program, [...args, '--log.level=info'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    const address = await new Promise<string>((resolve, reject) => {
      const lines: string[] = [];
      let found: string | null = null;
      let ready = false;
      createInterface({ input: child.stderr }).on('line', (line) => {
        lines.push(line);
        found = /Listening on.* address=(\S+)/.exec(line)?.[1] ?? found;
        ready ||= line.includes('Server is ready');
        // It says in either order that it listens and that it answers.
        if (ready && found !== null) resolve(found);
      });
      child.on('exit', () => reject(new Error(`prometheus ended:\n${lines.join('\n')}`)));
    });
    return new Prometheus(child, `http://${address}`);
  }

  /** The names of the alerts that fire. */
  async firing(): Promise<Set<string>> {
    const response = await fetch(`${this.url}/api/v1/alerts`);
    const { data } = (await response.json()) as {
      readonly data: { readonly alerts: readonly { readonly state: string; readonly labels: { alertname: string } }[] };
    };
    return new Set(data.alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname));
  }

  /** Asks until the alert fires, with `poke` in between. The test's time limit bounds it. */
  async fires(alert: string, poke: () => Promise<unknown> = async () => {}): Promise<void> {
    while (!(await this.firing()).has(alert)) await poke();
  }

  /** Asks until this many targets answer and the alert does not fire, with `poke` in between. */
  async isOver(alert: string, targets: number, poke: () => Promise<unknown> = async () => {}): Promise<void> {
    while ((await this.up()) < targets || (await this.firing()).has(alert)) await poke();
  }

  /** The number of targets that answer. */
  async up(): Promise<number> {
    return (await this.value('sum(up)')) ?? 0;
  }

  /** The first value of an expression; null if it has none. */
  async value(expression: string): Promise<number | null> {
    const response = await fetch(`${this.url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const { data } = (await response.json()) as {
      readonly data: { readonly result: readonly { readonly value: readonly [number, string] }[] };
    };
    const value = data.result[0]?.value[1];
    return value === undefined ? null : Number(value);
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await once(this.child, 'close');
  }
}
