import { pipeline, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { Refused, ShoalError } from '../errors.js';
import { HubUnavailable } from './retry.js';

/** Requests ask for bytes as they are. Some mirrors and proxies compress answers anyway. */

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** Whether the bytes of an answer are an encoding of the file, so that offsets into the file do not apply. */
export function isEncoded(header: string | string[] | undefined): boolean {
  return nameOf(header) !== 'identity';
}

/**
 * The bytes of a body without its `content-encoding`. The caller bounds them.
 * @throws Refused for an encoding that is not known, HubUnavailable if the bytes are damaged, and what `body` throws
 */
export async function* decodedBody(
  body: AsyncIterable<Uint8Array>,
  header: string | string[] | undefined,
  host: string,
): AsyncGenerator<Uint8Array> {
  if (!isEncoded(header)) return yield* body;
  const name = nameOf(header);
  const decoder = DECODERS[name];
  if (decoder === undefined)
    throw new Refused(
      `cannot read the answer of ${host}: its content-encoding is ${JSON.stringify(name.slice(0, 64))}, which was not asked for; check HF_ENDPOINT and the proxy`,
    );
  const decoded = pipeline(body, decoder(), () => {});
  try {
    for await (const chunk of decoded) yield chunk as Uint8Array;
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new HubUnavailable(`cannot read the answer of ${host}: its ${name} encoding is damaged`, null, { cause });
  } finally {
    decoded.destroy();
  }
}

function nameOf(header: string | string[] | undefined): string {
  return (
    String(header ?? '')
      .trim()
      .toLowerCase() || 'identity'
  );
}
