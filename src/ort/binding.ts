import { InternalError } from '../errors.js';
import { NULL, type Pointer, viewMemory } from '../native/ffi.js';
import { Handle } from '../native/handle.js';
import type { DeviceAllocator } from './device-memory.js';
import type { Environment } from './environment.js';
import type { Session } from './session.js';
import { type TensorMemory, Value } from './value.js';

/**
 * What a run reads and writes, by name. Stays from run to run, so that only what changes is bound anew. The same value may be
 * bound as an input and an output: the graph then works in place. Serves one run at a time, and is not to be changed during it.
 */
export class Binding extends Handle {
  private readonly inputs = new Map<string, TensorMemory | null>();
  /** In the order in which ONNX Runtime lists them: by first binding. */
  private readonly _outputs = new Map<string, Held>();
  private readonly environment: Environment;
  private running = false;
  /** A run left tensors behind; `#succeeded` if it left all of them. */
  private hasRun = false;
  private succeeded = false;

  /** Use `session.createBinding()`. */
  constructor(
    private readonly session: Session,
    environment: Environment,
    pointer: Pointer,
  ) {
    super('binding', pointer);
    this.environment = environment;
    session.hold();
  }

  /** The run reads `value`. It may be released once it is bound; its bytes stay until it is unbound. Throws `InternalError` for an unknown name. */
  bindInput(name: string, value: Value): void {
    const { calls } = this.environment;
    const status = calls.api.bindInput(this.idle(), this.session.inputName(name), value.pointer);
    if (status !== NULL) throw calls.failure(status, `binding the input ${name}`);
    hold(this.inputs, name, value.memory);
  }

  /** The run writes into `value`, whose shape must be the output's. Throws `InternalError` for an unknown name. */
  bindOutput(name: string, value: Value): void {
    const { calls } = this.environment;
    const status = calls.api.bindOutput(this.idle(), this.session.outputName(name), value.pointer);
    if (status !== NULL) throw calls.failure(status, `binding the output ${name}`);
    hold(this._outputs, name, value.memory);
    this.succeeded = false;
  }

  /** Each run makes a new tensor for this output, in host memory or where the allocator's is; see `outputs`. */
  bindOutputToDevice(name: string, where: 'cpu' | DeviceAllocator): void {
    const place = where === 'cpu' ? this.environment.hostMemory : where.place;
    this.bindToPlace(name, place);
    hold(this._outputs, name, place);
    this.succeeded = false;
  }

  private bindToPlace(name: string, place: Pointer): void {
    const { calls } = this.environment;
    const status = calls.api.bindOutputToDevice(this.idle(), this.session.outputName(name), place);
    if (status !== NULL) throw calls.failure(status, `leaving the output ${name} to the device`);
  }

  /** What the last run made for `bindOutputToDevice`, by name. The caller must release them; they outlive the binding. */
  outputs(): Map<string, Value> {
    const binding = this.idle();
    if (!this.succeeded) throw new InternalError('the outputs of a binding were asked for without a run before');
    const { calls, allocator } = this.environment;
    const doing = 'reading the outputs of a run';
    const list = calls.take(calls.api.getBoundOutputValues(binding, allocator, calls.out, calls.out2), doing);
    if (list === NULL) return new Map();
    const pointers = Array.from(new BigUint64Array(viewMemory(list, 8 * calls.takeSecond()).buffer), Number);
    calls.check(calls.api.allocatorFree(allocator, list), doing);
    const made = new Map<string, Value>();
    let index = 0;
    for (const [name, held] of this._outputs) {
      const pointer = pointers[index]!;
      index += 1;
      if (typeof held === 'number') made.set(name, this.adopt(pointer, held));
      else calls.api.releaseValue(pointer);
    }
    return made;
  }

  private adopt(pointer: Pointer, place: Pointer): Value {
    const onHost = place === this.environment.hostMemory;
    return Value.adopt(this.environment, pointer, onHost ? 'cpu' : this.session.provider);
  }

  clearInputs(): void {
    this.environment.calls.api.clearBoundInputs(this.idle());
    dropAll(this.inputs);
  }

  clearOutputs(): void {
    this.environment.calls.api.clearBoundOutputs(this.idle());
    dropAll(this._outputs);
    this.succeeded = false;
  }

  /** A run begins. For `Session.run`. */
  begin(): void {
    this.idle();
    // A tensor left by the last run would be taken as the place to write to, whatever its shape.
    if (this.hasRun)
      for (const [name, held] of this._outputs) if (typeof held === 'number') this.bindToPlace(name, held);
    this.succeeded = false;
    this.running = true;
    this.hold();
  }

  /** It is over. For `Session.run`. */
  end(succeeded: boolean): void {
    this.running = false;
    this.hasRun = true;
    this.succeeded = succeeded;
    this.drop();
  }

  private idle(): Pointer {
    if (this.running) throw new InternalError('a binding was used while a run has it');
    return this.pointer;
  }

  protected override free(pointer: Pointer): void {
    const { calls, locks } = this.environment;
    // It may be the last that has a tensor of the device.
    locks[this.session.provider].runOutside(() => {
      calls.api.releaseIoBinding(pointer);
      dropAll(this.inputs);
      dropAll(this._outputs);
      this.session.drop();
    });
  }
}

/** Memory that is bound, null where a value has its own, and where ONNX Runtime makes a new tensor in each run, the place for it. */
type Held = TensorMemory | null | Pointer;

/** Notes that the memory is in use under this name, in place of what was before. */
function hold<H extends Held>(names: Map<string, H>, name: string, memory: H): void {
  const before = names.get(name);
  if (before === memory) return;
  if (isMemory(memory)) memory.hold();
  names.set(name, memory);
  if (before !== undefined && isMemory(before)) before.drop();
}

function dropAll(names: Map<string, Held>): void {
  for (const memory of names.values()) if (isMemory(memory)) memory.drop();
  names.clear();
}

function isMemory(held: Held): held is TensorMemory {
  return held !== null && typeof held !== 'number';
}
