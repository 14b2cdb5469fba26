import { fileURLToPath } from 'node:url';
import { readCertificates } from '../coordinator/http/certificates.js';
import { formatByteSize } from '../src/byte-size.js';
import { SystemClock } from '../src/clock.js';
import { readUpConfig } from '../src/config/config.js';
import { packageVersion } from '../src/config/package-root.js';
import type { UpConfig } from '../src/config/up-config.js';
import { chooseDevice, type DeviceChoice, surveyDevices } from '../src/device/choose.js';
import { Unavailable } from '../src/errors.js';
import { openFilesFault } from '../src/open-files.js';
import { SystemRandom } from '../src/random.js';
import type { CommandContext } from './context.js';
import { checkFreePorts } from './free-ports.js';
import { checkedConfig, settledConfig } from './hub-model.js';
import { Interrupts } from './interrupts.js';
import { type FleetAddresses, LocalFleet } from './local-fleet.js';
import { readableLine } from './log-line.js';
import { natsProcess, natsProgram } from './nats/nats-process.js';
import { Killings } from './process/killings.js';
import { openParentLink } from './process/parent-link.js';
import { Progress } from './progress.js';
import { pullReport } from './pull-report.js';

const SECRET_BYTES = 32;
const PARENT_CHECK_MS = 500;
/** How long to wait for the end of processes that were killed. */
const KILLED_MS = 2_000;
/** Open files of `shoal up` itself, and for each of its children: pipes, and a margin for calls to them. */
const OWN_FILES = 96;
const FILES_PER_CHILD = 8;

/** `shoal up`: starts a fleet on this machine and keeps it running until it is interrupted. */
export async function up(context: CommandContext): Promise<number> {
  const checked = checkedConfig('up', context, readUpConfig);
  const fault = openFilesFault(OWN_FILES + FILES_PER_CHILD * (checked.workers + checked.ports.length));
  if (fault !== null) throw new Unavailable(fault);
  await checkFreePorts(checked);
  // Report a device that no worker can use here, once, instead of once per worker.
  const device = chooseDevice(checked.device, surveyDevices());
  const clock = new SystemClock();
  const progress = new Progress(context.io, checked.json);
  const { config, why } = await settledConfig('up', context, readUpConfig, device.provider.name, {
    clock,
    // Ctrl-C ends the process: the next start continues the download.
    signal: new AbortController().signal,
    ...pullReport(context.io, progress, clock),
  });
  if (config.tls !== null) await readCertificates(config.tls);
  const fleet = new LocalFleet(config, {
    clock,
    environment: context.environment,
    progress,
    secret: config.secret ?? Buffer.from(new SystemRandom().bytes(SECRET_BYTES)).toString('base64url'),
    script: fileURLToPath(new URL('./main.js', import.meta.url)),
    findNats: natsProgram,
    startNats: natsProcess,
    killings: new Killings(),
    onLog: (line) => context.io.err(`${process.stderr.isTTY ? readableLine(line) : line}\n`),
  });
  const interrupts = new Interrupts(process, clock);
  watchNpm(context, clock, interrupts);
  void openParentLink()?.gone.then(() => interrupts.raise());
  // If this process exits for any other reason, its children end with it.
  process.once('exit', () => fleet.kill());
  announceStart(config, device, why, progress);
  const code = await runUntilInterrupted(fleet, interrupts, context, config, progress);
  const forced = interrupts.second.then(() => {
    fleet.kill();
    return new Promise<void>((resolve) => clock.after(KILLED_MS, resolve));
  });
  await Promise.race([fleet.stop(), forced]);
  interrupts.close();
  if (code === 0) progress.line('stopped');
  return code;
}

async function runUntilInterrupted(
  fleet: LocalFleet,
  interrupts: Interrupts,
  context: CommandContext,
  config: UpConfig,
  progress: Progress,
): Promise<number> {
  const interrupted = interrupts.first.then(() => {
    progress.line('stopping; press Ctrl-C again to stop at once');
    return 'interrupted' as const;
  });
  try {
    const started = fleet.start();
    // An interrupt cancels the start; the rejection is expected.
    started.catch(() => {});
    const addresses = await Promise.race([started, interrupted]);
    if (addresses === 'interrupted') return 0;
    announceReady(addresses, config, context, progress);
    await Promise.race([interrupted, fleet.failed]);
    return 0;
  } catch (error) {
    context.io.err(`shoal: ${error instanceof Error ? error.message : String(error)}\n`);
    progress.line('stopping');
    return 1;
  }
}

/** Under npm, stops when the parent changes: npm forwards a signal to its shell, which exits without forwarding it. */
function watchNpm(context: CommandContext, clock: SystemClock, interrupts: Interrupts): void {
  if (context.environment.npm_package_name !== 'shoal') return;
  const parent = process.ppid;
  const watch = clock.every(PARENT_CHECK_MS, () => {
    if (process.ppid === parent) return;
    watch.cancel();
    interrupts.raise();
  });
}

function announceStart(config: UpConfig, device: DeviceChoice, graphWhy: string, progress: Progress): void {
  progress.line(`shoal ${packageVersion()}`);
  progress.step('model', `${config.modelName} (${config.modelDir})`);
  progress.step('graph', `${config.worker.SHOAL_MODEL_FILE} (${graphWhy})`);
  progress.step('device', device.why);
  const { SHOAL_CACHE_BYTES: cacheBytes, SHOAL_THREADS: threads } = config.worker;
  const each = `${formatByteSize(Number(cacheBytes))} for blocks and ${threads} threads each`;
  progress.step('workers', `${config.workers}, ${each}`);
  const { workers, replicas } = config;
  // A single worker keeps single copies, as everyone expects.
  if (workers > 1 && replicas > workers)
    progress.step('warning', `--replicas ${replicas} needs as many workers: each of the ${workers} keeps one copy`);
  if (!config.loopback && !config.needsKey) {
    progress.step('warning', `--insecure: every client that can reach ${config.host} can use and control the fleet`);
  }
}

function announceReady(addresses: FleetAddresses, config: UpConfig, context: CommandContext, progress: Progress): void {
  const { url } = addresses.coordinators[0]!;
  if (config.json) {
    const { nats, coordinators, workers } = addresses;
    context.io.out(`${JSON.stringify({ ready: true, url, nats, pid: process.pid, coordinators, workers })}\n`);
    return;
  }
  const apis = addresses.coordinators.map((coordinator) => `${coordinator.url}/v1`);
  progress.line(`
ready
  console        ${url}/
  API            ${apis.join('\n                 ')}
  fleet          ${url}/v1/fleet, or: shoal status --url ${url}${redisLine(addresses)}
  metrics        ${url}/metrics
  NATS           ${addresses.nats}

Run this request twice. The second answer reuses the K/V of the first: see cached_tokens.

${exampleRequest(url, config)}

Ctrl-C stops the fleet.`);
}

/** A line with the addresses for clients of the Redis protocol, if there are any. */
function redisLine({ coordinators, workers }: FleetAddresses): string {
  const all = [...coordinators, ...workers].flatMap(({ redis }) => (redis === null ? [] : [redis]));
  return all.length === 0 ? '' : `\n  Redis          ${all.join(', ')}`;
}

const NOTES = [
  'The amber key is in the harbor.',
  'The plum lamp belongs to Mara.',
  'The teal chest opens with 4821.',
  'The silver violin is in the lighthouse.',
  'The green kite belongs to Otto.',
  'The bronze clock opens with 7350.',
  'The ivory mask is in the museum.',
  'The scarlet drum belongs to Lena.',
];

/** The flags for curl, for a certificate with the host's name that no authority known to curl has signed. */
function tlsFlags({ tls }: UpConfig): string {
  if (tls === null) return '';
  return ` --cacert ${tls.cert}${tls.clientCa === null ? '' : ' --cert YOUR-CERTIFICATE --key YOUR-CERTIFICATE-KEY'}`;
}

function exampleRequest(url: string, config: UpConfig): string {
  const prompt = `Notes:\n${NOTES.join('\n')}\n\nQ: What opens the teal chest?\nA:`;
  const body = JSON.stringify({ model: config.modelName, prompt, max_tokens: 24, temperature: 0 }, null, 1);
  const key = config.needsKey ? " -H 'authorization: Bearer YOUR-KEY'" : '';
  return `curl${tlsFlags(config)} ${url}/v1/completions -H 'content-type: application/json'${key} -d '${body.replaceAll("'", "'\\''")}'`;
}
