import { PgFlowError } from '../errors.js';
import { isSlug } from '../flow/slug.js';
import { applyChange } from '../run/apply-change.js';
import { isRunStatus, type Run, type RunStatus } from '../run/run.js';
import { isRunId } from '../run/run-id.js';
import type { Store } from './store.js';

export interface ListOptions {
  /** Only runs of this flow. */
  readonly flow?: string;
  readonly status?: RunStatus;
  /** 1 to 500, default 50. */
  readonly limit?: number;
  /** Where the last list ended. */
  readonly cursor?: string | null;
}

export interface RunList {
  readonly runs: readonly Run[];
  /** For the next, older runs; null at the end. */
  readonly cursor: string | null;
}

const DEFAULT_LIMIT = 50;
const MOST = 500;
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * The runs that match, newest first.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for a limit, status or cursor that is none.
 */
export async function listRuns(store: Store, options: ListOptions = {}): Promise<RunList> {
  const { flow, status, limit = DEFAULT_LIMIT, cursor } = options;
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST) {
    throw invalid('limit', `must be a whole number from 1 to ${MOST}, not ${String(limit)}`);
  }
  if (status !== undefined && !isRunStatus(status)) {
    throw invalid('status', `must be started, completed, failed or cancelled, not ${String(status)}`);
  }
  const before = cursor == null ? null : readCursor(cursor);
  if (flow !== undefined && !isSlug(flow)) return { runs: [], cursor: null };
  const changes = await store.listRuns({ flow, status, limit: limit + 1, before });
  const runs = changes.slice(0, limit).map((change) => applyChange(null, change).run as Run);
  return { runs, cursor: changes.length > limit ? writeCursor(runs[limit - 1]!) : null };
}

function writeCursor({ startedAt, runId }: Run): string {
  return Buffer.from(`${startedAt.toISOString()} ${runId}`).toString('base64url');
}

function readCursor(cursor: string): { startedAt: string; runId: string } {
  const [startedAt = '', runId = ''] = Buffer.from(String(cursor), 'base64url').toString().split(' ');
  if (!isRunId(runId) || !ISO_TIME.test(startedAt) || Number.isNaN(Date.parse(startedAt)))
    throw invalid('cursor', 'is not one that listRuns gave');
  return { startedAt, runId };
}

function invalid(path: string, message: string): PgFlowError {
  return new PgFlowError('INVALID_INPUT', `listRuns: ${path} ${message}.`, {
    data: { issues: [{ path, message }] },
  });
}
