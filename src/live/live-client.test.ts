import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { PgFlowError } from '../errors.js';
import { defineFlow } from '../flow/define-flow.js';
import type { Run } from '../run/run.js';
import { isRunId } from '../run/run-id.js';
import { SCRIPTED_RUN_ID, ScriptedRun } from '../run/scripted-run.test-support.js';
import { LiveClient, type LiveMessage, type LivePgFlow, type LiveSocket } from './live-client.js';
import { ScriptedBus } from './scripted-bus.test-support.js';
import { ScriptedSource } from './scripted-source.test-support.js';
import { createTracker, type Tracker } from './tracker.js';

const OTHER_ID = '01987654-3210-7abc-8def-000000000002';
const UNKNOWN_ID = '01987654-3210-7abc-8def-000000000009';
const flush = () => vi.advanceTimersByTimeAsync(0);
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);

/** A socket that assigns at once. */
class Socket implements LiveSocket {
  assigns: Record<string, any> = {};
  connected?: boolean;
  readonly history: Record<string, any>[] = [];
  readonly #onClose = new Set<() => void>();

  assign(values: Record<string, any>): void {
    this.history.push(values);
    Object.assign(this.assigns, values);
  }

  onClose(fn: () => void): () => void {
    this.#onClose.add(fn);
    return () => this.#onClose.delete(fn);
  }

  close(): void {
    for (const fn of [...this.#onClose]) fn();
  }

  get closeListeners(): number {
    return this.#onClose.size;
  }
}

/** A socket with a mailbox, in the hands of the test. */
class MailSocket extends Socket {
  readonly mail: LiveMessage[] = [];

  sendInfo(message: LiveMessage): void {
    this.mail.push(message);
  }

  /** Handles what is in the mailbox. */
  read(): void {
    for (const message of this.mail.splice(0)) LiveClient.handleInfo(message, this);
  }
}

let source: ScriptedSource;
let bus: ScriptedBus;
let tracker: Tracker;
let pgflow: LivePgFlow & { startFlow: ReturnType<typeof vi.fn>; enqueue: ReturnType<typeof vi.fn> };
let rows: ScriptedRun;
let other: ScriptedRun;
let socket: Socket;

beforeEach(() => {
  vi.useFakeTimers();
  source = new ScriptedSource();
  bus = new ScriptedBus();
  tracker = createTracker({ source, pubsub: bus, topics: bus.topics });
  rows = new ScriptedRun(['a', 'b']);
  other = new ScriptedRun(['a', 'b'], { runId: OTHER_ID });
  const start = vi.fn(async (_flow: unknown, _input: unknown, options?: { runId?: string }) => {
    const run = options?.runId === OTHER_ID ? other : rows;
    source.add(run);
    return run.at();
  });
  pgflow = {
    startFlow: start,
    enqueue: vi.fn(start),
    track: (runId) => tracker.track(runId),
    getRun: async (runId) => {
      if (!isRunId(runId)) throw new PgFlowError('INVALID_RUN_ID', 'no');
      return source.runs.get(runId)?.at() ?? null;
    },
  };
  socket = new Socket();
});

afterEach(async () => {
  LiveClient.dispose(socket);
  // C5: a socket leaves nothing behind, though the tracker stays open.
  await pass(1);
  expect(tracker.stats()).toMatchObject({ runs: 0, unfinished: 0 });
  expect(bus.subscribers.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  expect(socket.closeListeners).toBe(0);
  tracker.close();
  vi.useRealTimers();
});

const init = (as?: string) => LiveClient.init(socket, { pgflow, as });

/** Assigns the newest: with a mailbox once its messages are handled. */
const settle = () => {
  if (socket instanceof MailSocket) socket.read();
};

describe.each([
  ['without a mailbox', Socket],
  ['with a mailbox', MailSocket],
])('%s', (_, SocketClass) => {
  beforeEach(() => {
    socket = new SocketClass();
    init();
  });

  const expectRow = (run = rows, as = 'flowRun') => {
    settle();
    expect(socket.assigns[as]).toEqual(run.at());
  };

  it('start-tracks: after startFlow the assign holds the run with all step states, and follows it', async () => {
    expect(socket.assigns).toEqual({ flowRun: null });
    const result = await LiveClient.startFlow(socket, 'scripted', { x: 1 });
    expect(pgflow.startFlow).toHaveBeenCalledWith('scripted', { x: 1 }, {});
    expect(result).toEqual({ ok: true, run: rows.at(), socket });
    expect(socket.assigns.flowRun).toBe(result.ok && result.run);
    bus.tell(rows.begin('a'));
    expectRow();
  });

  it('start-tracks: on an error the assign and the subscriptions are as before', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    pgflow.startFlow.mockRejectedValueOnce(new PgFlowError('INVALID_INPUT', 'no'));
    const result = await LiveClient.startFlow(socket, 'scripted', {});
    expect(result).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' }, socket });
    expectRow();
    bus.tell(rows.begin('a'));
    expectRow();
    expect(bus.subscribers.size).toBe(1);
  });

  it('start-tracks: a run that was started but cannot be followed is told with its id', async () => {
    source.beforeAnswer = () => {
      throw new PgFlowError('DATABASE_UNAVAILABLE', 'down');
    };
    const result = await LiveClient.startFlow(socket, 'scripted', {});
    expect(result).toMatchObject({
      ok: false,
      error: { code: 'DATABASE_UNAVAILABLE', data: { runId: SCRIPTED_RUN_ID } },
    });
    expect(socket.assigns).toEqual({ flowRun: null });
    source.beforeAnswer = () => {};
  });

  it('enqueue-parity: a job is tracked like a flow', async () => {
    const runAt = new Date(0);
    const result = await LiveClient.enqueue(socket, 'scripted', { to: 'x' }, { as: 'job', delay: 3, runAt });
    expect(pgflow.enqueue).toHaveBeenCalledWith('scripted', { to: 'x' }, { delay: 3, runAt });
    expect(result).toEqual({ ok: true, run: rows.at(), socket });
    bus.tell(rows.begin('a'));
    expectRow(rows, 'job');
    pgflow.enqueue.mockRejectedValueOnce(new PgFlowError('FLOW_NOT_FOUND', 'no'));
    const failed = await LiveClient.enqueue(socket, 'scripted', {}, { as: 'job' });
    expect(failed).toMatchObject({ ok: false, error: { code: 'FLOW_NOT_FOUND' } });
    expectRow(rows, 'job');
  });

  it('subscribe-existing: of a running or finished run everything, outputs and errors included', async () => {
    source.add(rows, other);
    rows.begin('a');
    rows.complete('a', { lines: [1, null] });
    const running = await LiveClient.subscribe(socket, SCRIPTED_RUN_ID);
    expect(running).toEqual({ ok: true, run: rows.at(), socket });
    expect(socket.assigns.flowRun.step('a').output).toEqual({ lines: [1, null] });
    other.begin('a');
    other.fail('a', 'boom');
    await LiveClient.subscribe(socket, OTHER_ID, { as: 'failed' });
    expect(socket.assigns.failed).toEqual(other.at());
    expect(socket.assigns.failed.error.message).toBe('boom');
    bus.tell(rows.begin('b'));
    expectRow();
  });

  it.each([
    ['unknown', UNKNOWN_ID, 'RUN_NOT_FOUND'],
    ['malformed', 'x', 'INVALID_RUN_ID'],
  ])(
    'subscribe-missing: an %s id gives null, an error the caller can see, and leaves no subscription',
    async (_, id, code) => {
      await LiveClient.startFlow(socket, 'scripted', {});
      const result = await LiveClient.subscribe(socket, id);
      expect(result).toMatchObject({ ok: false, error: { code }, socket });
      expect(socket.assigns).toEqual({ flowRun: null });
      await pass(1);
      expect(bus.subscribers.size).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
      settle();
      expect(socket.assigns).toEqual({ flowRun: null });
    },
  );

  it('unsubscribe: assigns null, ignores later messages, and is idempotent', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    bus.tell(rows.begin('a'));
    expect(LiveClient.unsubscribe(socket)).toBe(socket);
    expect(socket.assigns).toEqual({ flowRun: null });
    const assigned = socket.history.length;
    bus.tell(rows.complete('a'));
    settle();
    LiveClient.handleInfo({ type: 'pgflow', runId: SCRIPTED_RUN_ID, seq: 9 }, socket);
    LiveClient.unsubscribe(socket);
    LiveClient.unsubscribe(socket, { as: 'never' });
    expect(socket.history).toHaveLength(assigned);
    expect(socket.assigns).toEqual({ flowRun: null });
  });

  it('as-isolation: two keys, two runs, independent', async () => {
    LiveClient.init(socket, { pgflow, as: 'second' });
    await LiveClient.startFlow(socket, 'scripted', {});
    await LiveClient.startFlow(socket, 'scripted', {}, { as: 'second', runId: OTHER_ID });
    bus.tell(rows.begin('a'));
    bus.tell(other.begin('b'));
    expectRow();
    expectRow(other, 'second');
    LiveClient.unsubscribe(socket, { as: 'second' });
    bus.tell(rows.complete('a'));
    bus.tell(other.complete('b'));
    expectRow();
    expect(socket.assigns.second).toBeNull();
  });

  it('as-isolation: a second init leaves the first key as it is', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    LiveClient.init(socket, { pgflow, as: 'second' });
    expect(socket.assigns).toEqual({ flowRun: rows.at(), second: null });
    bus.tell(rows.begin('a'));
    expectRow();
  });

  it('two keys on one run both follow it, and are dropped one by one', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    await LiveClient.subscribe(socket, SCRIPTED_RUN_ID, { as: 'second' });
    expect(source.reads).toHaveLength(1);
    bus.tell(rows.begin('a'));
    expectRow();
    expectRow(rows, 'second');
    LiveClient.unsubscribe(socket);
    bus.tell(rows.complete('a'));
    expectRow(rows, 'second');
    expect(socket.assigns.flowRun).toBeNull();
  });

  it('as-rebind: a new start on a used key drops the old run', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    bus.tell(rows.begin('a'));
    await LiveClient.startFlow(socket, 'scripted', {}, { runId: OTHER_ID });
    expect(socket.assigns.flowRun).toEqual(other.at());
    settle();
    bus.tell(rows.complete('a'));
    expectRow(other);
    await pass(1);
    expect(bus.subscribers.size).toBe(1);
  });

  it('forward-only: duplicates and out-of-order messages never move a status back', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    const changes = [rows.begin('a'), rows.complete('a'), rows.begin('b'), rows.finish('b')];
    for (const order of [0, 2, 1, 0, 3, 1, 2, 3]) {
      bus.tell(changes[order]!);
      settle();
    }
    expectRow();
    const seqs = socket.history.flatMap(({ flowRun }) => (flowRun === null ? [] : [flowRun.seq]));
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  });

  it('forward-only: foreign runs, steps and unknown events are ignored', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    const { assigns } = socket;
    const before = { ...assigns };
    bus.send(SCRIPTED_RUN_ID, JSON.parse(JSON.stringify(other.begin('a'))));
    const stranger = new ScriptedRun(['x', 'y', 'z']);
    stranger.begin('x');
    bus.tell(stranger.begin('z'));
    bus.send(SCRIPTED_RUN_ID, { type: 'step_paused', stepSlug: 'a' });
    for (const message of [{ type: 'pgflow', runId: OTHER_ID, seq: 9 }, { type: 'other' }, null, 'x', 7]) {
      expect(LiveClient.handleInfo(message, socket)).toBe(socket);
    }
    settle();
    await pass(1);
    settle();
    expect(socket.assigns).toEqual(before);
  });

  it('map-progress: remainingTasks falls task by task, outputs come in order at the end', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    bus.tell(
      rows.commit({
        steps: { a: { status: 'started', startedAt: rows.nextTime, initialTasks: 3, remainingTasks: 3 } },
      }),
    );
    for (const remainingTasks of [2, 1]) {
      bus.tell(rows.commit({ steps: { a: { remainingTasks } } }));
      expectRow();
      expect(socket.assigns.flowRun.step('a')).toMatchObject({
        remainingTasks,
        output: null,
        status: 'started',
      });
    }
    bus.tell(rows.complete('a', [0, null, 2]));
    expectRow();
    expect(socket.assigns.flowRun.step('a').output).toEqual([0, null, 2]);
  });

  it('retry-then-success: the step stays started with its attempt and last error, which goes once completed', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    bus.tell(rows.begin('a'));
    bus.tell(rows.commit({ steps: { a: { attempt: 1, errorMessage: 'flaky' } } }));
    expectRow();
    expect(socket.assigns.flowRun.step('a')).toMatchObject({ status: 'started', errorMessage: 'flaky' });
    const done = { status: 'completed', completedAt: rows.nextTime, attempt: 2, errorMessage: null } as const;
    bus.tell(rows.commit({ steps: { a: done } }));
    expectRow();
    expect(socket.assigns.flowRun.step('a')).toMatchObject({
      status: 'completed',
      attempt: 2,
      errorMessage: null,
    });
  });

  it('sql-only-steps: steps completed, failed or skipped without a task are shown', async () => {
    rows = new ScriptedRun(['a', 'b', 'c']);
    await LiveClient.startFlow(socket, 'scripted', {});
    const at = rows.nextTime;
    bus.tell(
      rows.commit({
        steps: {
          a: {
            status: 'completed',
            startedAt: at,
            completedAt: at,
            initialTasks: 0,
            remainingTasks: 0,
            output: [],
          },
          b: { status: 'skipped', skippedAt: at, skipReason: 'condition_unmet' },
        },
      }),
    );
    expectRow();
    bus.tell(rows.fail('c', 'no task'));
    expectRow();
    expect(socket.assigns.flowRun.stepStates.map(({ status }: { status: string }) => status)).toEqual([
      'completed',
      'skipped',
      'failed',
    ]);
  });

  it('remaining-steps-live: the live run equals the row at every seq', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    const remaining: number[] = [];
    for (const next of [
      () => rows.begin('a'),
      () => rows.complete('a'),
      () => rows.begin('b'),
      () => rows.finish('b'),
    ]) {
      bus.tell(next());
      expectRow();
      remaining.push(socket.assigns.flowRun.remainingSteps);
    }
    expect(remaining).toEqual([2, 1, 1, 0]);
  });

  it('lost-messages: after a broken connection the state is right without a new event', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    bus.setConnected(false);
    rows.begin('a');
    rows.finish('a');
    bus.setConnected(true);
    await flush();
    expectRow();
    expect(socket.assigns.flowRun.status).toBe('completed');
  });

  it('after-dispose: no callback, no timer, no connection is left', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    await LiveClient.subscribe(socket, SCRIPTED_RUN_ID, { as: 'second' });
    bus.tell(rows.begin('a'));
    settle();
    bus.tell(rows.complete('a'));
    const { length } = socket.history;
    LiveClient.dispose(socket);
    LiveClient.dispose(socket);
    bus.tell(rows.begin('b'));
    settle();
    await pass(1);
    expect(socket.history).toHaveLength(length);
    expect(bus.subscribers.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(await LiveClient.startFlow(socket, 'scripted', {})).toMatchObject({
      error: { code: 'NOT_INITIALIZED' },
    });
  });

  it('after-dispose: closing the socket disposes by itself, and it may be initialised anew', async () => {
    await LiveClient.startFlow(socket, 'scripted', {});
    socket.close();
    expect(socket.closeListeners).toBe(0);
    await pass(1);
    expect(bus.subscribers.size).toBe(0);
    init();
    await LiveClient.subscribe(socket, SCRIPTED_RUN_ID);
    bus.tell(rows.begin('a'));
    expectRow();
  });

  it('the static mount is given the run once, and subscribes nothing', async () => {
    socket.connected = false;
    const result = await LiveClient.startFlow(socket, 'scripted', {});
    expect(result).toEqual({ ok: true, run: rows.at(), socket });
    expect(await LiveClient.subscribe(socket, SCRIPTED_RUN_ID, { as: 'second' })).toMatchObject({ ok: true });
    expect(socket.assigns).toEqual({ flowRun: rows.at(), second: rows.at() });
    for (const [id, code] of [
      [UNKNOWN_ID, 'RUN_NOT_FOUND'],
      ['x', 'INVALID_RUN_ID'],
    ] as const) {
      expect(await LiveClient.subscribe(socket, id)).toMatchObject({ ok: false, error: { code } });
      expect(socket.assigns.flowRun).toBeNull();
    }
    expect(tracker.stats().runs).toBe(0);
    socket.connected = true;
    init();
    await LiveClient.subscribe(socket, SCRIPTED_RUN_ID);
    bus.tell(rows.begin('a'));
    expectRow();
  });

  describe('an answer that comes too late', () => {
    const held = () => {
      let answer = () => {};
      source.beforeAnswer = () => new Promise<void>((resolve) => (answer = resolve));
      return () => {
        source.beforeAnswer = () => {};
        answer();
      };
    };

    it.each<[string, () => unknown]>([
      ['unsubscribe', () => LiveClient.unsubscribe(socket)],
      ['dispose', () => LiveClient.dispose(socket)],
      ['the end of the socket', () => socket.close()],
      ['another init', () => init()],
    ])('after %s is dropped and leaves nothing behind', async (_, overtake) => {
      const answer = held();
      const results = [
        LiveClient.startFlow(socket, 'scripted', {}),
        LiveClient.subscribe(socket, SCRIPTED_RUN_ID),
      ];
      await flush();
      overtake();
      answer();
      for (const result of await Promise.all(results)) expect(result).toMatchObject({ ok: true, socket });
      expect(socket.assigns).toEqual({ flowRun: null });
      await pass(1);
      expect(tracker.stats().runs).toBe(0);
    });

    it('after a later start on the same key is dropped', async () => {
      const answer = held();
      const first = LiveClient.startFlow(socket, 'scripted', {});
      await flush();
      const answerFirst = answer;
      source.beforeAnswer = () => {};
      await LiveClient.startFlow(socket, 'scripted', {}, { runId: OTHER_ID });
      answerFirst();
      expect(await first).toMatchObject({ ok: true, run: { runId: SCRIPTED_RUN_ID } });
      expect(socket.assigns.flowRun).toEqual(other.at());
      bus.tell(other.begin('a'));
      expectRow(other);
      await pass(1);
      expect(bus.subscribers.size).toBe(1);
    });

    it('is not dropped for a later call that failed, nor a later one for an earlier that failed', async () => {
      source.add(rows);
      const answer = held();
      const first = LiveClient.subscribe(socket, SCRIPTED_RUN_ID);
      await flush();
      pgflow.startFlow.mockRejectedValueOnce(new PgFlowError('INVALID_INPUT', 'no'));
      expect((await LiveClient.startFlow(socket, 'scripted', {})).ok).toBe(false);
      answer();
      await first;
      expectRow();
      const answerUnknown = held();
      const unknown = LiveClient.subscribe(socket, UNKNOWN_ID);
      await flush();
      let start = (_: Run) => {};
      pgflow.startFlow.mockReturnValueOnce(new Promise((resolve) => (start = resolve)));
      const later = LiveClient.startFlow(socket, 'scripted', {});
      answerUnknown();
      expect((await unknown).ok).toBe(false);
      expect(socket.assigns.flowRun).toBeNull();
      start(rows.at());
      await later;
      expectRow();
    });
  });
});

describe('before init', () => {
  it('everything says NOT_INITIALIZED, or changes nothing', async () => {
    const error = { ok: false, error: { code: 'NOT_INITIALIZED' }, socket };
    expect(await LiveClient.startFlow(socket, 'scripted', {})).toMatchObject(error);
    expect(await LiveClient.enqueue(socket, 'scripted', {})).toMatchObject(error);
    expect(await LiveClient.subscribe(socket, SCRIPTED_RUN_ID)).toMatchObject(error);
    expect(LiveClient.unsubscribe(socket)).toBe(socket);
    expect(LiveClient.handleInfo({ type: 'pgflow', runId: SCRIPTED_RUN_ID, seq: 1 }, socket)).toBe(socket);
    LiveClient.dispose(socket);
    expect(socket.history).toEqual([]);
  });
});

it('init without a pgflow: everything says NOT_INITIALIZED', async () => {
  for (const options of [undefined, {}, { pgflow: null }]) {
    expect(LiveClient.init(socket, options as never)).toBe(socket);
    expect(socket.assigns.flowRun).toBeNull();
    const error = { ok: false, error: { code: 'NOT_INITIALIZED' }, socket };
    expect(await LiveClient.startFlow(socket, 'scripted', {})).toMatchObject(error);
    expect(await LiveClient.subscribe(socket, SCRIPTED_RUN_ID)).toMatchObject(error);
  }
});

describe('isMessage', () => {
  it('knows its own', () => {
    expect(LiveClient.isMessage({ type: 'pgflow', runId: SCRIPTED_RUN_ID, seq: 1 })).toBe(true);
    for (const value of [
      null,
      undefined,
      'pgflow',
      {},
      { type: 'pgflow' },
      { type: 'x', runId: 'x', seq: 1 },
      [],
    ]) {
      expect(LiveClient.isMessage(value)).toBe(false);
    }
  });
});

describe('the mailbox', () => {
  let mailbox: MailSocket;

  beforeEach(async () => {
    socket = mailbox = new MailSocket();
    init();
    await LiveClient.startFlow(socket, 'scripted', {});
  });

  it('has at most one message per key under way, which says which run moved', () => {
    bus.tell(rows.begin('a'));
    bus.tell(rows.complete('a'));
    bus.tell(rows.begin('b'));
    expect(mailbox.mail).toEqual([{ type: 'pgflow', runId: SCRIPTED_RUN_ID, seq: 2 }]);
    expect(socket.assigns.flowRun.seq).toBe(1);
    mailbox.read();
    expect(socket.assigns.flowRun).toEqual(rows.at());
    bus.tell(rows.complete('b'));
    expect(mailbox.mail).toEqual([{ type: 'pgflow', runId: SCRIPTED_RUN_ID, seq: 5 }]);
  });

  it('that drops messages is sent one again after a second', async () => {
    bus.tell(rows.begin('a'));
    mailbox.mail.splice(0);
    await pass(0.9);
    expect(mailbox.mail).toEqual([]);
    await pass(0.2);
    expect(mailbox.mail).toHaveLength(1);
    mailbox.mail.splice(0);
    bus.tell(rows.complete('a'));
    await pass(1);
    expect(mailbox.mail).toEqual([{ type: 'pgflow', runId: SCRIPTED_RUN_ID, seq: 3 }]);
    mailbox.read();
    expect(socket.assigns.flowRun).toEqual(rows.at());
    await pass(3);
    expect(mailbox.mail).toEqual([]);
  });

  it('that delays, doubles and reorders messages changes nothing about the end', async () => {
    bus.tell(rows.begin('a'));
    await pass(2.5);
    bus.tell(rows.complete('a'));
    const late = mailbox.mail.splice(0).reverse();
    expect(late.length).toBeGreaterThan(1);
    const assigned = socket.history.length;
    for (const message of [...late, ...late]) LiveClient.handleInfo(message, socket);
    expect(socket.assigns.flowRun).toEqual(rows.at());
    expect(socket.history).toHaveLength(assigned + 1);
  });

  it('that handles a message while it is sent works too', async () => {
    mailbox.sendInfo = (message) => void LiveClient.handleInfo(message, socket);
    bus.tell(rows.begin('a'));
    bus.tell(rows.complete('a'));
    expect(socket.assigns.flowRun).toEqual(rows.at());
    expect(vi.getTimerCount()).toBe(1);
  });

  it('of a closed socket may throw or reject', async () => {
    const sent = vi
      .fn()
      .mockImplementationOnce(() => {
        throw new Error('closed');
      })
      .mockImplementationOnce(async () => {
        throw new Error('closed');
      });
    mailbox.sendInfo = sent;
    bus.tell(rows.begin('a'));
    await pass(1);
    expect(sent).toHaveBeenCalledTimes(2);
  });
});

describe('a socket that throws', () => {
  it('harms no other, and nothing that is called', async () => {
    const healthy = new Socket();
    LiveClient.init(healthy, { pgflow });
    init();
    await LiveClient.startFlow(socket, 'scripted', {});
    await LiveClient.subscribe(healthy, SCRIPTED_RUN_ID);
    socket.assign = () => {
      throw new Error('closed');
    };
    bus.tell(rows.begin('a'));
    expect(healthy.assigns.flowRun).toEqual(rows.at());
    expect(await LiveClient.subscribe(socket, SCRIPTED_RUN_ID)).toMatchObject({ ok: true });
    expect(LiveClient.unsubscribe(socket)).toBe(socket);
    LiveClient.dispose(healthy);
  });

  it('in onClose is a socket without it', async () => {
    socket.onClose = () => {
      throw new Error('no');
    };
    init();
    expect(await LiveClient.startFlow(socket, 'scripted', {})).toMatchObject({ ok: true });
  });

  it('an error that is none of ours becomes one', async () => {
    init();
    for (const thrown of [new TypeError('odd'), 'text', undefined, Object.create(null)]) {
      pgflow.startFlow.mockRejectedValueOnce(thrown);
      const result = await LiveClient.startFlow(socket, 'scripted', {});
      expect(result.ok === false && result.error).toBeInstanceOf(PgFlowError);
      expect(result).toMatchObject({ error: { code: 'DATABASE_UNAVAILABLE', cause: thrown } });
    }
  });
});

describe('a socket whose assign returns a new one', () => {
  interface Immutable extends LiveSocket {
    readonly assigns: Readonly<Record<string, any>>;
    assign(values: Record<string, any>): Immutable;
  }
  const make = (assigns: Record<string, any> = {}): Immutable =>
    Object.freeze({ assigns, assign: (values: Record<string, any>) => make({ ...assigns, ...values }) });

  it('is followed from one to the next', async () => {
    const first = make();
    const second = LiveClient.init(first, { pgflow });
    expect(second.assigns).toEqual({ flowRun: null });
    const started = await LiveClient.startFlow(second, 'scripted', {});
    expect(started.socket).not.toBe(second);
    expect(started.socket.assigns.flowRun).toEqual(rows.at());
    const left = LiveClient.unsubscribe(started.socket);
    expect(left.assigns).toEqual({ flowRun: null });
    expect(LiveClient.unsubscribe(left)).toBe(left);
    LiveClient.dispose(left);
    expect(await LiveClient.startFlow(first, 'scripted', {})).toMatchObject({
      error: { code: 'NOT_INITIALIZED' },
    });
  });
});

it('types: the input and the run follow from the definition', async () => {
  const flow = defineFlow({ slug: 'order' }).step(
    'a',
    ({ input }: { input: { id: string } }) => input.id.length,
  );
  init();
  const result = await LiveClient.startFlow(socket, flow, { id: 'x' });
  expect(pgflow.startFlow).toHaveBeenCalledWith(flow, { id: 'x' }, {});
  expectTypeOf(result.socket).toEqualTypeOf<Socket>();
  if (!result.ok) throw result.error;
  expectTypeOf(result.run).toEqualTypeOf<Run<typeof flow>>();
  expect(result.run.step('a').stepSlug).toBe('a');
});
