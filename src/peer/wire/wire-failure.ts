import { toWire, type WireError } from '../../errors.js';

/** Characters of an error's message that fit a frame of the handshake, whatever they are. */
const MESSAGE_CHARS = 240;

/** An error in the form and length in which a peer is told of it. */
export function failureOf(error: unknown): WireError {
  const { code, message, param } = toWire(error);
  const short = message.length > MESSAGE_CHARS ? `${message.slice(0, MESSAGE_CHARS)}…` : message;
  return param === undefined ? { code, message: short } : { code, message: short, param: param.slice(0, 64) };
}
