import { PgFlowError, type PgFlowErrorCode } from '../errors.js';

/** The codes of an error body: those of the library, and two that only HTTP has. */
export type WireErrorCode = PgFlowErrorCode | 'INVALID_REQUEST' | 'INTERNAL';

/** A request that is not answered as asked: what the error body and its status say. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: WireErrorCode;
  readonly data: Readonly<Record<string, unknown>> | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: WireErrorCode,
    message: string,
    options: { data?: Readonly<Record<string, unknown>>; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.data = options.data;
    this.headers = options.headers ?? {};
  }
}

/**
 * The refusal that a thrown value becomes. Only messages that speak of what the caller sent leave
 * the server; of the rest (a lost database, a bug) a caller learns the kind and nothing more.
 */
export function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (!(error instanceof PgFlowError)) return internal();
  switch (error.code) {
    case 'INVALID_INPUT':
    case 'INVALID_RUN_ID':
    case 'NOT_STORABLE':
      return new Refusal(400, error.code, error.message, { data: error.data });
    case 'UNAUTHORIZED':
      return unauthorized();
    case 'FLOW_NOT_FOUND':
    case 'RUN_NOT_FOUND':
      return new Refusal(404, error.code, error.message);
    case 'RUN_CONFLICT':
      // A run that cannot be retried: whoever asked may see it. Of a taken id nothing is told.
      return error.data?.status
        ? new Refusal(409, error.code, error.message, { data: error.data })
        : conflict();
    case 'LIMIT_EXCEEDED':
      return new Refusal(413, error.code, error.message, { data: error.data });
    case 'DATABASE_UNAVAILABLE':
    case 'CLOSED':
      return new Refusal(503, error.code, 'The server cannot answer right now. Try again in a moment.', {
        headers: { 'retry-after': '1' },
      });
    default:
      return internal();
  }
}

export function unauthorized(): Refusal {
  return new Refusal(403, 'UNAUTHORIZED', 'You may not do this.');
}

/** The same whether the run is missing or belongs to somebody else. */
export function noSuchRun(runId: string): Refusal {
  return new Refusal(404, 'RUN_NOT_FOUND', `Run ${runId} does not exist.`);
}

/** Says nothing of the run that has the id: it may be somebody else's. */
export function conflict(): Refusal {
  return new Refusal(
    409,
    'RUN_CONFLICT',
    'This runId is taken by a run with another flow or input. Choose another id, or none.',
  );
}

function internal(): Refusal {
  return new Refusal(500, 'INTERNAL', 'The server failed to answer. The reason is in its log.');
}

/** An answer in JSON that no cache keeps and no browser takes for anything else. */
export function answer(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...headers,
    },
  });
}

export function refuse(refusal: Refusal): Response {
  const { code, message, data, status, headers } = refusal;
  return answer(status, { error: data === undefined ? { code, message } : { code, message, data } }, headers);
}
