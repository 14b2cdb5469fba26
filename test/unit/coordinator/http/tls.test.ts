import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { run } from '../../../../cli/program.js';
import { CertificateKeeper, readCertificates } from '../../../../coordinator/http/certificates.js';
import type { TlsContext } from '../../../../coordinator/http/listener.js';
import { SimulatedClock } from '../../../../src/clock.js';
import { Refused } from '../../../../src/errors.js';
import { createLog } from '../../../../src/log.js';
import { FLEET_TLS, OTHER_TLS } from '../../peer/support/tls.js';
import { until } from '../../peer/support/until.js';
import { testServer } from '../support/test-server.js';

interface Answer {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly subject: string;
}

/** Asks over TLS, without checking the server's name: its certificates are for workers. */
function ask(
  url: string,
  path: string,
  own: { key?: string; cert?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(new URL(path, url), { ...own, agent: false, rejectUnauthorized: false }, (answer) => {
      const { subject } = (answer.socket as TLSSocket).getPeerCertificate();
      answer.resume();
      resolve({ status: answer.statusCode, headers: answer.headers, subject: String(subject.CN) });
    })
      .on('error', reject)
      .end();
  });
}

const SERVER: TlsContext = { key: FLEET_TLS.key, cert: FLEET_TLS.cert, clientCa: null };

describe('TLS', () => {
  it('is all that a server with a certificate speaks', async () => {
    const { url } = await testServer({ tls: SERVER });
    expect(url).toMatch(/^https:/);
    const { status, headers } = await ask(url, '/version');
    expect([status, headers['strict-transport-security']]).toEqual([200, 'max-age=31536000']);
    await expect(fetch(url.replace('https', 'http'))).rejects.toThrow();
    const said: string[] = [];
    const io = { out: (text: string) => said.push(text), err: (text: string) => said.push(text) };
    expect([await run(['health', '--url', url], { environment: {}, io }), said.length]).toEqual([0, 1]);
  });

  it('makes a page of the same host without it a page of another origin', async () => {
    const { url } = await testServer({ tls: SERVER });
    const from = async (origin: string) => (await ask(url, '/version', { headers: { origin } })).status;
    expect([await from(url), await from(url.replace('https', 'HTTPS'))]).toEqual([200, 200]);
    expect(await from(url.replace('https', 'http'))).toBe(403);
    // A proxy may speak TLS for a coordinator that does not.
    const plain = await testServer();
    for (const origin of [plain.url, plain.url.replace('http', 'https')]) {
      expect((await fetch(`${plain.url}/version`, { headers: { origin } })).status).toBe(200);
    }
  });

  it('needs a certificate of the right authority from clients, if so configured, but for health', async () => {
    const { url } = await testServer({ tls: { ...SERVER, clientCa: FLEET_TLS.ca } });
    const statuses = async (own: { key?: string; cert?: string }) => [
      (await ask(url, '/version', own)).status,
      (await ask(url, '/nowhere', own)).status,
      (await ask(url, '/health/ready', own)).status,
    ];
    expect(await statuses({})).toEqual([403, 403, 200]);
    expect(await statuses({ key: OTHER_TLS.key, cert: OTHER_TLS.cert })).toEqual([403, 403, 200]);
    expect(await statuses({ key: FLEET_TLS.key, cert: FLEET_TLS.cert })).toEqual([200, 404, 200]);
  });
});

describe('the files of a certificate', () => {
  function files(tls: { key: string; cert: string; ca?: string }) {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-tls-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const paths = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem'), clientCa: null };
    const write = (path: string, text: string) => {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
    };
    write(paths.key, tls.key);
    write(paths.cert, tls.cert);
    const ca = join(folder, 'ca.pem');
    write(ca, tls.ca ?? '');
    return { paths, write, ca };
  }

  it('are refused if they do not fit each other, or cannot be read', async () => {
    const { paths, write } = files(FLEET_TLS);
    write(paths.cert, OTHER_TLS.cert);
    const wrong = readCertificates(paths);
    await expect(wrong).rejects.toBeInstanceOf(Refused);
    await expect(wrong).rejects.toThrow(/--tls-cert \(SHOAL_TLS_CERT\): cannot use .*cert.pem with the key/);
    await expect(readCertificates({ ...paths, key: '/nowhere' })).rejects.toThrow(/--tls-key .*cannot read \/nowhere/);
  });

  const cut = (pem: string) => pem.slice(0, pem.length / 2);
  const garbled = (pem: string) => pem.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA');
  const none = 'must have at least one certificate in PEM';
  it.each([
    ['an empty key', 'key', '', /--tls-key \(SHOAL_TLS_KEY\): cannot use .*key\.pem: must have a private key in PEM/],
    ['a key that is none', 'key', 'not a key', /--tls-key .*cannot use .*key\.pem: must have a private key in PEM/],
    [
      'an empty certificate',
      'cert',
      '',
      new RegExp(`--tls-cert \\(SHOAL_TLS_CERT\\): cannot use .*cert\\.pem: ${none}`),
    ],
    ['half a certificate', 'cert', cut(FLEET_TLS.cert), new RegExp(`cert\\.pem: ${none}`)],
    [
      'a garbled certificate',
      'cert',
      garbled(FLEET_TLS.cert),
      /--tls-cert .*cert\.pem: certificate 1 cannot be parsed/,
    ],
    [
      'an empty authority',
      'ca',
      '',
      new RegExp(`--tls-client-ca \\(SHOAL_TLS_CLIENT_CA\\): cannot use .*ca\\.pem: ${none}`),
    ],
    ['an authority that is none', 'ca', 'not a certificate', new RegExp(`--tls-client-ca .*ca\\.pem: ${none}`)],
    [
      'half of a second authority',
      'ca',
      FLEET_TLS.ca + cut(OTHER_TLS.ca),
      /--tls-client-ca .*ca\.pem: a certificate is cut off/,
    ],
    [
      'a garbled second authority',
      'ca',
      FLEET_TLS.ca + garbled(OTHER_TLS.ca),
      /--tls-client-ca .*ca\.pem: certificate 2 cannot be parsed/,
    ],
  ] as const)('are refused by name with %s', async (_, which, content, message) => {
    const { paths, write, ca } = files(FLEET_TLS);
    const named = { ...paths, clientCa: ca };
    expect(await readCertificates(named)).toMatchObject({ clientCa: FLEET_TLS.ca });
    write({ ...paths, ca }[which], content);
    const refused = readCertificates(named);
    await expect(refused).rejects.toBeInstanceOf(Refused);
    await expect(refused).rejects.toThrow(message);
  });

  it('keep strangers out, and let clients in, while the file of the authority is empty or half written', async () => {
    const { paths, write, ca } = files(FLEET_TLS);
    const named = { ...paths, clientCa: ca };
    const first = await readCertificates(named);
    const server = await testServer({ tls: first });
    const clock = new SimulatedClock();
    const logged: string[] = [];
    const log = createLog({ level: 'debug', write: (line) => logged.push(line) });
    const keeper = new CertificateKeeper(named, first, (tls) => server.renewTls(tls), clock, log);
    keeper.start();
    for (const [i, content] of ['', FLEET_TLS.ca + cut(OTHER_TLS.ca)].entries()) {
      write(ca, content);
      await clock.advance(5_000);
      await until(() => logged.length === i + 1);
      expect(logged[i]).toMatch(/the certificate stays as it was: --tls-client-ca/);
      expect((await ask(server.url, '/version', OTHER_TLS)).status).toBe(403);
      expect((await ask(server.url, '/version', FLEET_TLS)).status).toBe(200);
    }
    keeper.stop();
  });

  it('are read again when they change, once they fit each other', async () => {
    const { paths, write } = files(FLEET_TLS);
    const first = await readCertificates(paths);
    const server = await testServer({ tls: first });
    const clock = new SimulatedClock();
    const logged: string[] = [];
    const log = createLog({ level: 'debug', write: (line) => logged.push(line) });
    const keeper = new CertificateKeeper(paths, first, (tls) => server.renewTls(tls), clock, log);
    keeper.start();
    expect((await ask(server.url, '/version')).subject).toBe('fleet worker');
    write(paths.cert, OTHER_TLS.cert);
    await clock.advance(5_000);
    await until(() => logged.length === 1);
    expect(logged[0]).toContain('the certificate stays as it was');
    expect((await ask(server.url, '/version')).subject).toBe('fleet worker');
    write(paths.key, OTHER_TLS.key);
    await clock.advance(5_000);
    await until(() => logged.length === 2);
    expect((await ask(server.url, '/version')).subject).toBe('other worker');
    keeper.stop();
    expect(clock.nextAtMs()).toBeNull();
  });
});
