import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as shoal from '../../src/index.js';
import { example } from './actor-example.js';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('the package', () => {
  it('exports the documented API', () => {
    const values = Object.keys(shoal);
    for (const name of [
      ...['ActorSystem', 'ActorRef', 'defineProtocol', 'ask', 'tell', 'stream', 'connectNats', 'MemoryBroker'],
      ...['SealedBus', 'PeerCallLinks'],
      ...['SystemClock', 'SimulatedClock', 'SystemRandom', 'SeededRandom', 'ShoalError', 'InvalidRequest'],
      ...['rootSeed', 'blockKeys', 'nextBlockKey', 'Ring', 'OrtRuntime', 'Session', 'Value', 'CpuDevice'],
      ...['Engine', 'loadModelGraph', 'openModelFolder', 'PeerClient', 'PeerServer', 'KVClient'],
    ]) {
      expect(values).toContain(name);
    }
  });

  it('names each of its exports, so that none gets out by mistake', () => {
    expect(read('src/index.ts')).not.toMatch(/export\s+(?:type\s+)?\*/);
  });

  it('runs the example of docs/ARCHITECTURE.md, which is the one of this test word for word', async () => {
    const source = read('test/unit/actor-example.ts').replace('../../src/index.js', 'shoal');
    expect(read('docs/ARCHITECTURE.md')).toContain(`\`\`\`ts\n${source}\`\`\`\n`);
    expect(await example()).toEqual({ total: 2, items: [1, 2, 3] });
  });
});
