import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { Refused } from '../errors.js';
import type { ModelFolder } from './folder.js';
import type { WeightNames } from './onnx/detached-graph.js';

/** Where the files with a model's weights are. */
export interface WeightFiles extends WeightNames {
  /** The absolute path of the folder that holds all of the files. */
  readonly folder: string;
}

/**
 * Finds the files with a model's weights. Symbolic links are resolved, because ONNX Runtime refuses external data whose real path is outside of
 * its folder: in the cache of the model hub, the files of a model are links into one folder of blobs.
 * @throws Refused if external data is not in the folder of the graph's file
 */
export async function weightFiles({ graphPath, graph }: ModelFolder): Promise<WeightFiles> {
  const real = await realpath(graphPath);
  const folder = dirname(real);
  const external = new Map<string, string>();
  for (const location of graph.externalFiles) {
    const path = await realpath(join(dirname(graphPath), location));
    const name = relative(folder, path);
    if (name.startsWith('..') || isAbsolute(name)) {
      throw new Refused(
        `cannot open model ${graphPath}: its weights are in ${path}, outside of the folder of the graph's file ${real}; put both into one folder`,
      );
    }
    external.set(location, name);
  }
  return { folder, graph: relative(folder, real), external };
}
