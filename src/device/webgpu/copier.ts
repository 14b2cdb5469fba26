import type { Handle } from '../../native/handle.js';
import { type DeviceAllocation, DeviceAllocator } from '../../ort/device-memory.js';
import type { Provider } from '../../ort/provider.js';
import type { OrtRuntime } from '../../ort/runtime.js';
import type { Session } from '../../ort/session.js';
import { Value } from '../../ort/value.js';
import type { CopyCounter } from '../copy-counter.js';
import { blockPieces, cutGraph, joinGraph, moveGraph, placesGraph, type WordLayout } from './graphs.js';
import type { KvBuffers } from './kv-buffers.js';
import { WebGpuMemory } from './memory.js';

/** Copies K/V within a WebGPU device, by graphs. */

/** A row of K/V buffers. */
export interface KvRow {
  readonly buffers: KvBuffers;
  readonly row: number;
}

/** Optimized graphs could have operators that the provider lacks for integers. A fallback to the CPU would copy K/V to the host and back. */
const SESSION_OPTIONS = {
  intraOpThreads: 1,
  allowSpinning: false,
  optimization: 'none',
  config: { 'session.disable_cpu_ep_fallback': '1' },
} as const;

type Sessions = Readonly<Record<'places' | 'cut' | 'join' | 'move', Session>>;

/** Copies between rows and blocks. The caller of each copy holds the device's lock (`exclusive`). */
export class WebGpuCopier {
  private readonly heads: Value;
  private readonly numbers: DeviceAllocation;
  private readonly places: DeviceAllocation;
  private readonly sources: DeviceAllocation;

  /**
   * @param capacityTokens the maximum number of tokens of one copy
   * @throws Unavailable if the device is out of memory
   */
  static async open(
    runtime: OrtRuntime,
    layout: WordLayout,
    provider: Provider,
    capacityTokens: number,
    counter: CopyCounter,
  ): Promise<WebGpuCopier> {
    const opened: Handle[] = [];
    const keep = <H extends Handle>(handle: H): H => {
      opened.unshift(handle);
      return handle;
    };
    const open = async (graph: Uint8Array): Promise<Session> =>
      keep(await runtime.openSession(graph, { ...SESSION_OPTIONS, provider }));
    try {
      const sessions = {
        places: await open(placesGraph(layout)),
        cut: await open(cutGraph(layout)),
        join: await open(joinGraph(layout)),
        move: await open(moveGraph(layout)),
      };
      const allocator = keep(new DeviceAllocator(sessions.cut, 'webgpu'));
      const memory = new WebGpuMemory(runtime, allocator, counter);
      const heads = keep(Value.allocate(runtime, 'int32', [layout.kvHeads, 1, 2]));
      const maxPieces = Math.max(capacityTokens, layout.blockTokens) * layout.piecesPerToken;
      return await sessions.cut.exclusive(async () => {
        const numbers = keep(await memory.allocate(maxPieces * 8));
        await upload(
          memory,
          numbers,
          Int32Array.from({ length: 2 * maxPieces }, (_, n) => (n % 2 === 0 ? n / 2 : 0)),
        );
        const lists = [
          keep(await memory.allocate(layout.kvHeads * maxPieces * 8)),
          keep(await memory.allocate(layout.kvHeads * maxPieces * 8)),
        ] as const;
        return new WebGpuCopier(layout, sessions, memory, counter, { heads, numbers, lists }, opened);
      });
    } catch (error) {
      for (const handle of opened) handle.release();
      throw error;
    }
  }

  private constructor(
    private readonly layout: WordLayout,
    private readonly sessions: Sessions,
    readonly memory: WebGpuMemory,
    private readonly counter: CopyCounter,
    scratch: { heads: Value; numbers: DeviceAllocation; lists: readonly [DeviceAllocation, DeviceAllocation] },
    /** Everything that `release` releases. */
    private readonly opened: readonly Handle[],
  ) {
    this.heads = scratch.heads;
    this.numbers = scratch.numbers;
    [this.places, this.sources] = scratch.lists;
  }

  get allocator(): DeviceAllocator {
    return this.memory.allocator;
  }

  /** Runs `work` while holding the device's lock. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.sessions.cut.exclusive(work);
  }

  /** Copies the tokens of a row from `position` on into a block. */
  async cut(from: KvRow, position: number, block: DeviceAllocation): Promise<void> {
    const { layout } = this;
    const [pieces, places] = [blockPieces(layout), this.places];
    await this.writeIndices(places, from, position, layout.blockTokens);
    await this.run('cut', (bind) => {
      bind.inputs('kv', from.buffers.pieces);
      bind.input('places', bind.own(Value.view(places, 0, 'int64', [1, pieces])));
      bind.output('block', bind.own(Value.view(block, 0, 'int32', [layout.tensors, pieces, layout.pieceWords])));
    });
    this.count(pieces);
  }

  /** Copies a block into a row, from token `position` on. */
  async join(block: DeviceAllocation, into: KvRow, position: number): Promise<void> {
    const { layout } = this;
    const [pieces, places] = [blockPieces(layout), this.places];
    await this.writeIndices(places, into, position, layout.blockTokens);
    await this.run('join', (bind) => {
      bind.input('block', bind.own(Value.view(block, 0, 'int32', [layout.tensors, pieces, layout.pieceWords])));
      bind.input('places', bind.own(Value.view(places, 0, 'int64', [1, pieces, 1])));
      bind.inPlace(into.buffers.pieces);
    });
    this.count(pieces);
  }

  /** Copies the first tokens of a row to another row. */
  async move(from: KvRow, into: KvRow, tokens: number): Promise<void> {
    const pieces = this.layout.kvHeads * tokens * this.layout.piecesPerToken;
    if (pieces === 0) return;
    const [source, places] = [this.sources, this.places];
    await this.writeIndices(source, from, 0, tokens);
    await this.writeIndices(places, into, 0, tokens);
    await this.run('move', (bind) => {
      bind.inputs('kv', from.buffers.pieces);
      bind.input('from', bind.own(Value.view(source, 0, 'int64', [1, pieces])));
      bind.input('places', bind.own(Value.view(places, 0, 'int64', [1, pieces, 1])));
      bind.inPlace(into.buffers.pieces);
    });
    this.count(pieces);
  }

  release(): void {
    for (const handle of this.opened) handle.release();
  }

  /** Counts a copy of `pieces` pieces of each tensor. */
  private count(pieces: number): void {
    this.counter.d2d += 4 * this.layout.tensors * pieces * this.layout.pieceWords;
  }

  /** Writes the indices of the pieces of a row's tokens `[position, position + tokens)` to device memory. */
  private async writeIndices(
    into: DeviceAllocation,
    { buffers, row }: KvRow,
    position: number,
    tokens: number,
  ): Promise<void> {
    const { kvHeads, piecesPerToken } = this.layout;
    const count = tokens * piecesPerToken;
    const { buffer, byteOffset } = this.heads.bytes();
    const heads = new Int32Array(buffer, byteOffset, 2 * kvHeads);
    for (let head = 0; head < kvHeads; head += 1) {
      heads[2 * head] = ((row * kvHeads + head) * buffers.capacityTokens + position) * piecesPerToken;
      heads[2 * head + 1] = 0;
    }
    this.counter.h2d += this.heads.byteLength;
    await this.run('places', (bind) => {
      bind.input('heads', this.heads);
      bind.input('numbers', bind.own(Value.view(this.numbers, 0, 'int32', [count, 2])));
      bind.output('places', bind.own(Value.view(into, 0, 'int32', [kvHeads, count, 2])));
    });
  }

  private async run(name: keyof Sessions, bindAll: (bind: Binder) => void): Promise<void> {
    const session = this.sessions[name];
    const binding = session.createBinding();
    const own: Value[] = [];
    try {
      bindAll({
        input: (input, value) => binding.bindInput(input, value),
        inputs: (input, values) => {
          for (const [n, value] of values.entries()) binding.bindInput(`${input}.${n}`, value);
        },
        output: (output, value) => binding.bindOutput(output, value),
        inPlace: (values) => {
          for (const [n, value] of values.entries()) {
            binding.bindInput(`into.${n}`, value);
            binding.bindOutput(`written.${n}`, value);
          }
        },
        own: (value) => {
          own.push(value);
          return value;
        },
      });
      await session.run(binding);
    } finally {
      binding.release();
      for (const value of own) value.release();
    }
  }
}

interface Binder {
  input(name: string, value: Value): void;
  inputs(name: string, values: readonly Value[]): void;
  output(name: string, value: Value): void;
  /** Binds K/V that the run changes in place. */
  inPlace(values: readonly Value[]): void;
  /** Releases the value after the run. */
  own(value: Value): Value;
}

async function upload(memory: WebGpuMemory, to: DeviceAllocation, words: Int32Array): Promise<void> {
  const value = Value.view(to, 0, 'int32', [words.length]);
  try {
    await memory.upload(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), value);
  } finally {
    value.release();
  }
}
