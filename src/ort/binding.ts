import { InternalError } from '../errors.js';
import { NULL, type Pointer, viewMemory } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import type { DeviceAllocator } from './device-memory.js';
import type { Environment } from './environment.js';
import type { Session } from './session.js';
import { type TensorMemory, Value } from './value.js';

/**
 * The inputs and outputs of runs, by name. A binding persists from run to run, so only the values that change are bound again. One
 * value may be bound as both an input and an output: the graph then works in place. A binding serves one run at a time, and must not be
 * changed during a run.
 */
export class Binding extends Handle {
  private readonly inputs = new Map<string, TensorMemory | null>();
  /** In the order of their first binding, in which ONNX Runtime lists them too. */
  private readonly _outputs = new Map<string, BoundOutput>();
  private readonly environment: Environment;
  private running = false;
  /** Whether a run has ended, so that outputs may hold tensors of it. */
  private hasRun = false;
  /** Whether the last run succeeded and no output was changed since, so that all outputs are valid. */
  private succeeded = false;

  /** Use `session.createBinding()`. */
  constructor(
    private readonly session: Session,
    environment: Environment,
    pointer: Pointer,
  ) {
    super('binding', pointer);
    this.environment = environment;
    session.addReference();
  }

  /**
   * Makes runs read `value`. The caller may release the value once it is bound; its bytes stay alive until it is unbound. Throws
   * `InternalError` for an unknown name.
   */
  bindInput(name: string, value: Value): void {
    const { calls } = this.environment;
    const status = calls.api.bindInput(this.idlePointer(), this.session.inputName(name), value.pointer);
    if (status !== NULL) throw calls.failure(status, `bind the input ${name}`);
    setBound(this.inputs, name, value.memory);
  }

  /** Makes runs write into `value`, whose shape must be the output's. Throws `InternalError` for an unknown name. */
  bindOutput(name: string, value: Value): void {
    const { calls } = this.environment;
    const status = calls.api.bindOutput(this.idlePointer(), this.session.outputName(name), value.pointer);
    if (status !== NULL) throw calls.failure(status, `bind the output ${name}`);
    setBound(this._outputs, name, value.memory);
    this.succeeded = false;
  }

  /** Makes each run allocate a new tensor for this output, in host memory or in the allocator's memory; see `outputs`. */
  bindOutputToDevice(name: string, where: 'cpu' | DeviceAllocator): void {
    const place = where === 'cpu' ? this.environment.hostMemory : where.place;
    this.bindToPlace(name, place);
    setBound(this._outputs, name, place);
    this.succeeded = false;
  }

  private bindToPlace(name: string, place: Pointer): void {
    const { calls } = this.environment;
    const status = calls.api.bindOutputToDevice(this.idlePointer(), this.session.outputName(name), place);
    if (status !== NULL) throw calls.failure(status, `bind the output ${name} to device memory`);
  }

  /** The tensors that the last run allocated for `bindOutputToDevice`, by name. The caller must release them; they outlive the binding. */
  outputs(): Map<string, Value> {
    const binding = this.idlePointer();
    if (!this.succeeded) throw new InternalError('cannot read the outputs of a binding without a run before');
    const { calls, allocator } = this.environment;
    const action = 'read the outputs of a run';
    const list = calls.result(calls.api.getBoundOutputValues(binding, allocator, calls.out, calls.out2), action);
    if (list === NULL) return new Map();
    const pointers = Array.from(new BigUint64Array(viewMemory(list, 8 * calls.secondResult()).buffer), Number);
    calls.check(calls.api.allocatorFree(allocator, list), action);
    const made = new Map<string, Value>();
    let index = 0;
    for (const [name, bound] of this._outputs) {
      const pointer = pointers[index]!;
      index += 1;
      if (typeof bound === 'number') made.set(name, this.adopt(pointer, bound));
      else calls.api.releaseValue(pointer);
    }
    return made;
  }

  private adopt(pointer: Pointer, place: Pointer): Value {
    const onHost = place === this.environment.hostMemory;
    return Value.adopt(this.environment, pointer, onHost ? 'cpu' : this.session.provider);
  }

  clearInputs(): void {
    this.environment.calls.api.clearBoundInputs(this.idlePointer());
    clearBound(this.inputs);
  }

  clearOutputs(): void {
    this.environment.calls.api.clearBoundOutputs(this.idlePointer());
    clearBound(this._outputs);
    this.succeeded = false;
  }

  /** Only for `Session.run`: marks the start of a run. */
  startRun(): void {
    this.idlePointer();
    // Otherwise ONNX Runtime would write into the tensor of the last run, even one of another shape.
    if (this.hasRun)
      for (const [name, bound] of this._outputs) if (typeof bound === 'number') this.bindToPlace(name, bound);
    this.succeeded = false;
    this.running = true;
    this.addReference();
  }

  /** Only for `Session.run`: marks the end of a run. */
  endRun(succeeded: boolean): void {
    this.running = false;
    this.hasRun = true;
    this.succeeded = succeeded;
    this.dropReference();
  }

  private idlePointer(): Pointer {
    if (this.running) throw new InternalError('cannot use a binding while a run uses it');
    return this.pointer;
  }

  protected override free(pointer: Pointer): void {
    const { calls, locks } = this.environment;
    // The binding may have the last reference to a tensor of the device.
    locks[this.session.provider].runOutside(() => {
      calls.api.releaseIoBinding(pointer);
      clearBound(this.inputs);
      clearBound(this._outputs);
      this.session.dropReference();
    });
  }
}

/**
 * The memory of a bound tensor, null if the tensor owns its memory, or the `OrtMemoryInfo` in which each run allocates a new tensor.
 * An input is never the latter.
 */
type BoundOutput = TensorMemory | null | Pointer;

/** References the memory bound under a name, and drops the reference to the memory bound before. */
function setBound<B extends BoundOutput>(names: Map<string, B>, name: string, memory: B): void {
  const before = names.get(name);
  if (before === memory) return;
  if (isMemory(memory)) memory.addReference();
  names.set(name, memory);
  if (before !== undefined && isMemory(before)) before.dropReference();
}

function clearBound(names: Map<string, BoundOutput>): void {
  for (const memory of names.values()) if (isMemory(memory)) memory.dropReference();
  names.clear();
}

function isMemory(bound: BoundOutput): bound is TensorMemory {
  return bound !== null && typeof bound !== 'number';
}
