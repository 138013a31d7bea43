import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PgFlowError } from '../errors.js';
import type { RunEvent } from '../run/event.js';
import type { Run, RunStatus } from '../run/run.js';
import { SCRIPTED_RUN_ID, ScriptedRun } from '../run/scripted-run.test-support.js';
import type { LiveRun } from './live-run.js';
import { openLiveRun } from './live-run-handle.js';
import { SharedRun } from './shared-run.js';

const gone = new PgFlowError('RUN_NOT_FOUND', 'gone');

function setUp(slugs = ['a', 'b']) {
  const rows = new ScriptedRun(slugs);
  const shared = SharedRun.from(rows.change(0))!;
  const feed = { verify: vi.fn(async () => ({ ok: true, differences: [] })), release: vi.fn() };
  const open = (): LiveRun => openLiveRun(shared, feed);
  return { rows, shared, feed, open, live: open() };
}

const seqsOf = (live: LiveRun) => {
  const seqs: number[] = [];
  live.subscribe(() => seqs.push(live.getSnapshot().seq));
  return seqs;
};

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('getSnapshot and subscribe', () => {
  it('shows the run and tells each new one', () => {
    const { rows, shared, live } = setUp();
    const before = live.getSnapshot();
    expect(before).toEqual(rows.at(1));
    expect(live.getSnapshot()).toBe(before);
    const seqs = seqsOf(live);
    shared.apply(rows.begin('a'));
    shared.apply(rows.complete('a'));
    expect(seqs).toEqual([2, 3]);
    expect(live.getSnapshot()).toEqual(rows.at());
  });

  it('forward-only: says nothing of changes that bring nothing new, are a gap, or another run', () => {
    const { rows, shared, live } = setUp();
    const second = rows.begin('a');
    const third = rows.complete('a');
    const seqs = seqsOf(live);
    expect(shared.apply(third)).toBe('gap');
    expect(shared.apply(second)).toBe('applied');
    expect(shared.apply(second)).toBe('ignored');
    expect(shared.apply({ ...third, runId: '01987654-3210-7abc-8def-ffffffffffff' })).toBe('ignored');
    expect(seqs).toEqual([2]);
  });

  it('stops one subscriber, even the same function subscribed twice', () => {
    const { rows, shared, live } = setUp();
    const fn = vi.fn();
    const stop = live.subscribe(fn);
    live.subscribe(fn);
    stop();
    stop();
    shared.apply(rows.begin('a'));
    expect(fn).toHaveBeenCalledOnce();
  });

  it('calls those there when it began, less those stopped meanwhile', () => {
    const { rows, shared, live } = setUp();
    const calls: string[] = [];
    const again = () => {
      calls.push('again');
      stopAgain();
      stopAgain = live.subscribe(again);
      stopLast();
    };
    let stopAgain = live.subscribe(again);
    const stopLast = live.subscribe(() => calls.push('last'));
    shared.apply(rows.begin('a'));
    expect(calls).toEqual(['again']);
    shared.apply(rows.complete('a'));
    expect(calls).toEqual(['again', 'again']);
  });

  it('keeps what a watcher throws from the others and from the state', () => {
    const reported = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { rows, shared, open, live } = setUp();
    live.subscribe(() => {
      throw new Error('mine');
    });
    live.on('step_started', () => {
      throw new Error('mine too');
    });
    const seqs = seqsOf(live);
    const others = seqsOf(open());
    shared.apply(rows.begin('a'));
    expect([seqs, others]).toEqual([[2], [2]]);
    expect(reported).toHaveBeenCalledTimes(2);
  });

  it('tells everybody of one change before anybody of the next', () => {
    const { rows, shared, open } = setUp();
    const told: string[] = [];
    const watch = (name: string, then = () => {}) =>
      open().on('step_started', ({ stepSlug }) => {
        told.push(`${name} ${stepSlug}`);
        then();
      });
    const once = vi.fn(() => shared.apply(rows.begin('b')));
    watch('first', () => once.mock.calls.length === 0 && once());
    watch('second');
    shared.apply(rows.begin('a'));
    expect(told).toEqual(['first a', 'second a', 'first b', 'second b']);
  });
});

describe('on', () => {
  const listen = (live: LiveRun) => {
    const events: string[] = [];
    const types = [
      'run_started',
      'step_started',
      'step_completed',
      'run_completed',
      'task_completed',
    ] as const;
    for (const type of types) live.on(type, (event) => events.push(`${event.seq} ${event.type}`));
    return events;
  };

  it('does not replay the first snapshot', () => {
    const rows = new ScriptedRun(['a']);
    rows.begin('a');
    const shared = SharedRun.from(rows.change(0))!;
    const events = listen(openLiveRun(shared, { verify: vi.fn(), release: vi.fn() }));
    shared.apply(rows.change(0));
    expect(events).toEqual([]);
    shared.apply(rows.finish('a'));
    expect(events).toEqual(['3 step_completed', '3 run_completed']);
  });

  it('tells run and step events once, also of what was read in one', () => {
    const { rows, shared, live } = setUp(['a']);
    const events = listen(live);
    const started = rows.begin('a');
    rows.finish('a');
    shared.apply(rows.change(1));
    shared.apply(started);
    expect(events).toEqual(['3 step_started', '3 step_completed', '3 run_completed']);
  });

  it.each([['completed'], ['step_complete'], ['__proto__'], [undefined], [null], [Object.create(null)]])(
    'refuses the type %j, and says which there are',
    (type) => {
      const { live } = setUp();
      const refusal = expect.objectContaining({
        code: 'INVALID_INPUT',
        message: expect.stringMatching(/run_started.*step_skipped.*task_failed/),
        data: { issues: [{ path: 'type', message: expect.any(String) }] },
      });
      expect(() => live.on(type as never, () => {})).toThrow(refusal);
      live.close();
      expect(() => live.on(type as never, () => {})).toThrow(refusal);
    },
  );

  it('shows the new run to those who listen, before subscribers are called', () => {
    const { rows, shared, live } = setUp();
    const order: string[] = [];
    live.subscribe(() => order.push('subscriber'));
    live.on('step_started', (event: RunEvent) => {
      expect(live.getSnapshot().seq).toBe(event.seq);
      order.push('listener');
    });
    shared.apply(rows.begin('a'));
    expect(order).toEqual(['listener', 'subscriber']);
  });
});

describe('waitFor', () => {
  const settle = async (promise: Promise<Run>) =>
    promise.then(
      (run) => run.status,
      (error: PgFlowError) => error.code,
    );

  it('resolves at once, or with the change that brings it', async () => {
    const { rows, shared, live } = setUp(['a']);
    expect(await settle(live.waitFor('started'))).toBe('started');
    const waits = [live.waitFor('completed'), live.waitFor(['failed', 'completed'])];
    rows.begin('a');
    rows.finish('a');
    shared.apply(rows.change(1));
    for (const run of await Promise.all(waits)) expect(run).toBe(live.getSnapshot());
  });

  it.each<[RunStatus | RunStatus[], 'fail' | 'cancel']>([
    ['completed', 'fail'],
    [['completed', 'cancelled'], 'fail'],
    ['failed', 'cancel'],
    ['started', 'cancel'],
  ])('rejects with RUN_UNREACHABLE as soon as %s cannot be reached: %s', async (wanted, how) => {
    const { rows, shared, live } = setUp(['a']);
    const early = wanted === 'started' ? null : settle(live.waitFor(wanted));
    shared.apply(how === 'fail' ? rows.fail('a') : rows.cancel());
    if (early !== null) expect(await early).toBe('RUN_UNREACHABLE');
    expect(await settle(live.waitFor(wanted))).toBe('RUN_UNREACHABLE');
  });

  it('rejects with TIMEOUT after that many seconds', async () => {
    const { live } = setUp();
    const waiting = settle(live.waitFor('completed', { timeout: 30 }));
    await vi.advanceTimersByTimeAsync(29_999);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await waiting).toBe('TIMEOUT');
  });

  it('rejects with ABORTED, before and while it waits', async () => {
    const { live } = setUp();
    const abort = new AbortController();
    const waiting = live.waitFor('completed', { signal: abort.signal, timeout: 5 });
    const reason = new Error('enough');
    abort.abort(reason);
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
    await expect(live.waitFor('started', { signal: abort.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  it('leaves no listener on the signal and no timer', async () => {
    const { rows, shared, live } = setUp(['a']);
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    const waiting = live.waitFor('completed', { signal, timeout: 60 });
    await vi.advanceTimersByTimeAsync(0);
    expect(add).toHaveBeenCalledOnce();
    shared.apply(rows.finish('a'));
    await waiting;
    expect(remove.mock.calls.map(([type, fn]) => [type, fn])).toEqual(
      add.mock.calls.map(([type, fn]) => [type, fn]),
    );
  });

  it('rejects with CLOSED when its handle is closed, and RUN_NOT_FOUND when the run is gone', async () => {
    const { shared, open, live } = setUp();
    const other = open();
    const waits = [settle(live.waitFor('completed', { timeout: 60 })), settle(other.waitFor('completed'))];
    live.close();
    shared.end(gone);
    expect(await Promise.all(waits)).toEqual(['CLOSED', 'RUN_NOT_FOUND']);
    expect(await settle(live.waitFor('started'))).toBe('CLOSED');
    expect(await settle(other.waitFor('started'))).toBe('RUN_NOT_FOUND');
  });

  it('takes a run that has ended for what it is, also of a closed handle, and of a run deleted since', async () => {
    const { rows, shared, open, live } = setUp(['a']);
    const other = open();
    shared.apply(rows.finish('a'));
    live.close();
    shared.end(gone);
    for (const ended of [live, other]) {
      expect(await ended.waitFor('completed')).toBe(live.getSnapshot());
      expect(await settle(ended.waitFor('failed'))).toBe('RUN_UNREACHABLE');
      expect(await settle(ended.waitFor('completed', { signal: AbortSignal.abort() }))).toBe('ABORTED');
    }
    expect([live.ended?.code, other.ended?.code]).toEqual(['CLOSED', 'RUN_NOT_FOUND']);
  });

  it('says which argument it refuses', async () => {
    const { live } = setUp();
    const issuesOf = (wait: Promise<Run>) => wait.catch((error: PgFlowError) => error.data?.issues);
    expect(await issuesOf(live.waitFor('done' as RunStatus))).toEqual([
      { path: 'status', message: expect.stringContaining('cancelled') },
    ]);
    expect(await issuesOf(live.waitFor('failed', { timeout: -1 }))).toEqual([
      { path: 'timeout', message: expect.stringContaining('-1') },
    ]);
  });

  it.each([[''], ['done'], [[]], [['completed', 'done']], [undefined], [null]])(
    'refuses the status %j',
    async (status) => {
      const { live } = setUp();
      expect(await settle(live.waitFor(status as RunStatus))).toBe('INVALID_INPUT');
    },
  );

  it.each([[-1], [Number.NaN], ['5'], [2_147_484]])('refuses the timeout %j', async (timeout) => {
    const { live } = setUp();
    expect(await settle(live.waitFor('completed', { timeout: timeout as number }))).toBe('INVALID_INPUT');
  });

  it('takes an infinite timeout for none', async () => {
    const { rows, shared, live } = setUp(['a']);
    const waiting = settle(live.waitFor('completed', { timeout: Number.POSITIVE_INFINITY }));
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
    shared.apply(rows.finish('a'));
    expect(await waiting).toBe('completed');
  });
});

describe('the iterator', () => {
  it('gives the current run, then the newest, and ends after a terminal one', async () => {
    const { rows, shared, live } = setUp(['a']);
    const seqs: number[] = [];
    const reading = (async () => {
      for await (const run of live) seqs.push(run.seq);
    })();
    await vi.advanceTimersByTimeAsync(0);
    expect(seqs).toEqual([1]);
    shared.apply(rows.begin('a'));
    shared.apply(rows.commit({ steps: { a: { attempt: 2 } } }));
    await vi.advanceTimersByTimeAsync(0);
    shared.apply(rows.finish('a'));
    await reading;
    expect(seqs).toEqual([1, 2, 3, 4].filter((seq) => seqs.includes(seq)));
    expect(seqs.at(-1)).toBe(4);
  });

  it('leaves out what came and went between two questions', async () => {
    const { rows, shared, live } = setUp(['a']);
    const runs = live[Symbol.asyncIterator]();
    expect((await runs.next()).value?.seq).toBe(1);
    shared.apply(rows.begin('a'));
    shared.apply(rows.commit({ steps: { a: { attempt: 2 } } }));
    expect((await runs.next()).value?.seq).toBe(3);
    shared.apply(rows.finish('a'));
    expect((await runs.next()).value?.seq).toBe(4);
    expect(await runs.next()).toEqual({ done: true, value: undefined });
  });

  it('answers questions asked at once in order, each with a newer run', async () => {
    const { rows, shared, live } = setUp(['a']);
    const runs = live[Symbol.asyncIterator]();
    const asked = Promise.all([runs.next(), runs.next(), runs.next(), runs.next()]);
    shared.apply(rows.begin('a'));
    shared.apply(rows.finish('a'));
    expect((await asked).map(({ done, value }) => (done ? 'done' : value.seq))).toEqual([1, 2, 3, 'done']);
  });

  it('gives an ended run once', async () => {
    const { rows, shared, live } = setUp(['a']);
    shared.apply(rows.finish('a'));
    const seqs: number[] = [];
    for await (const run of live) seqs.push(run.seq);
    expect(seqs).toEqual([2]);
  });

  it('cleans up after break, and ends when the handle is closed or the run is gone', async () => {
    const { rows, shared, open, live } = setUp();
    const subscribed = vi.spyOn(live, 'subscribe');
    for await (const _ of live) break;
    const stop = subscribed.mock.results[0]!.value as () => boolean;
    expect(stop()).toBe(false);
    const other = open();
    const [closing, going] = [live[Symbol.asyncIterator](), other[Symbol.asyncIterator]()];
    await Promise.all([closing.next(), going.next()]);
    const ends = [closing.next(), going.next()];
    live.close();
    shared.end(gone);
    for (const end of await Promise.all(ends)) expect(end.done).toBe(true);
    expect(shared.apply(rows.begin('a'))).toBe('ignored');
    expect((await other[Symbol.asyncIterator]().next()).done).toBe(true);
  });
});

describe('changeSince', () => {
  it('gives the last change, with its tasks, to who stands right before it', () => {
    const { rows, shared, live } = setUp();
    shared.apply(rows.begin('a'));
    const failed = { type: 'task_failed', stepSlug: 'a', taskIndex: 0, attempt: 1, at: new Date(3) } as const;
    const last = rows.commit({ steps: { a: { attempt: 2 } }, tasks: [failed] });
    shared.apply(last);
    expect(live.changeSince(2)).toEqual(last);
  });

  it('gives what is new to who stands further back, and the whole run to who stands nowhere', () => {
    const { rows, shared, live } = setUp(['a', 'b', 'c']);
    shared.apply(rows.begin('b'));
    shared.apply(rows.begin('a'));
    shared.apply(rows.complete('b'));
    for (const since of [1, 2, 3]) expect(live.changeSince(since)).toEqual(rows.change(since));
    for (const since of [0, -1, 99, 1.5, Number.NaN]) expect(live.changeSince(since)).toEqual(rows.change(0));
    expect(live.changeSince(4)).toBeNull();
  });
});

describe('freshness', () => {
  it('tells when it changes, and that an ended run needs none', () => {
    const { rows, shared, live } = setUp(['a']);
    const fn = vi.fn();
    live.onFreshness(fn);
    expect([live.connected, live.caughtUp]).toEqual([true, true]);
    shared.setFreshness(false, true);
    shared.setFreshness(false, true);
    expect([live.connected, live.caughtUp]).toEqual([false, true]);
    expect(fn).toHaveBeenCalledOnce();
    shared.apply(rows.finish('a'));
    expect([live.connected, live.caughtUp]).toEqual([true, true]);
  });

  it('says why nothing comes any more', () => {
    const { shared, open, live } = setUp();
    const other = open();
    const fn = vi.fn();
    live.onFreshness(fn);
    expect(live.ended).toBeNull();
    other.close();
    expect(other.ended?.code).toBe('CLOSED');
    expect([other.connected, other.caughtUp]).toEqual([false, false]);
    shared.end(gone);
    expect(live.ended).toBe(gone);
    expect([live.connected, live.caughtUp]).toEqual([false, false]);
    expect(fn).toHaveBeenCalledOnce();
  });
});

describe('close', () => {
  it('calls nobody any more, answers still, and leaves the other handles alone', async () => {
    const { rows, shared, feed, open, live } = setUp();
    const other = open();
    const seqs = seqsOf(other);
    const fn = vi.fn();
    live.subscribe(fn);
    live.on('step_started', fn);
    live.onFreshness(fn);
    live.close();
    live.close();
    expect(feed.release).toHaveBeenCalledOnce();
    shared.setFreshness(false, false);
    shared.apply(rows.begin('a'));
    shared.end(gone);
    expect(fn).not.toHaveBeenCalled();
    expect(live.getSnapshot()).toEqual(rows.at());
    expect(seqs).toEqual([2]);
    live.subscribe(fn)();
    live.on('step_started', fn)();
    await expect(live.verify()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(feed.verify).not.toHaveBeenCalled();
  });

  it('calls nobody from the middle of a change on', () => {
    const { rows, shared, live } = setUp();
    const fn = vi.fn();
    live.on('step_started', () => live.close());
    live.subscribe(fn);
    shared.apply(rows.begin('a'));
    expect(fn).not.toHaveBeenCalled();
  });
});

it('has the id of its run', () => {
  expect(setUp().live.runId).toBe(SCRIPTED_RUN_ID);
});
