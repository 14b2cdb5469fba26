import { closeSync, fstatSync, openSync, readSync, writeFileSync } from 'node:fs';
import { availableParallelism, freemem, release, totalmem } from 'node:os';
import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import { formatByteSize } from '../src/byte-size.js';
import { readValues } from '../src/config/config.js';
import { OPTIONS, type Values } from '../src/config/options.js';
import { packageVersion } from '../src/config/package-root.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { censored, secretsOf, shownOptions } from './bundle-secrets.js';
import { callHttp } from './call-http.js';
import type { CommandContext } from './context.js';
import { type TarEntry, tarOf } from './tar.js';

/** `shoal debug bundle`: writes what somebody who helps needs to see into one file, without secrets and prompts. */

/** Taken of each log, from its end. */
const LOG_BYTES = 4 * 2 ** 20;
/** Taken of each answer of the coordinator. */
const ANSWER_BYTES = 8 * 2 ** 20;
const ANSWER_TIMEOUT_MS = 5_000;

/** The requests to the coordinator, by file. */
const ASKED = {
  'fleet.json': '/v1/fleet',
  'health.json': '/health',
  'metrics.txt': '/metrics',
  'pins.json': '/v1/cache/pins',
} as const;

/** Writes a bundle. A part that cannot be had does not keep the others out: `errors.txt` says why. @throws WrongUsage if the file exists */
export async function bundle(context: CommandContext): Promise<number> {
  const values = readValues('debug bundle', context);
  const secrets = secretsOf(OPTIONS, context.environment);
  const errors: string[] = [];
  const texts: [name: string, text: string][] = [
    ['versions.json', pretty(versions())],
    ['config.json', pretty(shownOptions(OPTIONS, context.environment))],
    ...(await answers(values, errors)),
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
  return 0;
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

async function answers({ url, apiKey }: Values, errors: string[]): Promise<[string, string][]> {
  const headers: Record<string, string> = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  const parts = Object.entries(ASKED).map(async ([name, path]): Promise<[string, string] | null> => {
    try {
      const response = await callHttp(new URL(path, url), { headers, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
      return [name, (await response.text()).slice(0, ANSWER_BYTES)];
    } catch (error) {
      const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      errors.push(`cannot get ${path} from ${url}: ${why}`);
      return null;
    }
  });
  return (await Promise.all(parts)).filter((part) => part !== null);
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
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, LOG_BYTES));
    const read = readSync(file, bytes, 0, bytes.byteLength, size - bytes.byteLength);
    const text = bytes.subarray(0, read).toString();
    return size > LOG_BYTES ? text.slice(text.indexOf('\n') + 1) : text;
  } finally {
    closeSync(file);
  }
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
