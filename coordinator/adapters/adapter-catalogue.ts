import type { Clock, Timer } from '../../src/clock.js';
import { InvalidRequest } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import { readAdapter } from '../../src/model/adapter/adapter-file.js';
import { type AdapterEntry, type AdapterFolder, checkAdapterName } from '../../src/model/adapter/adapter-folder.js';
import { checkAdapter } from '../../src/model/adapter/check-adapter.js';
import type { LoraInput } from '../../src/model/adapter/lora-input.js';
import type { AdapterRef } from '../../src/protocol/adapter.js';
import type { ServedAdapter, ServedAdapters } from '../openai/served-model.js';
import type { Trail } from '../trail/trail.js';
import type { AdapterOverlay, Overlay } from './adapter-overlay.js';

/** The adapters that a coordinator serves: the files of a folder, and what operators changed since. */

/** How often the folder and the changes of other coordinators are looked at. */
const LOOK_INTERVAL_MS = 1_000;

export interface AdapterCatalogueOptions {
  readonly folder: AdapterFolder;
  /** The inputs of the model's graph that take adapters. */
  readonly inputs: readonly LoraInput[];
  readonly overlay: Pick<AdapterOverlay, 'read' | 'change'>;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly trail: Trail;
  readonly log: Log;
}

/** A file that was read, as it was then. `adapter` is null if it is none for this model. */
interface Examined {
  readonly mark: string;
  readonly adapter: { readonly fingerprint: string; readonly createdAt: number } | null;
}

/** Commands of operators, and the adapters that are served. */
export class AdapterCatalogue implements ServedAdapters {
  private served: ReadonlyMap<string, ServedAdapter> = new Map();
  /** By file. */
  private readonly examined = new Map<string, Examined>();
  private overlay: Overlay = { loaded: [], unloaded: [] };
  private looking: Promise<void> | null = null;
  private ticking: Timer | null = null;

  constructor(private readonly options: AdapterCatalogueOptions) {}

  /** Begins to look at the folder. Resolves after the first look. */
  async start(): Promise<void> {
    const { inputs, clock } = this.options;
    if (inputs.length === 0) return;
    await this.look();
    this.ticking = clock.every(LOOK_INTERVAL_MS, () => void this.look());
  }

  async stop(): Promise<void> {
    this.ticking?.cancel();
    await this.looking;
  }

  find(name: string): ServedAdapter | null {
    return this.served.get(name) ?? null;
  }

  list(): readonly ServedAdapter[] {
    return [...this.served.values()];
  }

  /**
   * Serves a file of the folder under a name. Other coordinators follow within `LOOK_INTERVAL_MS`.
   * @throws InvalidRequest naming the field; Unavailable while NATS is lost
   */
  async load(name: string, path: string): Promise<AdapterRef> {
    const { folder, inputs, overlay, trail } = this.options;
    if (inputs.length === 0)
      throw new InvalidRequest(
        'lora_name: the graph of this model takes no adapters; export it with LoRA inputs',
        'lora_name',
      );
    const file = folder.fileOf(path);
    if (file === null)
      throw new InvalidRequest(
        `lora_path: must name a file NAME.onnx_adapter in ${folder.dir}; shoal adapter add converts an adapter of PEFT`,
        'lora_path',
      );
    const { fingerprint, bytes } = await inField('lora_name', async () => {
      checkAdapterName(name);
      return inField('lora_path', () => this.examine(file));
    });
    this.overlay = await overlay.change(name, file);
    await this.look();
    trail.write({ event: 'adapter_loaded', adapter: name, fingerprint });
    return { name, file, fingerprint, bytes };
  }

  /** Stops serving an adapter. Running requests continue. False if no adapter has this name. */
  async unload(name: string): Promise<boolean> {
    if (this.find(name) === null) return false;
    this.overlay = await this.options.overlay.change(name, null);
    await this.look();
    this.options.trail.write({ event: 'adapter_unloaded', adapter: name });
    return true;
  }

  /** Looks at the folder and at the changes once more; joins a look that has begun only if it began after the call. */
  async look(): Promise<void> {
    await this.looking;
    this.looking ??= this.lookNow().finally(() => {
      this.looking = null;
    });
    await this.looking;
  }

  private async lookNow(): Promise<void> {
    const { folder, overlay, log } = this.options;
    // Without NATS, the last known state holds.
    this.overlay = await overlay.read().catch(() => this.overlay);
    const files = await folder.list();
    const unloaded = new Set(this.overlay.unloaded);
    const wanted = new Map(files.filter(({ name }) => !unloaded.has(name)).map(({ name, file }) => [name, file]));
    for (const { name, file } of this.overlay.loaded) wanted.set(name, file);
    const served = new Map<string, ServedAdapter>();
    for (const [name, file] of [...wanted].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const entry = files.find((one) => one.file === file);
      const found = entry === undefined ? null : await this.examineOnce(entry);
      if (entry === undefined || found === null) continue;
      const { fingerprint, createdAt } = found;
      served.set(name, { ref: { name, file, fingerprint, bytes: entry.bytes }, createdAt });
      if (!this.served.has(name)) log.info({ adapter: name, fingerprint }, 'serves an adapter');
    }
    for (const name of this.served.keys())
      if (!served.has(name)) log.info({ adapter: name }, 'serves an adapter no longer');
    this.served = served;
  }

  /** The result of examining a file, which is read again only after a change. */
  private async examineOnce(entry: AdapterEntry): Promise<Examined['adapter']> {
    const known = this.examined.get(entry.file);
    if (known?.mark === entry.mark) return known.adapter;
    try {
      await this.examine(entry.file);
    } catch (err) {
      this.options.log.warn({ file: entry.file, err }, 'cannot serve an adapter');
      this.examined.set(entry.file, { mark: entry.mark, adapter: null });
    }
    return this.examined.get(entry.file)!.adapter;
  }

  /** Reads a file. @throws Refused if it is no adapter for this model */
  private async examine(file: string): Promise<{ readonly fingerprint: string; readonly bytes: number }> {
    const { folder, inputs, wallMs } = this.options;
    const { name, bytes, mark } = await folder.entry(file);
    const fingerprint = await folder.fingerprint({ file });
    checkAdapter(readAdapter(await folder.read({ name, file, bytes, fingerprint })), inputs);
    this.examined.set(file, { mark, adapter: { fingerprint, createdAt: Math.floor(wallMs() / 1_000) } });
    return { fingerprint, bytes };
  }
}

/** Names the field of the request that made something refuse. */
async function inField<T>(param: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof InvalidRequest || !(error instanceof Error)) throw error;
    throw new InvalidRequest(`${param}: ${error.message}`, param);
  }
}
