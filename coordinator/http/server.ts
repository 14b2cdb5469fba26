import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { Clock } from '../../src/clock.js';
import { Unavailable } from '../../src/errors.js';
import * as limits from '../../src/limits.js';
import { PacedLog } from '../../src/paced-log.js';
import type { Span, Tracer } from '../../src/trace/span.js';
import type { Access } from '../access/access.js';
import type { Principal } from '../access/principal.js';
import { ApiError } from '../openai/api-error.js';
import { Bodies } from './bodies.js';
import { discardBody, isBodyLost } from './body.js';
import type { Border } from './border/border.js';
import { errorBody, errorEvent } from './error-body.js';
import { EventSink, framed } from './event-sink.js';
import { exchangeOf } from './exchange.js';
import { Expectations } from './expectation.js';
import { frameworkFailure } from './framework-failure.js';
import { authorizationOf } from './key-header.js';
import { type KnownPath, knownPaths } from './known-path.js';
import { borderOf, type HttpListenOptions } from './listen-options.js';
import { Listener, type TlsContext } from './listener.js';
import { streamParts } from './parts.js';
import { refuseMalformed } from './refusals.js';
import { type RequestAccount, type RequestEndPorts, recordEnd } from './request-end.js';
import { requestIdOf } from './request-id.js';
import { pathOf, unknownPath } from './request-path.js';
import { requestTrace } from './request-span.js';
import type { EventsAnswer, HttpRoute } from './route.js';
import { RunningRequests } from './running-requests.js';
import { sendBytes } from './send-bytes.js';
import { StallGuard } from './stall-guard.js';

/** The HTTP server: listens, dispatches to routes, renders errors, closes gracefully. The only file that imports fastify. */

/** Largest body of an HTTP request. */
const HTTP_BODY_BYTES = 8 * 2 ** 20;
/** Memory of all bodies together. */
const HTTP_BODY_BUDGET_BYTES = 256 * 2 ** 20;
/** Time after which a client that reads nothing of its answer is disconnected. */
const HTTP_STALL_TIMEOUT_MS = 120_000;
/** Time that clients then have to read the error with which their answers end. @internal exported for tests. */
export const HTTP_CLOSE_ERROR_MS = 500;

declare module 'fastify' {
  interface FastifyContextConfig {
    route?: HttpRoute;
    /** Set where the method is wrong. */
    known?: KnownPath;
  }
  interface FastifyRequest {
    /** On the server's clock. */
    arrivedMs: number;
    principal: Principal | null;
    answer: ServerResponse | null;
    account: (() => RequestAccount) | null;
    span: Span | null;
    /** For logs. */
    traceId: string | null;
  }
}

/** The dependencies of the server besides the routes. */
export interface HttpServerDeps extends RequestEndPorts {
  readonly access: Access;
  readonly clock: Clock;
  /** Null: nothing is recorded. */
  readonly tracer?: Tracer | null;
}

export interface HttpServer {
  readonly url: string;
  /** New connections get this key and certificate. @throws Error if they do not fit each other */
  renewTls(tls: TlsContext): void;
  /** Refuses new requests, gives running ones the grace time, then ends them with a 503. Idempotent. */
  close(): Promise<void>;
}

/** Starts a server for `routes`. Rejects with `Unavailable` if it cannot listen. */
export async function listen(
  routes: readonly HttpRoute[],
  options: HttpListenOptions,
  deps: HttpServerDeps,
): Promise<HttpServer> {
  const server = new Server(options, deps);
  for (const route of routes) server.addRoute(route);
  server.refuseOtherMethods(routes);
  await server.listen();
  return server;
}

class Server implements HttpServer {
  url = '';
  private readonly app: FastifyInstance;
  private readonly options: HttpListenOptions;
  private readonly deps: HttpServerDeps;
  private readonly running: RunningRequests;
  private readonly border: Border;
  private readonly bodies: Bodies;
  private readonly listener: Listener;
  private readonly expectations = new Expectations();
  private readonly log: PacedLog;
  private closed: Promise<void> | null = null;

  constructor(options: HttpListenOptions, deps: HttpServerDeps) {
    this.options = options;
    this.deps = deps;
    this.log = new PacedLog(deps.log, deps.clock);
    this.running = new RunningRequests(deps.access, deps.clock);
    const { bodyLimitBytes: limitBytes = HTTP_BODY_BYTES, bodyBudgetBytes: budgetBytes = HTTP_BODY_BUDGET_BYTES } =
      options;
    this.border = borderOf(options, limitBytes);
    this.bodies = new Bodies({ limitBytes, budgetBytes }, deps.clock);
    const { tls = null, maxConnections } = options;
    const answerHeaders = (request: IncomingMessage) => this.border.answerHeaders(request);
    this.listener = new Listener({ tls, maxConnections, answerHeaders, clock: deps.clock, log: deps.log });
    this.app = fastify({
      bodyLimit: limitBytes,
      serverFactory: (handle) => this.listener.makeServer(handle),
      routerOptions: { maxParamLength: limits.CLIENT_NAME_CHARS },
      genReqId: (request) => requestIdOf(request.headers['x-request-id']),
      return503OnClosing: false,
      clientErrorHandler: (error, socket) => refuseMalformed(error.code, socket),
      frameworkErrors: (error, request, reply) => this.sendError(error, request, reply),
    });
    this.app.removeAllContentTypeParsers();
    this.app.addContentTypeParser('*', async (request: FastifyRequest) =>
      request.routeOptions.config.route?.uploadBytes === undefined
        ? this.bodies.read(request.raw, request.answer!)
        : null,
    );
    this.app.decorateRequest('arrivedMs', 0);
    this.app.decorateRequest('principal', null);
    this.app.decorateRequest('answer', null);
    this.app.decorateRequest('account', null);
    this.app.decorateRequest('span', null);
    this.app.decorateRequest('traceId', null);
    this.app.addHook('onRequest', async (request, reply) => this.onRequest(request, reply));
    this.app.setErrorHandler((error: FastifyError, request, reply) => this.sendError(error, request, reply));
    this.app.setNotFoundHandler(unknownPath);
  }

  private get stallTimeoutMs(): number {
    return this.options.stallTimeoutMs ?? HTTP_STALL_TIMEOUT_MS;
  }

  addRoute(route: HttpRoute): void {
    this.app.route({
      method: route.method,
      url: route.path,
      config: { route },
      handler: (request, reply) => this.answer(route, request, reply),
    });
  }

  /** Answers 405 on known paths with other methods. */
  refuseOtherMethods(routes: readonly HttpRoute[]): void {
    for (const [url, path] of knownPaths(routes)) {
      this.app.route({
        method: this.app.supportedMethods.filter((method) => !path.methods.includes(method)),
        url,
        config: { known: path },
        handler: unknownPath,
      });
    }
  }

  async listen(): Promise<void> {
    const { host, port, tls, socketPath } = this.options;
    const opened = this.app.listen({ host, port }).then(() => this.listener.listenOnSocket(socketPath ?? null));
    await opened.catch(async (error: unknown) => {
      await this.app.close();
      if (error instanceof Unavailable) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new Unavailable(`cannot listen on ${host}:${port}: ${reason}; choose another --host or --port`, {
        cause: error,
      });
    });
    const address = this.app.server.address() as AddressInfo;
    this.url = `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  }

  renewTls(tls: TlsContext): void {
    this.listener.renewTls(tls);
  }

  close(): Promise<void> {
    this.closed ??= this.drain();
    return this.closed;
  }

  private async drain(): Promise<void> {
    const closed = Promise.all([this.app.close(), this.listener.closeSocket()]);
    const { clock } = this.deps;
    const { closeGraceMs: graceMs } = this.options;
    const timers = [
      clock.after(graceMs, () => this.running.abort(stopping())),
      // For clients that do not even read their error.
      clock.after(graceMs + HTTP_CLOSE_ERROR_MS, () => this.listener.closeConnections()),
    ];
    await this.running.idle();
    this.running.stop();
    for (const timer of timers) timer.cancel();
    // Idle keep-alive connections would keep the server open.
    this.listener.closeConnections();
    await closed;
  }

  /** Decides by the head of a request, before its body is read. */
  private async onRequest(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { raw } = request;
    const { route, known } = request.routeOptions.config;
    request.arrivedMs = this.deps.clock.now();
    request.answer = reply.raw;
    Object.assign(request, requestTrace(this.deps.tracer ?? null, route, request.id, raw.headers));
    reply.header('x-request-id', request.id);
    if (this.closed !== null) {
      reply.header('connection', 'close');
      throw stopping();
    }
    if (route?.pages === 'any') return this.border.checkProbe(raw, route);
    this.border.checkClient(raw);
    if (known !== undefined) return this.refuseMethod(known, request, reply);
    if (route === undefined) return unknownPath(request);
    this.border.checkPage(raw, route);
    await this.deps.access.admit(route.access, authorizationOf(request.headers), (principal) => {
      request.principal = principal;
    });
    this.border.checkBody(raw, route);
    this.expectations.meet(raw, reply.raw);
  }

  /** Answers a preflight, and any other request with a 405. */
  private refuseMethod(known: KnownPath, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const preflight = this.border.preflight(request.raw, known);
    if (preflight !== null) return reply.code(204).headers(preflight).send();
    reply.header('allow', known.methods.join(', '));
    const message = `${pathOf(request)} does not support ${request.method}; use ${known.methods.join(' or ')}`;
    throw new ApiError(405, message, { code: 'method_not_allowed' });
  }

  private async answer(route: HttpRoute, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    this.listener.answering(request.raw);
    const { principal } = request;
    const authorization = authorizationOf(request.headers);
    const signal = this.running.add(reply.raw, { access: route.access, authorization, principal });
    const uploads = route.uploadBytes !== undefined;
    const answer = await route.handle(exchangeOf(request, reply, signal, uploads));
    if (answer.kind === 'events') {
      reply.hijack();
      await this.stream(answer, request, reply);
      return reply;
    }
    if (answer.kind === 'bytes') {
      reply.hijack();
      const failure = await sendBytes(
        answer,
        reply.raw,
        reply.getHeaders() as OutgoingHttpHeaders,
        this.deps.clock,
        this.stallTimeoutMs,
        signal,
      );
      this.recordEnd(request, failure === null ? answer.status : 500, failure);
      return reply;
    }
    const status = answer.kind === 'json' ? answer.status : 200;
    this.recordEnd(request, status);
    if (answer.kind === 'text') return this.send(reply, answer.contentType, answer.text);
    return this.send(reply.code(status), 'application/json; charset=utf-8', JSON.stringify(answer.body));
  }

  private send(reply: FastifyReply, contentType: string, text: string): FastifyReply {
    const bytes = Buffer.from(text);
    const guard = new StallGuard(reply.raw, this.deps.clock, this.stallTimeoutMs);
    reply.header('content-type', contentType).header('content-length', bytes.byteLength);
    return reply.send(bytes.byteLength > limits.HTTP_PART_BYTES ? streamParts(bytes, () => guard.restart()) : bytes);
  }

  private async stream({ events, form }: EventsAnswer, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { clock } = this.deps;
    const sink = new EventSink(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, clock, this.stallTimeoutMs);
    let failure: ApiError | null = null;
    try {
      for await (const event of events) await sink.send(...framed(event, form));
      if (form !== 'named') await sink.send('[DONE]');
    } catch (error) {
      failure = this.failureOf(error, request);
      await sink.send(...framed(errorEvent(failure, form, request), form)).catch(() => {});
    }
    sink.end();
    this.recordEnd(request, failure?.status ?? 200, failure);
  }

  private sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const failure = this.failureOf(error, request);
    // The framework closes the connection after a body that could not be read.
    if (this.expectations.isOpen(request.raw) || isBodyLost(request.raw)) reply.header('connection', 'close');
    else {
      if (this.closed === null) reply.removeHeader('connection');
      discardBody(request.raw, reply.raw);
    }
    this.recordEnd(request, failure.status, failure);
    if (failure.retryAfterS !== null) reply.header('retry-after', String(failure.retryAfterS));
    if (failure.status === 401) reply.header('www-authenticate', 'Bearer');
    return reply
      .headers(failure.headers)
      .header('x-request-id', request.id)
      .code(failure.status)
      .send(errorBody(failure, request));
  }

  private failureOf(error: unknown, request: FastifyRequest): ApiError {
    const failure = frameworkFailure(error) ?? ApiError.from(error);
    const { id: requestId, traceId } = request;
    if (failure.status === 500) this.log.error({ requestId, traceId, err: error }, 'a request failed');
    return failure;
  }

  private recordEnd(request: FastifyRequest, status: number, error: ApiError | null = null): void {
    recordEnd(request, status, error, this.deps);
  }
}

function stopping(): Unavailable {
  return new Unavailable('the coordinator is stopping; retry on another coordinator');
}
