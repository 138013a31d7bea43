import { PgFlowError } from '../errors.js';
import { quoted } from '../flow/quoted.js';
import type { HandlerOptions } from './handler-options.js';
import { refuse, toRefusal } from './refusal.js';
import { Routes } from './routes.js';

export type { Access, Action, Authorize } from './access.js';
export type { HandlerOptions, HandlerPgFlow, RunQuery } from './handler-options.js';

/**
 * Serves runs over HTTP: start, read, list, control, and a stream of each run's changes.
 *
 * - `POST /flows/:slug/runs`, body `{ input, runId? }` → 201 `{ run }`, or 200 if it was there
 * - `GET /runs?flow=&status=&tag=&limit=&cursor=` → `{ runs, cursor }`
 * - `GET /runs/:runId` → `{ run }`
 * - `GET /runs/:runId/logs?step=&attempt=&limit=&after=` → `{ logs }`
 * - `GET /runs/:runId/events` → server-sent events: `snapshot`, then `change`, each with the run's
 *   seq as its id; `Last-Event-ID` or `?since=` resumes; `freshness` when the server itself is cut
 *   off or behind; `end` after the last change, or when the run was deleted
 * - `POST /runs/:runId/cancel`, body `{ reason? }` → `{ cancelled, run }`
 * - `POST /runs/:runId/retry` → 201 `{ run }`
 *
 * Errors are `{ error: { code, message, data? } }`. A run that the caller may not see is answered
 * like one that does not exist. Requests that a page of another origin sends are refused.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION` without `pgflow` or `authorize`, or for a base path without a leading `/`.
 * @example
 * const handler = createHandler({ pgflow, authorize: async (request) => (await sessionOf(request)) ?? false });
 * createServer(toNodeListener(handler)).listen(3000);
 */
export function createHandler(options: HandlerOptions): (request: Request) => Promise<Response> {
  const basePath = checkedBasePath(options ?? {});
  const routes = new Routes(options);
  const app = routes.mount(basePath);
  return async (request) => {
    try {
      return await app.fetch(request);
    } catch (error) {
      const refusal = toRefusal(error);
      if (refusal.status >= 500) routes.report(error);
      return refuse(refusal);
    }
  };
}

function checkedBasePath({ pgflow, authorize, basePath = '/pgflow' }: Partial<HandlerOptions>): string {
  if (typeof pgflow?.getRun !== 'function') {
    throw new PgFlowError('INVALID_DEFINITION', 'createHandler needs `pgflow`, as createPgFlow made it.');
  }
  if (typeof authorize !== 'function') {
    throw new PgFlowError(
      'INVALID_DEFINITION',
      'createHandler needs `authorize: (request, { action, runId, flowSlug }) => boolean`, which says who may do what. To let everybody do everything, pass `authorize: () => true`.',
    );
  }
  if (typeof basePath !== 'string' || (basePath !== '' && !basePath.startsWith('/'))) {
    throw new PgFlowError('INVALID_DEFINITION', `basePath has to begin with "/", not ${quoted(basePath)}.`);
  }
  return basePath.replace(/\/+$/, '');
}
