import { type ErrorCode, InvalidRequest, PoisonousPrompt, ShoalError } from '../../src/errors.js';

/** Errors in the form of OpenAI's API: a status and a JSON body. */

/** The value of `retry-after` when a queue is full or no worker is there. */
const RETRY_AFTER_S = 1;

/** OpenAI's error types by status; any other status is an `invalid_request_error`. */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  408: 'timeout_error',
  409: 'conflict_error',
  429: 'rate_limit_error',
  499: 'cancelled_error',
  500: 'server_error',
  503: 'service_unavailable_error',
};

const STATUSES: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  overloaded: 429,
  unavailable: 503,
  deadline: 408,
  cancelled: 499,
  refused: 409,
  corrupt: 500,
  failed: 500,
  internal: 500,
};

const CODES: Readonly<Record<number, string>> = {
  408: 'deadline_exceeded',
  409: 'refused',
  422: 'poisonous_prompt',
  429: 'rate_limit_exceeded',
  499: 'cancelled',
  500: 'internal_error',
  503: 'unavailable',
};

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The field that is wrong. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

interface ApiErrorDetails {
  readonly param?: string | null;
  readonly code?: string | null;
  /** Time after which a retry may succeed, if it is known. */
  readonly retryAfterS?: number | null;
  /** Further headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiError extends Error {
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Readonly<Record<string, string>>;
  private readonly knownRetryAfterS: number | null;

  constructor(
    readonly status: number,
    message: string,
    { param = null, code = null, retryAfterS = null, headers = {} }: ApiErrorDetails = {},
  ) {
    super(message);
    this.knownRetryAfterS = retryAfterS;
    this.headers = headers;
    this.param = param;
    this.code = code ?? CODES[status] ?? null;
  }

  /** Converts any thrown value. The details of an internal error are logged, never sent to a client. */
  static from(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    if (error instanceof PoisonousPrompt) return new ApiError(422, error.message);
    const status = error instanceof ShoalError ? STATUSES[error.code] : 500;
    if (status === 500)
      return new ApiError(500, "internal error; the coordinator's log has the details under the id in x-request-id");
    const param = error instanceof InvalidRequest ? (error.param ?? null) : null;
    return new ApiError(status, (error as ShoalError).message, { param });
  }

  /** Value of `retry-after` in seconds; null if a retry would not help. */
  get retryAfterS(): number | null {
    if (this.knownRetryAfterS !== null) return this.knownRetryAfterS;
    const overloaded = this.status === 429 && this.code === CODES[429];
    return overloaded || this.status === 503 ? RETRY_AFTER_S : null;
  }

  toBody(): ErrorBody {
    const type = TYPES[this.status] ?? 'invalid_request_error';
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

/** The error for a prompt that does not fit the model's context, alone or with the requested tokens. */
export function contextLengthExceeded(message: string, param: string): ApiError {
  return new ApiError(400, message, { param, code: 'context_length_exceeded' });
}
