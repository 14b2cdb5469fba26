import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { SimulatedClock } from '../../src/clock.js';
import { createLog } from '../../src/log.js';
import { TlsWatch } from '../../src/tls-watch.js';
import { FLEET_TLS } from './peer/support/tls.js';
import { until } from './peer/support/until.js';

const DAY_MS = 24 * 3_600_000;
/** The certificate of `FLEET_TLS` is valid from 2026-11-20 to 2126-10-27. */
const EXPIRES_MS = Date.parse('2126-10-27T21:04:16Z');

function watched(keyMode: number) {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-tls-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'key.pem');
  writeFileSync(path, FLEET_TLS.key);
  chmodSync(path, keyMode);
  const file = (option: string, name: string, pem: string) => ({ option, path: name, pem });
  const pems = {
    key: file('--key', path, FLEET_TLS.key),
    cert: file('--cert', 'cert.pem', FLEET_TLS.cert),
    ca: file('--ca', 'ca.pem', FLEET_TLS.ca),
  };
  const logged: string[] = [];
  const log = createLog({ level: 'warn', write: (line) => logged.push((JSON.parse(line) as { msg: string }).msg) });
  const clock = new SimulatedClock();
  const wall = { nowMs: 0 };
  const watch = new TlsWatch(
    () => pems,
    clock,
    () => wall.nowMs,
    log,
  );
  onTestFinished(() => watch.stop());
  return { watch, wall, clock, logged };
}

it('certificates are watched until they expire, and those that do soon are named', async () => {
  const { watch, wall, clock, logged } = watched(0o600);
  wall.nowMs = EXPIRES_MS - 20 * DAY_MS;
  await watch.start();
  expect(logged).toEqual([]);
  wall.nowMs = EXPIRES_MS - 13.5 * DAY_MS;
  await clock.advance(DAY_MS / 2);
  await until(() => logged.length > 0);
  expect(logged[0]).toMatch(
    /^--cert: the certificate of CN=fleet worker in cert\.pem expires on .*, in 13 days; replace it$/,
  );
  wall.nowMs = EXPIRES_MS + 1;
  await clock.advance(DAY_MS / 2);
  await until(() => logged.some((line) => /^--cert: .* expired on /.test(line)));
});

it('a key that every user of the machine can read is named, and a certificate from the future', async () => {
  const { watch, logged } = watched(0o644);
  await watch.start();
  expect(logged).toEqual([
    expect.stringMatching(/^--cert: .* is not valid before /),
    expect.stringMatching(/^--ca: .* is not valid before /),
    expect.stringMatching(/^--key: every user of this machine can read .*key\.pem; chmod it to 600$/),
  ]);
});
