import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { adapterAdd } from '../../../cli/adapter-add.js';
import { adapterList, adapterRemove } from '../../../cli/adapter-list.js';
import type { CommandContext } from '../../../cli/context.js';

const SHAPE = { ...SYNTH_PRESETS.tiny, layers: 1, vocab: 300 };

describe('shoal adapter', () => {
  let home: string;
  const model = () => join(home, 'tunable');
  const adapters = () => join(home, 'adapters');

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'shoal-adapter-'));
    await synthesize({ ...SHAPE, loraRank: 2 }, model());
    await synthesize({ ...SHAPE, hidden: 32, loraRank: 2 }, join(home, 'narrow'));
    await synthesize(SHAPE, join(home, 'plain'));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  async function run(command: (context: CommandContext) => Promise<number>, ...args: string[]): Promise<string> {
    const out: string[] = [];
    const flags = { model: model(), adapterDir: adapters(), json: 'on' };
    const io = { out: (text: string) => void out.push(text), err: () => {} };
    const context = { args, flags, environment: {}, io } as unknown as CommandContext;
    expect(await command(context)).toBe(0);
    return out.join('');
  }

  it('converts an adapter of PEFT to the bytes of the adapter that was made for the graph', async () => {
    const added = JSON.parse(await run(adapterAdd, 'mine', join(model(), 'peft/tuned-a')));
    expect(added).toMatchObject({ name: 'mine', rank: 2, modules: 7 });
    const made = readFileSync(join(model(), 'adapters/tuned-a.onnx_adapter'));
    expect(readFileSync(join(adapters(), 'mine.onnx_adapter')).equals(made)).toBe(true);
    const same = JSON.parse(await run(adapterAdd, 'same', join(model(), 'adapters/tuned-a.onnx_adapter')));
    expect(same.fingerprint).toBe(added.fingerprint);
    const listed = JSON.parse(await run(adapterList)) as { name: string; fingerprint: string }[];
    expect(listed.map(({ name, fingerprint }) => [name, fingerprint])).toEqual([
      ['mine', added.fingerprint],
      ['same', added.fingerprint],
    ]);
    expect(await run(adapterRemove, 'same')).toContain('removed same');
    expect(JSON.parse(await run(adapterList))).toHaveLength(1);
    await expect(run(adapterRemove, 'same')).rejects.toThrow('there is no adapter same.onnx_adapter');
  });

  it('refuses what is no adapter for the graph, and says why', async () => {
    const odd = join(home, 'odd');
    await synthesize({ ...SHAPE, loraRank: 2 }, odd);
    const peft = join(odd, 'peft/tuned-a');
    writeFileSync(join(peft, 'adapter_config.json'), '{');
    for (const [source, message] of [
      [join(home, 'missing'), 'there is no'],
      [home, 'adapter_config.json cannot be read'],
      [peft, 'adapter_config.json is not JSON'],
      [join(home, 'narrow/peft/tuned-a'), 'has shape [2, 32], and the graph takes [lora_r, 64]'],
      [join(home, 'narrow/adapters/tuned-a.onnx_adapter'), 'the adapter is for another model'],
    ] as const)
      await expect(run(adapterAdd, 'x', source)).rejects.toThrow(message);
    await expect(run(adapterAdd, '../x', peft)).rejects.toThrow("an adapter's name must be");
    await expect(run(adapterAdd, 'x')).rejects.toThrow('needs the name of the adapter');
    const flags = { model: join(home, 'plain') };
    const context = { args: ['x', peft], flags, environment: {}, io: {} } as unknown as CommandContext;
    await expect(adapterAdd(context)).rejects.toThrow('takes none; export the model with LoRA inputs');
  });
});
