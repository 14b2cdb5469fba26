import { createHmac, generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { KEY_SET_PAUSE_MS, KEY_SET_USABLE_MS, KeySetSource } from '../../../../coordinator/access/key-set-source.js';
import { TokenAccess } from '../../../../coordinator/access/token-access.js';
import { SimulatedClock } from '../../../../src/clock.js';
import type { JwtConfig, JwtKeys } from '../../../../src/config/jwt-config.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { testServer } from '../support/test-server.js';

/** Tokens are made here by hand, apart from the library that checks them. */

const NOW_S = 1_800_000_000;
const SECRET = Buffer.from('a shared secret of more than thirty-two bytes');
const ISSUER = { issuer: 'https://id.example', audience: 'shoal', clockToleranceMs: 30_000 };
const CLAIMS = { iss: ISSUER.issuer, aud: 'shoal', sub: 'ann', exp: NOW_S + 60, shoal: { tenant: 'acme' } };

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const hs256 = (key: string | Buffer, claims: object = CLAIMS, head: object = {}) => {
  const signed = `${part({ alg: 'HS256', ...head })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
};

interface Signer {
  readonly jwk: object;
  readonly publicKey: KeyObject;
  token(claims?: object, head?: object): string;
}

function signer(alg: 'RS256' | 'ES256' | 'EdDSA', kid: string): Signer {
  const { publicKey, privateKey } =
    alg === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2_048 })
      : alg === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519');
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid },
    publicKey,
    token: (claims = CLAIMS, head = {}) => {
      const signed = `${part({ alg, kid, ...head })}.${part(claims)}`;
      const key = alg === 'ES256' ? { key: privateKey, dsaEncoding: 'ieee-p1363' as const } : privateKey;
      return `${signed}.${signBytes(alg === 'EdDSA' ? null : 'sha256', Buffer.from(signed), key).toString('base64url')}`;
    },
  };
}

const config = (keys: JwtKeys): JwtConfig => ({ ...ISSUER, keys });
const withSecret = new TokenAccess(
  config({ kind: 'secret', secretBase64: SECRET.toString('base64') }),
  null,
  () => NOW_S * 1_000,
);

/** An issuer whose published keys a test changes, or null while it cannot be reached. */
function issuer(...signers: Signer[]) {
  const clock = new SimulatedClock();
  const state = { published: signers as Signer[] | null, readings: 0 };
  const read = async () => {
    state.readings++;
    if (state.published === null) throw new Error('connect ECONNREFUSED');
    return JSON.stringify({ keys: state.published.map(({ jwk }) => jwk) });
  };
  const source = new KeySetSource({ source: 'https://id.example/keys?secret=1', clock, log: SILENT_LOG, read });
  const access = new TokenAccess(config({ kind: 'jwks', source: '' }), source, () => NOW_S * 1_000);
  return { clock, state, access };
}

describe('a token', () => {
  it('signed with the shared secret names its subject, tenant, role and limits', async () => {
    const shoal = {
      tenant: 'acme',
      role: 'operator',
      models: ['recall'],
      limits: { concurrent: 2 },
      priority: 4,
      shares: ['public'],
    };
    expect(await withSecret.verify(hs256(SECRET, { ...CLAIMS, shoal }))).toMatchObject({
      id: 'ann',
      tenant: 'acme',
      role: 'operator',
      models: ['recall'],
      limits: { concurrentRequests: 2 },
      priority: 4,
      saltPrefix: 'tenant/acme:all',
      shares: ['public'],
      publishes: [],
    });
  });

  it.each(['RS256', 'ES256', 'EdDSA'] as const)('signed by %s is checked with the published key', async (alg) => {
    const own = signer(alg, 'one');
    const { access } = issuer(signer('ES256', 'other'), own);
    expect(await access.verify(own.token())).toMatchObject({ id: 'ann', tenant: 'acme', role: 'user' });
    const stranger = signer(alg, 'one');
    await expect(access.verify(stranger.token())).rejects.toMatchObject({ status: 401, message: /signature is wrong/ });
  });

  it('without an algorithm, or with one of the other kind of key, is refused', async () => {
    const rsa = signer('RS256', 'one');
    const { access } = issuer(rsa);
    const none = `${part({ alg: 'none' })}.${part(CLAIMS)}.`;
    const refused = { status: 401, code: 'invalid_token' };
    await expect(access.verify(none)).rejects.toMatchObject(refused);
    await expect(withSecret.verify(none)).rejects.toMatchObject(refused);
    // The public key taken for a shared secret, in each form in which it is published.
    const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' });
    for (const key of [pem, JSON.stringify(rsa.jwk), rsa.publicKey.export({ format: 'der', type: 'spki' })]) {
      await expect(access.verify(hs256(key, CLAIMS, { kid: 'one' }))).rejects.toMatchObject(refused);
    }
    await expect(withSecret.verify(rsa.token())).rejects.toMatchObject(refused);
    // A key that the token brings along.
    await expect(access.verify(signer('RS256', 'two').token(CLAIMS, { jwk: rsa.jwk }))).rejects.toMatchObject(refused);
  });

  const wrong: [string, object, number, RegExp][] = [
    ['that has expired', { exp: NOW_S - 31 }, 401, /has expired/],
    ['without an end', { exp: undefined }, 401, /claim exp is missing/],
    ['that begins later', { nbf: NOW_S + 31 }, 401, /claim nbf is missing or not accepted/],
    ['of another issuer', { iss: 'https://evil.example' }, 401, /claim iss/],
    ['for another audience', { aud: ['other'] }, 401, /claim aud/],
    ['without a subject', { sub: undefined }, 401, /claim sub/],
    ['with half of a surrogate pair in its subject', { sub: 'ann\ud800' }, 401, /subject \(sub\) is not well-formed/],
    ['without a tenant', { shoal: {} }, 403, /claim 'shoal' of the token is missing or wrong: tenant: /],
    ['without grants', { shoal: undefined }, 403, /claim 'shoal'/],
    ['with an unknown role', { shoal: { tenant: 'a', role: 'root' } }, 403, /role: /],
    ['with the salt of another in its tenant', { shoal: { tenant: 'a:b' } }, 403, /tenant: /],
  ];
  it.each(wrong)('%s is refused', async (_, change, status, message) => {
    await expect(withSecret.verify(hs256(SECRET, { ...CLAIMS, ...change }))).rejects.toMatchObject({ status, message });
  });

  it('may be as much too old or too new as the clocks may differ', async () => {
    for (const change of [{ exp: NOW_S - 29 }, { nbf: NOW_S + 29 }]) {
      expect((await withSecret.verify(hs256(SECRET, { ...CLAIMS, ...change }))).id).toBe('ann');
    }
  });

  it('shares no salt with another subject where its scope is the key', async () => {
    const prefix = async (sub: string, tenant: string) => {
      const claims = { ...CLAIMS, sub, shoal: { tenant, salt_scope: 'key' } };
      return (await withSecret.verify(hs256(SECRET, claims))).saltPrefix;
    };
    const prefixes = [
      await prefix('ann', 'a'),
      await prefix('bob', 'a'),
      await prefix('ann', 'b'),
      await prefix('ä 1', 'b'),
    ];
    expect(new Set(prefixes).size).toBe(4);
    expect(await prefix('ann', 'a')).toBe(prefixes[0]);
  });
});

describe('the key set of an issuer', () => {
  it('is read again for a new key, at most once in a while', async () => {
    const [old, next] = [signer('ES256', 'old'), signer('ES256', 'next')];
    const { access, state, clock } = issuer(old);
    await access.verify(old.token());
    state.published = [old, next];
    // Too soon after the first reading.
    await expect(access.verify(next.token())).rejects.toMatchObject({ status: 401, message: /not in the key set/ });
    await clock.advance(KEY_SET_PAUSE_MS);
    expect(await access.verify(next.token())).toMatchObject({ id: 'ann' });
    expect(state.readings).toBe(2);
    for (let i = 0; i < 50; i++) await access.verify(signer('EdDSA', `invented-${i}`).token()).catch(() => {});
    expect(state.readings).toBe(2);
  });

  it('is used on while the issuer cannot be reached, but not for ever', async () => {
    const own = signer('ES256', 'one');
    const { access, state, clock } = issuer(own);
    await access.verify(own.token());
    state.published = null;
    await clock.advance(KEY_SET_USABLE_MS - 1);
    expect(await access.verify(own.token())).toMatchObject({ id: 'ann' });
    await clock.advance(KEY_SET_PAUSE_MS);
    await expect(access.verify(own.token())).rejects.toMatchObject({
      code: 'unavailable',
      message: 'cannot check tokens: no key set from https://id.example/keys: connect ECONNREFUSED; retry later',
    });
    state.published = [own];
    await clock.advance(KEY_SET_PAUSE_MS);
    expect(await access.verify(own.token())).toMatchObject({ id: 'ann' });
  });

  it('without a key of a token that was withdrawn refuses it', async () => {
    const [old, next] = [signer('ES256', 'old'), signer('ES256', 'next')];
    const { access, state, clock } = issuer(old);
    await access.verify(old.token());
    state.published = [next];
    await clock.advance(KEY_SET_PAUSE_MS);
    await access.verify(next.token());
    await expect(access.verify(old.token())).rejects.toMatchObject({ status: 401 });
  });

  it('comes from a server or a file, and a request is answered 503 while it does not come', async () => {
    const own = signer('EdDSA', 'one');
    const keys = JSON.stringify({ keys: [own.jwk] });
    let up = false;
    const server = createServer((_, response) => {
      response.statusCode = up ? 200 : 500;
      response.end(keys);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const clock = new SimulatedClock(NOW_S * 1_000);
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
    const remote = await testServer({ jwt: config({ kind: 'jwks', source: url }) }, clock);
    const statusOf = async (base: string, token: string) =>
      (await fetch(`${base}/v1/models`, { headers: { authorization: `Bearer ${token}` } })).status;
    expect(await statusOf(remote.url, own.token())).toBe(503);
    up = true;
    await clock.advance(KEY_SET_PAUSE_MS);
    expect(await statusOf(remote.url, own.token())).toBe(200);
    expect(await statusOf(remote.url, signer('EdDSA', 'one').token())).toBe(401);

    const folder = mkdtempSync(join(tmpdir(), 'shoal-jwks-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'keys.json'), keys);
    const local = await testServer({ jwt: config({ kind: 'jwks', source: join(folder, 'keys.json') }) }, clock);
    expect(await statusOf(local.url, own.token())).toBe(200);
  });
});
