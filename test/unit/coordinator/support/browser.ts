import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** Pages of another origin in a real browser. */

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];

/** The path of a Chromium; null if there is none. */
export const CHROMIUM: string | null = find();

function find(): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const program of PROGRAMS) {
      try {
        const path = join(folder, program);
        accessSync(path, constants.X_OK);
        return path;
      } catch {}
    }
  }
  return null;
}

/** The host name under which pages are served. No name server knows it: Chromium is told that it is this machine. */
const PAGE_HOST = 'page.example';

/** A script that posts its own failure, too. */
function reporting(script: string): string {
  const failed = "fetch('/', { method: 'POST', body: JSON.stringify({ error: String(error) }) })";
  return `(async () => {${script}})().catch((error) => ${failed})`;
}

/** Opens a page that runs a script. Resolves with the JSON that the script posts to `/` of its own origin. The browser ends with the test. */
export async function runPage(script: string, chromium: string): Promise<unknown> {
  let report: (value: unknown) => void = () => {};
  const reported = new Promise((resolve) => {
    report = resolve;
  });
  const server = createServer((request, response) => {
    if (request.method !== 'POST') {
      response.setHeader('content-type', 'text/html').end(`<!doctype html><script>${reporting(script)}</script>`);
      return;
    }
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      response.end();
      report(JSON.parse(text));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const profile = mkdtempSync(join(tmpdir(), 'shoal-page-'));
  const args = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', `--user-data-dir=${profile}`];
  const network = [
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-proxy-server',
  ];
  const names = `--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE localhost`;
  const page = `http://${PAGE_HOST}:${port}/`;
  const browser = spawn(chromium, [...args, ...network, names, page], { stdio: 'ignore', detached: true });
  const ended = new Promise<never>((_, reject) => {
    browser.once('error', reject);
    browser.once('exit', (code) => reject(new Error(`the browser ended with ${code}`)));
  });
  ended.catch(() => {});
  onTestFinished(async () => {
    const gone = new Promise((resolve) => browser.once('exit', resolve));
    // The whole group: a browser is many processes.
    if (browser.exitCode === null && browser.pid !== undefined) {
      process.kill(-browser.pid, 'SIGKILL');
      await gone;
    }
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  return await Promise.race([reported, ended]);
}
