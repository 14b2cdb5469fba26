import type { Clock } from '../clock.js';
import { Corrupt, Refused } from '../errors.js';
import { type HubFile, readRevision, readTree } from './answers.js';
import { isEncoded } from './content-encoding.js';
import { type HubAnswer, HubHttp, pause, readJsonBody } from './hub-http.js';
import type { HubId } from './hub-id.js';
import { hubError } from './hub-refusal.js';
import type { HubSettings } from './hub-settings.js';
import type { PullPorts } from './pull-ports.js';
import { HubUnavailable, PATIENT, type Patience, Retries } from './retry.js';

const ANSWER_BYTES = 32 * 2 ** 20;
/** A page of the list of files has up to 1,000. */
const TREE_PAGES = 64;

/** The status of a server that cannot continue a file: all of it is asked for instead. */
const RANGE_REFUSED = 416;
const PARTIAL = 206;

/** The three requests of the hub that a download needs. */
export class HubApi {
  private readonly http: HubHttp;

  constructor(
    private readonly settings: HubSettings,
    private readonly clock: Clock,
    /** Milliseconds since 1970. */
    private readonly wallMs: () => number,
    userAgent: string,
  ) {
    this.http = new HubHttp({ ...settings, clock, userAgent });
  }

  /** The commit of the id's revision. @throws Refused, HubUnavailable, Corrupt, Cancelled */
  async commit(id: HubId, ports: PullPorts, patience = PATIENT): Promise<string> {
    const url = this.url(`api/models/${id.repository}/revision/${encodeURIComponent(id.revision)}`);
    return readRevision((await this.json(id, url, 'the revision', ports, patience)).json, url.host);
  }

  /** All files of a commit. @throws Refused, HubUnavailable, Corrupt, Cancelled */
  async files(id: HubId, commit: string, ports: PullPorts, patience = PATIENT): Promise<HubFile[]> {
    const files: HubFile[] = [];
    let url: URL | null = this.url(`api/models/${id.repository}/tree/${commit}?recursive=true`);
    for (let pages = 0; url !== null; pages++) {
      if (pages === TREE_PAGES) throw new Refused(`cannot load ${id.repository}: it has too many files for a model`);
      const { json, next } = await this.json(id, url, 'the list of files', ports, patience);
      files.push(...readTree(json, url.host));
      url = next;
    }
    return files;
  }

  /**
   * The bytes of a file from an offset on.
   * @throws Refused, HubUnavailable, Corrupt if the hub has another file there than it said, Cancelled
   */
  async bytes(
    id: HubId,
    commit: string,
    file: HubFile,
    fromByte: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const path = file.path.split('/').map(encodeURIComponent).join('/');
    const url = this.url(`${id.repository}/resolve/${commit}/${path}`);
    let answer = await this.http.get(url, fromByte > 0 ? { range: `bytes=${fromByte}-` } : {}, signal);
    if (fromByte > 0 && isNoRange(answer, fromByte)) {
      answer.discard();
      answer = await this.http.get(url, {}, signal);
    }
    if (answer.status !== 200 && answer.status !== PARTIAL) throw this.refusal(id, file.path, answer);
    const fault = differs(answer, file, commit);
    if (fault !== null) {
      answer.discard();
      throw new Corrupt(`cannot load ${file.path} of ${id.repository}: ${fault}; check HF_ENDPOINT, or try again`);
    }
    return answer.status === 200 ? skipped(answer.body, fromByte) : rangeOf(answer, fromByte, file.path);
  }

  private url(path: string): URL {
    return new URL(`${this.settings.endpoint}/${path}`);
  }

  /** An answer in JSON and the next page, asked for again if the hub fails for now. */
  private async json(
    id: HubId,
    url: URL,
    subject: string,
    { signal, onEvent }: PullPorts,
    patience: Patience,
  ): Promise<{ json: unknown; next: URL | null }> {
    const retries = new Retries(patience);
    for (;;) {
      try {
        const answer = await this.http.get(url, { accept: 'application/json' }, signal);
        if (answer.status !== 200) throw this.refusal(id, null, answer);
        return { json: await readJsonBody(answer, ANSWER_BYTES, url.host), next: this.nextPage(answer, url) };
      } catch (error) {
        if (!(error instanceof HubUnavailable)) throw error;
        const inMs = retries.pauseAfterMs(error);
        onEvent({ type: 'retrying', path: subject, why: error.message, inMs });
        await pause(this.clock, inMs, signal);
      }
    }
  }

  /** The page that the header `link` names, if it is one of the endpoint's. */
  private nextPage({ headers }: HubAnswer, at: URL): URL | null {
    const [, target] = /<([^>]+)>;\s*rel="next"/.exec(String(headers.link ?? '')) ?? [];
    if (target === undefined || !URL.canParse(target, at.href)) return null;
    const next = new URL(target, at);
    // A mirror may repeat the hub's own links.
    return new URL(`${this.settings.endpoint}${next.pathname.slice(next.pathname.indexOf('/api/'))}${next.search}`);
  }

  private refusal(id: HubId, path: string | null, answer: HubAnswer): Error {
    answer.discard();
    const header = (name: string) => String(answer.headers[name] ?? '') || null;
    return hubError(
      id,
      path,
      {
        ...{ status: answer.status, host: answer.host },
        code: header('x-error-code'),
        message: header('x-error-message'),
        retryAfter: header('retry-after') ?? undefined,
      },
      { endpoint: this.settings.endpoint, hasToken: this.settings.token !== null, nowMs: this.wallMs() },
    );
  }
}

/** Whether a server refuses to continue a file, continues a compressed form of it, or sends another range than that asked for. */
function isNoRange({ status, headers }: HubAnswer, fromByte: number): boolean {
  if (status === RANGE_REFUSED) return true;
  return status === PARTIAL && (isEncoded(headers['content-encoding']) || !startsAt(headers, fromByte));
}

function startsAt(headers: HubAnswer['headers'], fromByte: number): boolean {
  return String(headers['content-range']).startsWith(`bytes ${fromByte}-`);
}

/** How the hub's headers contradict its list of files; null if they do not. */
function differs({ headers }: HubAnswer, { digest, byteLength }: HubFile, commit: string): string | null {
  const linked = headers['x-linked-etag'];
  const size = headers['x-linked-size'];
  const at = headers['x-repo-commit'];
  if (typeof at === 'string' && at !== commit) return `the answer is of commit ${at.slice(0, 64)}, not ${commit}`;
  if (typeof linked === 'string' && linked.replace(/^W\/|"/g, '') !== digest) return 'its digest is not the listed one';
  if (typeof size === 'string' && size !== String(byteLength))
    return `it has ${size.slice(0, 32)} bytes, not ${byteLength}`;
  return null;
}

/** A server that knows no ranges sends all bytes. */
async function* skipped(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (left < chunk.byteLength) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}

function rangeOf(answer: HubAnswer, fromByte: number, path: string): AsyncIterable<Uint8Array> {
  if (startsAt(answer.headers, fromByte)) return answer.body;
  answer.discard();
  throw new Corrupt(`cannot continue ${path}: the answer has other bytes than those asked for; check the proxy`);
}
