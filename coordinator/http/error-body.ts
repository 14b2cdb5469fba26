import { messageError } from '../openai/anthropic/message-error.js';
import type { ApiError } from '../openai/api-error.js';
import { pathOf, type RequestWithPath } from './request-path.js';
import type { EventsAnswer } from './route.js';

/** Errors in the form of the API that a request is for. */

interface FailedRequest extends RequestWithPath {
  readonly id: string;
}

export function errorBody(failure: ApiError, request: FailedRequest): object {
  return isForMessages(request) ? messageError(failure, request.id) : failure.toBody();
}

/** The event with which a stream ends. */
export function errorEvent(failure: ApiError, form: EventsAnswer['form'], request: FailedRequest): object {
  const body = failure.toBody();
  if (isForMessages(request)) return messageError(failure, request.id);
  return form === 'named' ? { ...body.error, ...body, type: 'error' } : body;
}

/** Whether a request is for Anthropic's Messages API. */
function isForMessages(request: RequestWithPath): boolean {
  return /^\/v1\/messages(?:$|\/)/.test(pathOf(request));
}
