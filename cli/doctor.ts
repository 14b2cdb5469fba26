import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { natsWarning } from '../src/bus/nats-advisories.js';
import { formatByteSize } from '../src/byte-size.js';
import { CHAOS_OPTIONS } from '../src/config/chaos-options.js';
import { readValues } from '../src/config/config.js';
import { isServiceVariable } from '../src/config/kubernetes.js';
import { readMachine } from '../src/config/machine.js';
import { modelFolder, namedGraph, namedHubId } from '../src/config/model-folder.js';
import { OPTIONS, type Values } from '../src/config/options.js';
import type { EnvironmentVariables } from '../src/config/read-options.js';
import { SYNTH_OPTIONS } from '../src/config/synth-options.js';
import { dependenceNotice } from '../src/core/kv-dependence.js';
import { adapterText, chooseDevice, type DeviceSurvey, surveyDevices, WEBGPU_FIX } from '../src/device/choose.js';
import { CUDA_FIX } from '../src/device/cuda/cuda-runtime.js';
import type { Adapter } from '../src/device/webgpu/vulkan.js';
import { Unavailable } from '../src/errors.js';
import { hubIdText } from '../src/hub/hub-id.js';
import { hubSettings } from '../src/hub/hub-settings.js';
import type { CommandContext } from './context.js';

/** `shoal doctor`: checks this machine, and shows how to fix what is missing. */

/** One finding. `fix` is null if nothing is missing. */
export interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'missing';
  readonly detail: string;
  readonly fix: string | null;
}

/** The advice for a model whose K/V is not a function of the prefix alone. */
const MODEL_TYPES = 'docs/MODELS.md says which graphs share all of their K/V';
const OLDEST_NODE = [20, 19] as const;
/** Three workers with the bundled model need at least this much memory. */
const LITTLE_MEMORY_BYTES = 2 ** 30;

/** Checks everything that shoal needs on this machine. The exit code is 1 if something is missing. */
export async function doctor(context: CommandContext): Promise<number> {
  const values = readValues('doctor', context);
  const { natsServer, json } = values;
  const findings = [
    nodeFinding(process.versions.node),
    machineFinding(),
    ...(await runtimeFindings()),
    await natsFinding(natsServer),
    await storeFinding(tmpdir()),
    await modelFinding(values, context.environment),
    ...unknownVariables(context.environment),
  ];
  context.io.out(json ? `${JSON.stringify(findings)}\n` : `${findings.map(describe).join('\n')}\n`);
  return findings.some((finding) => finding.state === 'missing') ? 1 : 0;
}

function describe(finding: Finding): string {
  const line = `${finding.state.padEnd(7)}  ${finding.name.padEnd(12)}  ${finding.detail}`;
  return finding.fix === null ? line : `${line}\n${' '.repeat(23)}${finding.fix}`;
}

function ok(name: string, detail: string): Finding {
  return { name, state: 'ok', detail, fix: null };
}

function missing(name: string, error: unknown, fix: string | null): Finding {
  return { name, state: 'missing', detail: error instanceof Error ? error.message : String(error), fix };
}

export function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const recent = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  if (recent) return ok('Node', version);
  return missing('Node', `${version} is too old`, `install Node ${OLDEST_NODE.join('.')} or newer: https://nodejs.org`);
}

function machineFinding(): Finding {
  const { cores, availableBytes } = readMachine();
  const detail = `${cores} cores, ${formatByteSize(availableBytes)} of free memory`;
  if (availableBytes >= LITTLE_MEMORY_BYTES) return ok('machine', detail);
  return { name: 'machine', state: 'warning', detail, fix: 'set a smaller --cache-bytes, or fewer --workers' };
}

async function runtimeFindings(): Promise<Finding[]> {
  try {
    const { OrtRuntime } = await import('../src/ort/runtime.js');
    const runtime = OrtRuntime.open();
    try {
      const survey = surveyDevices();
      const detail = `${runtime.version}, providers ${survey.providers.join(', ')}`;
      return [ok('ONNX Runtime', detail), ...deviceFindings(survey)];
    } finally {
      runtime.release();
    }
  } catch (error) {
    return [missing('ONNX Runtime', error, 'reinstall the packages: npm ci')];
  }
}

/** The device that `auto` chooses, and the state of the other devices. None of them is required: the CPU always works. */
export function deviceFindings(survey: DeviceSurvey): Finding[] {
  const { adapters, cudaMissing } = survey;
  const noCuda: Finding = { name: 'CUDA', state: 'warning', detail: `not available: ${cudaMissing}`, fix: CUDA_FIX };
  const noWebGpu: Finding = { name: 'WebGPU', state: 'warning', detail: String(adapters), fix: WEBGPU_FIX };
  return [
    ok('device', chooseDevice('auto', survey).why),
    cudaMissing === null ? ok('CUDA', 'provider, driver and libraries found') : noCuda,
    ...(typeof adapters === 'string' ? [noWebGpu] : adapters.map(adapterFinding)),
  ];
}

function adapterFinding(adapter: Adapter): Finding {
  const memory = adapter.memoryBytes > 0 ? `, ${formatByteSize(adapter.memoryBytes)} of memory` : '';
  return ok('WebGPU', `${adapterText(adapter)}${memory}`);
}

async function natsFinding(named: string | null): Promise<Finding> {
  try {
    const { lookForNatsServer } = await import('./nats/nats-process.js');
    const found = await lookForNatsServer(named);
    if (found) {
      const warning = natsWarning(found.version);
      const detail = `${found.path}, version ${found.version}`;
      return warning === null
        ? ok('nats-server', detail)
        : { name: 'nats-server', state: 'warning', detail, fix: warning };
    }
    return {
      name: 'nats-server',
      state: 'warning',
      detail: 'not found on this machine; shoal up installs one',
      fix: 'or install it (apt-get install nats-server), set SHOAL_NATS_SERVER, or set --nats',
    };
  } catch (error) {
    return missing('nats-server', error, 'set SHOAL_NATS_SERVER to the path of a nats-server, or unset it');
  }
}

/** Whether `shoal up` has room where it puts the store of its nats-server. */
async function storeFinding(dir: string): Promise<Finding> {
  const { roomForStore } = await import('./nats/store-probe.js');
  if ((await roomForStore(dir)) === 'room') return ok('NATS store', `${dir} has room`);
  return {
    name: 'NATS store',
    state: 'missing',
    detail: `no room on the disk of ${dir}: nats-server cannot start there, or keeps no pins and no charter`,
    fix: 'free space on that disk, or set TMPDIR to a folder on another one',
  };
}

async function modelFinding(values: Values, environment: EnvironmentVariables): Promise<Finding> {
  try {
    const { openModelFolder } = await import('../src/model/folder.js');
    const { kvDependence } = await import('../src/model/kv-dependence.js');
    const { Tokenizer } = await import('../src/model/tokenizer.js');
    const device = chooseDevice(values.device, surveyDevices()).provider.name;
    const dir = await modelHere(values, environment);
    const folder = await openModelFolder(dir, { ...namedGraph(values), device });
    await Tokenizer.loadDecoder(folder);
    const detail = `${folder.graphPath}, graph of ${formatByteSize(statSync(folder.graphPath).size)}: ${folder.graphWhy}`;
    const notice = dependenceNotice(kvDependence(folder));
    if (notice === null) return ok('model', detail);
    return { name: 'model', state: 'warning', detail: `${detail}; ${notice}`, fix: MODEL_TYPES };
  } catch (error) {
    return missing('model', error, 'set --model (SHOAL_MODEL) to a complete model folder, or to an id on the hub');
  }
}

/** The model's folder on this machine. The doctor makes no requests, so a model of the hub must be in the cache. */
async function modelHere({ model, modelFile }: Values, environment: EnvironmentVariables): Promise<string> {
  const id = namedHubId(model);
  if (id === null) return modelFolder(model, modelFile);
  const { HubCache } = await import('../src/hub/hub-cache.js');
  const cache = new HubCache(hubSettings(environment).cacheDir, id.repository);
  const commit = await cache.commitOf(id.revision);
  if (commit !== null) return cache.snapshot(commit);
  throw new Unavailable(
    `${hubIdText(id)} is not in ${cache.cacheDir}; to download it: shoal model pull ${hubIdText(id)}`,
  );
}

/** Variables that start with SHOAL_ but belong to no option: most likely misspelt. */
export function unknownVariables(environment: Readonly<Record<string, string | undefined>>): Finding[] {
  const options = [OPTIONS, SYNTH_OPTIONS, CHAOS_OPTIONS].flatMap((table) => Object.values(table));
  const known = new Set(options.map((spec) => spec.variable));
  return Object.keys(environment)
    .filter((name) => name.startsWith('SHOAL_') && !known.has(name) && !isServiceVariable(name, environment))
    .map((name) => ({
      name: 'variable',
      state: 'warning' as const,
      detail: `${name} is set, but no option has this name`,
      fix: 'see shoal up --help for the names',
    }));
}
