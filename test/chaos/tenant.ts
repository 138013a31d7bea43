import { randomUUID } from 'node:crypto';
import type { PgFlowClient } from '../../src/http/client.js';
import { type PgFlow, PgFlowError } from '../../src/index.js';
import { pause, persist } from './fixtures/commands.js';
import { isOver, type OwnRun, settle } from './own-run.js';
import { isBornBefore, type Pruned } from './pruned.js';
import { Sightings } from './sightings.js';
import { FLOWS, flowSlug } from './storm-flows.js';
import { type StormWatcher, watchHandle, watchReader, watchSocket } from './storm-watchers.js';

export interface TenantOptions {
  readonly pgflow: PgFlow;
  /** Reads the event streams of another process. */
  readonly client: PgFlowClient;
  /** The digit that the ids of its runs end with. */
  readonly owner: string;
  readonly random: () => number;
  /** The start was acknowledged. */
  onStarted(runId: string): void;
}

/** Runs that go on at once at most. */
const MOST_OPEN = 25;
/** What is wrong with the asking, not with the world. */
const NEVER = ['RUN_CONFLICT', 'FLOW_NOT_FOUND', 'INVALID_INPUT', 'INVALID_RUN_ID', 'NOT_STORABLE', 'CLOSED'];
const isFatal = (error: unknown) => error instanceof PgFlowError && NEVER.includes(error.code);
const isMissing = (error: unknown) => error instanceof PgFlowError && error.code === 'RUN_NOT_FOUND';

/**
 * Who uses a web process in the storm: starts, cancels, retries and watches runs, by chance.
 *
 * Modes: `quiet ⇄ busy`.
 */
export class Tenant {
  #mode: 'quiet' | 'busy' = 'quiet';
  readonly #options: TenantOptions;
  readonly #sightings = new Sightings();
  readonly #problems: string[] = [];
  readonly #runs = new Map<string, OwnRun>();
  readonly #trespassers: StormWatcher[] = [];
  readonly #pending = new Set<Promise<void>>();

  constructor(options: TenantOptions) {
    this.#options = options;
  }

  begin(): void {
    if (this.#mode === 'busy') return;
    this.#enter('busy');
    this.#do(async () => {
      while (this.#mode === 'busy') {
        this.#act();
        await pause(20 + this.#options.random() * 200);
      }
    });
  }

  /** Does nothing new; resolves when all that was begun is done. */
  async end(): Promise<object> {
    this.#enter('quiet');
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    return { runs: this.#runs.size };
  }

  /** Somebody else's run must stay unseen. The id of a retry may end with any digit, so with this owner's. */
  trespass(runId: string): void {
    if (runId.endsWith(this.#options.owner)) return;
    this.#trespassers.push(watchReader(this.#options.client, runId, this.#sightings, 'trespasser'));
  }

  /** Deletes all runs that have ended, whoever watches them. */
  prune(): void {
    const once = new AbortController();
    const { signal } = once;
    this.#do(async () => {
      // The server may be away.
      await this.#options.pgflow
        .prune({ olderThan: 0, signal, onProgress: () => once.abort() })
        .catch(() => {});
    });
  }

  /** All runs have ended: waits until every watcher shows it, and says what is wrong with what they show and saw. */
  async rest(patience: number, pruned: Pruned): Promise<object> {
    // Not Date: this process may have a wrong clock.
    const deadline = performance.now() + patience * 1000;
    let watchers = 0;
    for (const run of this.#runs.values()) {
      watchers += run.watchers.length;
      const row = await persist(() => this.#options.pgflow.getRun(run.runId));
      this.#problems.push(...(await settle(run, { row, pruned: pruned[run.runId] }, deadline)));
    }
    const problems = [...this.#problems, ...this.#sightings.problems];
    return { problems, watchers, seen: this.#sightings.list() };
  }

  clear(): void {
    const watchers = [...this.#runs.values()].flatMap((run) => run.watchers);
    for (const watcher of [...watchers, ...this.#trespassers]) watcher.close();
    this.#runs.clear();
    this.#trespassers.length = 0;
    this.#problems.length = 0;
    this.#sightings.clear();
  }

  #enter(mode: 'quiet' | 'busy'): void {
    this.#mode = mode;
  }

  #do(work: () => Promise<void>): void {
    const done = work()
      .catch(
        (error) => void this.#problems.push(`A tenant was refused: ${error.code ?? ''} ${error.message}`),
      )
      .finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }

  #act(): void {
    const { random } = this.#options;
    const what = random();
    const run = this.#pick();
    if (run === undefined || what < 0.45) this.#start();
    else if (what < 0.55) this.#cancel(run);
    else if (what < 0.65) this.#retry(run);
    else if (what < 0.85) this.#watch(run);
    else if (run.watchers.length > 1) run.watchers.splice(1, 1)[0]!.close();
  }

  #pick(): OwnRun | undefined {
    const runs = [...this.#runs.values()].slice(-MOST_OPEN);
    return runs[Math.floor(this.#options.random() * runs.length)];
  }

  #start(): void {
    const { pgflow, owner, random, onStarted } = this.#options;
    const open = [...this.#runs.values()].filter((run) => !isOver(run));
    if (open.length >= MOST_OPEN) return;
    const runId = randomUUID().slice(0, -1) + owner;
    const slug = flowSlug(Math.floor(random() * FLOWS));
    const input = Array.from({ length: Math.floor(random() * 5) }, (_, i) => i);
    const delay = random() < 0.2 ? random() * 2 : undefined;
    this.#do(async () => {
      try {
        await persist(
          () => pgflow.startFlow(slug, input, { runId, delay }),
          (error) => isFatal(error) || isBornBefore(error),
        );
        this.#adopt(runId);
      } catch (error) {
        if (!isBornBefore(error)) throw error;
      }
      onStarted(runId);
    });
  }

  #adopt(runId: string): void {
    const run: OwnRun = { runId, watchers: [], cancelled: false, retried: false, missed: false };
    this.#runs.set(runId, run);
    for (let more = 0; more < 1 + this.#options.random() * 3; more += 1) this.#watch(run);
  }

  #watch(run: OwnRun): void {
    const { pgflow, client, owner, random } = this.#options;
    const what = random();
    const { runId } = run;
    this.#do(async () => {
      if (run.watchers.length > 0 && what < 0.3 && runId.endsWith(owner)) {
        run.watchers.push(watchReader(client, runId, this.#sightings));
      } else if (what < 0.6) {
        await this.#add(run, () => watchSocket(pgflow, runId, this.#sightings, random));
      } else {
        await this.#add(run, () => watchHandle(pgflow, runId, this.#sightings, what > 0.9));
      }
    });
  }

  async #add(run: OwnRun, watch: () => Promise<StormWatcher>): Promise<void> {
    try {
      run.watchers.push(await persist(watch, (error) => isFatal(error) || isMissing(error)));
    } catch (error) {
      if (!isMissing(error)) throw error;
      run.missed = true;
    }
  }

  #cancel(run: OwnRun): void {
    this.#do(async () => {
      const answer = await this.#options.pgflow.cancelRun(run.runId).catch(() => null);
      run.cancelled ||= answer?.cancelled === true;
    });
  }

  /** Once, answered or not: each retry may write its effects. */
  #retry(run: OwnRun): void {
    const status = run.watchers[0]?.shown()?.status;
    if (run.retried || (status !== 'failed' && status !== 'cancelled')) return;
    run.retried = true;
    this.#do(async () => {
      const again = await this.#options.pgflow.retryRun(run.runId).catch(() => null);
      if (again === null) return;
      this.#options.onStarted(again.runId);
      this.#adopt(again.runId);
    });
  }
}
