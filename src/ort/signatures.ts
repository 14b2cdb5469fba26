import type { Pointer } from '../native/ffi.js';

/** Slots and signatures of the functions of ONNX Runtime's C API (onnxruntime_c_api.h) that shoal uses. */

/** Kinds of arguments and results, with their types in JavaScript. */
export interface ForeignKinds {
  /** `OrtStatus*`: null for success. */
  status: Pointer;
  pointer: Pointer;
  size: number;
  int: number;
  text: string;
  /** `const char *const *` */
  texts: readonly string[];
  /** `ORTCHAR_T*`: UTF-16 on Windows. */
  path: string;
  /** JavaScript memory, passed without a copy. Strings must end with a zero byte. */
  bytes: Uint8Array | BigUint64Array;
  void: undefined;
}
export type ForeignKind = keyof ForeignKinds;

export const NATIVE_TYPES: Record<ForeignKind, string> = {
  status: 'uintptr_t',
  pointer: 'uintptr_t',
  size: 'size_t',
  int: 'int',
  text: 'str',
  texts: 'str *',
  path: process.platform === 'win32' ? 'str16' : 'str',
  bytes: 'void *',
  void: 'void',
};

export interface Signature<R extends ForeignKind, A extends readonly ForeignKind[]> {
  readonly slot: number;
  readonly result: R;
  readonly parameters: A;
}

function at<R extends ForeignKind, A extends ForeignKind[]>(
  slot: number,
  result: R,
  ...parameters: A
): Signature<R, A> {
  return { slot, result, parameters };
}

/** Slots of the `OrtApi` table, which never change once released. */
export const SIGNATURES = {
  getErrorCode: at(1, 'int', 'pointer'),
  getErrorMessage: at(2, 'text', 'pointer'),
  createEnv: at(3, 'status', 'int', 'text', 'pointer'),
  createSession: at(7, 'status', 'pointer', 'path', 'pointer', 'bytes'),
  createSessionFromArray: at(8, 'status', 'pointer', 'bytes', 'size', 'pointer', 'bytes'),
  createSessionOptions: at(10, 'status', 'pointer'),
  setOptimizedModelFilePath: at(11, 'status', 'pointer', 'path'),
  disableMemPattern: at(17, 'status', 'pointer'),
  disableCpuMemArena: at(19, 'status', 'pointer'),
  setSessionGraphOptimizationLevel: at(23, 'status', 'pointer', 'int'),
  setIntraOpNumThreads: at(24, 'status', 'pointer', 'int'),
  setInterOpNumThreads: at(25, 'status', 'pointer', 'int'),
  sessionGetInputCount: at(30, 'status', 'pointer', 'pointer'),
  sessionGetOutputCount: at(31, 'status', 'pointer', 'pointer'),
  sessionGetOptionalInputCount: at(32, 'status', 'pointer', 'pointer'),
  sessionGetInputTypeInfo: at(33, 'status', 'pointer', 'size', 'pointer'),
  sessionGetOutputTypeInfo: at(34, 'status', 'pointer', 'size', 'pointer'),
  sessionGetOptionalInputTypeInfo: at(35, 'status', 'pointer', 'size', 'pointer'),
  sessionGetInputName: at(36, 'status', 'pointer', 'size', 'pointer', 'pointer'),
  sessionGetOutputName: at(37, 'status', 'pointer', 'size', 'pointer', 'pointer'),
  sessionGetOptionalInputName: at(38, 'status', 'pointer', 'size', 'pointer', 'pointer'),
  createRunOptions: at(39, 'status', 'pointer'),
  runOptionsSetTerminate: at(46, 'status', 'pointer'),
  runOptionsUnsetTerminate: at(47, 'status', 'pointer'),
  createTensorAsOrtValue: at(48, 'status', 'pointer', 'pointer', 'size', 'int', 'pointer'),
  createTensorWithDataAsOrtValue: at(49, 'status', 'pointer', 'pointer', 'size', 'pointer', 'size', 'int', 'pointer'),
  /** The same function, over JavaScript memory. */
  createTensorOverBytes: at(49, 'status', 'pointer', 'bytes', 'size', 'pointer', 'size', 'int', 'pointer'),
  getTensorMutableData: at(51, 'status', 'pointer', 'pointer'),
  castTypeInfoToTensorInfo: at(55, 'status', 'pointer', 'pointer'),
  getTensorElementType: at(60, 'status', 'pointer', 'pointer'),
  getDimensionsCount: at(61, 'status', 'pointer', 'pointer'),
  getDimensions: at(62, 'status', 'pointer', 'pointer', 'size'),
  getSymbolicDimensions: at(63, 'status', 'pointer', 'pointer', 'size'),
  getTensorTypeAndShape: at(65, 'status', 'pointer', 'pointer'),
  createMemoryInfo: at(68, 'status', 'text', 'int', 'int', 'int', 'pointer'),
  createCpuMemoryInfo: at(69, 'status', 'int', 'int', 'pointer'),
  allocatorAlloc: at(75, 'status', 'pointer', 'size', 'pointer'),
  allocatorFree: at(76, 'status', 'pointer', 'pointer'),
  getAllocatorWithDefaultOptions: at(78, 'status', 'pointer'),
  releaseEnv: at(92, 'void', 'pointer'),
  releaseStatus: at(93, 'void', 'pointer'),
  releaseMemoryInfo: at(94, 'void', 'pointer'),
  releaseSession: at(95, 'void', 'pointer'),
  releaseValue: at(96, 'void', 'pointer'),
  releaseRunOptions: at(97, 'void', 'pointer'),
  releaseTypeInfo: at(98, 'void', 'pointer'),
  releaseTensorTypeAndShapeInfo: at(99, 'void', 'pointer'),
  releaseSessionOptions: at(100, 'void', 'pointer'),
  sessionGetModelMetadata: at(111, 'status', 'pointer', 'pointer'),
  modelMetadataLookup: at(116, 'status', 'pointer', 'pointer', 'text', 'pointer'),
  releaseModelMetadata: at(118, 'void', 'pointer'),
  getAvailableProviders: at(125, 'status', 'pointer', 'pointer'),
  releaseAvailableProviders: at(126, 'status', 'pointer', 'int'),
  addSessionConfigEntry: at(130, 'status', 'pointer', 'text', 'text'),
  createAllocator: at(131, 'status', 'pointer', 'pointer', 'pointer'),
  releaseAllocator: at(132, 'void', 'pointer'),
  runWithBinding: at(133, 'status', 'pointer', 'pointer', 'pointer'),
  createIoBinding: at(134, 'status', 'pointer', 'pointer'),
  releaseIoBinding: at(135, 'void', 'pointer'),
  bindInput: at(136, 'status', 'pointer', 'bytes', 'pointer'),
  bindOutput: at(137, 'status', 'pointer', 'bytes', 'pointer'),
  bindOutputToDevice: at(138, 'status', 'pointer', 'bytes', 'pointer'),
  getBoundOutputValues: at(140, 'status', 'pointer', 'pointer', 'pointer', 'pointer'),
  clearBoundInputs: at(141, 'void', 'pointer'),
  clearBoundOutputs: at(142, 'void', 'pointer'),
  appendCudaProvider: at(204, 'status', 'pointer', 'pointer'),
  createCudaProviderOptions: at(205, 'status', 'pointer'),
  updateCudaProviderOptions: at(206, 'status', 'pointer', 'texts', 'texts', 'size'),
  releaseCudaProviderOptions: at(208, 'void', 'pointer'),
  appendProvider: at(216, 'status', 'pointer', 'text', 'texts', 'texts', 'size'),
  copyTensors: at(386, 'status', 'pointer', 'bytes', 'bytes', 'pointer', 'size'),
};
