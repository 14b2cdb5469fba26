import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';

/** A real Prometheus that scrapes every second, with the alerts of shoal made quick. */

interface Target {
  readonly role: 'coordinator' | 'worker';
  /** Base URL. */
  readonly url: string;
}

/** The alerts without their patience: each fires as soon as its condition holds. */
export function impatient(rules: string): string {
  return rules.replace(/^( *for:).*$/gm, '$1 0s');
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
      scrape_configs: targets.map(({ role, url }, at) => ({
        job_name: `${role}-${at}`,
        static_configs: [{ targets: [new URL(url).host], labels: { role } }],
      })),
    };
    await writeFile(join(folder, 'prometheus.yml'), stringify(config));
    const args = ['--config.file=prometheus.yml', '--storage.tsdb.path=data', '--web.listen-address=127.0.0.1:0'];
    const child = spawn(program, [...args, '--log.level=info'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    const address = await new Promise<string>((resolve, reject) => {
      const lines: string[] = [];
      createInterface({ input: child.stderr }).on('line', (line) => {
        lines.push(line);
        const found = /Listening on.* address=(\S+)/.exec(line)?.[1];
        if (found !== undefined) resolve(found);
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

  /** The number of targets that answer. */
  async up(): Promise<number> {
    const response = await fetch(`${this.url}/api/v1/query?query=sum(up)`);
    const { data } = (await response.json()) as {
      readonly data: { readonly result: readonly { readonly value: readonly [number, string] }[] };
    };
    return Number(data.result[0]?.value[1] ?? 0);
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await once(this.child, 'close');
  }
}
