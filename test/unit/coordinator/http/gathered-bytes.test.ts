import { expect, it } from 'vitest';
import { GatheredBytes } from '../../../../coordinator/http/gathered-bytes.js';

it('gathered bytes are those that came, and small chunks take little more memory than they have bytes', () => {
  const gathered = new GatheredBytes();
  const chunks = Array.from({ length: 50_000 }, (_, i) => Buffer.from([i % 251]));
  chunks.splice(30_000, 0, Buffer.alloc(40_000, 'x'));
  chunks.splice(100, 0, Buffer.alloc(10_000, 'y'));
  let memory = 0;
  let parts = 0;
  for (const chunk of chunks) {
    const taken = gathered.add(chunk);
    memory += taken;
    if (taken > 0) parts++;
  }
  const all = Buffer.concat(chunks);
  expect(memory).toBeGreaterThanOrEqual(all.byteLength);
  expect(memory).toBeLessThan(all.byteLength + 3 * 16 * 1024);
  expect(parts).toBeLessThan(10);
  expect(gathered.whole().equals(all)).toBe(true);
});
