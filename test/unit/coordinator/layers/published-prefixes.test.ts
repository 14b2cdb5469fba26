import { describe, expect, it } from 'vitest';
import {
  layerSalt,
  type PublishedPrefix,
  PublishedPrefixes,
} from '../../../../coordinator/layers/published-prefixes.js';

const tokens = (...runs: readonly [id: number, count: number][]) =>
  Uint32Array.from(runs.flatMap(([id, count]) => Array<number>(count).fill(id)));
const published = (id: string, layer: string, prompt: Uint32Array): PublishedPrefix => ({
  ...{ id, layer, tokens: prompt },
  layers: [{ salt: layerSalt(layer), blocks: Math.floor(prompt.length / 64) }],
});
const GREETING = tokens([1, 192]);

describe('published prefixes', () => {
  it('give a prompt the salt of the layer for the full blocks that it has in common', () => {
    const prefixes = new PublishedPrefixes([published('p', 'public', GREETING)]);
    const shared = (blocks: number) => [{ salt: 'layer/public:', blocks }];
    expect(prefixes.layersFor(tokens([1, 192], [2, 64]), ['public'])).toEqual(shared(3));
    expect(prefixes.layersFor(tokens([1, 191], [2, 64]), ['public'])).toEqual(shared(2));
    expect(prefixes.layersFor(tokens([1, 64]), ['public'])).toEqual(shared(1));
    expect(prefixes.layersFor(tokens([1, 63], [2, 1]), ['public'])).toEqual([]);
    expect(prefixes.layersFor(tokens([1, 63]), ['public'])).toEqual([]);
  });

  it('give nothing to who does not share the layer', () => {
    const prefixes = new PublishedPrefixes([published('p', 'org:acme', GREETING)]);
    expect(prefixes.layersFor(GREETING, ['org:acme'])).toEqual([{ salt: 'layer/org/acme:', blocks: 3 }]);
    for (const layers of [[], ['public'], ['org:acm'], ['org:acme2']]) {
      expect(prefixes.layersFor(GREETING, layers)).toEqual([]);
    }
  });

  it('of an organisation continue a public one, which remains one copy', () => {
    const open = published('a', 'public', GREETING);
    const longer = tokens([1, 192], [3, 128]);
    const layers = new PublishedPrefixes([open]).chainFor(longer, 'org:acme');
    expect(layers).toEqual([
      { salt: 'layer/public:', blocks: 3 },
      { salt: 'layer/org/acme:', blocks: 5 },
    ]);
    const prefixes = new PublishedPrefixes([{ id: 'b', layer: 'org:acme', tokens: longer, layers }, open]);
    const prompt = tokens([1, 192], [3, 64], [4, 64]);
    expect(prefixes.layersFor(prompt, ['public', 'org:acme'])).toEqual([
      { salt: 'layer/public:', blocks: 3 },
      { salt: 'layer/org/acme:', blocks: 4 },
    ]);
    expect(prefixes.layersFor(prompt, ['public'])).toEqual([{ salt: 'layer/public:', blocks: 3 }]);
  });

  it('have the same salts for all who share them, whatever else they share', () => {
    const prefixes = new PublishedPrefixes([
      published('z', 'org:zoo', GREETING),
      published('y', 'org:acme', GREETING),
      published('x', 'public', tokens([1, 128])),
    ]);
    expect(prefixes.layersFor(GREETING, ['org:zoo', 'public', 'org:acme'])).toEqual([
      { salt: 'layer/org/acme:', blocks: 3 },
    ]);
    expect(prefixes.layersFor(GREETING, ['org:zoo', 'public'])).toEqual([{ salt: 'layer/org/zoo:', blocks: 3 }]);
    expect(prefixes.layersFor(tokens([1, 128], [9, 64]), ['org:zoo', 'public'])).toEqual([
      { salt: 'layer/public:', blocks: 2 },
    ]);
  });

  it('that begin with the whole of a public one as long as they are have its salts alone', () => {
    const prefixes = new PublishedPrefixes([published('a', 'public', GREETING)]);
    expect(prefixes.chainFor(GREETING, 'org:acme')).toEqual([{ salt: 'layer/public:', blocks: 3 }]);
  });
});
