import { join } from 'node:path';
import { z } from 'zod';
import { Refused } from '../errors.js';

/** Chooses one of the graphs of a model, which differ in the types of their weights and are named as transformers.js names them. */

/** The type of a graph's weights, as `--dtype` names it. */
export const DTYPES = ['fp32', 'fp16', 'bf16', 'q8', 'int8', 'uint8', 'q4', 'q4f16', 'bnb4'] as const;
export type Dtype = (typeof DTYPES)[number];

export interface GraphWish {
  readonly dtype: 'auto' | Dtype;
  /** A graph's name without type and ending, such as `model`, or the path of its file, which ends with `.onnx`; null for the usual one. */
  readonly file: string | null;
  /** The device that runs the graph, by which `auto` chooses. */
  readonly device: 'cpu' | 'webgpu' | 'cuda';
}

export interface GraphChoice {
  /** Relative to the model's folder. */
  readonly path: string;
  /** For logs. */
  readonly why: string;
}

/** The suffixes of the file names. */
const SUFFIXES: Readonly<Record<Dtype, string>> = {
  ...{ fp32: '', fp16: '_fp16', bf16: '_bf16', q8: '_quantized', int8: '_int8', uint8: '_uint8' },
  ...{ q4: '_q4', q4f16: '_q4f16', bnb4: '_bnb4' },
};

/**
 * The order in which `auto` prefers types. A CPU always computes in fp32, and converting fp16 weights slows it. Types that quantize activations,
 * q8 and its kin, come last: their results depend on the other tokens of a run.
 */
const PREFERENCE: Readonly<Record<'cpu' | 'gpu', readonly Dtype[]>> = {
  cpu: ['q4', 'fp32', 'bnb4', 'q4f16', 'fp16', 'bf16', 'q8', 'int8', 'uint8'],
  gpu: ['fp16', 'q4f16', 'q4', 'fp32', 'bf16', 'bnb4', 'q8', 'int8', 'uint8'],
};

const BASE = 'model';
const ENDING = '.onnx';
/** Names in a message. */
const NAMES_SHOWN = 12;

const DtypeHint = z
  .union([z.string(), z.record(z.string(), z.string())])
  .nullish()
  .catch(null);
const Hints = z
  .looseObject({
    dtype: DtypeHint,
    device_config: z
      .record(z.string(), z.looseObject({ dtype: DtypeHint }).catch({ dtype: null }))
      .nullish()
      .catch(null),
  })
  .nullish()
  .catch(null);

/**
 * Chooses the graph.
 * @param paths all files of the model with the ending `.onnx`, relative to its folder
 * @param config the contents of config.json, whose `transformers.js_config` may recommend a type
 * @param where the folder or the repository, for messages
 * @throws Refused, naming the flag and the graphs that exist
 */
export function chooseGraph(
  paths: readonly string[],
  wish: GraphWish,
  config: Readonly<Record<string, unknown>>,
  where: string,
): GraphChoice {
  const graphs = paths.filter((path) => path.endsWith(ENDING));
  if (wish.file?.endsWith(ENDING)) return exactGraph(graphs, wish.file, where);
  const base = wish.file ?? BASE;
  const typed = typedGraph(graphs, base);
  if (typed !== null) {
    if (wish.dtype === 'auto' || wish.dtype === typed.dtype)
      return { path: typed.path, why: `--model-file ${base} was asked for` };
    throw new Refused(
      `cannot open ${where}: --model-file ${base} names a graph of type ${typed.dtype}, and --dtype ${wish.dtype} another one; leave one of them out`,
    );
  }
  if (wish.dtype !== 'auto') {
    const path = placeOf(graphs, base, wish.dtype);
    if (path !== null) return { path, why: `--dtype ${wish.dtype} was asked for` };
    throw new Refused(
      `cannot open ${where}: ${fileName(base, wish.dtype)} is missing, which --dtype ${wish.dtype} names; ${advice(graphs)}`,
    );
  }
  const hint = hintOf(config, base, wish.device);
  const hinted = hint === null ? null : placeOf(graphs, base, hint.dtype);
  if (hinted !== null) return { path: hinted, why: `auto takes ${hint!.dtype}: ${hint!.from} of config.json names it` };
  const found = DTYPES.filter((dtype) => placeOf(graphs, base, dtype) !== null);
  const dtype = PREFERENCE[wish.device === 'cpu' ? 'cpu' : 'gpu'].find((one) => found.includes(one));
  if (dtype === undefined) {
    throw new Refused(
      `cannot open ${where}: onnx/${base}${ENDING} is missing, and every other type of it; ${advice(graphs)}`,
    );
  }
  const why = found.length === 1 ? 'there is no other' : `the best for ${wish.device} of ${found.join(', ')}`;
  return { path: placeOf(graphs, base, dtype)!, why: `auto takes ${dtype}: ${why}` };
}

function exactGraph(graphs: readonly string[], file: string, where: string): GraphChoice {
  const path = [file, join('onnx', file)].find((one) => graphs.includes(one));
  if (path !== undefined) return { path, why: `--model-file ${file} was asked for` };
  throw new Refused(`cannot open ${where}: ${file} is missing, which --model-file names; ${advice(graphs)}`);
}

/** The graph whose name without ending this is, if the name has a type in it, such as `model_q4`; null if there is none. */
function typedGraph(graphs: readonly string[], base: string): { readonly path: string; readonly dtype: Dtype } | null {
  const dtype = DTYPES.find((one) => SUFFIXES[one] !== '' && base.endsWith(SUFFIXES[one]));
  const path = placeOf(graphs, base, 'fp32');
  return dtype === undefined || path === null ? null : { path, dtype };
}

function fileName(base: string, dtype: Dtype): string {
  return `${base}${SUFFIXES[dtype]}${ENDING}`;
}

/** transformers.js looks in `onnx`; other exporters write the graph next to the configuration. */
function placeOf(graphs: readonly string[], base: string, dtype: Dtype): string | null {
  const name = fileName(base, dtype);
  return [join('onnx', name), name].find((path) => graphs.includes(path)) ?? null;
}

/** The type that the model's authors recommend, for the device or for all; null for none that is known. */
function hintOf(
  config: Readonly<Record<string, unknown>>,
  base: string,
  device: GraphWish['device'],
): { readonly dtype: Dtype; readonly from: string } | null {
  const hints = Hints.parse(config['transformers.js_config']);
  const places: [unknown, string][] = [
    [hints?.device_config?.[device]?.dtype, `transformers.js_config.device_config.${device}`],
    [hints?.dtype, 'transformers.js_config'],
  ];
  for (const [named, from] of places) {
    const text = typeof named === 'object' && named !== null ? (named as Record<string, string>)[base] : named;
    const dtype = DTYPES.find((one) => one === text);
    if (dtype !== undefined) return { dtype, from };
  }
  return null;
}

function advice(graphs: readonly string[]): string {
  if (graphs.length === 0) return 'export the model to ONNX, with past K/V as inputs';
  const shown = graphs.toSorted().slice(0, NAMES_SHOWN);
  const more = graphs.length > shown.length ? ` and ${graphs.length - shown.length} more` : '';
  const types = DTYPES.filter((dtype) => placeOf(graphs, BASE, dtype) !== null);
  const flags = types.length > 0 ? `--dtype ${types.join('|')} or --model-file FILE` : '--model-file FILE';
  return `set ${flags}: there are ${shown.join(', ')}${more}`;
}
