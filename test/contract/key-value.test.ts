import { MemoryKeyValue } from '../../src/bus/memory-key-value.js';
import { keyValueContract } from './key-value-suite.js';

keyValueContract('MemoryKeyValue', async () => {
  const bucket = new MemoryKeyValue();
  return { views: [bucket, bucket], lose: async () => bucket.clear() };
});
