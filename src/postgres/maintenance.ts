import { PgFlowError } from '../errors.js';
import { readDuration } from '../flow/duration.js';
import { quoted } from '../flow/quoted.js';
import { isSlug } from '../flow/slug.js';
import type { Database } from './database.js';
import { quoteIdentifier } from './schema.js';

/** What goes, and how. */
export interface PruneOptions {
  /** Runs that ended longer ago than this go: seconds, or a text such as `'30d'` or `'12h'`. */
  readonly olderThan: number | string;
  /** Runs that one transaction deletes, 1 to 10,000. Default 500. */
  readonly batch?: number;
  /** Stops after the batch under way. */
  readonly signal?: AbortSignal;
  /** Called after each batch with the number of runs deleted so far. */
  readonly onProgress?: (pruned: number) => void;
}

/** How one flow or job fares, in all processes. */
export interface FlowMetrics {
  readonly flowSlug: string;
  /** Tasks that wait for a worker. */
  readonly due: number;
  /** Tasks whose time has not come: delayed or to be tried again. */
  readonly delayed: number;
  readonly executing: number;
  /** Seconds that the longest waiting task has been due; null when none is. */
  readonly oldestDueSeconds: number | null;
  readonly runningRuns: number;
  /** Runs that failed within the last `failedWithin`. */
  readonly failedRuns: number;
}

const DEFAULT_BATCH = 500;
const MOST_BATCH = 10_000;
/** A thousand years: PostgreSQL's times do not go back for ever. */
const MOST_SECONDS = 1_000 * 365 * 86_400;
const DEFAULT_FAILED_WITHIN = '1h';

/** What keeps the tables small and tells how they fare. */
export class Maintenance {
  readonly #database: Database;
  readonly #name: string;

  constructor(database: Database, schema: string) {
    this.#database = database;
    this.#name = quoteIdentifier(schema);
  }

  /** Deletes ended runs in small transactions; `onGone` hears of each batch when it is committed. */
  async prune(options: PruneOptions, onGone: (runIds: readonly string[]) => void): Promise<number> {
    const seconds = readSeconds(options?.olderThan, 'prune', 'olderThan');
    return this.#deleteAll(options, onGone, (batch) =>
      this.#database.query<{ run_id: string }>(
        `select run_id from ${this.#name}.prune_runs(${this.#name}.now() - make_interval(secs => $1), $2) run_id`,
        [seconds, batch],
      ),
    );
  }

  /** Deletes a flow with all its runs, in small transactions; null when there is no such flow. */
  async deleteFlow(slug: string, onGone: (runIds: readonly string[]) => void): Promise<number | null> {
    if (!isSlug(slug)) return null;
    const known = await this.#database.query(`select from ${this.#name}.flows where flow_slug = $1`, [slug]);
    if (known.length === 0) return null;
    const deleteRuns = () =>
      this.#deleteAll({}, onGone, (batch) =>
        this.#database.query<{ run_id: string }>(
          `select run_id from ${this.#name}.delete_flow($1, $2) run_id`,
          [slug, batch],
        ),
      );
    const deleted = await deleteRuns();
    // A start may have been committed between the last look for runs and the end of the definition.
    return deleted + (await deleteRuns());
  }

  async readMetrics(failedWithin: number | string = DEFAULT_FAILED_WITHIN): Promise<FlowMetrics[]> {
    const rows = await this.#database.query<MetricsRow>(
      `select * from ${this.#name}.read_metrics(${this.#name}.now() - make_interval(secs => $1))`,
      [readSeconds(failedWithin, 'metrics', 'failedWithin')],
    );
    return rows.map((row) => ({
      flowSlug: row.flow_slug,
      due: row.due,
      delayed: row.delayed,
      executing: row.executing,
      oldestDueSeconds: row.oldest_due_seconds,
      runningRuns: row.running_runs,
      failedRuns: row.failed_runs,
    }));
  }

  async #deleteAll(
    { batch = DEFAULT_BATCH, signal, onProgress }: Omit<PruneOptions, 'olderThan'>,
    onGone: (runIds: readonly string[]) => void,
    deleteBatch: (batch: number) => Promise<{ run_id: string }[]>,
  ): Promise<number> {
    if (!Number.isInteger(batch) || batch < 1 || batch > MOST_BATCH) {
      const message = `takes a whole number from 1 to ${MOST_BATCH}, not ${quoted(batch)}`;
      throw new PgFlowError('INVALID_INPUT', `prune({ batch }) ${message}.`, {
        data: { issues: [{ path: 'batch', message }] },
      });
    }
    let deleted = 0;
    while (!signal?.aborted) {
      const rows = await deleteBatch(batch);
      if (rows.length === 0) break;
      deleted += rows.length;
      onGone(rows.map((row) => row.run_id));
      onProgress?.(deleted);
    }
    return deleted;
  }
}

function readSeconds(value: number | string, caller: string, path: string): number {
  return Math.min(readDuration(value, `${caller}({ ${path} })`, path) / 1000, MOST_SECONDS);
}

interface MetricsRow {
  flow_slug: string;
  due: number;
  delayed: number;
  executing: number;
  oldest_due_seconds: number | null;
  running_runs: number;
  failed_runs: number;
}
