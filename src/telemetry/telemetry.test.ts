import { channel } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Change } from '../run/change.js';
import { ScriptedRun } from '../run/scripted-run.test-support.js';
import { attachTelemetry } from './attach-telemetry.js';
import { CHANNELS } from './channels.js';
import type { TelemetryEvents } from './events.js';
import { Telemetry } from './telemetry.js';

type Name = keyof TelemetryEvents;

const NAMES = Object.keys(CHANNELS) as Name[];
const task = { workerId: 1, runId: 'r', flowSlug: 'f', stepSlug: 's', taskIndex: 0, attempt: 1, waited: 3 };

let told: { name: string; [field: string]: unknown }[];
let detach: () => void;
let telemetry: Telemetry;

/** Hears of everything, or of these. */
function listen(names: readonly Name[] = NAMES): void {
  detach();
  detach = attachTelemetry(
    Object.fromEntries(names.map((name) => [name, (event: object) => told.push({ name, ...event })])),
  );
}

const namesTold = () => told.map(({ name }) => name.replace('pgflow:', ''));
const tick = () => new Promise<void>((resolve) => process.nextTick(resolve));

beforeEach(() => {
  told = [];
  detach = () => {};
  telemetry = new Telemetry('app');
  listen();
});

afterEach(() => {
  detach();
  // C5: nobody is left on the channels of the process.
  expect(NAMES.filter((name) => channel(name).hasSubscribers)).toEqual([]);
});

it('has all its channels, and no others, in the table of docs/telemetry.md', () => {
  const page = readFileSync(new URL('../../docs/telemetry.md', import.meta.url), 'utf8');
  const listed = [...page.matchAll(/^\| `(pgflow:[\w:]+)` \|/gm)].map(([, name]) => name);
  expect(listed).toEqual(NAMES);
});

describe('attachTelemetry', () => {
  it('calls listeners until it is detached, twice or not', () => {
    telemetry.workerFailed('first', null);
    detach();
    detach();
    telemetry.workerFailed('second', null);
    expect(told).toEqual([{ name: 'pgflow:worker:error', schema: 'app', message: 'first', error: null }]);
  });

  it('keeps what a listener throws from the others and from the engine', () => {
    const reported = vi.spyOn(console, 'error').mockImplementation(() => {});
    const stop = attachTelemetry({
      'pgflow:worker:error': () => {
        throw new Error('mine');
      },
    });
    listen();
    telemetry.workerFailed('it', null);
    stop();
    expect(reported).toHaveBeenCalledOnce();
    expect(namesTold()).toEqual(['worker:error']);
    reported.mockRestore();
  });

  it('takes a listener that is undefined for none', () => {
    const stop = attachTelemetry({ 'pgflow:worker:error': undefined, 'pgflow:run:stop': () => {} });
    stop();
  });

  it('refuses what is no object', () => {
    for (const listeners of [undefined, null, 'pgflow:run:stop']) {
      expect(() => attachTelemetry(listeners as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_INPUT' }),
      );
    }
  });

  it.each([
    [{ 'pgflow:task:done': () => {} }, 'pgflow:task:done'],
    [{ 'pgflow:run:stop': () => {}, toString: () => {} }, 'toString'],
    [{ 'pgflow:run:stop': 'not a function' }, 'pgflow:run:stop'],
  ])('refuses %o and attaches nothing of it', (listeners, path) => {
    detach();
    expect(() => attachTelemetry(listeners as never)).toThrow(
      expect.objectContaining({
        code: 'INVALID_INPUT',
        data: { issues: [{ path, message: expect.any(String) }] },
      }),
    );
  });
});

describe('a claim', () => {
  const claim = { workerId: 1, wanted: 5, from: 'queue' } as const;

  it('is told with what it brought', async () => {
    expect(
      await telemetry.claim(
        claim,
        async () => ['a', 'b'],
        ({ length }) => length,
      ),
    ).toEqual(['a', 'b']);
    expect(told).toEqual([
      { name: 'pgflow:claim:start', schema: 'app', ...claim },
      { name: 'pgflow:claim:stop', schema: 'app', ...claim, count: 2, duration: expect.any(Number) },
    ]);
  });

  it('that fails is told as such, and fails', async () => {
    const error = new Error('down');
    await expect(
      telemetry.claim(
        claim,
        () => Promise.reject(error),
        () => 0,
      ),
    ).rejects.toBe(error);
    expect(told.at(-1)).toMatchObject({ name: 'pgflow:claim:error', error });
  });
});

describe('an attempt', () => {
  it('is told to begin after what let it begin, and to end once', async () => {
    const trace = telemetry.taskBegan(task);
    telemetry.workerFailed('what let it begin', null);
    await tick();
    trace.end();
    telemetry.committed([], [trace.stopped('completed')!]);
    expect(trace.stopped('abandoned')).toBeNull();
    expect(trace.failed('late', null)).toBeNull();
    expect(namesTold()).toEqual(['worker:error', 'task:start', 'task:stop']);
    expect(told[2]).toMatchObject({
      ...task,
      schema: 'app',
      outcome: 'completed',
      duration: expect.any(Number),
    });
  });

  it('that ends within the same tick has begun before', async () => {
    const retryAt = new Date();
    telemetry.committed([], [telemetry.taskBegan(task).failed('no', retryAt)!]);
    await tick();
    expect(namesTold()).toEqual(['task:start', 'task:error']);
    expect(told[1]).toMatchObject({ error: 'no', willRetry: true, retryAt });
  });

  it('costs nothing when nobody hears of tasks', () => {
    listen(['pgflow:run:stop']);
    expect(telemetry.hearsTasks).toBe(false);
    for (const name of ['pgflow:task:start', 'pgflow:task:stop', 'pgflow:task:error'] as const) {
      listen([name]);
      expect(telemetry.hearsTasks).toBe(true);
    }
  });
});

describe('what was committed', () => {
  let rows: ScriptedRun;
  beforeEach(() => {
    rows = new ScriptedRun(['a', 'b']);
  });

  /** With the task's own facts, as a settle tells them. */
  const begun = (change: Change, stepSlug: string): Change => {
    const { startedAt } = change.steps.find(({ state }) => state.stepSlug === stepSlug)!.state;
    const fact = { type: 'task_started', stepSlug, taskIndex: 0, attempt: 1, at: startedAt! } as const;
    return { ...change, flowSlug: 'order', tasks: [fact] };
  };
  const commit = (change: Change) =>
    telemetry.committed([{ flowSlug: 'order', startedAt: rows.at(1).startedAt, ...change }]);

  it('is told step by step, the run’s end last', () => {
    commit(begun(rows.begin('a'), 'a'));
    commit(rows.complete('a'));
    commit(begun(rows.begin('b'), 'b'));
    commit(rows.finish('b'));
    expect(namesTold()).toEqual(['step:start', 'step:stop', 'step:start', 'step:stop', 'run:stop']);
    expect(told[0]).toMatchObject({
      schema: 'app',
      runId: rows.runId,
      flowSlug: 'order',
      stepSlug: 'a',
      tasks: 1,
    });
    const run = rows.at();
    expect(told[3]).toMatchObject({
      status: 'completed',
      duration: run.step('b').completedAt!.getTime() - run.step('b').startedAt!.getTime(),
    });
    expect(told[4]).toMatchObject({
      status: 'completed',
      duration: run.completedAt!.getTime() - run.startedAt.getTime(),
    });
  });

  it('says that a step began once, whoever of its tasks began in the same millisecond', () => {
    const change = begun(rows.begin('a'), 'a');
    commit(change);
    commit({ ...begun(rows.commit({ steps: { a: { attempt: 1 } } }), 'a'), tasks: change.tasks });
    expect(namesTold()).toEqual(['step:start']);
  });

  it('does not say that a step began when a further attempt did', () => {
    commit(begun(rows.begin('a'), 'a'));
    const retry = rows.commit({ steps: { a: { attempt: 2 } } });
    const at = new Date(retry.steps[0]!.state.startedAt!.getTime() + 1000);
    commit({ ...retry, tasks: [{ type: 'task_started', stepSlug: 'a', taskIndex: 0, attempt: 2, at }] });
    expect(namesTold()).toEqual(['step:start']);
  });

  it('tells failures and cancellations as what they are', () => {
    commit(rows.fail('a'));
    expect(namesTold().slice(0, 1)).toEqual(['step:error']);
    expect(told.at(-1)).toMatchObject({ name: 'pgflow:run:error', error: rows.at().error });
    told = [];
    const cancelled = new ScriptedRun(['a']);
    cancelled.begin('a');
    commit(cancelled.cancel());
    expect(told).toMatchObject([
      { name: 'pgflow:run:stop', status: 'cancelled', reason: cancelled.change(2).run.cancelReason },
    ]);
  });

  it('puts the ends of tasks between the begins and the ends of their steps', async () => {
    const stop = telemetry.taskBegan({ ...task, runId: rows.runId }).stopped('completed')!;
    const stray = telemetry.taskBegan(task).stopped('abandoned')!;
    told = [];
    const begin = rows.begin('a');
    telemetry.committed([{ ...rows.complete('a'), tasks: begun(begin, 'a').tasks }], [stray, stop]);
    expect(namesTold()).toEqual(['step:start', 'task:stop', 'step:stop', 'task:stop']);
    expect(told.map(({ outcome }) => outcome)).toEqual([undefined, 'completed', undefined, 'abandoned']);
    await tick();
    expect(namesTold()).toHaveLength(4);
  });

  it('tells a start, and what it ended at once, but not what a retried run had before', () => {
    const run = rows.at();
    telemetry.runStarted(run);
    expect(told).toEqual([
      {
        name: 'pgflow:run:start',
        schema: 'app',
        runId: run.runId,
        flowSlug: run.flowSlug,
        version: run.version,
        retryOf: null,
      },
    ]);
    told = [];
    rows.complete('a');
    telemetry.runStarted(rows.at());
    expect(namesTold()).toEqual(['run:start', 'step:stop']);
    told = [];
    const before = new Date(run.startedAt.getTime() - 1000);
    const [a, b] = rows.at().stepStates;
    telemetry.runStarted({ ...rows.at(), stepStates: [{ ...a!, completedAt: before }, b!] } as never);
    expect(namesTold()).toEqual(['run:start']);
  });
});
