/** Bounds what NATS' library reads of a message's headers. */

/** Lines of headers that are read: the status, and more headers than NATS itself sends. */
const LINES_READ = 32;
const LINE_FEED = 0x0a;

/** The library's class of headers, which decodes them when they are first asked for. */
export interface HeadersClass<H> {
  decode(bytes: Uint8Array): H;
}

const bounded = new WeakSet<HeadersClass<unknown>>();

/**
 * The library throws on the name of a header that the protocol does not allow, within its own reader too, and takes quadratic time for many headers.
 * Anyone on the bus can send such headers, and store them with a value. After this call the library reads only the first lines, and only the status
 * of headers that it cannot read. Idempotent.
 */
export function boundHeaders<H>(library: HeadersClass<H>): void {
  if (bounded.has(library)) return;
  bounded.add(library);
  const decodeAll = library.decode.bind(library);
  library.decode = (bytes) => {
    try {
      return decodeAll(firstLines(bytes, LINES_READ));
    } catch {
      return decodeAll(firstLines(bytes, 1));
    }
  };
}

function firstLines(bytes: Uint8Array, lines: number): Uint8Array {
  let end = 0;
  for (let line = 0; line < lines; line++) {
    const next = bytes.indexOf(LINE_FEED, end);
    if (next === -1) return bytes;
    end = next + 1;
  }
  return bytes.subarray(0, end);
}
