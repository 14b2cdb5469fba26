import { clusterSecret } from '../src/config/cluster-secret.js';
import { readValues } from '../src/config/config.js';
import type { FleetClient } from '../src/runtime/client/fleet-client.js';
import { connect } from '../src/runtime/connect.js';
import type { CommandContext } from './context.js';

/** Uses the runtime of a fleet for one command, as the options of the command say. */
export async function withFleet<T>(
  command: 'list' | 'inspect' | 'logs',
  context: CommandContext,
  use: (fleet: FleetClient) => Promise<T>,
): Promise<T> {
  const values = readValues(command, context);
  const secret = clusterSecret(values);
  const fleet = await connect(values.nats ?? undefined, {
    namespace: values.namespace,
    ...(secret === null ? {} : { secret }),
    ...(values.natsUser === null ? {} : { user: values.natsUser }),
    ...(values.natsPassword === null ? {} : { password: values.natsPassword }),
  });
  try {
    return await use(fleet);
  } finally {
    await fleet.close();
  }
}
