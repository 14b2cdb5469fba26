import type { DeviceAllocation } from '../../ort/device-memory.js';
import { Value } from '../../ort/value.js';
import type { WordLayout } from './graphs.js';
import type { WebGpuMemory } from './memory.js';

/** K/V buffers in the form that the copying graphs take. */

/** One int32 tensor `[rows x kvHeads x capacityTokens x piecesPerToken, pieceWords]` per K and V of each layer. */
export interface KvBuffers {
  readonly capacityTokens: number;
  readonly pieces: readonly Value[];
}

export function piecesShape(layout: WordLayout, rows: number, capacityTokens: number): [number, number] {
  return [rows * layout.kvHeads * capacityTokens * layout.piecesPerToken, layout.pieceWords];
}

/** Buffers that own their memory. */
export class OwnKvBuffers implements KvBuffers {
  readonly pieces: Value[] = [];
  readonly memories: DeviceAllocation[] = [];

  private constructor(readonly capacityTokens: number) {}

  /** The caller holds the device's lock. Throws `Unavailable` if the device is out of memory. */
  static async allocate(
    memory: WebGpuMemory,
    layout: WordLayout,
    rows: number,
    capacityTokens: number,
  ): Promise<OwnKvBuffers> {
    const made = new OwnKvBuffers(capacityTokens);
    const shape = piecesShape(layout, rows, capacityTokens);
    const bytes = 4 * shape[0] * shape[1];
    try {
      for (let tensor = 0; tensor < layout.tensors; tensor += 1) {
        const own = await memory.allocate(bytes);
        made.memories.push(own);
        made.pieces.push(Value.view(own, 0, 'int32', shape));
      }
      return made;
    } catch (error) {
      made.release();
      throw error;
    }
  }

  release(): void {
    for (const handle of [...this.pieces, ...this.memories]) handle.release();
  }
}
