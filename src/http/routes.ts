import { Hono } from 'hono/tiny';
import { PgFlowError } from '../errors.js';
import { callWatcher } from '../run/call-watcher.js';
import { encodeRun } from '../run/codec.js';
import type { Run } from '../run/run.js';
import { checkRunId } from '../run/run-id.js';
import { type Access, type Action, isPermitted } from './access.js';
import { openEventStream } from './event-stream.js';
import type { HandlerOptions, HandlerPgFlow } from './handler-options.js';
import { answer, conflict, noSuchRun, Refusal, unauthorized } from './refusal.js';
import { readBody } from './request-body.js';
import { readLogQuery, readQuery, readSince } from './request-query.js';
import { refuseCrossSite } from './same-origin.js';

/** What each route does. Its only state is the number of open streams. */
export class Routes {
  readonly #options: HandlerOptions;
  readonly #pgflow: HandlerPgFlow;
  #streams = 0;

  constructor(options: HandlerOptions) {
    this.#options = options;
    this.#pgflow = options.pgflow;
  }

  mount(basePath: string) {
    const app = new Hono().basePath(basePath);
    const { getLogs, cancelRun, retryRun } = this.#pgflow;
    app.post('/flows/:slug/runs', (c) => this.#start(c.req.raw, c.req.param('slug')));
    app.get('/runs', (c) => this.#list(c.req.raw));
    app.get('/runs/:runId', (c) => this.#read(c.req.raw, c.req.param('runId')));
    app.get('/runs/:runId/events', (c) => this.#watch(c.req.raw, c.req.param('runId')));
    if (getLogs) app.get('/runs/:runId/logs', (c) => this.#logs(c.req.raw, c.req.param('runId')));
    if (cancelRun) app.post('/runs/:runId/cancel', (c) => this.#cancel(c.req.raw, c.req.param('runId')));
    if (retryRun) app.post('/runs/:runId/retry', (c) => this.#retry(c.req.raw, c.req.param('runId')));
    for (const { path, method } of app.routes.slice()) {
      app.all(path.slice(basePath.length), () => refuseMethod(method));
    }
    app.notFound(() => {
      throw new Refusal(
        404,
        'INVALID_REQUEST',
        `There is nothing here. The routes begin at ${basePath || '/'}.`,
      );
    });
    app.onError((error) => {
      throw error;
    });
    return app;
  }

  report(error: unknown): void {
    callWatcher(this.#options.onError ?? console.error, error);
  }

  async #start(request: Request, flowSlug: string): Promise<Response> {
    const { input, runId: chosen } = await this.#bodyOf(request);
    const runId = chosen === undefined || chosen === null ? undefined : checkRunId(chosen);
    if (!(await this.#permits(request, { action: 'start', flowSlug, runId }))) throw unauthorized();
    const { run, created } = await this.#pgflow.startOrGet(flowSlug, input, { runId });
    // Whoever guesses the id and the input of a run that is there does not get to see it.
    const seen =
      created || (await this.#permits(request, { action: 'read', flowSlug: run.flowSlug, runId: run.runId }));
    if (!seen) throw conflict();
    return answer(created ? 201 : 200, { run: encodeRun(run) });
  }

  async #list(request: Request): Promise<Response> {
    const query = readQuery(new URL(request.url).searchParams);
    if (!(await this.#permits(request, { action: 'list', flowSlug: query.flow }))) throw unauthorized();
    const { runs, cursor } = await this.#pgflow.listRuns(query);
    return answer(200, { runs: runs.map(encodeRun), cursor });
  }

  async #read(request: Request, runId: string): Promise<Response> {
    const run = await this.#permittedRun(request, 'read', runId);
    return answer(200, { run: encodeRun(run) });
  }

  async #logs(request: Request, runId: string): Promise<Response> {
    const query = readLogQuery(new URL(request.url).searchParams);
    const { runId: known } = await this.#permittedRun(request, 'read', runId);
    return answer(200, { logs: await this.#pgflow.getLogs!(known, query) });
  }

  async #cancel(request: Request, runId: string): Promise<Response> {
    const { reason } = await this.#bodyOf(request);
    if (reason !== undefined && typeof reason !== 'string') {
      throw new Refusal(400, 'INVALID_INPUT', 'reason has to be a text.');
    }
    const { runId: known } = await this.#permittedRun(request, 'cancel', runId);
    const { cancelled, run } = await this.#pgflow.cancelRun!(known, { reason });
    return answer(200, { cancelled, run: encodeRun(run) });
  }

  async #retry(request: Request, runId: string): Promise<Response> {
    await this.#bodyOf(request);
    const { runId: known } = await this.#permittedRun(request, 'retry', runId);
    return answer(201, { run: encodeRun(await this.#pgflow.retryRun!(known)) });
  }

  async #watch(request: Request, runId: string): Promise<Response> {
    if (request.method !== 'GET') refuseMethod('GET');
    const { maxStreams = 10_000 } = this.#options;
    if (this.#streams >= maxStreams) {
      throw new Refusal(
        429,
        'LIMIT_EXCEEDED',
        `This server has its limit of ${maxStreams} event streams open.`,
        {
          headers: { 'retry-after': '5' },
        },
      );
    }
    this.#streams++;
    try {
      return await this.#openStream(request, runId);
    } catch (error) {
      this.#streams--;
      throw error;
    }
  }

  async #openStream(request: Request, runId: string): Promise<Response> {
    const run = await this.#permittedRun(request, 'watch', runId);
    const live = await this.#pgflow.track(run.runId).catch((error) => {
      throw error instanceof PgFlowError && error.code === 'RUN_NOT_FOUND' ? noSuchRun(runId) : error;
    });
    const { pingInterval = 15, writeTimeout = 60, authorizeInterval = 30 } = this.#options;
    const body = openEventStream(live, {
      since: readSince(request),
      pingInterval,
      writeTimeout,
      authorizeInterval,
      signal: request.signal,
      stillPermitted: () =>
        this.#permits(request, { action: 'watch', runId: run.runId, flowSlug: run.flowSlug }),
      onEnd: () => {
        this.#streams--;
      },
    });
    return new Response(body, {
      headers: { ...STREAM_HEADERS, 'pgflow-seq': String(live.getSnapshot().seq) },
    });
  }

  async #bodyOf(request: Request): Promise<Record<string, unknown>> {
    refuseCrossSite(request, this.#options.allowedOrigins ?? []);
    return readBody(request, this.#options.maxBodyBytes ?? 1_048_576);
  }

  /** The run, if it exists and the caller may do this to it; who asks cannot tell which of the two failed. */
  async #permittedRun(request: Request, action: Action, runId: string): Promise<Run> {
    const run = await this.#pgflow.getRun(checkRunId(runId));
    if (run === null) throw noSuchRun(runId);
    const access = { action, runId: run.runId, flowSlug: run.flowSlug };
    if (!(await this.#permits(request, access))) throw noSuchRun(runId);
    return run;
  }

  #permits(request: Request, access: Access): Promise<boolean> {
    return isPermitted(this.#options.authorize, request, access, (error) => this.report(error));
  }
}

// Proxies are told not to keep, change, compress or buffer the stream.
const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
};

function refuseMethod(allowed: string): never {
  throw new Refusal(405, 'INVALID_REQUEST', `This path answers ${allowed} only.`, {
    headers: { allow: allowed },
  });
}
