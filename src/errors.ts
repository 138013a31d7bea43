/** What can go wrong, for callers to match on. Messages may change; codes do not. */
export type PgFlowErrorCode =
  | 'NOT_INITIALIZED'
  | 'INVALID_DEFINITION'
  | 'INVALID_INPUT'
  | 'INVALID_RUN_ID'
  | 'FLOW_NOT_FOUND'
  | 'RUN_NOT_FOUND'
  | 'RUN_CONFLICT'
  | 'RUN_UNREACHABLE'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'NOT_STORABLE'
  | 'DATABASE_UNAVAILABLE'
  | 'DATABASE_LOCKED'
  | 'SCHEMA_FOREIGN'
  | 'SCHEMA_OUTDATED'
  | 'SCHEMA_IN_USE'
  | 'UNAUTHORIZED'
  | 'LIMIT_EXCEEDED'
  | 'UNREACHABLE'
  | 'CLOSED';

/** One reason why an input was refused: where (`orderId`, `lines.0.sku`; empty for the whole) and why. */
export interface InputIssue {
  readonly path: string;
  readonly message: string;
}

/**
 * The one error that PgFlow Live throws. Match on `code`; the message says what happened,
 * to which id, and what to do. What a handler throws is data of its run, not this error.
 *
 * @example
 * try { await pgflow.track(runId) } catch (error) {
 *   if (error instanceof PgFlowError && error.code === 'RUN_NOT_FOUND') return notFound();
 *   throw error;
 * }
 */
export class PgFlowError extends Error {
  override readonly name = 'PgFlowError';
  readonly code: PgFlowErrorCode;
  /** Details by code, e.g. `{ issues: InputIssue[] }` for `INVALID_INPUT`. JSON. */
  readonly data: Readonly<Record<string, unknown>> | undefined;

  constructor(
    code: PgFlowErrorCode,
    message: string,
    options: { data?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.data = options.data;
  }
}

/**
 * Thrown by a handler that chooses when it is tried again. The attempt counts; after `maxAttempts` the task fails.
 *
 * @param seconds delay before the next attempt, from now; 0 or more.
 * @example
 * throw new RetryAfterError(Number(response.headers.get('retry-after') ?? 30), 'rate limited');
 */
export class RetryAfterError extends Error {
  override readonly name = 'RetryAfterError';
  readonly seconds: number;

  constructor(seconds: number, message = `Retry after ${seconds} s`) {
    super(message);
    if (!(seconds >= 0 && Number.isFinite(seconds))) {
      throw new PgFlowError(
        'INVALID_INPUT',
        `RetryAfterError takes a number of seconds ≥ 0, not ${String(seconds)}.`,
      );
    }
    this.seconds = seconds;
  }
}

/**
 * Thrown by a handler whose task can never succeed: it fails at once, however many attempts are left.
 *
 * @example
 * if (card.expired) throw new NonRetryableError('The card has expired');
 */
export class NonRetryableError extends Error {
  override readonly name = 'NonRetryableError';
}
