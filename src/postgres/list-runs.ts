import { PgFlowError } from '../errors.js';
import { quoted } from '../flow/quoted.js';
import { isSlug } from '../flow/slug.js';
import { applyChange } from '../run/apply-change.js';
import { isRunStatus, type Run, type RunStatus } from '../run/run.js';
import { isRunId } from '../run/run-id.js';
import type { RunFilter, RunList, RunPage } from '../run/run-list.js';
import { whyNoTag } from '../run/tags.js';
import type { RunPlace, Store } from './store.js';

/** Which runs a list is of. What is left out matches all; given together, all of it must fit. */
export interface TrackRunsOptions {
  /** Only runs of this flow. */
  readonly flow?: string;
  /** Only runs that have this status now. */
  readonly status?: RunStatus;
  /** Only runs that were started with this tag. */
  readonly tag?: string;
  /** 1 to 500, default 50. */
  readonly limit?: number;
}

/** Which runs a list is of, and which page of it. */
export interface ListOptions extends TrackRunsOptions {
  /** Where the last list ended, as it said. Default, null too: from the newest on. */
  readonly cursor?: string | null;
}

const DEFAULT_LIMIT = 50;
const MOST = 500;
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * The runs that match, newest first.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for a limit, status, tag or cursor that is none.
 */
export async function listRuns(store: Store, options?: ListOptions): Promise<RunList> {
  const filter = checkFilter('listRuns', options ?? {});
  const cursor = options?.cursor ?? null;
  const before = cursor === null ? null : readCursor(cursor);
  if (filter.flow !== undefined && !isSlug(filter.flow)) return { runs: [], cursor: null };
  const changes = await store.listRuns({ ...filter, limit: filter.limit + 1 }, before);
  const runs = changes.slice(0, filter.limit).map((change) => applyChange(null, change).run as Run);
  return { runs, cursor: changes.length > filter.limit ? writeCursor(runs.at(-1)!) : null };
}

/** What live lists read: pages, several in one statement, and what is new of their runs. */
export function listSource(store: Store) {
  return {
    async readPages(filters: readonly RunFilter[]): Promise<RunPage[]> {
      const pages = await store.readPages(filters.map((filter) => ({ ...filter, limit: filter.limit + 1 })));
      return pages.map((found, i) => {
        const runs = found.slice(0, filters[i]!.limit);
        return { runs, cursor: found.length > runs.length ? writeCursor(runs.at(-1)!) : null };
      });
    },
    readChanges: (cursors: Parameters<Store['readChanges']>[0]) => store.readChanges(cursors),
    readSeqs: (runIds: readonly string[]) => store.readSeqs(runIds),
  };
}

/** @throws {PgFlowError} `INVALID_INPUT`, for a flow that is no slug too: nothing would ever come. */
export function checkTracked(options?: TrackRunsOptions): RunFilter {
  const filter = checkFilter('trackRuns', options ?? {});
  if (filter.flow === undefined || isSlug(filter.flow)) return filter;
  throw invalid('trackRuns', 'flow', 'must be the slug of a flow or job');
}

function checkFilter(caller: string, options: TrackRunsOptions): RunFilter {
  const { flow, status, tag, limit = DEFAULT_LIMIT } = options;
  const fail = (path: string, message: string) => {
    throw invalid(caller, path, message);
  };
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST) {
    fail('limit', `must be a whole number from 1 to ${MOST}, not ${quoted(limit)}`);
  }
  if (status !== undefined && !isRunStatus(status)) {
    fail('status', `must be started, completed, failed or cancelled, not ${quoted(status)}`);
  }
  const whyNot = tag === undefined ? null : whyNoTag(tag);
  if (whyNot !== null) fail('tag', whyNot);
  return { flow, status, tag, limit };
}

function writeCursor({ startedAt, runId }: RunPlace): string {
  return Buffer.from(`${startedAt.toISOString()} ${runId}`).toString('base64url');
}

function readCursor(cursor: string): { startedAt: string; runId: string } {
  const [startedAt = '', runId = ''] = Buffer.from(String(cursor), 'base64url').toString().split(' ');
  if (!isRunId(runId) || !ISO_TIME.test(startedAt) || Number.isNaN(Date.parse(startedAt)))
    throw invalid('listRuns', 'cursor', 'is not one that listRuns gave');
  return { startedAt, runId };
}

function invalid(caller: string, path: string, message: string): PgFlowError {
  return new PgFlowError('INVALID_INPUT', `${caller}: ${path} ${message}.`, {
    data: { issues: [{ path, message }] },
  });
}
