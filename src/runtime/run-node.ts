import { basename, dirname, join } from 'node:path';
import type { HostingConfig } from '../config/hosting-config.js';
import type { NodeConfig } from '../config/node-config.js';
import type { WorkerConfig } from '../config/worker-config.js';
import { Lifecycle } from '../lifecycle.js';
import { AdjustableLog, type Log } from '../log.js';
import type { RunningRole } from '../running-role.js';
import { NodeHost } from './host/node-host.js';
import { type JoinRuntimeOptions, joinRuntime } from './join.js';
import { Library } from './library.js';

/** Runs a node: a process, or a part of a worker's process, that hosts users' code. */

/**
 * Runs one node in this process. Resolves when it hosts. If it rejects, it has released everything.
 * @throws InvalidRequest if a module cannot be hosted, Cancelled if `leaving` aborts while it waits for NATS
 */
export async function runNode(config: NodeConfig, leaving: AbortSignal): Promise<RunningRole> {
  const log = AdjustableLog.create({ level: config.logLevel, fields: { role: 'node', node: config.id } });
  const place = { ...placeOf(config), log, leaving, id: config.id, worker: null, role: 'node' } as const;
  return adjustable(await host(config, place), log);
}

/** Runs a node beside the worker of this process: with an address of its own, and the worker's credentials. Rejects like `runNode`. */
export async function runNodeBeside(
  config: WorkerConfig,
  hosting: HostingConfig,
  leaving: AbortSignal,
): Promise<RunningRole> {
  const { socketPath, ...peer } = config.peer;
  const beside = socketPath === null ? null : join(dirname(socketPath), `actors-${basename(socketPath)}`);
  const place = placeOf({ ...config, peer: { ...peer, port: peer.port === null ? null : 0, socketPath: beside } });
  const log = AdjustableLog.create({ level: config.logLevel, fields: { role: 'node', node: config.id } });
  const own = { log, leaving, id: `${config.id}-actors`, worker: config.id, role: 'worker' } as const;
  return adjustable(await host(hosting, { ...place, ...own }), log);
}

/** The role with a log whose level can change. */
function adjustable(role: RunningRole, log: AdjustableLog): RunningRole {
  return {
    ...role,
    reload: async ({ logLevel }) => {
      log.level = logLevel;
    },
  };
}

function placeOf(config: Pick<NodeConfig, 'namespace' | 'nats' | 'secret' | 'peerTls' | 'peer'>) {
  const { namespace, nats, secret, peerTls, peer } = config;
  const tcp = peer.port === null ? {} : { tcpHost: peer.host, tcpPort: peer.port };
  const listen = { unixPath: peer.socketPath, ...tcp, advertiseHost: peer.port === null ? null : peer.advertiseHost };
  return { namespace, nats, secret, peerTls, listen };
}

type Place = Omit<JoinRuntimeOptions, 'kind' | 'onClose' | 'objects' | 'coordinator'> & { readonly log: Log };

function host(hosting: HostingConfig, place: Place): Promise<RunningRole> {
  const { log } = place;
  return Lifecycle.build(async (life) => {
    const library = await Library.load(hosting.modules);
    const onClose = async () => log.warn({}, 'code on this node closed its fleet; a node leaves when its process ends');
    const { member, fleet } = await joinRuntime(life, {
      ...place,
      kind: 'node',
      objects: hosting.objects,
      coordinator: hosting.coordinator,
      onClose,
    });
    fleet.knowErrors(library.exported);
    const { resources: total, gpuIds } = hosting;
    await new NodeHost({ member, library, fleet, total, gpuIds, log }).start(life);
    const exports = library.exports.map(({ name, version }) => `${name}@${version}`);
    log.info({ exports }, 'hosting');
    return {
      ready: { id: member.self.node, incarnation: member.self.incarnation, exports },
      stop: async () => {
        await life.stop();
        log.info({}, 'stopped');
      },
    };
  });
}
