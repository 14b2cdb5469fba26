import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { CommandContext } from '../../../cli/context.js';
import { deviceFindings, nodeFinding, unknownVariables } from '../../../cli/doctor.js';
import { explain } from '../../../cli/explain.js';
import { health } from '../../../cli/health.js';
import { status } from '../../../cli/status.js';
import { table } from '../../../cli/table.js';

const FLEET = {
  model: 'recall',
  replicas: 2,
  epoch: 'ab12',
  coordinators: [{ id: 'coordinator', pid: 1, host: 'box' }],
  workers: [
    {
      id: 'worker-1',
      incarnation: 'x',
      pid: 42,
      host: 'box',
      device: 'cpu',
      state: 'serving',
      address: {},
      blocks: 12,
      bytes: { device: 3 * 2 ** 20, host: 0 },
      budget: { device: 2 ** 30, host: 0 },
      running: 1,
      waiting: 0,
      hit_rate: 0.875,
    },
  ],
};

const BLOCKS = [
  {
    index: 0,
    key: 'a'.repeat(64),
    homes: ['worker-1', 'worker-2'],
    holders: ['worker-1', 'worker-2'],
    tiers: { 'worker-1': 'disk' },
    state: 'hit',
    reason: null,
  },
  {
    index: 1,
    key: 'b'.repeat(64),
    homes: ['worker-1'],
    holders: [],
    tiers: {},
    state: 'miss',
    reason: 'never computed',
  },
];

describe('the output of commands', () => {
  let server: Server | null = null;
  afterEach(() => server?.close());

  /** A stub coordinator with these answers; it adds each request to `asked`. */
  async function coordinator(answers: Record<string, unknown>, asked: unknown[] = []): Promise<string> {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        asked.push([request.method, request.url, request.headers.authorization, Buffer.concat(chunks).toString()]);
        const answer = answers[request.url ?? ''];
        response.statusCode = answer === undefined ? 401 : 200;
        response.end(JSON.stringify(answer ?? { error: { message: 'a key is needed', type: 'x' } }));
      });
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  function context(
    url: string,
    flags: Record<string, unknown> = {},
    args: string[] = [],
  ): CommandContext & { said: string[] } {
    const said: string[] = [];
    const say = (text: string) => void said.push(text);
    return { flags: { url, ...flags }, args, environment: { SHOAL_API_KEY: 'k' }, io: { out: say, err: say }, said };
  }

  it('status: a row for each worker', async () => {
    const on = context(await coordinator({ '/v1/fleet': FLEET }));
    expect(await status(on)).toBe(0);
    expect(on.said.join('')).toBe(
      [
        'model recall, 2 replicas, epoch ab12, coordinators coordinator',
        '',
        'worker    state    device  pid  host  running  waiting  blocks  memory          hit rate',
        'worker-1  serving  cpu      42  box         1        0      12  3 MiB of 1 GiB  88 %',
        '',
      ].join('\n'),
    );
  });

  it('status --json: one line', async () => {
    const on = context(await coordinator({ '/v1/fleet': FLEET }), { json: true });
    await status(on);
    expect(on.said).toHaveLength(1);
    expect(JSON.parse(on.said[0]!)).toMatchObject({ model: 'recall', workers: [{ id: 'worker-1', pid: 42 }] });
  });

  it('status: the error of a coordinator that refuses', async () => {
    await expect(status(context(await coordinator({})))).rejects.toThrow('/v1/fleet: HTTP status 401: a key is needed');
  });

  it('health: 0 and the checks if the process is ready, else the reason', async () => {
    const ready = { status: 'ok', checks: [] };
    const on = context(await coordinator({ '/health/ready': ready }));
    expect(await health(on)).toBe(0);
    expect(JSON.parse(on.said.join(''))).toEqual(ready);
    server?.close();
    await expect(health(context(await coordinator({})))).rejects.toThrow('/health/ready returned HTTP status 401: ');
    await expect(health(context('http://127.0.0.1:1'))).rejects.toThrow('cannot reach http://127.0.0.1:1/');
  });

  it('explain: where each block is, and how many blocks can be reused', async () => {
    const asked: unknown[] = [];
    const on = context(await coordinator({ '/v1/cache/explain': { blocks: BLOCKS } }, asked), {}, ['the prompt']);
    expect(await explain(on)).toBe(0);
    expect(asked).toEqual([['POST', '/v1/cache/explain', 'Bearer k', JSON.stringify({ prompt: 'the prompt' })]]);
    expect(on.said.join('')).toBe(
      [
        '1 of 2 blocks can be reused',
        '',
        'block  key           state  held by                    homes               reason',
        '    0  aaaaaaaaaaaa  hit    worker-1 (disk), worker-2  worker-1, worker-2',
        '    1  bbbbbbbbbbbb  miss   -                          worker-1            never computed',
        '',
      ].join('\n'),
    );
  });

  it('doctor: an outdated Node, and misspelt variables', () => {
    expect(['20.19.0', '22.1.0', '24.0.0'].map((version) => nodeFinding(version).state)).toEqual(['ok', 'ok', 'ok']);
    expect(['18.20.1', '20.18.9'].map((version) => nodeFinding(version).state)).toEqual(['missing', 'missing']);
    const found = unknownVariables({ SHOAL_PROT: '1', SHOAL_PORT: '1', SHOAL_SYNTH_OUT: 'x', HOME: '/' });
    expect(found.map((finding) => finding.detail)).toEqual(['SHOAL_PROT is set, but no option has this name']);
  });

  it('doctor: the device that auto chooses, and what the others lack', () => {
    const gpu = { name: 'Some GPU', type: 'discrete' as const, memoryBytes: 8 * 2 ** 30, subgroupLanes: 32 };
    const found = deviceFindings({ providers: [], cudaMissing: 'no driver', adapters: [gpu] });
    expect(found.map(({ name, state, detail }) => `${state} ${name}: ${detail}`)).toEqual([
      'ok device: auto takes webgpu on Some GPU (discrete): no cuda (no driver)',
      'warning CUDA: not available: no driver',
      'ok WebGPU: Some GPU (discrete), 8 GiB of memory',
    ]);
    expect(found[1]!.fix).toMatch(/ONNXRUNTIME_NODE_INSTALL=cuda12 .* cuDNN 9/);
    const nothing = deviceFindings({ providers: [], cudaMissing: null, adapters: 'no loader' });
    expect(nothing.map(({ state }) => state)).toEqual(['ok', 'ok', 'warning']);
    expect(nothing[2]).toMatchObject({ detail: 'no loader', fix: expect.stringContaining('libvulkan1') });
  });

  it('tables: columns of minimal width, numbers right-aligned', () => {
    const rows = [
      ['x', 10],
      ['long name', 5],
    ] as const;
    expect(table(['name', 'n'], rows)).toBe('name        n\nx          10\nlong name   5');
  });
});
