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

/** ONNX Runtime refused or failed. Carries its own text. */
export class OrtError extends InternalError {
  readonly ortCode: OrtErrorCode;

  constructor(
    doing: string,
    readonly ortMessage: string,
    ortCode: number,
  ) {
    const code = CODES[ortCode] ?? (`CODE_${ortCode}` as const);
    super(`ONNX Runtime failed ${doing}: ${ortMessage} (${code})`);
    this.ortCode = code;
  }

  /** Whether host or device had no memory left. There is no code for it: the texts are those of the standard library, of the arenas and of the drivers. */
  get outOfMemory(): boolean {
    return /std::bad_alloc|out of memory|failed to allocate memory/i.test(this.ortMessage);
  }
}
