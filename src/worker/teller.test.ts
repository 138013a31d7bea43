import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { PgFlowError } from '../errors.js';
import type { Outcome } from '../postgres/change-rows.js';
import type { ClaimedTask, TaskTell } from '../postgres/task-store.js';
import type { Change } from '../run/change.js';
import { Execution, type Handler } from './execution.js';
import { Teller } from './teller.js';

const AT = new Date('2026-01-01T00:00:10.000Z');

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A teller whose statements are kept; `answer` may hold or fail them. */
function createTeller(answer: () => Promise<void> = async () => {}) {
  const told: (readonly TaskTell[])[] = [];
  const changes: Change[] = [];
  const errors: string[] = [];
  const teller = new Teller({
    store: {
      tellTasks: async (tells) => {
        told.push(tells);
        await answer();
        return {
          changes: [...new Set(tells.map(({ runId }) => runId))].map((runId) => ({ runId }) as Change),
          accepted: new Set(tells.keys()),
          at: AT,
        } as unknown as Outcome;
      },
    },
    onChanges: (news) => changes.push(...news),
    onError: (message) => errors.push(message),
  });
  onTestFinished(() => teller.close());
  return { teller, told, changes, errors };
}

/** An attempt that has begun; its handler goes on until `end`. */
function begin(teller: Teller, taskIndex = 0) {
  let end: () => void = () => {};
  let context: Parameters<Handler['step']['handler']>[0] | undefined;
  const task = { runId: 'r', stepIndex: 0, taskIndex, claim: 1, attempt: 1, timeout: 3600 } as ClaimedTask;
  const handler = {
    flow: { slug: 'f' },
    step: {
      slug: 's',
      kind: 'single',
      handler: (given: typeof context) => {
        context = given;
        return new Promise<void>((resolve) => (end = resolve));
      },
    },
  } as unknown as Handler;
  const execution = new Execution(task, handler, async () => {}, teller);
  const ended = execution.run({}, {});
  return {
    execution,
    progress: context!.progress,
    log: context!.log,
    end: async () => {
      end();
      await ended;
    },
  };
}

const messagesOf = (tells: readonly TaskTell[]) =>
  tells.map(({ logs }) => logs.map(({ message }) => message));

describe('the teller', () => {
  it('tells a thousand calls a second in four statements: the last progress, and all entries', async () => {
    const { teller, told } = createTeller();
    const task = begin(teller);
    for (let call = 1; call <= 3000; call++) {
      task.progress(call / 3000, `call ${call}`);
      if (call % 10 === 0) task.log(`entry ${call}`);
      await vi.advanceTimersByTimeAsync(1);
    }
    await vi.advanceTimersByTimeAsync(250);

    expect(told.length).toBeLessThanOrEqual(3 * 4 + 2);
    expect(told.at(-1)![0]!.progress).toEqual({ fraction: 1, note: 'call 3000' });
    expect(told.flatMap(messagesOf).flat()).toEqual(
      Array.from({ length: 300 }, (_, i) => `entry ${10 * (i + 1)}`),
    );
  });

  it('tells what one turn says in one statement, for all tasks, who spoke last at the end', async () => {
    const { teller, told } = createTeller();
    const [one, two] = [begin(teller, 1), begin(teller, 2)];
    one.progress(0.1);
    two.progress(0.2);
    one.log('later');
    await vi.advanceTimersByTimeAsync(20);

    expect(told.map((tells) => tells.map(({ taskIndex }) => taskIndex))).toEqual([[2, 1]]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(told).toHaveLength(1);
  });

  it('tells nothing, and keeps no timer, for tasks that say nothing', async () => {
    const { teller, told } = createTeller();
    const task = begin(teller);
    await task.end();
    await teller.flush(task.execution);
    expect([task.execution.report, vi.getTimerCount(), told]).toEqual([undefined, 0, []]);
  });

  it('stores at once what an ended attempt logged, and drops its progress', async () => {
    const { teller, told } = createTeller();
    const task = begin(teller);
    task.progress(0.5);
    task.log('last words');
    await task.end();
    task.progress(0.9);
    task.log('too late');
    await teller.flush(task.execution);

    expect(told).toMatchObject([[{ progress: null, logs: [{ message: 'last words', number: 1 }] }]]);
  });

  it('waits for a statement under way that carries the entries of an attempt that ends', async () => {
    let answer: () => void = () => {};
    const { teller } = createTeller(() => new Promise((resolve) => (answer = resolve)));
    const [quiet, loud] = [begin(teller, 1), begin(teller, 2)];
    quiet.progress(0.5);
    loud.log('one');
    await vi.advanceTimersByTimeAsync(20);
    let flushed = false;
    const flushing = teller.flush(loud.execution).then(() => (flushed = true));

    await teller.flush(quiet.execution);
    expect(flushed).toBe(false);
    answer();
    await flushing;
  });

  it('keeps 1,000 entries of an attempt, and says how many it dropped', async () => {
    const { teller, told } = createTeller();
    const task = begin(teller);
    for (let i = 0; i < 1200; i++) task.log(`entry ${i}`);
    await vi.advanceTimersByTimeAsync(20);
    await task.end();
    await teller.flush(task.execution);

    const numbers = told.flat().flatMap(({ logs }) => logs.map(({ number }) => number));
    expect(numbers).toEqual(Array.from({ length: 1001 }, (_, i) => i + 1));
    expect(messagesOf(told.at(-1)!)).toEqual([
      ['200 more entries were dropped: 1000 are kept of one attempt.'],
    ]);
  });

  it('tells at most 1,000 entries in one statement, and the rest after it', async () => {
    const { teller, told } = createTeller();
    const tasks = [begin(teller, 1), begin(teller, 2)];
    for (const task of tasks) for (let i = 0; i < 800; i++) task.log('x');
    await Promise.all(tasks.map(({ execution }) => teller.flush(execution)));
    expect(told.map((tells) => tells.map(({ logs }) => logs.length))).toEqual([[800, 200], [600]]);
  });

  it('makes the changes complete: the begin, if nobody told it, and the entries, when they were logged', async () => {
    const { teller, changes } = createTeller();
    const task = begin(teller);
    task.log('one', { n: 1 });
    await vi.advanceTimersByTimeAsync(5);
    task.log('two');
    await vi.advanceTimersByTimeAsync(15);

    const of = { stepSlug: 's', taskIndex: 0, attempt: 1 };
    expect(changes).toEqual([
      {
        runId: 'r',
        tasks: [
          { type: 'task_started', ...of, at: undefined },
          { type: 'task_logged', ...of, at: new Date(AT.getTime() - 20), message: 'one', fields: { n: 1 } },
          { type: 'task_logged', ...of, at: new Date(AT.getTime() - 15), message: 'two', fields: {} },
        ],
      },
    ]);
    expect(task.execution.told).toBe(true);
  });
});

describe('a database that does not answer', () => {
  it('is told the same again until it does; what is said meanwhile comes after it', async () => {
    let failures = 3;
    const { teller, told, errors } = createTeller(async () => {
      if (failures-- > 0) throw new PgFlowError('DATABASE_UNAVAILABLE', 'gone');
    });
    const task = begin(teller);
    task.log('one');
    await vi.advanceTimersByTimeAsync(20);
    task.log('two');
    await vi.advanceTimersByTimeAsync(10_000);

    expect(told.map((tells) => messagesOf(tells).flat())).toEqual([
      ['one'],
      ['one'],
      ['one'],
      ['one'],
      ['two'],
    ]);
    expect(errors).toHaveLength(1);
  });

  it('does not hold up closing', async () => {
    const { teller, told } = createTeller(async () => {
      throw new PgFlowError('DATABASE_UNAVAILABLE', 'gone');
    });
    const task = begin(teller);
    task.log('one');
    const flushing = teller.flush(task.execution);
    await vi.advanceTimersByTimeAsync(0);
    const closing = teller.close();
    await vi.advanceTimersByTimeAsync(5000);
    await Promise.all([flushing, closing]);
    task.log('two');
    await vi.advanceTimersByTimeAsync(5000);
    expect(told).toHaveLength(1);
  });
});

it('drops what the database refuses, says so, and goes on', async () => {
  let refusals = 1;
  const { teller, told, errors } = createTeller(async () => {
    if (refusals-- > 0) throw Object.assign(new Error('no'), { code: '22P02' });
  });
  const task = begin(teller);
  task.log('one');
  await teller.flush(task.execution);
  task.log('two');
  await teller.flush(task.execution);
  expect(told.map((tells) => messagesOf(tells).flat())).toEqual([['one'], ['two']]);
  expect(errors).toHaveLength(1);
});
