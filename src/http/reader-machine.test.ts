import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PgFlowError } from '../errors.js';
import type { Run } from '../run/run.js';
import {
  createReader,
  type ReaderEffect,
  type ReaderEvent,
  type ReaderState,
  stepReader,
} from './reader-machine.js';
import { LOADING, type RunView, viewOf } from './run-view.js';
import { OTHER_ID, RUN_ID, sampleChanges, statesOf } from './sample-run.test-support.js';

const CHANGES = sampleChanges(RUN_ID, ['a', 'b', 'c', 'd']);
const STATES = statesOf(CHANGES);
const LAST = STATES.at(-1)!;
const OTHER = statesOf(sampleChanges(OTHER_ID, ['a']));

const missing = new PgFlowError('RUN_NOT_FOUND', 'no such run');
const denied = new PgFlowError('UNAUTHORIZED', 'no');
const refused = (status: number, error = denied): ReaderEvent => ({ type: 'refused', status, error });
const at = (seq: number): Run => STATES[seq]!;
const changeTo = (seq: number): ReaderEvent => ({ type: 'change', change: CHANGES[seq - 1]! });
const snapshot = (seq: number): ReaderEvent => ({ type: 'snapshot', run: at(seq) });

/** Takes a reader through events; what it does last stays in `effect`, if it did something. */
class Driven {
  state: ReaderState = createReader(RUN_ID);
  effect: ReaderEffect | null = null;
  now = 0;

  take(...events: ReaderEvent[]): this {
    for (const event of events) {
      const { next, effect } = stepReader(this.state, event, this.now);
      this.state = next;
      this.effect = effect;
    }
    return this;
  }

  get view(): RunView {
    return viewOf(this.state, LOADING);
  }
}

const reader = (...events: ReaderEvent[]) => new Driven().take(...events);
const opened: ReaderEvent = { type: 'opened', seq: 1 };
const live = () => reader({ type: 'start' }, opened, snapshot(2));

describe('a reader', () => {
  it('connects when somebody watches, and shows what comes', () => {
    const driven = reader({ type: 'start' });
    expect(driven.effect).toEqual({ type: 'connect', since: 0 });
    expect(driven.view).toBe(LOADING);
    driven.take(opened);
    expect(driven.view).toMatchObject({ state: 'loading', connected: true, caughtUp: false });
    driven.take(snapshot(1));
    expect(driven.view).toMatchObject({ state: 'live', run: at(1), connected: true, caughtUp: true });
    driven.take(changeTo(2));
    expect(driven.view.run).toEqual(at(2));
    expect(driven.effect).toBeNull();
  });

  it('is done with the last state, before any end is told', () => {
    const driven = reader({ type: 'start' }, opened, snapshot(8), changeTo(9));
    expect([driven.state.mode, driven.effect]).toEqual(['done', { type: 'rest' }]);
    expect(driven.view).toEqual({
      run: LAST,
      state: 'settled',
      error: null,
      connected: true,
      caughtUp: true,
    });
  });

  it('resumes where it was', () => {
    const driven = live().take({ type: 'lost' });
    expect(driven.view).toMatchObject({ state: 'live', run: at(2), connected: false, caughtUp: false });
    expect(driven.take({ type: 'due' }).effect).toEqual({ type: 'connect', since: 2 });
  });

  it('is caught up only when it is where the server was', () => {
    const driven = live().take({ type: 'lost' }, { type: 'due' }, { type: 'opened', seq: 4 });
    expect(driven.view).toMatchObject({ connected: true, caughtUp: false });
    driven.take(changeTo(3));
    expect(driven.view.caughtUp).toBe(false);
    driven.take(changeTo(4));
    expect(driven.view.caughtUp).toBe(true);
  });

  it('shows that the server itself is cut off', () => {
    const driven = live().take({ type: 'freshness', connected: false, caughtUp: false });
    expect(driven.view).toMatchObject({ state: 'live', connected: false, caughtUp: false });
    driven.take({ type: 'lost' }, { type: 'due' }, { type: 'opened', seq: 2 });
    expect(driven.view).toMatchObject({ connected: true, caughtUp: true });
  });

  it.each<[string, ReaderEvent]>([
    ['a gap', changeTo(5)],
    ['garbage, or an end too early', { type: 'broken' }],
    ["another run's change", { type: 'change', change: { ...CHANGES[2]!, runId: OTHER_ID } }],
    ["another run's snapshot", { type: 'snapshot', run: OTHER[1]! }],
  ])('asks for a snapshot after %s', (_, event) => {
    const driven = live().take(event);
    expect([driven.state.mode, driven.view.run]).toEqual(['waiting', at(2)]);
    driven.take({ type: 'due' });
    expect(driven.effect).toEqual({ type: 'connect', since: 0 });
    driven.take(opened, snapshot(5), { type: 'lost' }, { type: 'due' });
    expect([driven.view.run, driven.effect]).toEqual([at(5), { type: 'connect', since: 5 }]);
  });

  it('takes no change before the snapshot it asked for', () => {
    expect(live().take({ type: 'broken' }, { type: 'due' }, opened, changeTo(3)).state.mode).toBe('waiting');
    expect(reader({ type: 'start' }, opened, changeTo(3)).state.mode).toBe('waiting');
  });

  it.each([snapshot(1), snapshot(2), changeTo(2), { type: 'given', run: at(1) } as const])(
    'never goes back: %o',
    (event) => {
      const driven = live();
      const { run } = driven.state;
      expect(driven.take(event).state.run).toBe(run);
      expect(driven.state.mode).toBe('open');
    },
  );

  it('keeps the parts that did not change', () => {
    const driven = live();
    const before = driven.view.run!;
    driven.take(changeTo(3), changeTo(4));
    expect(driven.view.run!.stepStates[2]).toBe(before.stepStates[2]);
  });

  it('keeps its view while nothing in it changes', () => {
    const driven = live();
    const view = viewOf(driven.state, LOADING);
    driven.take(snapshot(1), changeTo(2), { type: 'freshness', connected: true, caughtUp: true });
    expect(viewOf(driven.state, view)).toBe(view);
  });
});

describe('after a loss', () => {
  it('it waits longer each time, up to 30 s, with full jitter, for ever', () => {
    const driven = reader({ type: 'start' });
    const waits: unknown[] = [];
    for (let i = 0; i < 10; i++) {
      waits.push(driven.take({ type: 'lost' }).effect);
      driven.take({ type: 'due' });
    }
    const expected = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000];
    expect(waits).toEqual(expected.map((maxMs) => ({ type: 'wait', minMs: 0, maxMs })));
    expect(driven.view.state).toBe('loading');
  });

  it('of a stream that had lasted it begins anew; of one that had not it goes on', () => {
    const driven = reader(
      { type: 'start' },
      { type: 'lost' },
      { type: 'due' },
      { type: 'lost' },
      { type: 'due' },
    );
    driven.take(opened, snapshot(1));
    driven.now += 4_999;
    expect(driven.take({ type: 'lost' }).effect).toMatchObject({ maxMs: 1_000 });
    driven.take({ type: 'due' }, opened);
    driven.now += 5_000;
    expect(driven.take({ type: 'lost' }).effect).toMatchObject({ maxMs: 250 });
  });

  it.each([500, 502, 503, 504, 408, 425, 429])(
    'of a kind that passes (%i) it keeps what it shows',
    (status) => {
      const driven = live().take({ type: 'lost' }, { type: 'due' }, refused(status));
      expect([driven.state.mode, driven.view.state, driven.view.error]).toEqual(['waiting', 'live', null]);
    },
  );

  it('it connects at once when the device wakes', () => {
    const woken: ReaderEvent = { type: 'woken', silentMs: 0 };
    expect(live().take({ type: 'lost' }, woken).effect).toEqual({ type: 'connect', since: 2 });
    expect(live().take(woken).effect).toBeNull();
    expect(live().take({ type: 'woken', silentMs: 20_001 }).effect).toEqual({ type: 'connect', since: 2 });
  });
});

describe('when it is refused', () => {
  it.each([401, 403, 200])('for now (%i), it shows the error, tries again slowly, and recovers', (status) => {
    const driven = live().take({ type: 'lost' }, { type: 'due' }, refused(status));
    expect(driven.view).toMatchObject({ state: 'error', error: denied, run: at(2), connected: false });
    expect(driven.effect).toEqual({ type: 'wait', minMs: 15_000, maxMs: 30_000 });
    driven.take({ type: 'due' });
    expect(driven.view.state).toBe('error');
    expect(driven.take({ type: 'opened', seq: 2 }).view).toMatchObject({ state: 'live', error: null });
  });

  it.each([400, 404, 405, 410])('for good (%i), it shows the error and rests', (status) => {
    const driven = reader({ type: 'start' }, refused(status));
    expect([driven.state.mode, driven.effect]).toEqual(['done', { type: 'rest' }]);
    expect(driven.view).toMatchObject({ state: 'error', error: denied });
    driven.take({ type: 'woken', silentMs: 99_999 }, { type: 'due' });
    expect(driven.effect).toBeNull();
  });

  it('because the run is missing, it asks a few times within about 10 s, then says so', () => {
    const driven = reader({ type: 'start' });
    let waited = 0;
    let asked = 0;
    while (driven.take(refused(404, missing)).effect!.type === 'wait') {
      expect(driven.view).toBe(LOADING);
      waited += (driven.effect as { maxMs: number }).maxMs;
      asked++;
      driven.take({ type: 'due' });
    }
    expect(waited).toBeGreaterThan(8_000);
    expect(waited).toBeLessThan(12_000);
    expect(asked).toBeLessThan(10);
    expect(driven.view).toMatchObject({ state: 'missing', error: missing, run: null });
    expect(driven.state.mode).toBe('done');
  });

  it('because the run is missing, and then it starts, it is live', () => {
    const driven = reader({ type: 'start' }, refused(404, missing), { type: 'due' }, opened, snapshot(1));
    expect(driven.view.state).toBe('live');
    expect(driven.state.misses).toBe(0);
  });
});

const giveUp: ReaderEvent[] = Array.from({ length: 7 }, () => [
  refused(404, missing),
  { type: 'due' } as const,
]).flat();

describe('a run given by another reply', () => {
  const given = (seq: number): ReaderEvent => ({ type: 'given', run: at(seq) });

  it('shows at once, before anybody watches', () => {
    const driven = reader(given(1));
    expect(driven.view).toMatchObject({ state: 'live', run: at(1), connected: false });
    expect(driven.state.mode).toBe('idle');
    expect(driven.take({ type: 'start' }).effect).toEqual({ type: 'connect', since: 1 });
  });

  it('that has ended needs no connection', () => {
    expect(reader({ type: 'given', run: LAST }, { type: 'start' }).effect).toBeNull();
    expect(live().take({ type: 'given', run: LAST }).state.mode).toBe('done');
  });

  it('ends the waiting for a missing one', () => {
    const driven = reader({ type: 'start' }, refused(404, missing), given(1));
    expect(driven.effect).toEqual({ type: 'connect', since: 1 });
    expect(driven.state.misses).toBe(0);
  });

  it('revives one that was given up', () => {
    const driven = reader({ type: 'start' }, ...giveUp);
    expect(driven.view.state).toBe('missing');
    driven.take(given(1));
    expect([driven.view.state, driven.effect]).toEqual(['live', { type: 'connect', since: 1 }]);
    const failed = reader({ type: 'start' }, refused(400), given(1));
    expect([failed.view.state, failed.effect]).toEqual(['live', { type: 'connect', since: 1 }]);
  });

  it("is not taken when it is another's", () => {
    expect(live().take({ type: 'given', run: OTHER[1]! }).view.run).toEqual(at(2));
  });
});

describe('when nobody watches any more', () => {
  it('it rests and keeps what it has, and starts from there again', () => {
    const driven = live().take({ type: 'stop' });
    expect([driven.state.mode, driven.effect]).toEqual(['idle', { type: 'rest' }]);
    expect(driven.view).toMatchObject({ state: 'live', run: at(2), connected: false });
    expect(driven.take({ type: 'start' }).effect).toEqual({ type: 'connect', since: 2 });
  });

  it('it asks again for what was missing or refused', () => {
    for (const end of [giveUp, [refused(400)]]) {
      const driven = reader({ type: 'start' }, ...end, { type: 'stop' }, { type: 'start' });
      expect(driven.effect).toEqual({ type: 'connect', since: 0 });
      expect(driven.view).toBe(LOADING);
    }
  });
});

describe('events that a mode does not name', () => {
  const inMode = {
    idle: reader(),
    connecting: reader({ type: 'start' }),
    open: live(),
    waiting: live().take({ type: 'lost' }),
    done: reader({ type: 'start' }, opened, snapshot(9)),
  };
  const events: Record<string, ReaderEvent> = {
    start: { type: 'start' },
    due: { type: 'due' },
    lost: { type: 'lost' },
    broken: { type: 'broken' },
    opened,
    refused: refused(500),
    snapshot: snapshot(5),
    change: changeTo(3),
    freshness: { type: 'freshness', connected: false, caughtUp: false },
  };
  const named: Record<string, string[]> = {
    idle: ['start'],
    connecting: ['opened', 'refused', 'lost'],
    open: ['snapshot', 'change', 'freshness', 'broken', 'lost'],
    waiting: ['due'],
    done: [],
  };

  it.each(Object.entries(inMode))('change nothing when %s', (mode, { state }) => {
    expect(state.mode).toBe(mode);
    for (const [name, event] of Object.entries(events)) {
      const { next, effect } = stepReader(state, event, 0);
      if (named[mode]!.includes(name)) expect(next, name).not.toBe(state);
      else expect([next, effect], name).toEqual([state, null]);
    }
  });
});

/**
 * A server, a network and a clock that do what fast-check says. The world carries out the reader's
 * effects as the driver does: one connection, or one timer, or neither.
 */
class World {
  state = createReader(RUN_ID);
  seq = 1;
  now = 0;
  connection: { sent: number; isOpen: boolean } | null = null;
  timer = false;
  highest = 0;

  take(event: ReaderEvent): void {
    const before = this.state;
    const { next, effect } = stepReader(before, event, this.now);
    this.state = next;
    if (effect !== null) {
      this.connection = effect.type === 'connect' ? { sent: effect.since, isOpen: false } : null;
      this.timer = effect.type === 'wait';
    }
    this.check();
  }

  check(): void {
    const { mode, run, state, error } = this.state;
    const isConnected = mode === 'connecting' || mode === 'open';
    expect([this.connection !== null, this.timer]).toEqual([isConnected, mode === 'waiting']);
    if (run !== null) {
      expect(run).toEqual(at(run.seq));
      expect(run.seq).toBeGreaterThanOrEqual(this.highest);
      this.highest = run.seq;
    }
    expect(state === 'settled').toBe(run?.status === 'completed');
    if (state === 'missing' || state === 'loading') expect(run).toBeNull();
    if (state === 'live') expect(run).not.toBeNull();
    expect(error !== null).toBe(state === 'missing' || state === 'error');
    if (state === 'settled') expect(['done', 'idle']).toContain(mode);
    const view = viewOf(this.state, LOADING);
    if (view.caughtUp && state !== 'settled') expect(mode).toBe('open');
  }

  /** The server answers, and tells what the reader lacks. */
  deliver(): void {
    if (this.connection === null) return;
    if (!this.connection.isOpen) {
      this.connection.isOpen = true;
      this.take({ type: 'opened', seq: this.seq });
    }
    const { connection } = this;
    if (connection === null || connection.sent === this.seq) return;
    const { sent } = connection;
    connection.sent = this.seq;
    this.take(sent === 0 || sent > this.seq ? snapshot(this.seq) : this.changeSince(sent));
  }

  changeSince(since: number): ReaderEvent {
    const touched = new Map(
      CHANGES.slice(since, this.seq).flatMap(({ steps }) => steps.map((step) => [step.index, step] as const)),
    );
    const steps = [...touched.values()].sort((a, b) => a.seq - b.seq || a.index - b.index);
    return { type: 'change', change: { ...CHANGES[this.seq - 1]!, since, steps } };
  }
}

type Act = (world: World) => void;

const acts: Record<string, Act> = {
  advance: (world) => {
    world.seq = Math.min(world.seq + 1, LAST.seq);
  },
  deliver: (world) => world.deliver(),
  start: (world) => world.take({ type: 'start' }),
  stop: (world) => world.take({ type: 'stop' }),
  lose: (world) => world.take({ type: 'lost' }),
  due: (world) => {
    if (world.timer) world.take({ type: 'due' });
  },
  age: (world) => {
    world.now += 3_000;
  },
  wake: (world) => world.take({ type: 'woken', silentMs: 0 }),
  wakeLate: (world) => world.take({ type: 'woken', silentMs: 60_000 }),
  garbage: (world) => world.take({ type: 'broken' }),
  // A message that never arrives: the server thinks it was sent.
  swallow: (world) => {
    if (world.connection?.isOpen) world.connection.sent = world.seq;
  },
  double: (world) => {
    const { run } = world.state;
    if (run !== null) world.take(changeTo(run.seq));
  },
  stale: (world) => world.take(snapshot(1)),
  foreign: (world) => world.take({ type: 'snapshot', run: OTHER[1]! }),
  given: (world) => world.take({ type: 'given', run: at(world.seq) }),
  outage: (world) => world.take(refused(503)),
  denied: (world) => world.take(refused(403)),
  missing: (world) => world.take(refused(404, missing)),
  malformed: (world) => world.take(refused(400)),
  cutOff: (world) => world.take({ type: 'freshness', connected: false, caughtUp: false }),
};

describe('whatever happens', () => {
  it('it shows only states of the run, never goes back, and ends up with the last one', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...Object.keys(acts)), { maxLength: 60 }), (names) => {
        const world = new World();
        for (const name of names) acts[name]!(world);
        settle(world);
        expect(world.state.run).toEqual(LAST);
        expect([world.connection, world.timer]).toEqual([null, false]);
      }),
      { numRuns: 1_000 },
    );
  });
});

/** The faults are over and the run comes to its end. */
function settle(world: World): void {
  if (world.state.mode === 'done' && world.state.state !== 'settled') world.take({ type: 'stop' });
  world.take({ type: 'start' });
  world.seq = LAST.seq;
  for (let turns = 0; world.state.mode !== 'done'; turns++) {
    expect(turns).toBeLessThan(20);
    if (world.timer) world.take({ type: 'due' });
    world.deliver();
    // The silence of a stream that swallowed something ends it.
    if (world.state.mode === 'open') world.take({ type: 'lost' });
  }
}
