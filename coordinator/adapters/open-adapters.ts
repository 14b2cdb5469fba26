import type { KeyValue } from '../../src/bus/key-value.js';
import type { CoordinatorConfig } from '../../src/config/coordinator-config.js';
import { AdapterFolder } from '../../src/model/adapter/adapter-folder.js';
import type { LoraInput } from '../../src/model/adapter/lora-input.js';
import { LazyBucket } from '../retention/lazy-bucket.js';
import { AdapterCatalogue, type AdapterCatalogueOptions } from './adapter-catalogue.js';
import { AdapterOverlay } from './adapter-overlay.js';

/** Makes the adapters of a coordinator, over the folder and the bucket of its fleet. */
export function openAdapters(
  { adapterDir }: CoordinatorConfig,
  inputs: readonly LoraInput[],
  openBucket: () => Promise<KeyValue>,
  rest: Pick<AdapterCatalogueOptions, 'clock' | 'wallMs' | 'trail' | 'log'>,
): AdapterCatalogue {
  const overlay = new AdapterOverlay(new LazyBucket(openBucket));
  return new AdapterCatalogue({ folder: new AdapterFolder(adapterDir), inputs, overlay, ...rest });
}
