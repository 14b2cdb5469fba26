import { type KvDependence, regimeOf } from '../../src/core/kv-dependence.js';
import { type Salt, type SaltLayer, saltText, withLayers } from '../../src/core/salt.js';
import { InvalidRequest } from '../../src/errors.js';
import { type Principal, saltOf } from '../access/principal.js';
import { mayOperate } from '../access/roles.js';
import { ApiError } from '../openai/api-error.js';
import type { Retention } from '../retention/retention.js';
import type { StoredPrompt } from '../retention/retention-store.js';
import { layerSalt, PUBLIC_LAYER, type PublishedPrefix, PublishedPrefixes } from './published-prefixes.js';

/**
 * The layers of published prefixes. Only operators and keys that they appointed publish into a layer, and a prefix is in use only once the fleet has
 * computed it. So a caller that finds a block of a layer learns that the prefix was published, and nothing of other callers' prompts.
 */
export class Layers {
  private published = new PublishedPrefixes([]);
  private ids = '';

  constructor(private readonly dependence: KvDependence) {}

  /** Takes over the published prefixes among the retentions. */
  learn(retentions: readonly Retention[], promptOf: (retention: Retention) => StoredPrompt | null): void {
    const published = retentions.filter(({ layer, stage }) => layer !== null && stage === 'settled');
    const known = published.flatMap((retention): PublishedPrefix[] => {
      const prompt = promptOf(retention);
      return prompt === null ? [] : [publishedPrefix(retention, prompt)];
    });
    const ids = known.map(({ id }) => id).join();
    if (ids === this.ids) return;
    this.ids = ids;
    this.published = new PublishedPrefixes(known);
  }

  /** The salt of a caller's prompt: the salts of the layers that it shares, then its own. Null for none. */
  saltFor(tokens: Uint32Array, principal: Principal | null, cacheSalt: string | undefined): Salt | null {
    const own = saltOf(principal, cacheSalt);
    const layers = this.shareable(tokens) ? this.published.layersFor(tokens, sharesOf(principal)) : [];
    return layers.length === 0 ? own : withLayers(own ?? '', layers);
  }

  /** All salts under which a caller's prompt may have its own blocks: it may be older than the current layers. */
  saltsFor(tokens: Uint32Array, principal: Principal | null, cacheSalt: string | undefined): Salt[] {
    const own = saltOf(principal, cacheSalt) ?? '';
    const variants = this.published.variantsFor(tokens, sharesOf(principal));
    const salts = [[], ...variants].map((layers) => withLayers(own, layers));
    return [...new Map(salts.map((salt) => [saltText(salt), salt])).values()];
  }

  /**
   * The salt of a prefix to publish.
   * @throws InvalidRequest if prompts that begin with it would share nothing
   */
  saltOfPublished(tokens: Uint32Array, layer: string, param: string): Salt {
    if (!this.shareable(tokens)) {
      throw new InvalidRequest(
        `${param}: has ${tokens.length} tokens; this model shares no blocks of sequences of that length with shorter ones`,
        param,
      );
    }
    return withLayers(layerSalt(layer), this.published.chainFor(tokens, layer));
  }

  /** Throws a 403 unless the caller may publish into the layer. Null is a caller of an open API. */
  checkPublisher(principal: Principal | null, layer: string): void {
    if (mayOperate(principal) || principal?.publishes.includes(layer)) return;
    const message = `share: the key '${principal?.id}' may not publish into '${layer}', or end a publication; it needs the role operator, or the layer in its field publishes`;
    throw new ApiError(403, message, { param: 'share', code: 'share_not_allowed' });
  }

  /** Where the model changes with the length, blocks of long sequences have other K/V, which is not published. */
  private shareable(tokens: Uint32Array): boolean {
    return regimeOf(this.dependence, tokens.length) === 'short';
  }
}

/** Where no key is needed, there are no tenants to protect from each other. */
export function sharesOf(principal: Principal | null): readonly string[] {
  return principal === null ? [PUBLIC_LAYER] : principal.shares;
}

function publishedPrefix({ id, layer }: Retention, { tokens, salt }: StoredPrompt): PublishedPrefix {
  const layers: readonly SaltLayer[] = salt === null || typeof salt === 'string' ? [] : salt.layers;
  return { id, layer: layer!, tokens, layers };
}
