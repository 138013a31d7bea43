import { PgFlowError } from '../errors.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** True for a UUID of any version, in the usual form of 36 characters. */
export function isRunId(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

/**
 * The runId as Postgres writes it, in lower case.
 *
 * @throws {PgFlowError} `INVALID_RUN_ID` when it is no UUID.
 */
export function checkRunId(value: unknown): string {
  if (isRunId(value)) return value.toLowerCase();
  const shown = typeof value === 'string' ? `"${value.slice(0, 60)}"` : typeof value;
  throw new PgFlowError('INVALID_RUN_ID', `A runId is a UUID, and ${shown} is not. Pass a run's runId.`);
}
