import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';

/** One HTTP request with its whole answer, over connections that are kept: `fetch` takes several times as long for a small one. */

export interface ExchangeCall {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: readonly Uint8Array[];
  readonly timeoutMs: number;
}

export class HttpAnswer {
  constructor(
    readonly status: number,
    private readonly headers: IncomingMessage['headers'],
    readonly bytes: Buffer,
  ) {}

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** A header by its lower-case name. */
  header(name: string): string | null {
    const value = this.headers[name];
    return typeof value === 'string' ? value : null;
  }

  text(): string {
    return this.bytes.toString();
  }

  json(): unknown {
    return JSON.parse(this.text());
  }
}

/** The connections of one client. */
export class HttpConnections {
  private readonly plain = new http.Agent({ keepAlive: true });
  private readonly secure = new https.Agent({ keepAlive: true });

  /** Rejects if the connection fails, breaks off before the end of the answer, or the answer takes too long. */
  exchange(url: string, call: ExchangeCall): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const isSecure = url.startsWith('https:');
      const length = call.body.reduce((sum, { byteLength }) => sum + byteLength, 0);
      const sends = call.body.length > 0 || call.method === 'PUT' || call.method === 'POST';
      const options: RequestOptions = {
        method: call.method,
        agent: isSecure ? this.secure : this.plain,
        headers: { ...call.headers, ...(sends && { 'content-length': length }) },
        signal: AbortSignal.timeout(call.timeoutMs),
      };
      const request = (isSecure ? https : http).request(url, options, (response) => {
        bytesOf(response).then(
          (bytes) => resolve(new HttpAnswer(response.statusCode!, response.headers, bytes)),
          reject,
        );
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        // The server has closed an idle connection at the moment of its use.
        const closed = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        if (closed) this.exchange(url, call).then(resolve, reject);
        else reject(error);
      });
      for (const piece of call.body) request.write(piece);
      request.end();
    });
  }

  /** Closes connections that are idle. */
  close(): void {
    this.plain.destroy();
    this.secure.destroy();
  }
}

/** The body, straight into memory of its length where the server says it. */
async function bytesOf(response: IncomingMessage): Promise<Buffer> {
  const length = Number(response.headers['content-length'] ?? Number.NaN);
  const whole = Number.isSafeInteger(length) && response.statusCode !== 304 ? length : null;
  const chunks: Buffer[] = [];
  let into: Buffer | null = null;
  let at = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (whole === null || (at === 0 && chunk.byteLength === whole)) chunks.push(chunk);
    else {
      into ??= Buffer.allocUnsafeSlow(whole);
      chunk.copy(into, at);
    }
    at += chunk.byteLength;
  }
  return into ?? (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
}
