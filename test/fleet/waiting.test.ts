import { expect, it } from 'vitest';
import { JoinedWorker } from './support/joined-worker.js';

it('a worker that waits for NATS stops gracefully', async () => {
  // Nothing listens on the discard port.
  const env = { SHOAL_NATS: 'nats://127.0.0.1:9', SHOAL_SECRET: 'the secret of nobody in particular' };
  const worker = new JoinedWorker('waiting', [], env);
  expect(await worker.logged('trying again')).toContain('127.0.0.1:9');
  expect(await worker.stop()).toBe(0);
});
