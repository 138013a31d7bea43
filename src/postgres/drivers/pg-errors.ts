import { PgFlowError } from '../../errors.js';

/** `postgres://user:***@host/db`, for messages. */
export function redactUrl(url: string): string {
  try {
    const parsed = new URL(url);
    if (parsed.password) parsed.password = '***';
    for (const key of parsed.searchParams.keys()) {
      if (/pass|secret|key/i.test(key)) parsed.searchParams.set(key, '***');
    }
    return parsed.toString();
  } catch {
    return 'the given database URL';
  }
}

const NETWORK = /^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EHOST|ENET|EPIPE)/;
// Connection exceptions, authorization, no such database, out of connections, shutting down.
const SERVER = /^(08|28|3D000|53300|57P0)/;

/** A server that can't be reached becomes `DATABASE_UNAVAILABLE`; what it answered stays what it is. */
export function explain(error: unknown, location: string): unknown {
  const { code, message } = error as { code?: string; message?: string };
  const unreachable =
    (code && (NETWORK.test(code) || SERVER.test(code))) ||
    /Connection terminated|timeout exceeded when trying to connect|not queryable/.test(message ?? '');
  if (!unreachable || error instanceof PgFlowError) return error;
  return new PgFlowError(
    'DATABASE_UNAVAILABLE',
    `PostgreSQL at ${location} cannot be reached: ${message || code}. Check that it runs, and the address and credentials in DATABASE_URL.`,
    { cause: error, data: { location } },
  );
}
