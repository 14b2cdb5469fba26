import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startNatsServer } from '../cli/nats/embedded-server.js';
import { natsProgram } from '../cli/nats/nats-process.js';
import { Child } from '../cli/process/child.js';
import { SystemClock } from '../src/clock.js';
import type { Lifecycle } from '../src/lifecycle.js';
import type { FleetClient } from '../src/runtime/client/fleet-client.js';
import { connect } from '../src/runtime/connect.js';
import { ScratchFolder } from './scratch-folder.js';

/** A NATS server and one node in separate processes, and this process as their driver. `life` stops them. */
export async function runtimeFleet(life: Lifecycle, progress: (line: string) => void): Promise<FleetClient> {
  progress('starting nats-server and a node');
  const { path: dir } = life.use(new ScratchFolder('bench'), (scratch) => scratch.remove());
  const path = await natsProgram(null, progress);
  const nats = life.use(await startNatsServer({ path }), (server) => server.stop());
  const secret = randomBytes(24).toString('hex');
  const { url, user, password } = nats;
  const code = fileURLToPath(new URL('./runtime-code.js', import.meta.url));
  const node = new Child({
    name: 'the node',
    script: fileURLToPath(new URL('../cli/main.js', import.meta.url)),
    args: ['node', '--actors', code, '--peer-socket', join(dir, 'node.sock')],
    environment: {
      ...ENVIRONMENT,
      SHOAL_NATS: url,
      SHOAL_NATS_USER: user,
      SHOAL_NATS_PASSWORD: password,
      SHOAL_SECRET: secret,
    },
    onLine: () => undefined,
  });
  life.use(node, (child) => child.stop(new SystemClock()));
  await node.ready;
  return life.use(await connect(url, { user, password, secret }), (fleet) => fleet.close());
}

const ENVIRONMENT = { PATH: process.env.PATH ?? '', SHOAL_LOG_LEVEL: 'error' };
