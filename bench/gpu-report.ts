import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { machineLine, type Report } from './report.js';

/** Puts what `bench/gpu.sh run` left in a folder into one JSON and one table. Usage: gpu-report.js FOLDER SECONDS */

/** The figures of a device. */
interface DeviceResult {
  readonly device: string;
  /** Tests of the contract of devices; null if they did not run to their end. */
  readonly contract: { readonly passed: number; readonly failed: number } | null;
  readonly reports: readonly Report[];
  /** While the benchmarks ran; null without nvidia-smi. */
  readonly utilisation: Utilisation | null;
}

/** @internal exported for tests. */
export interface Utilisation {
  readonly meanPercent: number;
  readonly maxPercent: number;
  readonly maxMemoryMiB: number;
}

/** @internal exported for tests. */
export interface GpuResult {
  readonly gpu: string;
  readonly adapter: string;
  readonly machine: string;
  readonly seconds: number;
  readonly devices: readonly DeviceResult[];
  readonly skipped: readonly { readonly what: string; readonly why: string }[];
}

/** Reads the folder. */
function gpuResult(folder: string, seconds: number): GpuResult {
  const text = (name: string) =>
    existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8').trim() : '';
  const reportsOf = (device: string) =>
    readdirSync(folder)
      .filter((name) => name.startsWith(`${device}.`) && name.endsWith('.json') && text(name) !== '')
      .map((name) => JSON.parse(text(name)) as Report);
  const names = readdirSync(folder).flatMap((name) => /^(\w+)\.(?:contract|.+\.json)$/.exec(name)?.[1] ?? []);
  const devices = [...new Set(names)].map((device) => ({
    device,
    contract: contractOf(text(`${device}.contract`)),
    reports: reportsOf(device),
    utilisation: utilisationOf(text(`${device}.utilisation`)),
  }));
  return {
    gpu: text('gpu.txt'),
    adapter: /^ok +WebGPU +(.*)$/m.exec(text('doctor.txt'))?.[1] ?? '',
    machine: machineLine(),
    seconds,
    devices: devices.filter(({ contract, reports }) => contract !== null || reports.length > 0),
    skipped: lines(text('skipped.tsv')).map((line) => {
      const [what, why] = line.split('\t') as [string, string];
      return { what, why };
    }),
  };
}

function contractOf(json: string): DeviceResult['contract'] {
  if (json === '') return null;
  const { numPassedTests, numFailedTests } = JSON.parse(json) as { numPassedTests: number; numFailedTests: number };
  return { passed: numPassedTests, failed: numFailedTests };
}

/** The mean and the maximum of lines "percent, MiB"; null if there are none. @internal exported for tests. */
export function utilisationOf(text: string): Utilisation | null {
  const samples = lines(text).map((line) => line.split(',').map(Number) as [number, number]);
  const good = samples.filter((sample) => sample.length === 2 && sample.every(Number.isFinite));
  if (good.length === 0) return null;
  const percents = good.map(([percent]) => percent);
  return {
    meanPercent: percents.reduce((sum, percent) => sum + percent, 0) / percents.length,
    maxPercent: Math.max(...percents),
    maxMemoryMiB: Math.max(...good.map(([, memory]) => memory)),
  };
}

/** The result as Markdown for docs/GPU.md. @internal exported for tests. */
export function gpuTable({ gpu, adapter, machine, seconds, devices, skipped }: GpuResult): string {
  const rows = devices.flatMap(({ device, contract, reports, utilisation }) => [
    ...(contract === null
      ? []
      : [[device, 'contract of devices', `${contract.passed} passed, ${contract.failed} failed`, '']]),
    ...reports.flatMap(({ name, rows, ratios }) => [
      ...rows.map((row) => [device, `${name}: ${row.name}`, `${figure(row.median)} ${row.unit}`, range(row)]),
      ...ratios.map((ratio) => [
        device,
        `${name}: ${ratio.name}`,
        `${figure(ratio.value)} ${ratio.unit}${ratio.holds ? '' : ` (bound missed: ${ratio.bound?.kind} ${ratio.bound?.value})`}`,
        range(ratio),
      ]),
    ]),
    ...(utilisation === null ? [] : [utilisationRow(device, utilisation)]),
  ]);
  return [
    `GPU: ${gpu || 'none'}. Adapter of WebGPU: ${adapter || 'none'}. Machine: ${machine}. Took ${seconds} s.`,
    '',
    '| device | what | median | least to most |',
    '| --- | --- | --- | --- |',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    skipped.length === 0 ? 'Nothing was skipped.' : 'Skipped:',
    ...(skipped.length === 0 ? [] : ['']),
    ...skipped.map(({ what, why }) => `- ${what}: ${why}`),
  ].join('\n');
}

function utilisationRow(device: string, { meanPercent, maxPercent, maxMemoryMiB }: Utilisation): string[] {
  return [device, 'utilisation of the GPU', `${figure(meanPercent)} %`, `at most ${maxPercent} %, ${maxMemoryMiB} MiB`];
}

function range({ min, max }: { readonly min: number; readonly max: number }): string {
  return min === max ? '' : `${figure(min)} to ${figure(max)}`;
}

function figure(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** Writes `gpu.json` and `gpu.md`, and prints both. */
function main([folder, seconds]: readonly string[]): void {
  if (folder === undefined || seconds === undefined) throw new Error('usage: gpu-report.js FOLDER SECONDS');
  const result = gpuResult(folder, Number(seconds));
  const [json, table] = [JSON.stringify(result), gpuTable(result)];
  writeFileSync(join(folder, 'gpu.json'), `${json}\n`);
  writeFileSync(join(folder, 'gpu.md'), `${table}\n`);
  process.stdout.write(`${json}\n\n${table}\n`);
}

if (process.argv[1]?.endsWith('gpu-report.js') === true) main(process.argv.slice(2));
