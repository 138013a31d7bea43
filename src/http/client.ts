import { PgFlowError } from '../errors.js';
import type { AnyFlow, FlowStartInput } from '../flow/flow.js';
import { decodeRun } from '../run/codec.js';
import type { Run, RunStatus } from '../run/run.js';
import { call, type HttpOptions, send, unreachable } from './http-call.js';
import { RunStores } from './run-store.js';
import type { RunStore } from './run-view.js';

export type { ClientHeaders } from './http-call.js';
export type { RunStore, RunView } from './run-view.js';

/** Where the handler is, and how it is asked. */
export interface ClientOptions extends HttpOptions {
  /** Where the handler is, its base path included: `/pgflow`, or `https://api.example.com/pgflow`. */
  readonly url: string;
}

/** What a page can do with runs. All but `watch` reject with the server's PgFlowError, or `UNREACHABLE`; none is repeated by itself. */
export interface PgFlowClient {
  /**
   * Starts a run and resolves to it. With a runId of one's own (`crypto.randomUUID()`) a double click
   * or a repeated request starts one run, and the page can watch it before the reply is here.
   */
  startFlow<F extends AnyFlow = any>(
    slug: string,
    input: FlowStartInput<F>,
    options?: { runId?: string },
  ): Promise<Run<F>>;
  /** Null when there is no such run, or it is not ours to see. */
  getRun<F extends AnyFlow = any>(runId: string): Promise<Run<F> | null>;
  /** Newest first; 50, or `limit` up to 500. Pass the `cursor` of one page to get the next; null: that was the last. */
  listRuns(query?: ListQuery): Promise<{ runs: Run[]; cursor: string | null }>;
  /** `cancelled` is false when it had ended already; the run is then as it was. `reason` is kept with it. */
  cancelRun<F extends AnyFlow = any>(
    runId: string,
    options?: { reason?: string },
  ): Promise<{ cancelled: boolean; run: Run<F> }>;
  /** A new run, its `retryOf` the old one. */
  retryRun<F extends AnyFlow = any>(runId: string): Promise<Run<F>>;
  /**
   * The run, kept up to date while somebody subscribes. However many watch a run through one client, it
   * is one connection. It comes back by itself from whatever cuts it, and goes on where it was.
   */
  watch<F extends AnyFlow = any>(runId: string): RunStore<F>;
}

/** Which runs a list is of; what is left out matches all. */
export interface ListQuery {
  readonly flow?: string;
  readonly status?: RunStatus;
  /** Only runs that were started with this tag. */
  readonly tag?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

/**
 * The browser's end of the HTTP handler; Node 20 and later can use it too.
 *
 * - `url`: the handler's address with its base path
 * - `headers`: sent with each request; a function (sync or async) is asked before each, reconnects
 *   included, so that tokens may expire
 * - `fetch`: instead of the global one
 *
 * @throws {PgFlowError} `INVALID_DEFINITION` without a `url`.
 * @example
 * const client = createClient({ url: '/pgflow', headers: async () => ({ authorization: `Bearer ${await token()}` }) });
 * const run = await client.startFlow<typeof processOrder>('process_order', { orderId: '123' });
 * const store = client.watch(run.runId);
 * const stop = store.subscribe(() => draw(store.getSnapshot()));
 */
export function createClient(options: ClientOptions): PgFlowClient {
  if (typeof options?.url !== 'string') {
    throw new PgFlowError(
      'INVALID_DEFINITION',
      'createClient needs `url`: where the handler is, such as "/pgflow".',
    );
  }
  const stores = new RunStores((runId, since, signal) => openStream(options, runId, since, signal));
  const post = (path: string, body: object) => call(options, path, body);
  return {
    async startFlow(slug, input, { runId } = {}) {
      const body = runId === undefined ? { input } : { input, runId };
      return shown(readRun(await post(`/flows/${encodeURIComponent(slug)}/runs`, body)));
    },
    async getRun(runId) {
      const answer = await call(options, pathOf(runId)).catch(nullIfMissing);
      return answer === null ? null : readRun(answer);
    },
    async listRuns(query = {}) {
      const { runs, cursor } = await call(options, `/runs${searchOf(query)}`);
      const read = Array.isArray(runs) ? runs.map((run) => readRun({ run })) : [];
      return { runs: read, cursor: typeof cursor === 'string' ? cursor : null };
    },
    async cancelRun(runId, { reason } = {}) {
      const answer = await post(`${pathOf(runId)}/cancel`, reason === undefined ? {} : { reason });
      return { cancelled: answer.cancelled === true, run: shown(readRun(answer)) };
    },
    async retryRun(runId) {
      return shown(readRun(await post(`${pathOf(runId)}/retry`, {})));
    },
    watch: (runId) => stores.watch(runId),
  };

  function shown(run: Run): Run {
    stores.give(run);
    return run;
  }
}

function openStream(
  options: HttpOptions,
  runId: string,
  since: number,
  signal: AbortSignal,
): Promise<Response> {
  const headers: Record<string, string> = { accept: 'text/event-stream' };
  if (since > 0) headers['last-event-id'] = String(since);
  return send(options, `${pathOf(runId)}/events`, { headers, signal });
}

function pathOf(runId: string): string {
  return `/runs/${encodeURIComponent(runId)}`;
}

function searchOf(query: ListQuery): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) params.set(name, String(value));
  }
  const search = String(params);
  return search === '' ? '' : `?${search}`;
}

function readRun(answer: { run?: unknown }): Run {
  const run = decodeRun(answer.run);
  if (run !== null) return run;
  throw unreachable('The server answered with a run that this client cannot read. Is it of another version?');
}

function nullIfMissing(error: unknown): null {
  if (error instanceof PgFlowError && error.code === 'RUN_NOT_FOUND') return null;
  throw error;
}
