import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { InvalidRequest, Refused } from '../../errors.js';
import { hostName, isLoopbackName } from '../../host-name.js';

/** Requests to methods of actors over HTTP: who may call, and with what arguments. */

/** A request that is wrong, with its status. */
export class WrongRequest extends InvalidRequest {
  constructor(
    readonly status: 404 | 405 | 413 | 415,
    message: string,
  ) {
    super(message);
  }
}

/** On a loopback address, no name of a stranger leads a browser here. @throws Refused */
export function admit({ headers }: IncomingMessage, host: string, key: string | undefined): void {
  if (isLoopbackName(host) && !isLoopbackName(hostName(headers.host ?? '') ?? ''))
    throw new Refused('this address answers to names of this machine only');
  const digest = (text: string) => hash('sha256', text, 'buffer');
  if (key && !timingSafeEqual(digest(headers.authorization ?? ''), digest(`Bearer ${key}`)))
    throw new Refused('the header authorization must be Bearer KEY, with the key of this server');
}

/** The list of arguments in the body. @throws InvalidRequest */
export async function argumentsOf(request: IncomingMessage, maxBytes: number): Promise<readonly unknown[]> {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new WrongRequest(415, 'content-type: must be application/json');
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.byteLength;
    if (bytes > maxBytes) throw new WrongRequest(413, `the body has more than ${maxBytes} bytes`);
    parts.push(part);
  }
  try {
    const args: unknown = JSON.parse(Buffer.concat(parts).toString() || '[]');
    if (Array.isArray(args)) return args;
  } catch {}
  throw new InvalidRequest('the body must be a list of arguments as JSON');
}
