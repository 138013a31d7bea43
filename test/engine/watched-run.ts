import { expect } from 'vitest';
import type { PgFlow } from '../../src/index.js';
import type { LiveRun } from '../../src/live/live-run.js';
import { EVENT_TYPES, type EventType, type RunEvent } from '../../src/run/event.js';
import { isTerminalRun, type Run } from '../../src/run/run.js';
import { until } from '../../src/testing/until.js';
import { differencesOf } from '../harness/auditor.js';
import { expectedEvents, nameOf } from './expected-events.js';

/** Seconds: a little less than the runner's, so that the error says how the run is. */
const PATIENCE = 28;

/** A live run that remembers all that it showed and told. */
export class WatchedRun {
  readonly live: LiveRun;
  readonly seen: Run[];
  readonly events: RunEvent[] = [];

  private constructor(live: LiveRun) {
    this.live = live;
    this.seen = [live.getSnapshot()];
    live.subscribe(() => this.seen.push(live.getSnapshot()));
    for (const type of EVENT_TYPES) live.on(type, (event) => this.events.push(event));
  }

  static async open(pgflow: PgFlow, runId: string): Promise<WatchedRun> {
    return new WatchedRun(await pgflow.track(runId));
  }

  get run(): Run {
    return this.live.getSnapshot();
  }

  eventsOf(type: EventType): RunEvent[] {
    return this.events.filter((event) => event.type === type);
  }

  /** The first state from now on, the current one included, for which that holds. */
  until(holds: (run: Run) => boolean): Promise<Run> {
    return until(this.live, holds, PATIENCE);
  }

  /** The run in its end, whatever that is. */
  end(): Promise<Run> {
    return this.until((run) => isTerminalRun(run.status));
  }

  /** The first event of that type, past ones included. */
  event(type: EventType, stepSlug?: string): Promise<RunEvent> {
    const fits = (event: RunEvent) => stepSlug === undefined || event.stepSlug === stepSlug;
    const past = this.eventsOf(type).find(fits);
    if (past) return Promise.resolve(past);
    return new Promise((resolve) => {
      const stop = this.live.on(type, (event) => {
        if (!fits(event)) return;
        stop();
        resolve(event);
      });
    });
  }

  /** Checks what no watcher may ever see: C2, C3, and that run and step events came exactly once. */
  check(snapshots: ReadonlyMap<number, Run>): void {
    for (const [i, run] of this.seen.entries()) {
      const row = snapshots.get(run.seq);
      expect(row, `C3: run ${run.runId} was shown at seq ${run.seq}, which its row never had`).toBeDefined();
      expect(differencesOf(run, row!), `C3: what was shown at seq ${run.seq} is not the row`).toBeNull();
      if (i > 0) expect(run.seq, 'C2: seq went back').toBeGreaterThan(this.seen[i - 1]!.seq);
    }
    const told = this.events.filter(({ type }) => !type.startsWith('task_')).map(nameOf);
    expect(told.toSorted(), 'run and step events come exactly once').toEqual(
      expectedEvents(this.seen[0]!, this.run).toSorted(),
    );
  }
}
