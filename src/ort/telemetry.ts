import { setEnvironmentVariable } from '../native/libc.js';

/** ONNX Runtime's telemetry, which is never on in a process of shoal. */

/**
 * The variable that ONNX Runtime reads once, when its environment is created. Without it, official builds since 1.29 report models and machine
 * to a host of Microsoft, and leave logs and a database in the folders for temporary files, for work and for caches.
 */
export const NO_TELEMETRY = { ORT_DISABLE_TELEMETRY: '1' } as const;

/**
 * Keeps ONNX Runtime from reporting anything, in this process and in its children, regardless of the environment. Call it before the
 * library is loaded. `process.env` alone is not enough: in a worker thread it is a copy, which the library does not see.
 */
export function disableTelemetry(): void {
  for (const [name, value] of Object.entries(NO_TELEMETRY)) {
    process.env[name] = value;
    setEnvironmentVariable(name, value);
  }
}
