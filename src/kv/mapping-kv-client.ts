import { mapSharedFile } from '../native/shared-file.js';
import { KVClient } from './kv-client.js';
import type { KVClientOptions } from './kv-client-options.js';

/** A client for K/V that maps layers which a worker on this host has in shared memory: it gets them without a copy. */
export class MappingKVClient extends KVClient {
  constructor(url: string, options: KVClientOptions) {
    super(url, options, mapSharedFile);
  }
}
