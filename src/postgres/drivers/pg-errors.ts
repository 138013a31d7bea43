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
// Disk full, out of memory, other resources, read-only, the server's files or system.
const REFUSES = /^(53000|53100|53200|25006|58000|58030)$/;

/**
 * A server that can't be reached, or takes no work for now, whatever it is, becomes `DATABASE_UNAVAILABLE`; what it
 * answered otherwise stays what it is.
 */
export function explain(error: unknown, location: string): unknown {
  const { code, message } = error as { code?: string; message?: string };
  if (code && REFUSES.test(code)) {
    return new PgFlowError(
      'DATABASE_UNAVAILABLE',
      `PostgreSQL at ${location} does no work now: ${message || code}. Nothing is lost; it goes on when that is mended.`,
      { cause: error, data: { location } },
    );
  }
  const unreachable =
    (code && (NETWORK.test(code) || SERVER.test(code))) ||
    /Connection terminated|timeout exceeded when trying to connect|not queryable|Query read timeout/.test(
      message ?? '',
    );
  if (!unreachable || error instanceof PgFlowError) return error;
  return new PgFlowError(
    'DATABASE_UNAVAILABLE',
    `PostgreSQL at ${location} cannot be reached: ${message || code}. Check that it runs, and the address and credentials in DATABASE_URL.`,
    { cause: error, data: { location } },
  );
}
