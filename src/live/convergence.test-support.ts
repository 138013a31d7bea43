import fc from 'fast-check';
import { expect, vi } from 'vitest';
import type { Change } from '../run/change.js';
import { EVENT_TYPES } from '../run/event.js';
import { type History, histories, nameOf } from '../run/random-history.test-support.js';
import { isTerminalRun, isTerminalStep, type Run } from '../run/run.js';
import type { ScriptedRun } from '../run/scripted-run.test-support.js';
import type { LiveRun } from './live-run.js';
import { ScriptedBus } from './scripted-bus.test-support.js';
import type { RunCursor, RunSource } from './source.js';
import { createTracker, type Tracker } from './tracker.js';

/** What happens in a play, in this order, each `wait` milliseconds after the one before. */
export type Act = { readonly wait: number } & (
  | {
      readonly does: 'commit';
      /** How its message travels. `merged`: with the commit before it, in one change. */
      readonly as: 'change' | 'merged' | 'hint' | 'own process';
      /** Milliseconds until each copy arrives; none: it is lost. */
      readonly arrivals: readonly number[];
    }
  | { readonly does: 'cut' | 'mend' | 'break' | 'repair' | 'join' | 'leave' }
);

export interface Play {
  readonly history: History;
  /** How many commits there are before anybody watches. */
  readonly head: number;
  readonly acts: readonly Act[];
  /** Milliseconds that the database takes, in turn. */
  readonly latencies: readonly number[];
}

const wait = fc.oneof(fc.constant(0), fc.nat(60), fc.nat(8_000));
const arrivals = fc.array(fc.oneof(fc.constant(0), fc.nat(15), fc.nat(3_000)), { maxLength: 3 });
const as = fc.constantFrom('change' as const, 'merged' as const, 'hint' as const, 'own process' as const);
const commit: fc.Arbitrary<Act> = fc.record({ wait, does: fc.constant('commit' as const), as, arrivals });
const fault: fc.Arbitrary<Act> = fc.record({
  wait,
  does: fc.constantFrom('cut', 'mend', 'break', 'repair', 'join', 'leave'),
});

export const plays: fc.Arbitrary<Play> = fc.record({
  history: histories,
  head: fc.nat(5),
  acts: fc.array(fc.oneof({ weight: 4, arbitrary: commit }, { weight: 1, arbitrary: fault }), {
    maxLength: 50,
  }),
  latencies: fc.array(fc.nat(400), { minLength: 1, maxLength: 8 }),
});

/** A database whose run unfolds commit by commit. */
export class UnfoldingSource implements RunSource {
  readonly rows: ScriptedRun;
  readonly #latencies: readonly number[];
  seq: number;
  isBroken = false;
  #asked = 0;

  constructor(rows: ScriptedRun, head: number, latencies: readonly number[]) {
    this.rows = rows;
    this.seq = Math.min(1 + head, rows.seq);
    this.#latencies = latencies;
  }

  async readChanges([cursor]: readonly RunCursor[]): Promise<Change[]> {
    const { runId, since } = cursor!;
    const found = runId === this.rows.runId && this.seq > since;
    const answer = found ? [{ ...this.rows.change(since, this.seq), tasks: [] }] : [];
    await this.#answerLater();
    return answer;
  }

  async readSeqs(): Promise<ReadonlyMap<string, number>> {
    const answer = new Map([[this.rows.runId, this.seq]]);
    await this.#answerLater();
    return answer;
  }

  async #answerLater(): Promise<void> {
    const latency = this.#latencies[this.#asked++ % this.#latencies.length]!;
    await new Promise<void>((resolve) => setTimeout(resolve, latency));
    if (this.isBroken) throw new Error('The database is down.');
  }
}

const RUN_AND_STEP_EVENTS = EVENT_TYPES.filter((type) => !type.startsWith('task_'));

/** Watches like a user and checks what it sees: C2 and C3 as it goes, C1 and the events at rest. */
class CheckingWatcher {
  readonly live: LiveRun;
  readonly #history: History;
  readonly #joined: number;
  readonly #told: string[] = [];
  readonly #wrong: unknown[] = [];
  #last: Run;

  constructor(live: LiveRun, history: History) {
    this.live = live;
    this.#history = history;
    this.#last = live.getSnapshot();
    this.#joined = this.#last.seq;
    this.#check(() => expect(this.#last).toEqual(history.run.at(this.#joined)));
    live.subscribe(() => this.#check(() => this.#look()));
    for (const type of RUN_AND_STEP_EVENTS) live.on(type, (event) => this.#told.push(nameOf(event)));
  }

  expectAtRest(seq: number): void {
    if (this.#wrong.length > 0) throw this.#wrong[0];
    const { run, events } = this.#history;
    expect(this.live.getSnapshot()).toEqual(run.at(seq));
    expect([this.live.connected, this.live.caughtUp]).toEqual([true, true]);
    const seqOf = (name: string) => Number(name.split(' ')[0]);
    const expected = events.filter((name) => seqOf(name) > this.#joined && seqOf(name) <= seq);
    expect(this.#told.map(withoutSeq).sort()).toEqual(expected.map(withoutSeq).sort());
    expectOrder(this.#told.map(withoutSeq), this.#history);
  }

  #look(): void {
    const run = this.live.getSnapshot();
    expect(run.seq).toBeGreaterThan(this.#last.seq);
    expect(run).toEqual(this.#history.run.at(run.seq));
    if (isTerminalRun(this.#last.status)) expect(run.status).toBe(this.#last.status);
    for (const [index, before] of this.#last.stepStates.entries()) {
      const { status } = run.stepStates[index]!;
      if (isTerminalStep(before.status)) expect(status).toBe(before.status);
      if (before.status === 'started') expect(status).not.toBe('created');
    }
    this.#last = run;
  }

  // What a watcher throws is kept from us too, so it is written down.
  #check(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.#wrong.push(error);
    }
  }
}

/** Plays it and checks the invariants; rejects when one does not hold. Fake timers must be on. */
export async function playAndCheck(play: Play, source = sourceOf(play)): Promise<void> {
  const bus = new ScriptedBus();
  const tracker = createTracker({ source, pubsub: bus, topics: bus.topics });
  const stage = new Stage(play, source, bus, tracker);
  try {
    await stage.perform();
    await stage.rest();
    for (const watcher of stage.watchers) watcher.expectAtRest(source.seq);
    for (const { live } of stage.watchers) live.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tracker.stats()).toMatchObject({ runs: 0, unfinished: 0 });
    expect(bus.subscribers.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    tracker.close();
    vi.clearAllTimers();
  }
}

export function sourceOf({ history, head, latencies }: Play): UnfoldingSource {
  return new UnfoldingSource(history.run, head, latencies);
}

class Stage {
  readonly watchers: CheckingWatcher[] = [];
  readonly #play: Play;
  readonly #source: UnfoldingSource;
  readonly #bus: ScriptedBus;
  readonly #tracker: Tracker;
  #isCut = false;

  constructor(play: Play, source: UnfoldingSource, bus: ScriptedBus, tracker: Tracker) {
    this.#play = play;
    this.#source = source;
    this.#bus = bus;
    this.#tracker = tracker;
  }

  async perform(): Promise<void> {
    this.#join();
    for (const act of this.#play.acts) {
      await vi.advanceTimersByTimeAsync(act.wait);
      if (act.does === 'commit') this.#commit(act.as, act.arrivals);
      else this.#disturb(act.does);
    }
  }

  /** Everything works again and nothing more happens. */
  async rest(): Promise<void> {
    this.#disturb('repair');
    this.#disturb('mend');
    await vi.advanceTimersByTimeAsync(120_000);
    if (this.watchers.length === 0) this.#join();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(this.watchers).not.toHaveLength(0);
  }

  #commit(how: 'change' | 'merged' | 'hint' | 'own process', arrivals: readonly number[]): void {
    const { rows } = this.#source;
    if (this.#source.seq >= rows.seq) return;
    const seq = ++this.#source.seq;
    const change = rows.change(seq - (how === 'merged' && seq > 2 ? 2 : 1), seq);
    for (const delay of arrivals) {
      setTimeout(() => {
        if (how === 'own process') this.#tracker.apply(change);
        else if (this.#isCut) return;
        else if (how === 'hint') this.#bus.hint(change.runId, seq);
        else this.#bus.tell(change);
      }, delay);
    }
  }

  #disturb(does: 'cut' | 'mend' | 'break' | 'repair' | 'join' | 'leave'): void {
    if (does === 'cut' || does === 'mend') {
      this.#isCut = does === 'cut';
      this.#bus.setConnected(!this.#isCut);
    } else if (does === 'break' || does === 'repair') {
      this.#source.isBroken = does === 'break';
    } else if (does === 'join') {
      this.#join();
    } else {
      this.watchers.pop()?.live.close();
    }
  }

  /** A broken database refuses it: then nobody joins. */
  #join(): void {
    this.#tracker.track(this.#source.rows.runId).then(
      (live) => this.watchers.push(new CheckingWatcher(live, this.#play.history)),
      () => {},
    );
  }
}

const withoutSeq = (name: string) => name.slice(name.indexOf(' ') + 1);

/** Starts before ends, parents before children, the run's end last. */
function expectOrder(told: readonly string[], { dependencies }: History): void {
  const at = new Map(told.map((name, index) => [name, index]));
  const endOf = (slug: string) =>
    ['completed', 'skipped', 'failed', 'cancelled']
      .map((end) => at.get(`step_${end} ${slug}`))
      .find((i) => i !== undefined);
  for (const [slug, parents] of dependencies) {
    const started = at.get(`step_started ${slug}`);
    const ended = endOf(slug);
    if (started !== undefined && ended !== undefined) expect(started).toBeLessThan(ended);
    const first = started ?? ended;
    if (first === undefined || at.has(`step_cancelled ${slug}`)) continue;
    for (const parent of parents) expect(endOf(parent) ?? -1).toBeLessThan(first);
  }
  const end = told.findIndex((name) => /^run_(completed|failed|cancelled)$/.test(name));
  if (end !== -1) expect(end).toBe(told.length - 1);
}
