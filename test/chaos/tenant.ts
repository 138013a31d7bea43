import { randomUUID } from 'node:crypto';
import type { PgFlowClient } from '../../src/http/client.js';
import { type PgFlow, PgFlowError, type Run } from '../../src/index.js';
import { isTerminalRun } from '../../src/run/run.js';
import { differencesOf } from '../harness/auditor.js';
import { pause, persist } from './fixtures/commands.js';
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

interface OwnRun {
  readonly runId: string;
  readonly watchers: StormWatcher[];
  /** Our own cancel won. */
  cancelled: boolean;
  retried: boolean;
}

/** Runs that go on at once at most. */
const MOST_OPEN = 25;
/** What is wrong with the asking, not with the world. */
const NEVER = ['RUN_CONFLICT', 'FLOW_NOT_FOUND', 'INVALID_INPUT', 'INVALID_RUN_ID', 'NOT_STORABLE', 'CLOSED'];
const isFatal = (error: unknown) => error instanceof PgFlowError && NEVER.includes(error.code);

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

  /** Somebody else's run must stay unseen. */
  trespass(runId: string): void {
    this.#trespassers.push(watchReader(this.#options.client, runId, this.#sightings, 'trespasser'));
  }

  /** All runs have ended: waits until every watcher shows it, and says what is wrong with what they show and saw. */
  async rest(patience: number): Promise<object> {
    // Not Date: this process may have a wrong clock.
    const deadline = performance.now() + patience * 1000;
    let watchers = 0;
    for (const run of this.#runs.values()) {
      watchers += run.watchers.length;
      await this.#settle(run, deadline);
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
    const open = [...this.#runs.values()].filter((run) => !isEnded(run.watchers[0]?.shown()));
    if (open.length >= MOST_OPEN) return;
    const runId = randomUUID().slice(0, -1) + owner;
    const slug = flowSlug(Math.floor(random() * FLOWS));
    const input = Array.from({ length: Math.floor(random() * 5) }, (_, i) => i);
    const delay = random() < 0.2 ? random() * 2 : undefined;
    this.#do(async () => {
      await persist(() => pgflow.startFlow(slug, input, { runId, delay }), isFatal);
      onStarted(runId);
      this.#adopt(runId);
    });
  }

  #adopt(runId: string): void {
    const run: OwnRun = { runId, watchers: [], cancelled: false, retried: false };
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
        run.watchers.push(await persist(() => watchSocket(pgflow, runId, this.#sightings, random), isFatal));
      } else {
        run.watchers.push(
          await persist(() => watchHandle(pgflow, runId, this.#sightings, what > 0.9), isFatal),
        );
      }
    });
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

  async #settle(run: OwnRun, deadline: number): Promise<void> {
    const row = await persist(() => this.#options.pgflow.getRun(run.runId));
    if (row === null)
      return void this.#problems.push(`Q1: run ${run.runId} was acknowledged and is not there`);
    if (run.cancelled && row.status !== 'cancelled') {
      this.#problems.push(`Q1: the cancel of run ${run.runId} was acknowledged, and it is ${row.status}`);
    }
    for (const watcher of run.watchers) {
      while (!isEnded(watcher.shown()) && performance.now() < deadline) await pause(50);
      const shown = watcher.shown();
      const wrong = shown ? differencesOf(shown, row) : 'it shows nothing';
      if (wrong !== null) {
        this.#problems.push(
          `C1: ${watcher.kind} of run ${run.runId}, which is ${row.status} at seq ${row.seq}: ${wrong}`,
        );
      } else this.#problems.push(...watcher.complaints());
    }
  }
}

function isEnded(run: Run | null | undefined): boolean {
  return run !== null && run !== undefined && isTerminalRun(run.status);
}
