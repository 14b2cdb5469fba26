import { z } from 'zod';

/** Schema for raw bytes: a whole number of units of `unitBytes`, at most `maxUnits`. */
export function packed(unitBytes: number, maxUnits: number): z.ZodType<Uint8Array> {
  const fits = (value: unknown) =>
    value instanceof Uint8Array && value.byteLength % unitBytes === 0 && value.byteLength <= unitBytes * maxUnits;
  return z.custom<Uint8Array>(fits, `must be bytes in whole units of ${unitBytes}, at most ${maxUnits} units`);
}
