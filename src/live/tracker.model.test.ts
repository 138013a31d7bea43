/** The tracker against a model of a few lines: what it may show, and when it must show the newest. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Change } from '../run/change.js';
import { commandOf } from '../run/model-command.test-support.js';
import { type History, histories } from '../run/random-history.test-support.js';
import type { ScriptedRun } from '../run/scripted-run.test-support.js';
import type { LiveRun } from './live-run.js';
import { ScriptedBus } from './scripted-bus.test-support.js';
import type { RunCursor, RunSource } from './source.js';
import { createTracker, type Tracker } from './tracker.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Milliseconds: longer than neighbouring changes wait for each other, far shorter than the watchdog's pause. */
const MOMENT = 25;
const WATCHDOG = 6_000;
/** Longer than any pause between two tries. */
const LONGEST_PAUSE = 65_000;

interface Model {
  /** The row's seq, and the last that it will have. */
  seq: number;
  readonly last: number;
  watchers: number;
  connected: boolean;
  broken: boolean;
  /** The database has been asked, and does not answer yet. */
  held: boolean;
  /** Changes under way, by seq. */
  late: number[];
  /** The tracker was told of the newest seq, or that it may have missed something: it needs no watchdog. */
  informed: boolean;
}

/** The row, as far as it has come; answers can be held back, or fail. */
class HeldSource implements RunSource {
  readonly rows: ScriptedRun;
  seq = 1;
  broken = false;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => {};

  constructor(rows: ScriptedRun) {
    this.rows = rows;
  }

  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#open();
  }

  async readChanges([cursor]: readonly RunCursor[]): Promise<Change[]> {
    const { since } = cursor!;
    const answer = this.seq > since ? [{ ...this.rows.change(since, this.seq), tasks: [] }] : [];
    return this.#answer(answer);
  }

  readSeqs(): Promise<ReadonlyMap<string, number>> {
    return this.#answer(new Map([[this.rows.runId, this.seq]]));
  }

  async #answer<T>(answer: T): Promise<T> {
    await this.#gate;
    if (this.broken) throw new Error('The database is down.');
    return answer;
  }
}

class Real {
  readonly source: HeldSource;
  readonly bus = new ScriptedBus();
  readonly tracker: Tracker;
  readonly watchers: { live: LiveRun; shown: number }[] = [];

  constructor({ run }: History) {
    this.source = new HeldSource(run);
    this.tracker = createTracker({ source: this.source, pubsub: this.bus, topics: this.bus.topics });
  }

  change(seq: number): Change {
    return this.source.rows.change(seq - 1, seq);
  }

  watch(): void {
    this.tracker.track(this.source.rows.runId).then(
      (live) => this.watchers.push({ live, shown: 0 }),
      () => {},
    );
  }

  /** C2 and C3 always; the newest state as soon as the model says so. */
  async check(model: Model): Promise<void> {
    await vi.advanceTimersByTimeAsync(MOMENT);
    for (const watcher of this.watchers) {
      const run = watcher.live.getSnapshot();
      expect(run, 'C3').toEqual(this.source.rows.at(run.seq));
      expect(run.seq, 'C2').toBeGreaterThanOrEqual(watcher.shown);
      watcher.shown = run.seq;
      if (!model.informed || model.held || model.broken) continue;
      expect(run.seq, 'C1').toBe(model.seq);
      expect(watcher.live.caughtUp).toBe(true);
    }
    if (!model.held && !model.broken) expect(this.watchers).toHaveLength(model.watchers);
  }
}

type Command = fc.AsyncCommand<Model, Real>;

const command = commandOf<Model, Real>();

const canCommit = (model: Model) => model.seq < model.last;
const isAnswering = (model: Model) => !model.held && !model.broken;

/** Its message is heard, if the connection is there; one that has the newest seq informs. */
function tell(model: Model, real: Real, seq: number): void {
  if (!model.connected) return;
  real.bus.tell(real.change(seq));
  if (seq === model.seq) model.informed = true;
}

function commit(model: Model, real: Real): void {
  model.seq += 1;
  real.source.seq = model.seq;
  model.informed = false;
}

const COMMANDS: Command[] = [
  command('commit', canCommit, (model, real) => {
    commit(model, real);
    tell(model, real, model.seq);
  }),
  command('commit, its message lost', canCommit, commit),
  command('commit, its message late', canCommit, (model, real) => {
    commit(model, real);
    model.late.push(model.seq);
  }),
  command(
    'the latest of the late messages arrives',
    (model) => model.late.length > 0,
    (model, real) => tell(model, real, model.late.pop()!),
  ),
  command(
    'the message of now, once more',
    (model) => model.seq > 1,
    (model, real) => tell(model, real, model.seq),
  ),
  command(
    'disconnect',
    (model) => model.connected,
    (model, real) => {
      model.connected = false;
      model.informed = false;
      real.bus.setConnected(false);
    },
  ),
  command(
    'reconnect',
    (model) => !model.connected,
    (model, real) => {
      model.connected = true;
      model.informed = true;
      real.bus.setConnected(true);
    },
  ),
  command('watch', isAnswering, (model, real) => {
    // The snapshot has it all; one who comes later shares what the first one has.
    if (model.watchers === 0) model.informed = true;
    model.watchers += 1;
    real.watch();
  }),
  command(
    'watch, and the snapshot is answered later',
    (model) => isAnswering(model) && model.watchers === 0,
    (model, real) => {
      Object.assign(model, { held: true, informed: true, watchers: 1 });
      real.source.hold();
      real.watch();
    },
  ),
  command('the database does not answer', isAnswering, (model, real) => {
    model.held = true;
    real.source.hold();
  }),
  command(
    'it answers',
    (model) => model.held,
    (model, real) => {
      model.held = false;
      real.source.release();
    },
  ),
  command('the database fails', isAnswering, (model, real) => {
    model.broken = true;
    real.source.broken = true;
  }),
  command(
    'it works again',
    (model) => model.broken,
    async (model, real) => {
      model.broken = false;
      model.informed = true;
      real.source.broken = false;
      await vi.advanceTimersByTimeAsync(LONGEST_PAUSE);
    },
  ),
  command('the watchdog looks', isAnswering, async (model) => {
    await vi.advanceTimersByTimeAsync(WATCHDOG);
    model.informed = true;
  }),
  command(
    'leave, all of them',
    (model) => isAnswering(model) && model.watchers > 0,
    async (model, real) => {
      for (const { live } of real.watchers.splice(0)) live.close();
      model.watchers = 0;
      await vi.advanceTimersByTimeAsync(WATCHDOG);
      expect(real.tracker.stats(), 'C5').toMatchObject({ runs: 0, unfinished: 0 });
      expect(real.bus.subscribers.size, 'C5').toBe(0);
    },
  ),
];

it('shows only what the row was, never goes back, and is up to date as soon as it can know', async () => {
  const commands = fc.commands(
    COMMANDS.map((one) => fc.constant(one)),
    { maxCommands: 60, size: '+1' },
  );
  await fc.assert(
    fc.asyncProperty(histories, commands, async (history, plan) => {
      const real = new Real(history);
      const model: Model = {
        seq: 1,
        last: history.run.seq,
        watchers: 0,
        connected: true,
        broken: false,
        held: false,
        late: [],
        informed: true,
      };
      try {
        await fc.asyncModelRun(() => ({ model, real }), plan);
      } finally {
        real.tracker.close();
        real.source.release();
        await vi.advanceTimersByTimeAsync(LONGEST_PAUSE);
      }
      expect(vi.getTimerCount(), 'C5').toBe(0);
    }),
    { numRuns: 600 },
  );
}, 120_000);
