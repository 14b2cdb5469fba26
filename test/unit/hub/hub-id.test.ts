import { describe, expect, it } from 'vitest';
import { isInside, linkText, repositoryOf, repositoryPlaces, snapshotOf } from '../../../src/hub/cache-layout.js';
import { hubIdText, parseHubId } from '../../../src/hub/hub-id.js';
import { HubUnavailable, ONCE, PATIENT, Retries, readRetryAfterMs } from '../../../src/hub/retry.js';
import { modelNameOf } from '../../../src/model/model-name.js';

describe('an id on the hub', () => {
  it.each([
    ['onnx-community/SmolLM2-135M-Instruct', 'onnx-community/SmolLM2-135M-Instruct', 'main'],
    ['a/b@v1.0', 'a/b', 'v1.0'],
    ['a/b.c_d@refs/pr/3', 'a/b.c_d', 'refs/pr/3'],
  ])('is read from %s', (text, repository, revision) => {
    expect(parseHubId(text)).toEqual({ repository, revision });
    expect(hubIdText(parseHubId(text)!)).toBe(text);
  });

  it.each([
    ...['gpt2', './a/b', '/a/b', '~/a', 'a/b/c', 'a//b', 'a/', '../b', 'a/..', 'a/b@', 'a/b@../x', 'a/b@x@y'],
    ...['a--b/c', 'a/b.git', '-a/b', 'a/b-', 'a b/c', 'a/b?c', 'a/b@/x', `a/${'b'.repeat(97)}`, ''],
  ])('is not read from %j', (text) => {
    expect(parseHubId(text)).toBeNull();
  });
});

describe('the layout of the cache', () => {
  it('names the folders as the hub does', () => {
    const places = repositoryPlaces('/cache', 'org/a.model');
    expect(places).toEqual({
      folder: '/cache/models--org--a.model',
      blobs: '/cache/models--org--a.model/blobs',
      refs: '/cache/models--org--a.model/refs',
      snapshots: '/cache/models--org--a.model/snapshots',
      locks: '/cache/.locks/models--org--a.model',
    });
    expect(linkText(places, 'c0', 'onnx/model.onnx', 'ab')).toBe('../../../blobs/ab');
    expect(repositoryOf('models--org--a.model')).toBe('org/a.model');
    for (const name of ['datasets--a--b', 'models--a', 'models--', 'models--a--b--c'])
      expect(repositoryOf(name)).toBeNull();
  });

  it('gives the model of a snapshot the name of its repository, and any other model that of its folder', () => {
    expect(snapshotOf('/c/models--o--n/snapshots/abc')).toEqual({ repository: 'o/n', commit: 'abc' });
    expect(modelNameOf('/c/models--o--n/snapshots/abc')).toBe('o/n');
    expect(modelNameOf('/models/snapshots/tiny')).toBe('tiny');
    expect(modelNameOf('/models/tiny')).toBe('tiny');
  });

  it.each(['a', 'a/b', 'onnx/model.onnx_data', '.gitattributes', 'a..b/c'])('takes the path %s', (path) => {
    expect(isInside(path)).toBe(true);
  });

  it.each(['', '/a', '..', 'a/../b', './a', 'a//b', 'a\\b', 'a\nb', 'a/', 'x'.repeat(1025)])(
    'refuses the path %j',
    (path) => {
      expect(isInside(path)).toBe(false);
    },
  );
});

describe('a pause before another attempt', () => {
  const failed = (askedMs: number | null = null) => new HubUnavailable('the hub failed', askedMs);

  it('doubles up to the last attempt, and begins anew after one that brought something', () => {
    const retries = new Retries(PATIENT);
    const four = () => [1, 2, 3, 4].map(() => retries.pauseAfterMs(failed()));
    expect(four()).toEqual([500, 1_000, 2_000, 4_000]);
    expect(() => retries.pauseAfterMs(failed())).toThrow('the hub failed');
    retries.progressed();
    expect(four()).toEqual([500, 1_000, 2_000, 4_000]);
    expect(() => new Retries(ONCE).pauseAfterMs(failed(0))).toThrow('the hub failed');
  });

  it('is as long as the hub asks, while all of them together are not too long', () => {
    const retries = new Retries(PATIENT);
    expect([200_000, 100_000].map((asked) => retries.pauseAfterMs(failed(asked)))).toEqual([200_000, 100_000]);
    expect(() => retries.pauseAfterMs(failed(1))).toThrow('the hub failed');
    expect(() => new Retries(PATIENT).pauseAfterMs(failed(300_001))).toThrow('the hub failed');
  });

  it('is read from seconds and from dates', () => {
    expect(readRetryAfterMs('17', 0)).toBe(17_000);
    expect(readRetryAfterMs('Thu, 01 Jan 1970 00:01:00 GMT', 20_000)).toBe(40_000);
    expect(readRetryAfterMs('Thu, 01 Jan 1970 00:01:00 GMT', 90_000)).toBe(0);
    expect(readRetryAfterMs('soon', 0)).toBeNull();
    expect(readRetryAfterMs(undefined, 0)).toBeNull();
  });
});
