import type { IncomingMessage, ServerResponse } from 'node:http';
import { Cancelled, InvalidRequest } from '../../src/errors.js';
import { MeteredRequest } from '../../src/http/metered-request.js';
import { ApiError } from '../openai/api-error.js';
import type { BodyBudget, BodyShare } from './body-budget.js';
import { GatheredBytes } from './gathered-bytes.js';

/** Part of a refused body that is read and discarded: a client that is still sending when its connection closes never sees the refusal. */
const DISCARD_BYTES = 64 * 2 ** 20;

/** A body in memory, and its share of the budget, which the caller releases. */
export interface ReadBody {
  readonly bytes: Buffer;
  readonly share: BodyShare;
}

/**
 * Reads a request body of at most `limitBytes`. On a rejection the share is released, and the rest of the body is left to `discardBody`.
 * @throws ApiError 413 for a longer body and 408 for one that stalled while its memory was needed, InvalidRequest for one in too many small chunks,
 * Overloaded if all bodies together have no room for it, Cancelled if the client disconnects before its end
 */
export function readBody(request: IncomingMessage, limitBytes: number, budget: BodyBudget): Promise<ReadBody> {
  return new Promise((resolve, reject) => {
    const gathered = new GatheredBytes();
    let bytes = 0;
    const settle = () => {
      request.off('data', take).off('end', end).off('close', cut).off('error', broken);
      // Without a listener, the error of a connection that breaks later would end the process.
      request.on('error', () => {});
    };
    const fail = (error: unknown) => {
      settle();
      share.release();
      reject(error);
    };
    const share = budget.open(fail);
    const take = (chunk: Buffer) => {
      bytes += chunk.byteLength;
      try {
        if (bytes > limitBytes) throw tooLarge(limitBytes);
        share.take(gathered.add(chunk));
      } catch (error) {
        fail(error);
      }
    };
    const end = () => {
      settle();
      share.complete();
      resolve({ bytes: gathered.whole(), share });
    };
    const cut = () => fail(new Cancelled('the client disconnected before the end of its request body'));
    const broken = (error: unknown) => (error instanceof InvalidRequest ? fail(error) : cut());
    request.on('data', take).on('end', end).on('close', cut).on('error', broken);
    if (request.destroyed && !request.readableEnded) cut();
  });
}

/**
 * Discards the rest of the body of a request that is being refused. Keeps the connection open meanwhile: a client that is still sending when its
 * connection closes never sees the answer. Disconnects a client that continues for too long, or in too many small chunks.
 */
export function discardBody(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete || request.destroyed) return;
  const { socket } = request;
  if (!response.shouldKeepAlive) {
    response.shouldKeepAlive = true;
    request.once('end', () => socket.end());
  }
  const before = socket.bytesRead;
  request.on('error', () => socket.destroy());
  request.on('data', () => {
    if (socket.bytesRead - before > DISCARD_BYTES) request.destroy();
  });
}

/** Whether the rest of the body never comes, so that the connection has to be closed. */
export function isBodyLost(request: IncomingMessage): boolean {
  return request instanceof MeteredRequest && request.refused;
}

export function tooLarge(limitBytes: number): ApiError {
  return new ApiError(413, `body: must be at most ${limitBytes} bytes`, { code: 'body_too_large' });
}
