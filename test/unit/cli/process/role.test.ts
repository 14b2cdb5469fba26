import { afterAll, expect, test } from 'vitest';
import type { ParentLink } from '../../../../cli/process/parent-link.js';
import { runRole } from '../../../../cli/process/role.js';
import { orAbort } from '../../../../src/async/abort.js';
import { Cancelled } from '../../../../src/errors.js';
import type { RunningRole } from '../../../../src/running-role.js';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
const before = new Map(SIGNALS.map((signal) => [signal, process.listeners(signal)]));

afterAll(() => {
  for (const signal of SIGNALS)
    for (const listener of process.listeners(signal))
      if (!before.get(signal)!.includes(listener)) process.removeListener(signal, listener);
});

test('a role that is to end while it starts says that it has given up, and fails nothing', async () => {
  const said: string[] = [];
  const link: Pick<ParentLink, 'gone' | 'send'> = { gone: Promise.resolve(), send: async () => {} };
  const code = await runRole(
    {
      start: (leaving) =>
        orAbort(new Promise<RunningRole>(() => {}), leaving).catch(() => Promise.reject(new Cancelled('no NATS'))),
      describe: String,
      onError: (error) => said.push(`failed: ${error}`),
      onGivenUp: () => said.push('given up'),
    },
    link as ParentLink,
  );
  expect([code, said]).toEqual([0, ['given up']]);
});
