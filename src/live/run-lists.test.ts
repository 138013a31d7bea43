import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RunFilter, RunPage } from '../run/run-list.js';
import { ScriptedRun } from '../run/scripted-run.test-support.js';
import type { LiveRuns } from './live-runs.js';
import { RunLists } from './run-lists.js';
import { ScriptedBus } from './scripted-bus.test-support.js';
import { ScriptedSource } from './scripted-source.test-support.js';
import type { ListSource } from './source.js';

const TOPIC = 'pgflow:list';
const ALL: RunFilter = { limit: 3 };

/** Scripted runs as a list: the last added is the newest. */
class ScriptedPages extends ScriptedSource implements ListSource {
  /** The filters of each `readPages`. */
  readonly pages: (readonly RunFilter[])[] = [];
  /** Called once the pages are read, before they are answered; may wait, may throw. */
  beforePages: () => unknown = () => {};

  async readPages(filters: readonly RunFilter[]): Promise<RunPage[]> {
    this.pages.push(filters);
    const pages = filters.map(({ status, limit }) => {
      const all = [...this.runs.values()].filter((run) => !status || run.at().status === status).reverse();
      const runs = all.slice(0, limit).map(({ runId, seq }) => ({ runId, seq }));
      return { runs, cursor: all.length > limit ? `after ${runs.at(-1)!.runId}` : null };
    });
    await this.beforePages();
    return pages;
  }
}

class ListBus extends ScriptedBus {
  readonly published: [topic: string, message: unknown][] = [];

  async publish(topic: string, message: unknown): Promise<void> {
    this.published.push([topic, message]);
  }

  /** Says what another process would. */
  say(message: unknown = { from: 'another' }): void {
    for (const { topic, fn } of [...this.subscribers]) if (topic === TOPIC) fn(message);
  }
}

const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);
/** Until what may be read is read: a second after the last read. */
const settle = () => pass(1.01);
const idsOf = (live: LiveRuns) => live.getSnapshot().runs.map(({ runId }) => runId);

let source: ScriptedPages;
let bus: ListBus;
let lists: RunLists;

function start(n: number): ScriptedRun {
  const run = new ScriptedRun(['a', 'b'], {
    runId: `01987654-3210-7abc-8def-${String(n).padStart(12, '0')}`,
  });
  source.add(run);
  return run;
}

/** The list, once it is loaded: with fake timers nothing goes on by itself. */
async function track(filter = ALL): Promise<LiveRuns> {
  const tracked = lists.track(filter);
  tracked.catch(() => {});
  await pass(0);
  return tracked;
}

beforeEach(() => {
  vi.useFakeTimers();
  source = new ScriptedPages();
  bus = new ListBus();
  lists = new RunLists({ source, pubsub: bus, topic: TOPIC });
});

afterEach(async () => {
  lists.close();
  await pass(0);
  // C5: whatever a test did, nothing is left.
  expect([bus.subscribers.size, bus.connectionWatchers.size]).toEqual([0, 0]);
  await pass(60);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('a list', () => {
  it('shows the newest runs first, with all their steps, and where the older ones are', async () => {
    const runs = [1, 2, 3, 4].map(start);
    const live = await track();
    expect(live.getSnapshot()).toEqual({
      runs: [runs[3]!.at(), runs[2]!.at(), runs[1]!.at()],
      cursor: `after ${runs[1]!.runId}`,
    });
    expect([live.connected, live.ended]).toEqual([true, null]);
    expect([source.pages, source.reads.length]).toEqual([[[ALL]], 1]);
  });

  it('may be empty', async () => {
    expect((await track()).getSnapshot()).toEqual({ runs: [], cursor: null });
  });

  it('reads what is new of the runs that changed, and leaves the others as they are', async () => {
    const [one, two] = [start(1), start(2)];
    const live = await track();
    const before = live.getSnapshot();
    const told = vi.fn();
    live.subscribe(told);
    one!.begin('a');
    bus.say();
    await settle();
    const { runs } = live.getSnapshot();
    expect(runs).toEqual([two!.at(), one!.at()]);
    expect(runs[0]).toBe(before.runs[0]);
    expect(runs[1]!.stepStates[1]).toBe(before.runs[1]!.stepStates[1]);
    expect(source.reads[1]).toEqual([{ runId: one!.runId, since: 1 }]);
    expect(told).toHaveBeenCalledTimes(1);
  });

  it('is the same object, told to nobody, when nothing that it shows has changed', async () => {
    start(1);
    const live = await track();
    const before = live.getSnapshot();
    const told = vi.fn();
    live.subscribe(told);
    bus.say();
    await pass(20);
    expect(live.getSnapshot()).toBe(before);
    expect(told).not.toHaveBeenCalled();
    expect(source.pages.length).toBeGreaterThan(1);
    expect(source.reads).toHaveLength(1);
  });

  it('takes in new runs, and lets go of those that were deleted or do not match any more', async () => {
    const [one, two, three] = [1, 2, 3].map(start) as [ScriptedRun, ScriptedRun, ScriptedRun];
    const live = await track({ status: 'started', limit: 10 });
    source.runs.delete(two.runId);
    one.begin('a');
    one.finish('b');
    const four = start(4);
    bus.say();
    await settle();
    expect(idsOf(live)).toEqual([four.runId, three.runId]);
  });

  it('never shows a run that was deleted or stopped matching while it was being read', async () => {
    const [one, two, three] = [1, 2, 3].map(start) as [ScriptedRun, ScriptedRun, ScriptedRun];
    source.beforePages = () => {
      source.runs.delete(one.runId);
      two.finish('b');
    };
    expect(idsOf(await track({ status: 'started', limit: 10 }))).toEqual([three.runId]);
  });

  it('takes over the rows when a failover took back what it shows', async () => {
    const one = start(1);
    one.begin('a');
    one.complete('a');
    const live = await track();
    source.runs.clear();
    const again = start(1);
    again.begin('a');
    bus.say();
    await settle();
    expect(live.getSnapshot().runs).toEqual([again.at()]);
  });
});

describe('how often it is read', () => {
  it('at most once a second, whatever is heard', async () => {
    await track();
    for (let n = 0; n < 100; n++) {
      start(n);
      lists.tell();
      bus.say();
    }
    await pass(0.9);
    expect(source.pages).toHaveLength(1);
    await settle();
    expect(source.pages).toHaveLength(2);
  });

  it('once for all who watch the same list, and in one statement for different ones', async () => {
    const run = start(1);
    const same = await Promise.all([track(), track(), track({ ...ALL, flow: undefined })]);
    const other = await track({ status: 'completed', limit: 3 });
    expect(source.pages).toEqual([[ALL], [{ status: 'completed', limit: 3 }]]);
    expect(new Set(same.map((live) => live.getSnapshot())).size).toBe(1);
    await pass(2);
    run.finish('b');
    bus.say();
    await pass(0);
    expect(source.pages).toHaveLength(3);
    expect(source.pages[2]).toHaveLength(2);
    expect(source.reads).toHaveLength(2);
    expect([...same, other].map((live) => live.getSnapshot().runs[0])).toEqual(Array(4).fill(run.at()));
  });

  it('in several statements where there are very many lists', async () => {
    await Promise.all(Array.from({ length: 250 }, (_, n) => track({ tag: `${n}`, limit: 3 })));
    await pass(2);
    source.pages.length = 0;
    bus.say();
    await pass(0);
    expect(source.pages.map((filters) => filters.length)).toEqual([100, 100, 50]);
  });

  it('again after five seconds when nothing was heard, so that word which was lost costs no more', async () => {
    const live = await track();
    const run = start(1);
    await pass(4.9);
    expect(idsOf(live)).toEqual([]);
    await settle();
    expect(idsOf(live)).toEqual([run.runId]);
  });

  it('not while nobody watches', async () => {
    const live = await track();
    live.close();
    await pass(1);
    source.pages.length = 0;
    lists.tell();
    await pass(60);
    expect(source.pages).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('the word that runs changed', () => {
  it('is heard in this process at once, and said to the others once', async () => {
    const live = await track();
    await settle();
    const run = start(1);
    lists.tell();
    await pass(0);
    expect(idsOf(live)).toEqual([run.runId]);
    expect(bus.published).toEqual([[TOPIC, { from: expect.any(String) }]]);
    // What comes back over the bus is nothing new.
    bus.say(bus.published[0]![1]);
    await pass(2);
    expect(source.pages).toHaveLength(2);
  });

  it('is said without a list too, and harms nobody when the bus refuses it', async () => {
    const publish = vi.spyOn(bus, 'publish').mockImplementation(() => {
      throw new Error('broken');
    });
    lists.tell();
    await pass(0);
    expect(publish).toHaveBeenCalledTimes(1);
  });

  it('is heard while the first read is under way', async () => {
    let run: ScriptedRun | undefined;
    source.beforePages = () => {
      source.beforePages = () => {};
      run = start(1);
      bus.say();
    };
    const live = await track();
    expect(idsOf(live)).toEqual([]);
    await settle();
    expect(idsOf(live)).toEqual([run!.runId]);
  });
});

describe('a bus that is away', () => {
  it('a lost connection shows, and is followed by a read when it is back', async () => {
    const live = await track();
    await settle();
    const freshness: boolean[] = [];
    live.onFreshness(() => freshness.push(live.connected));
    bus.setConnected(false);
    const run = start(1);
    bus.setConnected(true);
    await pass(0);
    expect(idsOf(live)).toEqual([run.runId]);
    expect(freshness).toEqual([false, true]);
  });

  it('that comes back is asked for nothing while nobody watches', async () => {
    bus.setConnected(false);
    bus.setConnected(true);
    await settle();
    expect(bus.subscribers.size).toBe(0);
  });

  it('one that refuses is asked again; lists go by the slow look until then', async () => {
    bus.beforeSubscribe = () => {
      throw new Error('away');
    };
    const live = await track();
    expect(live.connected).toBe(false);
    const run = start(1);
    await pass(5.1);
    expect(idsOf(live)).toEqual([run.runId]);
    bus.beforeSubscribe = () => {};
    await pass(5.1);
    expect([live.connected, bus.subscribers.size]).toEqual([true, 1]);
  });

  it('one that does not answer holds the first read up for a second', async () => {
    let open = () => {};
    bus.beforeSubscribe = () => new Promise<void>((resolve) => (open = resolve));
    const tracked = lists.track(ALL);
    await settle();
    const live = await tracked;
    expect(live.connected).toBe(false);
    const run = start(1);
    open();
    await settle();
    expect([idsOf(live), live.connected]).toEqual([[run.runId], true]);
  });
});

describe('a database that is away', () => {
  const away = () => {
    throw new Error('away');
  };

  it('refuses the list, and the next one is read anew', async () => {
    source.beforePages = away;
    await expect(track()).rejects.toThrow('away');
    expect(bus.subscribers.size).toBe(0);
    source.beforePages = () => {};
    expect((await track()).connected).toBe(true);
  });

  it.each(['beforePages', 'beforeAnswer'] as const)(
    'shows, and is asked again by itself: %s',
    async (which) => {
      const live = await track();
      const freshness: boolean[] = [];
      live.onFreshness(() => freshness.push(live.connected));
      source[which] = away;
      const run = start(1);
      bus.say();
      await pass(3);
      expect([idsOf(live), freshness]).toEqual([[], [false]]);
      source[which] = () => {};
      await pass(60);
      expect([idsOf(live), freshness]).toEqual([[run.runId], [false, true]]);
    },
  );
});

describe('handles', () => {
  it('are closed each on its own; a closed one keeps what it showed', async () => {
    const [first, second] = [await track(), await track()];
    const told = vi.fn();
    first.subscribe(told);
    const before = first.getSnapshot();
    first.close();
    first.close();
    await pass(2);
    const run = start(1);
    lists.tell();
    await settle();
    expect(idsOf(second)).toEqual([run.runId]);
    expect(first.getSnapshot()).toBe(before);
    expect([first.connected, first.ended?.code, second.ended]).toEqual([false, 'CLOSED', null]);
    expect(told).not.toHaveBeenCalled();
    expect(first.subscribe(told)).toEqual(expect.any(Function));
  });

  it('of a page that mounts again at once find the list as it is', async () => {
    (await track()).close();
    await pass(0.9);
    await track();
    await pass(0.9);
    expect(source.pages).toHaveLength(1);
    expect(bus.subscribers.size).toBe(1);
  });

  it('may stop each other, and throw, without harm to the rest', async () => {
    const reported = vi.spyOn(console, 'error').mockImplementation(() => {});
    const live = await track();
    const [last, stopped] = [vi.fn(), vi.fn()];
    live.subscribe(() => {
      stop();
      throw new Error('mine');
    });
    const stop = live.subscribe(stopped);
    live.subscribe(last);
    start(1);
    lists.tell();
    await settle();
    expect([stopped.mock.calls.length, last.mock.calls.length]).toEqual([0, 1]);
    expect(reported).toHaveBeenCalledTimes(1);
    reported.mockRestore();
  });

  it('end when lists are closed, and no new ones are given', async () => {
    const live = await track();
    const freshened = vi.fn();
    live.onFreshness(freshened);
    const loading = lists.track({ limit: 1 });
    lists.close();
    lists.close();
    await expect(loading).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(lists.track(ALL)).rejects.toMatchObject({ code: 'CLOSED' });
    expect([live.connected, live.ended?.code, freshened.mock.calls.length]).toEqual([false, 'CLOSED', 1]);
    live.close();
  });

  it('leave nothing behind, however often they come and go', async () => {
    for (let n = 0; n < 100; n++) {
      const live = await track({ tag: `${n % 7}`, limit: 3 });
      live.subscribe(() => {});
      live.close();
    }
    await pass(3);
    expect([bus.subscribers.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});
