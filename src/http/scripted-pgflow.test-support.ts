import { PgFlowError } from '../errors.js';
import type { LiveRun } from '../live/live-run.js';
import { openLiveRun } from '../live/live-run-handle.js';
import { SharedRun } from '../live/shared-run.js';
import type { Change } from '../run/change.js';
import type { Run } from '../run/run.js';
import type { HandlerPgFlow, LogQuery, RunQuery } from './handler-options.js';
import { sampleChanges } from './sample-run.test-support.js';

/** A pgflow object without a database: its runs do what the test says, live runs are the real ones. */
export class ScriptedPgFlow implements HandlerPgFlow {
  /** Handles of live runs that are open. */
  open = 0;
  readonly queries: RunQuery[] = [];
  readonly logQueries: unknown[] = [];
  failure: unknown = null;
  readonly #runs = new Map<string, { shared: SharedRun; rest: Change[]; input: string }>();

  /** A run that stands at its first state. */
  add(
    runId: string,
    { slugs = ['validate', 'charge'], input = {} as unknown, outputs = null as unknown } = {},
  ): Run {
    const [first, ...rest] = sampleChanges(runId, slugs, outputs);
    const shared = SharedRun.from(first!)!;
    this.#runs.set(runId, { shared, rest, input: JSON.stringify(input) });
    return shared.run;
  }

  /** Commits the next change, or the next few. */
  advance(runId: string, times = 1): Run {
    const { shared, rest } = this.#runs.get(runId)!;
    for (const change of rest.splice(0, times)) shared.apply(change);
    return shared.run;
  }

  finish(runId: string): Run {
    return this.advance(runId, Number.POSITIVE_INFINITY);
  }

  shared(runId: string): SharedRun {
    return this.#runs.get(runId)!.shared;
  }

  remove(runId: string): void {
    this.shared(runId).end(new PgFlowError('RUN_NOT_FOUND', 'pruned'));
    this.#runs.delete(runId);
  }

  async startOrGet(slug: string, input: unknown, { runId = crypto.randomUUID() as string }) {
    this.#fail();
    if (slug !== 'process_order') throw new PgFlowError('FLOW_NOT_FOUND', `No flow ${slug}.`);
    const known = this.#runs.get(runId);
    if (known === undefined) return { run: this.add(runId, { input }), created: true };
    if (known.input === JSON.stringify(input)) return { run: known.shared.run, created: false };
    throw new PgFlowError('RUN_CONFLICT', `Run ${runId} is of flow secret_flow.`, {
      data: { flow: 'secret_flow' },
    });
  }

  async getRun(runId: string): Promise<Run | null> {
    this.#fail();
    return this.#runs.get(runId)?.shared.run ?? null;
  }

  async listRuns(query: RunQuery) {
    this.#fail();
    this.queries.push(query);
    return { runs: [...this.#runs.values()].map(({ shared }) => shared.run), cursor: 'next' };
  }

  async track(runId: string): Promise<LiveRun> {
    this.#fail();
    this.open++;
    return openLiveRun(this.shared(runId), {
      verify: async () => ({ ok: true, differences: [] }),
      release: () => {
        this.open--;
      },
    });
  }

  async getLogs(runId: string, query: LogQuery) {
    this.#fail();
    this.logQueries.push([runId, query]);
    return [{ logId: 1, at: new Date(0), stepSlug: 'charge', message: 'asked the bank', fields: {} }];
  }

  async cancelRun(runId: string, _options: { reason?: string }) {
    return { cancelled: true, run: this.shared(runId).run };
  }

  async retryRun(_runId: string): Promise<Run> {
    return this.add(crypto.randomUUID());
  }

  #fail(): void {
    if (this.failure !== null) throw this.failure;
  }
}
