import { InternalError } from '../errors.js';

const CODES = [
  'OK',
  'FAIL',
  'INVALID_ARGUMENT',
  'NO_SUCHFILE',
  'NO_MODEL',
  'ENGINE_ERROR',
  'RUNTIME_EXCEPTION',
  'INVALID_PROTOBUF',
  'MODEL_LOADED',
  'NOT_IMPLEMENTED',
  'INVALID_GRAPH',
  'EP_FAIL',
  'MODEL_LOAD_CANCELED',
  'MODEL_REQUIRES_COMPILATION',
  'NOT_FOUND',
] as const;

export type OrtErrorCode = (typeof CODES)[number] | `CODE_${number}`;

/** A failed call of ONNX Runtime, with the code and the message of its status. */
export class OrtError extends InternalError {
  readonly ortCode: OrtErrorCode;

  /** @param action completes the sentence "ONNX Runtime cannot ..." */
  constructor(
    action: string,
    readonly ortMessage: string,
    ortCode: number,
  ) {
    const code = CODES[ortCode] ?? (`CODE_${ortCode}` as const);
    super(`ONNX Runtime cannot ${action}: ${ortMessage} (${code})`);
    this.ortCode = code;
  }

  /** Whether host or device ran out of memory. There is no code for it; the messages come from the C++ library, the arenas and the drivers. */
  get outOfMemory(): boolean {
    return /std::bad_alloc|out of memory|failed to allocate memory/i.test(this.ortMessage);
  }
}
