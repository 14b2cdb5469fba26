import { z } from 'zod';

/** Raw bytes in whole units of `unitBytes`, at most `maxUnits` of them. */
export function packed(unitBytes: number, maxUnits: number): z.ZodType<Uint8Array> {
  const fits = (value: unknown) =>
    value instanceof Uint8Array && value.byteLength % unitBytes === 0 && value.byteLength <= unitBytes * maxUnits;
  return z.custom<Uint8Array>(fits, `must be whole units of ${unitBytes} bytes, at most ${maxUnits} of them`);
}
