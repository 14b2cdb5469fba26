import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

/** A small model hub on loopback, with the URLs, headers and answers of the real one, and the faults that a test orders. */

/** What the hub does with the next request whose URL contains `url`. Each is used once. */
export interface HubFault {
  readonly url: string;
  readonly kind: 'status' | 'cut' | 'corrupt' | 'no-ranges' | 'hang' | 'gzip' | 'damaged-gzip';
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** For `cut` and `hang`: bytes that are sent before the connection is destroyed, or before nothing more comes. */
  readonly afterBytes?: number;
  /** For `hang`: called once nothing more comes. */
  readonly onHang?: () => void;
}

export interface HubRequest {
  readonly url: string;
  readonly host: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

interface Repository {
  readonly commit: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** `gated`: a token is needed, and `granted` has access. `private`: only `granted` sees it. */
  readonly access: 'public' | 'gated' | 'private';
}

export const GRANTED = 'hf_granted';

/** Files with these endings are in LFS, as on the hub. */
const LFS = /\.(?:onnx|onnx_data(?:_\d+)?|data)$/;
const PAGE_FILES = 3;
const HTTP_MOVED = 307;

/** Git's name of a blob. */
export function gitSha1(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export class HubServer {
  readonly requests: HubRequest[] = [];
  readonly faults: HubFault[] = [];
  private readonly repositories = new Map<string, Repository>();
  private readonly sockets = new Set<Socket>();

  /** Where the hub is, or was before it stopped. */
  endpoint = '';

  private constructor(
    private readonly hub: Server,
    /** Stands for the store of large files, which has another origin. */
    private readonly store: Server,
  ) {}

  static async start(): Promise<HubServer> {
    const hub = createServer((request, response) => server.answer(request, response));
    const store = createServer((request, response) => server.answerStore(request, response));
    const server = new HubServer(hub, store);
    for (const one of [hub, store]) {
      one.on('connection', (socket) => {
        server.sockets.add(socket);
        socket.on('close', () => server.sockets.delete(socket));
      });
      one.listen(0, '127.0.0.1');
      await once(one, 'listening');
    }
    server.endpoint = originOf(hub);
    return server;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const one of [this.hub, this.store]) {
      if (!one.listening) continue;
      one.close();
      await once(one, 'close');
    }
  }

  /** Adds a repository, or gives it a new commit. Resolves with the commit. */
  add(name: string, files: Record<string, Uint8Array | string>, access: Repository['access'] = 'public'): string {
    const bytes = new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content as Uint8Array)]));
    const commit = createHash('sha1')
      .update([...bytes].map(([path, content]) => path + sha256(content)).join())
      .digest('hex');
    this.repositories.set(name, { commit, files: bytes, access });
    return commit;
  }

  /** The URLs of files that were asked for, without those of the API. */
  get filesAsked(): string[] {
    return this.requests
      .filter(({ url }) => url.includes('/resolve/'))
      .map(({ url }) => url.split('/').slice(5).join('/'));
  }

  private note(request: IncomingMessage): URL {
    const { host = '', authorization, range } = request.headers;
    this.requests.push({ url: request.url!, host, authorization, range });
    return new URL(request.url!, `http://${host}`);
  }

  private fault(url: string, kinds: readonly HubFault['kind'][]): HubFault | null {
    const index = this.faults.findIndex((fault) => url.includes(fault.url) && kinds.includes(fault.kind));
    return index === -1 ? null : this.faults.splice(index, 1)[0]!;
  }

  private answer(request: IncomingMessage, response: ServerResponse): unknown {
    const url = this.note(request);
    const fault = this.fault(url.pathname, ['status']);
    if (fault !== null) return response.writeHead(fault.status!, fault.headers).end('{"error":"ordered"}');
    const { kind, name, revision, path } = routeOf(url.pathname);
    const isJsonGzip = kind !== 'resolve' && this.fault(url.pathname, ['gzip']) !== null;
    const answerJson = isJsonGzip ? gzippedJson : json;
    const repository = this.repositories.get(name);
    const refusal = this.refusal(repository, revision, request.headers.authorization, kind === 'resolve');
    if (refusal !== null) {
      response.writeHead(refusal.status, { 'x-error-code': refusal.code, 'x-error-message': 'refused' });
      return response.end(JSON.stringify({ error: refusal.code }));
    }
    if (kind === 'revision')
      return answerJson(response, { id: name, sha: repository!.commit, gated: repository!.access === 'gated' });
    if (kind === 'tree') return this.answerTree(repository!, url, response, answerJson);
    this.answerResolve(repository!, path, url, request, response);
  }

  private refusal(
    repository: Repository | undefined,
    revision: string,
    authorization: string | undefined,
    forBytes: boolean,
  ): { status: number; code: string } | null {
    const granted = authorization === `Bearer ${GRANTED}`;
    if (repository === undefined || (repository.access === 'private' && !granted)) {
      // The hub hides what a stranger may not see.
      return { status: authorization === undefined ? 401 : 404, code: 'RepoNotFound' };
    }
    if (![repository.commit, 'main', 'refs/pr/1'].includes(revision)) return { status: 404, code: 'RevisionNotFound' };
    if (repository.access === 'gated' && forBytes && !granted) {
      return { status: authorization === undefined ? 401 : 403, code: 'GatedRepo' };
    }
    return null;
  }

  private answerTree({ files }: Repository, url: URL, response: ServerResponse, answerJson: typeof json): void {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const entries = [...files].map(([path, bytes]) => ({
      ...{
        type: 'file',
        path,
        size: bytes.byteLength,
        oid: LFS.test(path) ? gitSha1(Buffer.from('pointer')) : gitSha1(bytes),
      },
      ...(LFS.test(path) && { lfs: { oid: sha256(bytes), size: bytes.byteLength, pointerSize: 134 } }),
    }));
    const folders = [{ type: 'directory', path: 'onnx', oid: 'f'.repeat(40), size: 0 }];
    const page = [...folders, ...entries].slice(from, from + PAGE_FILES);
    const more = from + PAGE_FILES < entries.length + folders.length;
    if (more)
      response.setHeader(
        'link',
        `<https://hub.invalid${url.pathname}?recursive=true&cursor=${from + PAGE_FILES}>; rel="next"`,
      );
    answerJson(response, page);
  }

  private answerResolve(
    { commit, files }: Repository,
    path: string,
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
  ): unknown {
    const bytes = files.get(path);
    if (bytes === undefined) {
      response.writeHead(404, { 'x-error-code': 'EntryNotFound' });
      return response.end();
    }
    response.setHeader('x-repo-commit', commit);
    if (!LFS.test(path)) {
      response.setHeader('etag', `"${gitSha1(bytes)}"`);
      return this.send(bytes, url.pathname, request, response);
    }
    response.setHeader('x-linked-size', bytes.byteLength);
    response.setHeader('x-linked-etag', `"${sha256(bytes)}"`);
    const location = `${originOf(this.store)}/${sha256(bytes)}?path=${encodeURIComponent(path)}&signature=x`;
    response.writeHead(HTTP_MOVED, { location }).end();
  }

  private answerStore(request: IncomingMessage, response: ServerResponse): unknown {
    const url = this.note(request);
    const fault = this.fault(url.pathname, ['status']);
    if (fault !== null) return response.writeHead(fault.status!, fault.headers).end();
    const name = url.pathname.slice(1);
    const bytes = [...this.repositories.values()]
      .flatMap(({ files }) => [...files.values()])
      .find((one) => sha256(one) === name);
    if (bytes === undefined) return response.writeHead(404).end();
    response.setHeader('etag', `"${name}"`);
    this.send(bytes, url.searchParams.get('path')!, request, response);
  }

  private send(whole: Uint8Array, path: string, request: IncomingMessage, response: ServerResponse): unknown {
    const fault = this.fault(path, ['cut', 'corrupt', 'no-ranges', 'hang', 'gzip', 'damaged-gzip']);
    const start =
      fault?.kind === 'no-ranges' ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (start > 0) response.setHeader('content-range', `bytes ${start}-${whole.byteLength - 1}/${whole.byteLength}`);
    const bytes = Buffer.from(whole.subarray(start));
    if (fault?.kind === 'corrupt') bytes[bytes.byteLength - 1]! ^= 1;
    if (fault?.kind === 'gzip' || fault?.kind === 'damaged-gzip') {
      response.setHeader('content-encoding', 'gzip');
      const packed = gzipSync(bytes);
      if (fault.kind === 'damaged-gzip') packed[packed.byteLength - 8]! ^= 1;
      return response.writeHead(start > 0 ? 206 : 200).end(packed);
    }
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': bytes.byteLength, 'accept-ranges': 'bytes' });
    if (fault?.kind !== 'cut' && fault?.kind !== 'hang') return response.end(bytes);
    response.write(bytes.subarray(0, fault.afterBytes ?? 0), () => {
      if (fault.kind === 'cut') response.destroy();
      else fault.onHang?.();
    });
    response.flushHeaders();
  }
}

interface Route {
  readonly kind: string;
  readonly name: string;
  readonly revision: string;
  readonly path: string;
}

function routeOf(pathname: string): Route {
  const [, name = '', kind = 'resolve', revision = ''] =
    /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(pathname) ?? [];
  if (name !== '') return { kind, name, revision: decodeURIComponent(revision), path: '' };
  const [, of = '', at = '', path = ''] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname) ?? [];
  return { kind, name: of, revision: decodeURIComponent(at), path: decodeURIComponent(path) };
}

function json(response: ServerResponse, value: unknown): unknown {
  return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function gzippedJson(response: ServerResponse, value: unknown): unknown {
  response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
  return response.end(gzipSync(JSON.stringify(value)));
}

function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
