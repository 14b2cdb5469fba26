import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { arch, cpus } from 'node:os';
import { join } from 'node:path';
import { Unsupported } from '../errors.js';
import { weightDigests } from '../model/fingerprint.js';
import type { ModelFolder } from '../model/folder.js';
import type { WeightCache } from '../model/weight-cache.js';
import type { OrtRuntime } from '../ort/runtime.js';
import type { SessionOptions } from '../ort/session-options.js';

/** Weights that the workers of a host map from one copy, in the form in which the kernels of the CPU compute with them. */

const TAG = 'shoal/weights/1';
const MODEL_FILE = 'model.onnx';
const WEIGHTS_FILE = 'weights.bin';
/** Smaller tensors stay in the model's file. */
const EXTERNAL_BYTES = 4096;
/** The file has each weight as in the model, and most of them once more in the form of the kernels, at page boundaries. */
const BYTES_PER_WEIGHT_BYTE = 2.2;

/**
 * Keeps a model as ONNX Runtime has optimized it, with its weights packed for the kernels: a session that opens the result by its path maps the
 * packed weights, where it would otherwise pack them into private memory. Kernels and their results are the same.
 * @param model the model without its weights, for a session with `options`
 * @returns the path of the model
 * @throws Unsupported for a small model; the errors of `WeightCache.entry`
 */
export async function sharedModel(
  runtime: OrtRuntime,
  folder: ModelFolder,
  model: Uint8Array,
  options: SessionOptions,
  cache: WeightCache,
): Promise<string> {
  const { digests, byteLength } = await weightDigests(folder);
  if (byteLength < cache.leastBytes)
    throw new Unsupported(`models of less than ${cache.leastBytes} bytes are not shared`);
  const key = createHash('sha256');
  for (const part of [TAG, runtime.version, await processor(), ...digests, model]) {
    const bytes = Buffer.from(part);
    key.update(`${bytes.length}:`).update(bytes);
  }
  const entry = await cache.entry(key.digest('hex'), byteLength * BYTES_PER_WEIGHT_BYTE, async (into) => {
    const save = { path: join(into, MODEL_FILE), weightsFile: WEIGHTS_FILE, externalBytes: EXTERNAL_BYTES };
    (await runtime.openSession(model, { ...options, save })).release();
  });
  return join(entry, MODEL_FILE);
}

/** The processor and its features, on which the form of packed weights depends. */
async function processor(): Promise<string> {
  const info = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  const features = /^(?:flags|Features)\s*:.*$/m.exec(info)?.[0] ?? '';
  return `${arch()} ${cpus()[0]?.model ?? ''} ${features}`;
}
