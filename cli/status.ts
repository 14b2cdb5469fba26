import { formatByteSize } from '../src/byte-size.js';
import { readValues } from '../src/config/config.js';
import type { CommandContext } from './context.js';
import { CoordinatorClient, type FleetAnswer } from './coordinator-client.js';
import { table } from './table.js';

/** `shoal status`: shows the fleet as its coordinator sees it. */
export async function status(context: CommandContext): Promise<number> {
  const { url, apiKey, json } = readValues('status', context);
  const fleet = await new CoordinatorClient(url, apiKey).fleet();
  context.io.out(json ? `${JSON.stringify(fleet)}\n` : `${describeFleet(fleet)}\n`);
  return 0;
}

/** The fleet as a table. */
export function describeFleet(fleet: FleetAnswer): string {
  const headings = ['worker', 'state', 'device', 'pid', 'host', 'running', 'waiting', 'blocks', 'memory', 'hit rate'];
  const rows = fleet.workers.map((worker) => {
    const used = worker.bytes.device + worker.bytes.host;
    const budget = worker.budget.device + worker.budget.host;
    const memory = `${formatByteSize(used)} of ${formatByteSize(budget)}`;
    const hitRate = `${Math.round(100 * worker.hit_rate)} %`;
    const { id, state, device, pid, host, running, waiting, blocks } = worker;
    return [id, state, device, pid ?? '', host ?? '', running, waiting, blocks, memory, hitRate];
  });
  const coordinators = fleet.coordinators.map((coordinator) => coordinator.id).join(', ');
  const head = `model ${fleet.model}, ${fleet.replicas} replicas, epoch ${fleet.epoch}, coordinators ${coordinators || 'none'}`;
  return `${head}\n\n${rows.length === 0 ? 'no workers' : table(headings, rows)}`;
}
