import { writeFileSync } from 'node:fs';
import { availableParallelism, freemem, release, totalmem } from 'node:os';
import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import { formatByteSize } from '../src/byte-size.js';
import { clusterSecret } from '../src/config/cluster-secret.js';
import { readValues } from '../src/config/config.js';
import type { Values } from '../src/config/options.js';
import { packageVersion } from '../src/config/package-root.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { operatorKey } from '../src/operator-key.js';
import { censored, secretsOf, shownOptions } from './bundle-secrets.js';
import { callHttp } from './call-http.js';
import type { CommandContext } from './context.js';
import { readPlainFile } from './plain-file.js';
import { type TarEntry, tarOf } from './tar.js';

/** `shoal debug bundle`: writes what somebody who helps needs to see into one file, without secrets and prompts. */

/** Taken of each log, from its end. */
const LOG_BYTES = 4 * 2 ** 20;
/** Taken of each answer of the coordinator. */
const ANSWER_BYTES = 8 * 2 ** 20;
const ANSWER_TIMEOUT_MS = 5_000;

/** The requests to each process, by file. A profile of the heap has no strings of it. */
const OF_PROCESS = {
  'metrics.txt': '/metrics',
  'heap.json': '/debug/profile?kind=heap&seconds=1',
} as const;

/** The requests to the coordinator, by file. */
const OF_COORDINATOR = {
  'fleet.json': '/v1/fleet',
  'health.json': '/health',
  'pins.json': '/v1/cache/pins',
  ...OF_PROCESS,
} as const;

interface Asked {
  readonly url: string;
  readonly key: string | null;
  readonly folder: string;
}

/**
 * Writes a bundle. A part that cannot be had does not keep the others out: `errors.txt` says why, and the exit code is 1.
 * @throws WrongUsage if the file exists
 */
export async function bundle(context: CommandContext): Promise<number> {
  const values = readValues('debug bundle', context);
  const key = operatingKey(values);
  const secrets = [...(key === null ? [] : [key]), ...secretsOf(context.environment)];
  const errors: string[] = [];
  const texts: [name: string, text: string][] = [
    ['versions.json', pretty(versions())],
    ['config.json', pretty(shownOptions(context.environment))],
    ...(await ofProcesses(values, key, errors)),
    ...logs(values.logs ?? [], errors),
  ];
  if (errors.length > 0) texts.push(['errors.txt', `${errors.join('\n')}\n`]);
  const entries = texts.map(
    ([name, text]): TarEntry => ({ name: `shoal-bundle/${name}`, content: Buffer.from(censored(text, secrets)) }),
  );
  const file = gzipSync(tarOf(entries, Date.now() / 1_000));
  write(values.bundleFile, file);
  const parts = `${texts.map(([name]) => name).join(', ')}`;
  context.io.out(`wrote ${values.bundleFile} (${formatByteSize(file.byteLength)}): ${parts}\n`);
  for (const error of errors) context.io.err(`shoal: ${error}\n`);
  return errors.length === 0 ? 0 : 1;
}

/** The key of the caller, or the one of the holders of the cluster secret; null if there is neither. */
function operatingKey({ apiKey, ...values }: Values): string | null {
  const secret = clusterSecret(values);
  return apiKey ?? (secret === null ? null : operatorKey(secret));
}

/** Of the coordinator, and of the others that are named. */
async function ofProcesses(
  { url, processes }: Values,
  key: string | null,
  errors: string[],
): Promise<[string, string][]> {
  const others = (processes ?? []).map((other, index) => {
    const address = other.includes('://') ? other : `http://${other}`;
    return answers(OF_PROCESS, { url: address, key, folder: `processes/${index + 1}-${hostOf(address)}/` }, errors);
  });
  return (await Promise.all([answers(OF_COORDINATOR, { url, key, folder: '' }, errors), ...others])).flat();
}

/** The host and port of a URL, for the name of a folder. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host.replace(/[^\w.-]/g, '_').slice(-60) : 'unknown';
}

function versions(): object {
  return {
    shoal: packageVersion(),
    node: process.version,
    platform: `${process.platform} ${release()} ${process.arch}`,
    processors: availableParallelism(),
    memory: { total: totalmem(), free: freemem() },
    time: new Date().toISOString(),
  };
}

/** What a process answers, in files under `folder`. */
async function answers(
  asked: Readonly<Record<string, string>>,
  { url, key, folder }: Asked,
  errors: string[],
): Promise<[string, string][]> {
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  const parts = Object.entries(asked).map(async ([name, path]): Promise<[string, string] | null> => {
    try {
      const response = await callHttp(new URL(path, url), { headers, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
      const text = (await response.text()).slice(0, ANSWER_BYTES);
      if (!response.ok) errors.push(`cannot get ${path} from ${url}: ${response.status}${adviceFor(response.status)}`);
      // A process that is not ready says why with 503.
      return response.ok || path === '/health' ? [`${folder}${name}`, text] : null;
    } catch (error) {
      const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      errors.push(`cannot get ${path} from ${url}: ${why}`);
      return null;
    }
  });
  return (await Promise.all(parts)).filter((part) => part !== null);
}

function adviceFor(status: number): string {
  return status === 401 || status === 403 ? "; set SHOAL_API_KEY to an operator's key, or SHOAL_SECRET" : '';
}

function logs(paths: readonly string[], errors: string[]): [string, string][] {
  return paths.flatMap((path, index): [string, string][] => {
    try {
      return [[`logs/${index + 1}-${basename(path).slice(-60)}`, lastOf(path)]];
    } catch (error) {
      errors.push(`cannot read the log ${path}: ${error instanceof Error ? error.message : error}`);
      return [];
    }
  });
}

/** The end of a file, from the beginning of a line. */
function lastOf(path: string): string {
  const text = readPlainFile(path, LOG_BYTES);
  return Buffer.byteLength(text) < LOG_BYTES ? text : text.slice(text.indexOf('\n') + 1);
}

function write(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WrongUsage(`--bundle-file (SHOAL_BUNDLE_FILE): cannot write ${path}: ${why}`);
  }
}

function pretty(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
