import type { BlockMeta } from '../../src/core/block.js';
import { blockAfter, rootSeed } from '../../src/core/key.js';
import type { SaltLayer } from '../../src/core/salt.js';
import { BLOCK_TOKENS } from '../../src/limits.js';

/** The layer that needs no organisation. Prefixes of other layers may continue its prefixes. */
export const PUBLIC_LAYER = 'public';

/** A prefix that was published into a layer. */
export interface PublishedPrefix {
  readonly id: string;
  readonly layer: string;
  readonly tokens: Uint32Array;
  /** The salts of its full blocks, as they were when it was published. */
  readonly layers: readonly SaltLayer[];
}

/** The salt of a layer. No caller's salt begins like it. */
export function layerSalt(layer: string): string {
  return `layer/${layer.replace(':', '/')}:`;
}

/** Names blocks by their tokens alone. These keys stay in this process. */
const CONTENT = rootSeed({ fingerprint: '', adapter: '', salt: '' });

/** The published prefixes of a fleet, by their blocks: finds the beginning that a prompt shares with them. */
export class PublishedPrefixes {
  /** By the content of a beginning: the prefixes that have it, the preferred one first. */
  private readonly byBeginning = new Map<string, PublishedPrefix[]>();

  constructor(prefixes: readonly PublishedPrefix[]) {
    for (const prefix of [...prefixes].sort(inOrder)) {
      const full = Math.floor(prefix.tokens.length / BLOCK_TOKENS);
      let block: BlockMeta | null = null;
      for (let i = 0; i < full; i++) {
        block = contentAfter(block, prefix.tokens);
        const present = this.byBeginning.get(block.key);
        if (present) present.push(prefix);
        else this.byBeginning.set(block.key, [prefix]);
      }
    }
  }

  /**
   * The salts of the blocks that a prompt has in common with the prefixes of these layers; none if there are no such blocks. The longest common
   * beginning counts; of several, the public layer's, then the one whose layer comes first by name.
   */
  layersFor(tokens: Uint32Array, layers: readonly string[]): readonly SaltLayer[] {
    if (this.byBeginning.size === 0 || layers.length === 0) return [];
    let best: PublishedPrefix | undefined;
    let blocks = 0;
    let block: BlockMeta | null = null;
    for (let end = BLOCK_TOKENS; end <= tokens.length; end += BLOCK_TOKENS) {
      block = contentAfter(block, tokens);
      const found = this.byBeginning.get(block.key)?.find(({ layer }) => layers.includes(layer));
      if (found === undefined) break;
      best = found;
      blocks = block.index + 1;
    }
    return best === undefined ? [] : upTo(best.layers, blocks);
  }

  /**
   * The results that `layersFor` may have had for this prompt earlier, with other sets of these prefixes: for each prefix, the salts of the
   * blocks that the prompt has in common with it.
   */
  variantsFor(tokens: Uint32Array, layers: readonly string[]): readonly (readonly SaltLayer[])[] {
    const common = new Map<PublishedPrefix, number>();
    let block: BlockMeta | null = null;
    for (let end = BLOCK_TOKENS; end <= tokens.length; end += BLOCK_TOKENS) {
      block = contentAfter(block, tokens);
      const found = this.byBeginning.get(block.key);
      if (found === undefined) break;
      for (const prefix of found) if (layers.includes(prefix.layer)) common.set(prefix, block.index + 1);
    }
    return [...common].map(([prefix, blocks]) => upTo(prefix.layers, blocks));
  }

  /** The salts of the blocks of a prefix to publish: it continues a public prefix, if it begins with one. */
  chainFor(tokens: Uint32Array, layer: string): readonly SaltLayer[] {
    const base = layer === PUBLIC_LAYER ? [] : this.layersFor(tokens, [PUBLIC_LAYER]);
    return upTo([...base, { salt: layerSalt(layer), blocks: Math.floor(tokens.length / BLOCK_TOKENS) }]);
  }
}

/** The layers of the first blocks: the last layer ends with them, and layers that add no block are left out. */
function upTo(layers: readonly SaltLayer[], blocks = Number.POSITIVE_INFINITY): SaltLayer[] {
  const kept: SaltLayer[] = [];
  for (const layer of layers) {
    const end = Math.min(layer.blocks, blocks);
    if (end > (kept.at(-1)?.blocks ?? 0)) kept.push({ salt: layer.salt, blocks: end });
  }
  return kept;
}

function contentAfter(previous: BlockMeta | null, tokens: Uint32Array): BlockMeta {
  const from = previous === null ? 0 : BLOCK_TOKENS * (previous.index + 1);
  return blockAfter(previous, tokens.subarray(from, from + BLOCK_TOKENS), CONTENT);
}

function inOrder(a: PublishedPrefix, b: PublishedPrefix): number {
  const rank = ({ layer, id }: PublishedPrefix) => `${layer === PUBLIC_LAYER ? 0 : 1}/${layer}/${id}`;
  return rank(a) < rank(b) ? -1 : 1;
}
