import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Change } from '../run/change.js';
import { GONE } from '../run/codec.js';
import type { RunEvent } from '../run/event.js';
import { SCRIPTED_RUN_ID, ScriptedRun } from '../run/scripted-run.test-support.js';
import type { LiveRun } from './live-run.js';
import { ScriptedBus } from './scripted-bus.test-support.js';
import { ScriptedSource } from './scripted-source.test-support.js';
import { createTracker, type Tracker } from './tracker.js';

const runIdOf = (n: number) => `01987654-3210-7abc-8def-${String(n).padStart(12, '0')}`;
const flush = () => vi.advanceTimersByTimeAsync(0);
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);

let source: ScriptedSource;
let bus: ScriptedBus;
let tracker: Tracker;
let rows: ScriptedRun;

beforeEach(() => {
  vi.useFakeTimers();
  source = new ScriptedSource();
  bus = new ScriptedBus();
  rows = new ScriptedRun(['a', 'b']);
  source.add(rows);
  tracker = createTracker({ source, pubsub: bus, topics: bus.topics });
});

afterEach(async () => {
  tracker.close();
  await flush();
  // C5: whatever a test did, nothing is left.
  expect(bus.subscribers.size).toBe(0);
  expect(bus.connectionWatchers.size).toBe(0);
  expect(tracker.stats()).toMatchObject({ runs: 0, unfinished: 0 });
  await pass(60);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function expectRow(live: LiveRun): void {
  expect(live.getSnapshot()).toEqual(rows.at());
  expect(live.caughtUp).toBe(true);
}

describe('track', () => {
  it('reads an undisturbed run once in its life', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    for (const change of [rows.begin('a'), rows.complete('a'), rows.begin('b')]) bus.tell(change);
    await pass(20);
    const last = rows.finish('b');
    tracker.apply(last);
    bus.tell(last);
    expectRow(live);
    expect(source.reads).toEqual([[{ runId: SCRIPTED_RUN_ID, since: 0 }]]);
  });

  it('refuses a malformed id, and one that is not there, and leaves nothing behind', async () => {
    await expect(tracker.track('x')).rejects.toMatchObject({ code: 'INVALID_RUN_ID' });
    await expect(tracker.track(runIdOf(9))).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    expect(tracker.stats().runs).toBe(0);
    expect(bus.subscribers.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('fails with what the source throws, and reads again the next time', async () => {
    source.beforeAnswer = () => {
      throw new Error('down');
    };
    await expect(tracker.track(SCRIPTED_RUN_ID)).rejects.toThrow('down');
    source.beforeAnswer = () => {};
    expectRow(await tracker.track(SCRIPTED_RUN_ID));
  });

  it('knows a run by its id in any case', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID.toUpperCase());
    expect(live.runId).toBe(SCRIPTED_RUN_ID);
    bus.tell(rows.begin('a'));
    expectRow(live);
  });

  it('shares one run and one read among all handles, each closed on its own', async () => {
    const [first, second] = await Promise.all([
      tracker.track(SCRIPTED_RUN_ID),
      tracker.track(SCRIPTED_RUN_ID),
    ]);
    const third = await tracker.track(SCRIPTED_RUN_ID);
    expect(source.reads).toHaveLength(1);
    first.close();
    first.close();
    second.close();
    await pass(10);
    bus.tell(rows.begin('a'));
    expectRow(third);
    expect(first.getSnapshot()).toBe(third.getSnapshot());
    expect(source.reads).toHaveLength(1);
  });

  it('reads many runs of the same moment in one statement', async () => {
    const runs = Array.from({ length: 50 }, (_, n) => new ScriptedRun(['a'], { runId: runIdOf(n) }));
    source.add(...runs);
    await Promise.all(runs.map(({ runId }) => tracker.track(runId)));
    expect(source.reads).toHaveLength(1);
    expect(source.reads[0]).toHaveLength(50);
  });

  it('reads runs that are asked for one by one together, when the database does not keep up', async () => {
    const runs = Array.from({ length: 3_000 }, (_, n) => new ScriptedRun(['a'], { runId: runIdOf(n) }));
    source.add(...runs);
    const answers: (() => void)[] = [];
    source.beforeAnswer = () => new Promise<void>((resolve) => answers.push(resolve));
    const tracking: Promise<LiveRun>[] = [];
    for (const { runId } of runs) {
      tracking.push(tracker.track(runId));
      await flush();
    }
    // Not one more than are to be under way: a run that takes long holds up nobody, thousands do not flood.
    expect(source.reads.map((cursors) => cursors.length)).toEqual([1, 1, 1, 1]);
    source.beforeAnswer = () => {};
    for (const answer of answers) answer();
    const lives = await Promise.all(tracking);
    expect(lives.map((live) => live.getSnapshot())).toEqual(runs.map((run) => run.at()));
    expect(source.reads.slice(4).map((cursors) => cursors.length)).toEqual([1_000, 1_000, 996]);
  });

  it('subscribes before it reads, so that what is told meanwhile is not lost', async () => {
    source.beforeAnswer = () => {
      expect(bus.subscribers.size).toBe(1);
      bus.tell(rows.begin('a'));
      bus.tell(rows.complete('a'));
    };
    const live = await tracker.track(SCRIPTED_RUN_ID);
    expectRow(live);
    expect(source.reads).toHaveLength(1);
  });

  it('reads again for what was only hinted at while it loaded', async () => {
    source.beforeAnswer = () => {
      source.beforeAnswer = () => {};
      bus.hint(SCRIPTED_RUN_ID, rows.begin('a').seq);
    };
    const live = await tracker.track(SCRIPTED_RUN_ID);
    await pass(1);
    expectRow(live);
    expect(source.reads).toHaveLength(2);
  });

  it('shows runs to nobody else (X1)', async () => {
    const other = new ScriptedRun(['a', 'b'], { runId: runIdOf(1) });
    source.add(other);
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const events: RunEvent[] = [];
    live.on('step_started', (event) => events.push(event));
    bus.send(SCRIPTED_RUN_ID, { ...JSON.parse(JSON.stringify(other.begin('a'))) });
    tracker.apply(other.begin('b'));
    bus.hint(runIdOf(1), 99);
    expectRow(live);
    expect(events).toEqual([]);
    expect(source.reads).toHaveLength(1);
  });
});

describe('what is lost, doubled or overtaken', () => {
  it('uses what came early once the gap closes, without reading', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const [second, third, fourth] = [rows.begin('a'), rows.complete('a'), rows.begin('b')] as Change[];
    bus.tell(fourth!);
    bus.tell(third!);
    expect(live.getSnapshot().seq).toBe(1);
    expect(live.caughtUp).toBe(false);
    bus.tell(second!);
    expectRow(live);
    await pass(4);
    expect(source.reads).toHaveLength(1);
  });

  it('reads what is missing once, if the gap does not close', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    rows.begin('a');
    bus.tell(rows.complete('a'));
    bus.tell(rows.begin('b'));
    await pass(1);
    expectRow(live);
    expect(source.reads.slice(1)).toEqual([[{ runId: SCRIPTED_RUN_ID, since: 1 }]]);
  });

  it('reads at once when more has come early than it keeps', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    rows.begin('a');
    for (let attempt = 2; attempt < 68; attempt++) bus.tell(rows.commit({ steps: { a: { attempt } } }));
    await flush();
    expectRow(live);
    expect(source.reads).toHaveLength(2);
  });

  it('keeps no more of what came while it loaded, and reads the rest', async () => {
    source.beforeAnswer = () => {
      source.beforeAnswer = () => {};
      rows.begin('a');
      for (let attempt = 2; attempt < 72; attempt++) {
        bus.tell(rows.commit({ steps: { a: { attempt } } }));
      }
    };
    const live = await tracker.track(SCRIPTED_RUN_ID);
    expect(live.getSnapshot().seq).toBe(1);
    await pass(1);
    expectRow(live);
    expect(source.reads).toHaveLength(2);
  });

  it('reads at once for a hint, and one read at a time however many hints', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    let answer = () => {};
    source.beforeAnswer = () => new Promise<void>((resolve) => (answer = resolve));
    bus.hint(SCRIPTED_RUN_ID, rows.begin('a').seq);
    await flush();
    for (let attempt = 2; attempt < 50; attempt++) {
      bus.hint(SCRIPTED_RUN_ID, rows.commit({ steps: { a: { attempt } } }).seq);
    }
    await flush();
    expect(source.reads).toHaveLength(2);
    answer();
    await flush();
    expect(source.reads).toHaveLength(3);
    answer();
    await flush();
    expectRow(live);
    expect(source.reads).toHaveLength(3);
  });

  it('takes a hint from its own process too', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    tracker.hint(SCRIPTED_RUN_ID, rows.begin('a').seq);
    await flush();
    expectRow(live);
  });

  it('tells run and step events once, whatever was lost', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const events: string[] = [];
    for (const type of ['step_started', 'step_completed', 'run_completed'] as const) {
      live.on(type, ({ seq, stepSlug = '' }) => events.push(`${seq} ${type} ${stepSlug}`.trim()));
    }
    bus.tell(rows.begin('a'));
    rows.complete('a');
    bus.tell(rows.begin('b'));
    await pass(1);
    bus.tell(rows.change(1, 3));
    bus.tell(rows.finish('b'));
    expect(events).toEqual([
      '2 step_started a',
      '3 step_completed a',
      '4 step_started b',
      '5 step_completed b',
      '5 run_completed',
    ]);
  });

  it('reads again after a failure, with growing pauses, until it succeeds', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    let failures = 0;
    source.beforeAnswer = (asked) => {
      if (asked === 'changes' && failures++ < 3) throw new Error('down');
    };
    bus.hint(SCRIPTED_RUN_ID, rows.begin('a').seq);
    await flush();
    expect(failures).toBe(1);
    expect(live.caughtUp).toBe(false);
    bus.hint(SCRIPTED_RUN_ID, rows.complete('a').seq);
    await flush();
    expect(failures).toBe(1);
    await pass(4);
    expect(failures).toBe(4);
    expectRow(live);
  });

  it('gives up on an answer that never comes, and asks again', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    source.beforeAnswer = (asked) => asked === 'changes' && new Promise(() => {});
    bus.hint(SCRIPTED_RUN_ID, rows.begin('a').seq);
    await flush();
    source.beforeAnswer = () => {};
    await pass(32);
    expectRow(live);
  });
});

describe('a run that was deleted', () => {
  const remove = () => source.runs.delete(SCRIPTED_RUN_ID);

  it.each([
    ['the bus says so', () => bus.hint(SCRIPTED_RUN_ID, GONE)],
    ['its own process says so', () => tracker.hint(SCRIPTED_RUN_ID, GONE)],
  ])('ends as gone as soon as %s', async (_, tell) => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const waiting = live.waitFor('completed').catch((error) => error.code);
    const runs = live[Symbol.asyncIterator]();
    await runs.next();
    const next = runs.next();
    remove();
    tell();
    await flush();
    expect(live.ended?.code).toBe('RUN_NOT_FOUND');
    expect(await waiting).toBe('RUN_NOT_FOUND');
    expect((await next).done).toBe(true);
    expect(source.looks).toHaveLength(0);
    expect(source.reads).toHaveLength(2);
    await expect(tracker.track(SCRIPTED_RUN_ID)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });

  it('ends as gone when that was said while it loaded', async () => {
    source.beforeAnswer = () => {
      source.beforeAnswer = () => {};
      remove();
      bus.hint(SCRIPTED_RUN_ID, GONE);
    };
    const live = await tracker.track(SCRIPTED_RUN_ID);
    await pass(1);
    expect(live.ended?.code).toBe('RUN_NOT_FOUND');
  });

  it('ends as gone when the first read after that failed', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    source.beforeAnswer = () => {
      source.beforeAnswer = () => {};
      throw new Error('down');
    };
    remove();
    bus.hint(SCRIPTED_RUN_ID, GONE);
    await pass(1);
    expect(live.ended?.code).toBe('RUN_NOT_FOUND');
  });

  it('and had ended before keeps its state, and is not found again', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    bus.tell(rows.finish('a'));
    remove();
    tracker.hint(SCRIPTED_RUN_ID, GONE);
    expect(live.ended?.code).toBe('RUN_NOT_FOUND');
    expect(await live.waitFor('completed')).toEqual(rows.at());
    await expect(tracker.track(SCRIPTED_RUN_ID)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });

  it('is there, if the message lied', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const news = vi.fn();
    live.subscribe(news);
    bus.hint(SCRIPTED_RUN_ID, GONE);
    await pass(1);
    expectRow(live);
    expect(news).not.toHaveBeenCalled();
    rows.begin('a');
    bus.hint(SCRIPTED_RUN_ID, GONE);
    await pass(1);
    expectRow(live);
    bus.tell(rows.complete('a'));
    expectRow(live);
    expect(source.reads).toHaveLength(3);
  });
});

describe('messages that are not ours', () => {
  it('refuses garbage and counts it', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const foreign = new ScriptedRun(['a', 'b'], { runId: runIdOf(1) }).begin('a');
    for (const message of [null, 'x', 7, {}, { runId: SCRIPTED_RUN_ID }, foreign])
      bus.send(SCRIPTED_RUN_ID, message);
    expect(tracker.stats().refusedMessages).toBe(6);
    expectRow(live);
  });

  it('is not led astray by a seq that is not there', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    bus.hint(SCRIPTED_RUN_ID, 1_000_000);
    bus.tell({ ...rows.change(0), since: 500_000, seq: 1_000_001, origin: null, steps: [] });
    await pass(1);
    expectRow(live);
    const reads = source.reads.length;
    bus.tell(rows.begin('a'));
    expectRow(live);
    expect(source.reads).toHaveLength(reads);
  });

  it('forgets a change that no row bears out, and does not build on it later', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const lie = new ScriptedRun(['a', 'b']);
    lie.begin('b');
    bus.tell(lie.complete('b'));
    await pass(1);
    bus.tell(rows.begin('a'));
    expectRow(live);
    bus.tell(rows.begin('b'));
    expectRow(live);
  });

  it('reads a change of a newer server that it does not understand', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const change = rows.begin('a');
    const [step] = change.steps;
    bus.send(SCRIPTED_RUN_ID, { ...change, steps: [{ ...step!.state, index: 0, seq: 2, status: 'paused' }] });
    await flush();
    expectRow(live);
  });

  it('returns to the row at the watchdog’s next look, if a message lied', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const lie = new ScriptedRun(['a', 'b']);
    lie.begin('a');
    lie.complete('a');
    bus.tell(lie.change(1));
    expect(live.getSnapshot().seq).toBe(3);
    rows.begin('b');
    await pass(6);
    expectRow(live);
  });

  it('reads the run from the start if what it shows is not the row’s past', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const lie = new ScriptedRun(['a', 'b']);
    lie.begin('a');
    bus.tell(lie.commit({ steps: { a: { status: 'failed', failedAt: lie.nextTime }, b: { attempt: 9 } } }));
    bus.tell(lie.change(1));
    rows.begin('a');
    rows.begin('b');
    bus.tell(rows.complete('a'));
    await pass(1);
    expectRow(live);
  });
});

describe('the watchdog', () => {
  it('finds a lost last message', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    rows.begin('a');
    await pass(4);
    expect(live.getSnapshot().seq).toBe(1);
    await pass(2);
    expectRow(live);
  });

  it('asks for all unfinished runs in one statement, and for no others', async () => {
    const runs = Array.from({ length: 20 }, (_, n) => new ScriptedRun(['a'], { runId: runIdOf(n) }));
    source.add(...runs);
    runs[0]!.finish('a');
    const lives = await Promise.all(runs.map(({ runId }) => tracker.track(runId)));
    bus.tell(runs[1]!.finish('a'));
    for (const run of runs.slice(2)) run.begin('a');
    await pass(6);
    expect(source.looks).toEqual([runs.slice(2).map(({ runId }) => runId)]);
    expect(lives.map((live) => live.getSnapshot())).toEqual(runs.map((run) => run.at()));
    expect(source.reads).toHaveLength(2);
  });

  it('rests when there is nothing left to watch', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    expect(vi.getTimerCount()).toBe(1);
    bus.tell(rows.finish('a'));
    expect(vi.getTimerCount()).toBe(0);
    expect(live.getSnapshot().status).toBe('completed');
  });

  it('never asks twice at once', async () => {
    await tracker.track(SCRIPTED_RUN_ID);
    source.beforeAnswer = () => new Promise(() => {});
    await pass(29);
    expect(source.looks).toHaveLength(1);
  });

  it('survives errors, asks less often meanwhile, and says that it is not fresh', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const fn = vi.fn();
    live.onFreshness(fn);
    source.beforeAnswer = () => {
      throw new Error('down');
    };
    await pass(6);
    expect([live.connected, live.caughtUp]).toEqual([false, false]);
    expect(fn).toHaveBeenCalledOnce();
    await pass(600);
    expect(source.looks.length).toBeLessThan(60);
    rows.begin('a');
    source.beforeAnswer = () => {};
    await pass(31);
    expectRow(live);
    expect(live.connected).toBe(true);
  });

  it('says RUN_NOT_FOUND of a run that vanished, and asks no more (fault 21)', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const waiting = live.waitFor('completed').catch((error) => error.code);
    const iterated = (async () => {
      let count = 0;
      for await (const _ of live) count++;
      return count;
    })();
    const freshness = vi.fn();
    live.onFreshness(freshness);
    source.runs.clear();
    await pass(6);
    expect(await waiting).toBe('RUN_NOT_FOUND');
    expect(await iterated).toBe(1);
    expect(live.ended?.code).toBe('RUN_NOT_FOUND');
    expect(freshness).toHaveBeenCalled();
    expect(live.getSnapshot()).toEqual(rows.at(1));
    expect(bus.subscribers.size).toBe(0);
    const asked = source.looks.length + source.reads.length;
    await pass(60);
    expect(source.looks.length + source.reads.length).toBe(asked);
    await expect(tracker.track(SCRIPTED_RUN_ID)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });
});

describe('the bus', () => {
  it('lost-messages: reads all runs again in one statement when it is back, without a new event', async () => {
    const runs = Array.from({ length: 30 }, (_, n) => new ScriptedRun(['a'], { runId: runIdOf(n) }));
    source.add(...runs);
    const lives = await Promise.all(runs.map(({ runId }) => tracker.track(runId)));
    bus.setConnected(false);
    expect(lives.map(({ connected }) => connected)).not.toContain(true);
    for (const run of runs) run.begin('a');
    bus.setConnected(true);
    expect(lives.map(({ caughtUp }) => caughtUp)).not.toContain(true);
    await flush();
    expect(lives.map((live) => live.getSnapshot())).toEqual(runs.map((run) => run.at()));
    expect(lives.map(({ connected, caughtUp }) => connected && caughtUp)).not.toContain(false);
    expect(source.reads).toHaveLength(2);
  });

  it('reads once more if it comes back while a read is under way', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    let answer = () => {};
    source.beforeAnswer = () => new Promise<void>((resolve) => (answer = resolve));
    bus.hint(SCRIPTED_RUN_ID, rows.begin('a').seq);
    await flush();
    rows.complete('a');
    bus.setConnected(false);
    bus.setConnected(true);
    source.beforeAnswer = () => {};
    answer();
    await flush();
    expectRow(live);
  });

  it('reads as soon as the database is back too, not at the watchdog’s next look', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    source.beforeAnswer = () => {
      throw new Error('down');
    };
    bus.setConnected(false);
    rows.begin('a');
    bus.setConnected(true);
    await flush();
    source.beforeAnswer = () => {};
    await pass(1);
    expectRow(live);
    expect(source.looks).toHaveLength(0);
  });

  it('does not hold up a first read, and what it missed is read when it is there', async () => {
    let take = () => {};
    bus.beforeSubscribe = () => new Promise<void>((resolve) => (take = resolve));
    const tracking = tracker.track(SCRIPTED_RUN_ID);
    await pass(1);
    const live = await tracking;
    expect(live.connected).toBe(false);
    rows.begin('a');
    take();
    await flush();
    expectRow(live);
    expect(live.connected).toBe(true);
  });

  it('that refuses is asked again by the watchdog', async () => {
    bus.beforeSubscribe = () => {
      throw new Error('no');
    };
    const live = await tracker.track(SCRIPTED_RUN_ID);
    expect(live.connected).toBe(false);
    bus.beforeSubscribe = () => {};
    rows.begin('a');
    await pass(6);
    expectRow(live);
    expect(live.connected).toBe(true);
    bus.tell(rows.complete('a'));
    expectRow(live);
  });
});

describe('the end of a run', () => {
  it('releases subscription and timers, and keeps the state readable', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    bus.tell(rows.finish('a'));
    expect(bus.subscribers.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expectRow(live);
    const again = await tracker.track(SCRIPTED_RUN_ID);
    expect(again.getSnapshot()).toBe(live.getSnapshot());
    expect(source.reads).toHaveLength(1);
  });

  it('of a run that had ended before subscribes nothing for longer than its read', async () => {
    rows.finish('a');
    const live = await tracker.track(SCRIPTED_RUN_ID);
    expect(bus.subscribers.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect([live.connected, live.caughtUp]).toEqual([true, true]);
  });
});

describe('the last handle', () => {
  it('leaves the run for a moment, in which it costs no query to come back', async () => {
    (await tracker.track(SCRIPTED_RUN_ID)).close();
    bus.tell(rows.begin('a'));
    await pass(0.9);
    const live = await tracker.track(SCRIPTED_RUN_ID);
    await pass(2);
    expectRow(live);
    expect(source.reads).toHaveLength(1);
  });

  it('leaves nothing after that moment', async () => {
    const closed = await tracker.track(SCRIPTED_RUN_ID);
    closed.close();
    await pass(1);
    expect(tracker.stats().runs).toBe(0);
    expect(bus.subscribers.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    rows.begin('a');
    expectRow(await tracker.track(SCRIPTED_RUN_ID));
    expect(closed.getSnapshot().seq).toBe(1);
    expect(source.reads).toHaveLength(2);
  });

  it('10,000 times watched and left: nothing is left (fault 27)', async () => {
    for (let times = 0; times < 100; times++) {
      const tracking = Array.from({ length: 100 }, () => tracker.track(SCRIPTED_RUN_ID));
      for (const live of await Promise.all(tracking)) {
        live.subscribe(() => {});
        live.on('step_started', () => {});
        live.close();
      }
    }
    expect(source.reads).toHaveLength(1);
    await pass(1);
    expect(tracker.stats().runs).toBe(0);
  });
});

describe('close', () => {
  it('ends everything, what is being loaded too', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const waiting = live.waitFor('completed', { timeout: 99 }).catch((error) => error.code);
    const iterator = live[Symbol.asyncIterator]();
    await iterator.next();
    const next = iterator.next();
    source.add(new ScriptedRun(['a'], { runId: runIdOf(1) }));
    source.beforeAnswer = () => new Promise(() => {});
    const loading = tracker.track(runIdOf(1)).catch((error) => error.code);
    await flush();
    tracker.close();
    tracker.close();
    expect(await Promise.all([waiting, loading])).toEqual(['CLOSED', 'CLOSED']);
    expect((await next).done).toBe(true);
    expect(live.getSnapshot()).toEqual(rows.at());
    await expect(tracker.track(SCRIPTED_RUN_ID)).rejects.toMatchObject({ code: 'CLOSED' });
    tracker.apply(rows.begin('a'));
    expect(live.getSnapshot().seq).toBe(1);
  });

  it('while a run lingers leaves no timer', async () => {
    (await tracker.track(SCRIPTED_RUN_ID)).close();
    tracker.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('by a watcher in the middle of a change ends that too', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    live.subscribe(() => tracker.close());
    const later = vi.fn();
    live.subscribe(later);
    const second = rows.begin('a');
    bus.tell(rows.complete('a'));
    bus.tell(second);
    expect(live.ended?.code).toBe('CLOSED');
    expect(live.getSnapshot()).toEqual(rows.at(2));
  });
});

describe('verify', () => {
  it('compares with the row, read once', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    bus.tell(rows.begin('a'));
    expect(await live.verify()).toEqual({ ok: true, differences: [] });
    expect(source.reads).toHaveLength(2);
  });

  it('catches up if the row is ahead', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    rows.begin('a');
    expect(await live.verify()).toEqual({ ok: true, differences: [] });
    expectRow(live);
    expect(source.reads).toHaveLength(2);
  });

  it('compares as of the row’s seq while the run goes on', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    source.beforeAnswer = () => {
      source.beforeAnswer = () => {};
      bus.tell(rows.begin('a'));
      bus.tell(rows.complete('a'));
    };
    expect(await live.verify()).toEqual({ ok: true, differences: [] });
    expectRow(live);
    expect(source.reads).toHaveLength(2);
  });

  it('reads again if the run went past the row’s seq in one step', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    rows.begin('a');
    source.beforeAnswer = () => {
      source.beforeAnswer = () => {};
      rows.complete('a');
      bus.tell(rows.change(1));
    };
    expect(await live.verify()).toEqual({ ok: true, differences: [] });
    expectRow(live);
    expect(source.reads).toHaveLength(3);
  });

  it('says where it differs and takes the row’s values over', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const lie = new ScriptedRun(['a', 'b']);
    bus.tell(lie.begin('b'));
    rows.begin('a');
    const { ok, differences } = await live.verify();
    expect(ok).toBe(false);
    expect(differences.map(({ path }) => path)).toEqual([
      'stepStates.0.status',
      'stepStates.0.initialTasks',
      'stepStates.0.remainingTasks',
      'stepStates.0.attempt',
      'stepStates.0.startedAt',
      'stepStates.1.status',
      'stepStates.1.initialTasks',
      'stepStates.1.remainingTasks',
      'stepStates.1.attempt',
      'stepStates.1.startedAt',
    ]);
    expect(differences[0]).toEqual({ path: 'stepStates.0.status', live: 'created', row: 'started' });
    expectRow(live);
  });

  it('finds a run that is ahead of its row', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    const lie = new ScriptedRun(['a', 'b']);
    lie.begin('a');
    lie.finish('a');
    bus.tell(lie.change(1));
    const { ok, differences } = await live.verify();
    expect(ok).toBe(false);
    expect(differences).toContainEqual({ path: 'seq', live: 3, row: 1 });
    expect(live.getSnapshot()).toEqual(rows.at());
  });

  it('rejects when the run is gone', async () => {
    const live = await tracker.track(SCRIPTED_RUN_ID);
    source.runs.clear();
    await expect(live.verify()).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    expect(live.ended?.code).toBe('RUN_NOT_FOUND');
  });
});
