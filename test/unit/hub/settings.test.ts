import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { WrongUsage } from '../../../src/config/wrong-usage.js';
import { hubSettings } from '../../../src/hub/hub-settings.js';
import { proxyFor } from '../../../src/hub/proxy.js';
import { scratchFolder } from '../model/folders.js';

let home: string;
beforeEach(async () => {
  home = await scratchFolder();
});

describe('the settings of the hub', () => {
  it('are those of its own libraries', () => {
    expect(hubSettings({ HOME: home })).toMatchObject({
      endpoint: 'https://huggingface.co',
      cacheDir: join(home, '.cache/huggingface/hub'),
      token: null,
      offline: false,
    });
    const cacheDir = (environment: Record<string, string>) => hubSettings({ HOME: home, ...environment }).cacheDir;
    expect(cacheDir({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub');
    expect(cacheDir({ HF_HOME: '/h' })).toBe('/h/hub');
    expect(cacheDir({ HF_HOME: '~/h' })).toBe(join(home, 'h/hub'));
    expect(cacheDir({ HF_HOME: '/h', HF_HUB_CACHE: '/c' })).toBe('/c');
    expect(hubSettings({ HOME: home, HF_ENDPOINT: 'https://mirror.example/hf/' }).endpoint).toBe(
      'https://mirror.example/hf',
    );
    for (const variable of ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE']) {
      expect(hubSettings({ HOME: home, [variable]: 'True' }).offline).toBe(true);
      expect(hubSettings({ HOME: home, [variable]: '0' }).offline).toBe(false);
    }
  });

  it('have the token of the variable, else of the file that a log-in leaves', async () => {
    await mkdir(join(home, '.cache/huggingface'), { recursive: true });
    await writeFile(join(home, '.cache/huggingface/token'), 'hf_file\n');
    expect(hubSettings({ HOME: home }).token).toBe('hf_file');
    expect(hubSettings({ HOME: home, HF_TOKEN: 'hf_own' }).token).toBe('hf_own');
    expect(hubSettings({ HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }).token).toBeNull();
    expect(hubSettings({ HOME: home, HF_TOKEN: 'hf_own', HF_HUB_OFFLINE: '1' }).token).toBeNull();
    await writeFile(join(home, 'other'), 'hf_other');
    expect(hubSettings({ HOME: home, HF_TOKEN_PATH: join(home, 'other') }).token).toBe('hf_other');
  });

  it('never send a token without TLS, but to this machine', () => {
    const withToken = (HF_ENDPOINT: string) => hubSettings({ HOME: home, HF_TOKEN: 'hf_own', HF_ENDPOINT });
    expect(() => withToken('http://mirror.example')).toThrow(
      /HF_ENDPOINT: must begin with https:\/\/ while a token is set/,
    );
    expect(withToken('http://127.0.0.1:9').token).toBe('hf_own');
    expect(hubSettings({ HOME: home, HF_ENDPOINT: 'http://mirror.example' }).token).toBeNull();
  });

  it.each([
    [{ HF_ENDPOINT: 'ftp://a' }, /HF_ENDPOINT/],
    [{ HF_ENDPOINT: 'https://user:pass@a' }, /HF_ENDPOINT/],
    [{ HF_TOKEN: 'two words' }, /HF_TOKEN/],
    [{ HF_TOKEN: 'a\r\nx-evil: 1' }, /HF_TOKEN/],
  ])('refuse %j', (environment, message) => {
    expect(() => hubSettings({ HOME: home, ...environment })).toThrow(message);
    expect(() => hubSettings({ HOME: home, ...environment })).toThrow(WrongUsage);
  });
});

describe('the proxy', () => {
  const proxy = (url: string, environment: Record<string, string>) => proxyFor(new URL(url), environment)?.href ?? null;

  it('is the one for the scheme, else the one for all', () => {
    const environment = { https_proxy: 'http://low:1', HTTPS_PROXY: 'http://high:1', HTTP_PROXY: 'plain:2' };
    expect(proxy('https://a', environment)).toBe('http://low:1/');
    expect(proxy('http://a', environment)).toBe('http://plain:2/');
    expect(proxy('https://a', { ALL_PROXY: 'https://all:3' })).toBe('https://all:3/');
    expect(proxy('https://a', {})).toBeNull();
  });

  it.each([
    ['https://hub.example', 'hub.example', true],
    ['https://cdn.hub.example', 'hub.example', true],
    ['https://cdn.hub.example', '.hub.example', true],
    ['https://cdn.hub.example', '*.hub.example', true],
    ['https://myhub.example', 'hub.example', false],
    ['https://hub.example', 'hub.example:443', true],
    ['https://hub.example', 'hub.example:8443', false],
    ['http://10.0.0.1:8080', 'localhost,10.0.0.1', true],
    ['http://[fd00::1]:8080', 'fd00::1', true],
    ['http://[fd00::1]:8080', '[fd00::1]:8080', true],
    ['http://[fd00::1]:8080', '[fd00::2]:8080', false],
    ['https://hub.example', 'a.example b.example', false],
    ['https://hub.example', '*', true],
    ['https://hub.example', '', false],
  ])('to %s is left out by NO_PROXY=%s: %s', (url, noProxy, direct) => {
    expect(proxy(url, { ALL_PROXY: 'http://p', NO_PROXY: noProxy }) === null).toBe(direct);
  });

  it('that speaks no HTTP is refused, without its password', () => {
    expect(() => proxy('https://a', { HTTPS_PROXY: 'socks5://user:pass@p' })).toThrow(
      /^HTTPS_PROXY: must be the URL of an HTTP proxy/,
    );
    expect(() => proxy('https://a', { HTTPS_PROXY: 'socks5://user:pass@p' })).not.toThrow(/pass@/);
  });

  it.each(['ALL_PROXY', 'all_proxy', 'HTTP_PROXY', 'http_proxy'])('that speaks no HTTP is refused as %s', (name) => {
    expect(() => proxy('http://a', { [name]: 'socks5h://p:1080' })).toThrow(
      `${name}: must be the URL of an HTTP proxy`,
    );
  });

  it.each(['http://127.0.0.1:8080', 'http://127.8.8.8', 'http://[::1]:8080', 'http://localhost', 'https://LOCALHOST'])(
    'to %s, which is this machine, is left out whatever the variables say',
    (url) => {
      for (const name of ['ALL_PROXY', 'HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy'])
        expect(proxy(url, { [name]: 'http://p', NO_PROXY: '' })).toBeNull();
    },
  );
});
