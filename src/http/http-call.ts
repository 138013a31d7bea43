import { PgFlowError, type PgFlowErrorCode } from '../errors.js';
import { readFields, readOrNull } from '../run/wire.js';

/** The headers of a client's requests; a function is asked before each, so that a renewed token is used. */
export type ClientHeaders =
  | Readonly<Record<string, string>>
  | (() => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>);

export interface HttpOptions {
  readonly url: string;
  readonly headers?: ClientHeaders;
  readonly fetch?: typeof globalThis.fetch;
}

/**
 * Sends one request with the client's headers.
 *
 * @throws {PgFlowError} `UNREACHABLE` when no answer came; what `headers` throws.
 */
export async function send(options: HttpOptions, path: string, init: RequestInit = {}): Promise<Response> {
  const { headers } = options;
  const own = typeof headers === 'function' ? await headers() : headers;
  const fetch = options.fetch ?? globalThis.fetch;
  const url = options.url.replace(/\/+$/, '') + path;
  return fetch(url, { cache: 'no-store', ...init, headers: { ...own, ...init.headers } }).catch((cause) => {
    throw unreachable(`${options.url} cannot be reached.`, cause);
  });
}

/**
 * One request and its JSON answer: a POST with a body, else a GET.
 *
 * @throws {PgFlowError} the server's, by its code; `UNREACHABLE` when no answer of ours came; `NOT_STORABLE`
 * for a body that is no JSON.
 */
export async function call(options: HttpOptions, path: string, body?: object): Promise<any> {
  const init = body === undefined ? { headers: { accept: 'application/json' } } : postOf(body);
  const response = await send(options, path, init);
  if (!response.ok) throw await readError(response);
  const text = await response.text().catch((cause) => {
    throw unreachable(`${options.url} broke off its answer.`, cause);
  });
  const answer = readOrNull(() => readFields(JSON.parse(text)));
  if (answer === null) throw notOurs(response);
  return answer;
}

function postOf(body: object): RequestInit {
  const headers = { accept: 'application/json', 'content-type': 'application/json' };
  try {
    return { method: 'POST', headers, body: JSON.stringify(body) };
  } catch (cause) {
    throw new PgFlowError('NOT_STORABLE', `The input is no JSON: ${String(cause)}`, { cause });
  }
}

/**
 * The error that a response stands for.
 *
 * @throws {PgFlowError} `UNREACHABLE` when the answer breaks off: it says nothing then, whatever its status.
 */
export async function readError(response: Response): Promise<PgFlowError> {
  const text = await response.text().catch((cause) => {
    throw unreachable(`${response.url || 'The server'} broke off its answer.`, cause);
  });
  const error = readOrNull(() => JSON.parse(text).error);
  if (typeof error?.code !== 'string' || typeof error.message !== 'string') return notOurs(response);
  const data = typeof error.data === 'object' && error.data !== null ? error.data : undefined;
  // A newer server may have codes that this client does not know; they are passed on.
  return new PgFlowError(error.code as PgFlowErrorCode, error.message, { data });
}

/** What something else than the handler answered: a proxy, or a server that has it elsewhere. */
export function notOurs(response: Response): PgFlowError {
  const { status, headers, url } = response;
  const message = `${url || 'The server'} answered ${status} with ${headers.get('content-type') ?? 'no content'}, which is no answer of PgFlow Live. Is \`url\` the address and base path of the handler?`;
  return status === 401 || status === 403 ? new PgFlowError('UNAUTHORIZED', message) : unreachable(message);
}

export function unreachable(message: string, cause?: unknown): PgFlowError {
  return new PgFlowError('UNREACHABLE', message, { cause });
}
