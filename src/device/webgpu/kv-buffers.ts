import type { DeviceAllocation } from '../../ort/device-memory.js';
import { Value } from '../../ort/value.js';
import type { WordLayout } from './graphs.js';
import type { WebGpuMemory } from './memory.js';

/** K/V of `rows` sequences, as it is copied: for each K and V a tensor int32 `[rows x kvHeads x capacityTokens x piecesPerToken, pieceWords]`. */
export interface KvBuffers {
  readonly capacityTokens: number;
  readonly pieces: readonly Value[];
}

export function piecesShape(layout: WordLayout, rows: number, capacityTokens: number): [number, number] {
  return [rows * layout.kvHeads * capacityTokens * layout.piecesPerToken, layout.pieceWords];
}

/** Buffers that the device owns. */
export class OwnKvBuffers implements KvBuffers {
  readonly pieces: Value[] = [];
  readonly memories: DeviceAllocation[] = [];

  private constructor(readonly capacityTokens: number) {}

  /** In the device's turn. Throws `Unavailable` where the device has no memory for them. */
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
        made.pieces.push(Value.over(own, 0, 'int32', shape));
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
