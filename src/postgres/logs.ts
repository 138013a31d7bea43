import { PgFlowError } from '../errors.js';
import { isSlug } from '../flow/slug.js';
import type { LogRow, Store } from './store.js';

/** What a handler logged. */
export interface LogEntry {
  /** Rises within a run: where to go on from, as `after`. */
  readonly logId: number;
  /** When it was logged, by the database's clock. */
  readonly at: Date;
  readonly stepSlug: string;
  readonly taskIndex: number;
  readonly attempt: number;
  readonly message: string;
  /** As JSON; empty when none were given. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Which entries of a run. Given together, all of it must fit. */
export interface LogOptions {
  /** Only of this step, by slug. */
  readonly step?: string;
  /** Only of this attempt, from 1. */
  readonly attempt?: number;
  /** 1 to 1,000. Default 1,000. */
  readonly limit?: number;
  /** The `logId` of the last entry that you have. */
  readonly after?: number;
}

const MOST = 1000;

export async function readLogs(store: Store, runId: string, options?: LogOptions): Promise<LogEntry[]> {
  const { step, attempt, limit = MOST, after = 0 } = options ?? {};
  checkWhole('attempt', attempt ?? 1, 1, 2 ** 31 - 1);
  checkWhole('limit', limit, 1, MOST);
  checkWhole('after', after, 0, Number.MAX_SAFE_INTEGER);
  if (step !== undefined && !isSlug(step)) return [];
  const rows = await store.readLogs({ runId, step: step ?? null, attempt: attempt ?? null, after, limit });
  return rows.map(readEntry);
}

function readEntry(row: LogRow): LogEntry {
  return {
    logId: row.log_id,
    at: new Date(row.at),
    stepSlug: row.step_slug,
    taskIndex: row.task_index,
    attempt: row.attempt,
    message: row.message,
    fields: row.fields ?? {},
  };
}

function checkWhole(path: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw invalid(path, `must be a whole number from ${least} to ${most}`, value);
}

function invalid(path: string, message: string, value: unknown): PgFlowError {
  return new PgFlowError('INVALID_INPUT', `getLogs: ${path} ${message}, not ${String(value)}.`, {
    data: { issues: [{ path, message }] },
  });
}
