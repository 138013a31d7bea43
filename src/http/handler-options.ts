import type { Run, RunStatus } from '../run/run.js';
import type { Authorize } from './access.js';
import type { StreamedRun } from './event-stream.js';

/** What the handler needs of the pgflow object. `getLogs`, `cancelRun` and `retryRun` have routes where they exist. */
export interface HandlerPgFlow {
  /** Starts a run by its flow's slug; `created` is false when the runId had been started before. */
  startOrGet(slug: string, input: any, options: { runId?: string }): Promise<{ run: Run; created: boolean }>;
  getRun(runId: string): Promise<Run | null>;
  listRuns(query: RunQuery): Promise<{ runs: readonly Run[]; cursor: string | null }>;
  track(runId: string): Promise<StreamedRun>;
  getLogs?(runId: string, query: LogQuery): Promise<readonly object[]>;
  cancelRun?(runId: string, options: { reason?: string }): Promise<{ cancelled: boolean; run: Run }>;
  retryRun?(runId: string): Promise<Run>;
}

/** Which runs `GET /runs` lists: the options of `listRuns`, checked. */
export interface RunQuery {
  readonly flow?: string;
  readonly status?: RunStatus;
  readonly tag?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

export interface LogQuery {
  readonly step?: string;
  readonly attempt?: number;
  readonly limit?: number;
  readonly after?: number;
}

/** What `createHandler` takes. Only `pgflow` and `authorize` must be given. */
export interface HandlerOptions {
  /** As `createPgFlow` made it; nothing of it is ended by the handler. */
  readonly pgflow: HandlerPgFlow;
  /** Who may do what. Required: `() => true` lets everybody in. */
  readonly authorize: Authorize;
  /** Where the routes begin. Default `/pgflow`. */
  readonly basePath?: string;
  /** Origins (`https://app.example.com`) whose pages may start, cancel and retry besides this server's own. Default none. */
  readonly allowedOrigins?: readonly string[];
  /** Bytes that a request's body may have. Default 1,048,576. */
  readonly maxBodyBytes?: number;
  /** Event streams that may be open at once. Default 10,000. */
  readonly maxStreams?: number;
  /** Seconds of silence after which a stream sends a comment. Default 15. */
  readonly pingInterval?: number;
  /** Seconds that a reader may take no byte before its stream is ended; it can resume. Default 60. */
  readonly writeTimeout?: number;
  /** Seconds after which `authorize` is asked again whether a reader may still watch. Default 30. */
  readonly authorizeInterval?: number;
  /** Told of every error that the caller gets no details of. Default: `console.error`. */
  readonly onError?: (error: unknown) => void;
}
