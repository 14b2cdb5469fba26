import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import type { PullEvent } from '../../../src/hub/pull-ports.js';
import { hubRig, ID, tinyModel } from './rig.js';

const rig = hubRig();

describe('a model', () => {
  describe.each(['/revision/', '/tree/'])('that is in the cache, while the hub fails for %s', (url) => {
    it.each([
      ['status 500', { kind: 'status', status: 500 }],
      [
        'status 503 with a date',
        { kind: 'status', status: 503, headers: { 'retry-after': 'Tue, 01 Dec 2099 10:00:00 GMT' } },
      ],
      ['a limit that holds for minutes', { kind: 'status', status: 429, headers: { 'retry-after': '300' } }],
      ['an answer that cannot be read', { kind: 'status', status: 200, headers: { 'content-encoding': 'gzip' } }],
      [
        'a token that is not valid any more',
        { kind: 'status', status: 401, headers: { 'x-error-message': 'Invalid credentials in Authorization header' } },
      ],
      ['access that was taken back', { kind: 'status', status: 403, headers: { 'x-error-code': 'GatedRepo' } }],
      ['a repository that is hidden', { kind: 'status', status: 404, headers: { 'x-error-code': 'RepoNotFound' } }],
    ] as const)('is taken at once: %s', async (_, fault) => {
      rig.hub.add(ID, await tinyModel());
      const online = await rig.pull();
      // Nothing is waited for: the clock stands still.
      const still = { clock: new SimulatedClock(), environment: { HF_TOKEN: 'hf_some' } };
      rig.hub.faults.push({ url, ...fault });
      expect(await rig.pull(ID, still)).toEqual(online);
      expect(rig.events.at(-1)).toMatchObject({ type: 'from-cache', why: expect.stringMatching(/./) });
      expect(rig.hub.faults).toEqual([]);
    });
  });

  it('is asked for again if the cache has a part of it, or another graph', async () => {
    const files = await tinyModel();
    rig.hub.add(ID, { ...files, 'onnx/model_q4.onnx': files['onnx/model.onnx']! });
    const { dir } = await rig.pull(ID, { wish: { dtype: 'fp32' } });
    const again = async (wish: object) => {
      rig.hub.faults.push({ url: '/tree/', kind: 'status', status: 503 });
      const clock = new SimulatedClock();
      const onEvent = (event: PullEvent) =>
        void (event.type === 'retrying' && setImmediate(() => clock.advance(event.inMs)));
      return rig.pull(ID, { wish, clock, onEvent });
    };
    expect(await again({ dtype: 'q4' })).toMatchObject({ graph: 'onnx/model_q4.onnx' });
    await rm(join(dir, 'onnx', 'model.onnx_data'));
    expect(await again({ dtype: 'fp32' })).toMatchObject({ graph: 'onnx/model.onnx' });
    await stat(join(dir, 'onnx', 'model.onnx_data'));
  });

  it('is taken as it was if the hub does not give the files of a newer commit', async () => {
    const files = await tinyModel();
    rig.hub.add(ID, files);
    const online = await rig.pull();
    rig.hub.add(ID, {
      ...files,
      'config.json': Buffer.concat([Buffer.from(files['config.json']!), Buffer.from('\n')]),
    });
    rig.hub.faults.push({ url: 'config.json', kind: 'status', status: 429, headers: { 'retry-after': '300' } });
    expect(await rig.pull(ID, { clock: new SimulatedClock() })).toEqual(online);
    expect((await rig.pull()).commit).not.toBe(online.commit);
  });

  it('is refused although it is in the cache if the hub has no such revision', async () => {
    rig.hub.add(ID, await tinyModel());
    await rig.pull();
    rig.hub.faults.push({
      url: '/revision/',
      kind: 'status',
      status: 404,
      headers: { 'x-error-code': 'RevisionNotFound' },
    });
    await expect(rig.pull()).rejects.toThrow(/has no revision main/);
  });

  it('that is not in the cache says for how long the hub wants no request, and does not wait for hours', async () => {
    rig.hub.add(ID, await tinyModel());
    rig.hub.faults.push({ url: '/tree/', kind: 'status', status: 429, headers: { 'retry-after': '7200' } });
    await expect(rig.pull(ID, { clock: new SimulatedClock() })).rejects.toThrow(
      /rate limit is reached; try again in 7200 s/,
    );
  });
});
