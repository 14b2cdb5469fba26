import { ApiError } from '../openai/api-error.js';

/** An error that the HTTP framework raised itself, as an `ApiError`; null for any other error. */
export function frameworkFailure(error: unknown): ApiError | null {
  if (!(error instanceof Error) || !('statusCode' in error) || !('code' in error)) return null;
  const { code, statusCode } = error;
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode >= 500) return null;
  return new ApiError(statusCode, 'the request is malformed', { code: String(code).toLowerCase() });
}
