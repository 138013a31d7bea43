import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyChange } from './apply-change.js';
import type { Change, TaskFact } from './change.js';
import type { RunEvent } from './event.js';
import { eventsBetween } from './events-between.js';
import { histories, nameOf } from './random-history.test-support.js';
import type { Run } from './run.js';
import { SCRIPTED_RUN_ID, ScriptedRun, timeAt } from './scripted-run.test-support.js';

/** The events of a change on what was shown at `before`; 0: nothing was shown. */
function eventsOf(rows: ScriptedRun, before: number, change: Change): RunEvent[] {
  const shown = before === 0 ? null : rows.at(before);
  const run = shown === null ? null : applyChange(null, rows.change(0, before)).run;
  const applied = applyChange(run, change);
  return eventsBetween(run, applied.run as Run, change);
}

const typesOf = (events: RunEvent[]) =>
  events.map(({ type, stepSlug }) => (stepSlug ? `${type} ${stepSlug}` : type));

const fact = (type: TaskFact['type'], stepSlug: string, more: Partial<TaskFact> = {}): TaskFact => ({
  type,
  stepSlug,
  taskIndex: 0,
  attempt: 1,
  at: timeAt(9),
  ...more,
});

describe('eventsBetween', () => {
  it('tells run_started with the first change', () => {
    const rows = new ScriptedRun(['a']);
    expect(eventsOf(rows, 0, rows.change(0))).toEqual([
      { type: 'run_started', runId: SCRIPTED_RUN_ID, seq: 1, at: timeAt(1) },
    ]);
  });

  it("payloads: every event carries runId, seq and at, step events the step's new values", () => {
    const rows = new ScriptedRun(['a', 'b']);
    const runId = SCRIPTED_RUN_ID;
    expect(eventsOf(rows, 1, rows.begin('a'))).toEqual([
      { type: 'step_started', runId, seq: 2, at: timeAt(2), stepSlug: 'a', attempt: 1 },
    ]);
    expect(eventsOf(rows, 2, rows.complete('a', { x: 0 }))).toEqual([
      { type: 'step_completed', runId, seq: 3, at: timeAt(3), stepSlug: 'a', attempt: 1, output: { x: 0 } },
    ]);
    rows.begin('b');
    expect(eventsOf(rows, 4, rows.fail('b', 'boom'))).toEqual([
      { type: 'step_failed', runId, seq: 5, at: timeAt(5), stepSlug: 'b', attempt: 1, error: 'boom' },
      { type: 'run_failed', runId, seq: 5, at: timeAt(5), stepSlug: 'b', taskIndex: 0, error: 'boom' },
    ]);
  });

  it('payloads: skipped and cancelled steps, completed and cancelled runs', () => {
    const rows = new ScriptedRun(['a', 'b']);
    const runId = SCRIPTED_RUN_ID;
    const skipped = {
      status: 'skipped',
      skippedAt: timeAt(2),
      skipReason: 'handler_failed',
      errorMessage: 'no',
    } as const;
    expect(eventsOf(rows, 1, rows.commit({ steps: { a: skipped } }))).toEqual([
      {
        type: 'step_skipped',
        runId,
        seq: 2,
        at: timeAt(2),
        stepSlug: 'a',
        attempt: 0,
        skipReason: 'handler_failed',
        error: 'no',
      },
    ]);
    rows.begin('b');
    const cancelledAt = timeAt(4);
    const change = rows.commit({
      steps: { b: { status: 'cancelled', cancelledAt } },
      run: { status: 'cancelled', cancelledAt, cancelReason: 'too late' },
    });
    expect(eventsOf(rows, 3, change)).toEqual([
      { type: 'step_cancelled', runId, seq: 4, at: timeAt(4), stepSlug: 'b', attempt: 1 },
      { type: 'run_cancelled', runId, seq: 4, at: timeAt(4), reason: 'too late' },
    ]);
    const other = new ScriptedRun(['a']);
    other.begin('a');
    expect(eventsOf(other, 2, other.finish('a', false)).at(-1)).toEqual({
      type: 'run_completed',
      runId,
      seq: 3,
      at: timeAt(3),
      output: { a: false },
    });
  });

  it('tells only the completion of a step without tasks', () => {
    const rows = new ScriptedRun(['a', 'b']);
    const empty = {
      status: 'completed',
      startedAt: timeAt(2),
      completedAt: timeAt(2),
      initialTasks: 0,
    } as const;
    expect(typesOf(eventsOf(rows, 1, rows.commit({ steps: { a: empty } })))).toEqual(['step_completed a']);
  });

  it('tells a retry by its task, not as a step event', () => {
    const rows = new ScriptedRun(['a']);
    rows.begin('a');
    const retry = fact('task_failed', 'a', { error: 'no', willRetry: true, retryAt: timeAt(30) });
    const change = rows.commit({ steps: { a: { attempt: 2, errorMessage: 'no' } }, tasks: [retry] });
    expect(eventsOf(rows, 2, change)).toEqual([{ ...retry, runId: SCRIPTED_RUN_ID, seq: 3 }]);
  });

  it('order: a step starts, its tasks, it ends; tasks of untouched steps; the run last', () => {
    const rows = new ScriptedRun(['a', 'b', 'c']);
    rows.begin('b');
    const done = { status: 'completed', completedAt: timeAt(3) } as const;
    const change = rows.commit({
      steps: { c: { ...done, startedAt: timeAt(3), initialTasks: 1 }, a: { ...done, startedAt: timeAt(3) } },
      run: { status: 'completed', completedAt: timeAt(3), output: {} },
      tasks: [
        fact('task_started', 'b'),
        fact('task_started', 'c'),
        fact('task_started', 'a'),
        fact('task_completed', 'c'),
        fact('task_failed', 'b'),
      ],
    });
    expect(typesOf(eventsOf(rows, 2, change))).toEqual([
      'step_started a',
      'task_started a',
      'step_completed a',
      'step_started c',
      'task_started c',
      'task_completed c',
      'step_completed c',
      'task_started b',
      'task_failed b',
      'run_completed',
    ]);
  });

  it('order: after a catch-up by the seq of the rows', () => {
    const rows = new ScriptedRun(['a', 'b']);
    rows.begin('b');
    rows.complete('b');
    rows.begin('a');
    rows.finish('a');
    const names = eventsOf(rows, 1, rows.change(1)).map(nameOf);
    expect(names).toEqual([
      '3 step_started b',
      '3 step_completed b',
      '5 step_started a',
      '5 step_completed a',
      '5 run_completed',
    ]);
  });

  it('tells all run and step events exactly once and in a legal order, whatever the steps of the catch-up', () => {
    const cases = fc.tuple(histories, fc.array(fc.nat(40)));
    fc.assert(
      fc.property(cases, ([{ run: rows, events, dependencies }, stops]) => {
        const seqs = [...new Set([...stops.filter((seq) => seq > 0 && seq < rows.seq), rows.seq])];
        const told: RunEvent[] = [];
        let run: Run | null = null;
        for (const seq of seqs.sort((a, b) => a - b)) {
          const change = rows.change(run?.seq ?? 0, seq);
          const after: Run = applyChange(run, change).run!;
          told.push(...eventsBetween(run, after, change));
          run = after;
        }
        const withoutSeq = (name: string) => name.slice(name.indexOf(' ') + 1);
        const expected = events.map(withoutSeq);
        const names = told.map((event) => withoutSeq(nameOf(event)));
        expect([...names].sort()).toEqual([...expected].sort());
        expectLegalOrder(names, dependencies);
      }),
    );
  });

  it('tells them with the seq at which they happened, change by change', () => {
    fc.assert(
      fc.property(histories, ({ run: rows, events }) => {
        const told = Array.from({ length: rows.seq }, (_, seq) =>
          eventsOf(rows, seq, rows.change(seq, seq + 1)),
        );
        expect(told.flat().map(nameOf)).toEqual(events);
      }),
    );
  });
});

const END = /^step_(completed|failed|skipped|cancelled) /;

function expectLegalOrder(names: string[], dependencies: ReadonlyMap<string, readonly string[]>): void {
  expect(names[0]).toBe('run_started');
  const runEnd = names.findIndex((name) => /^run_(completed|failed|cancelled)$/.test(name));
  if (runEnd !== -1) expect(runEnd).toBe(names.length - 1);
  const ends = new Map(
    names.flatMap((name, at) => (END.test(name) ? [[name.split(' ')[1]!, at]] : [])) as [string, number][],
  );
  for (const [at, name] of names.entries()) {
    const [type, slug] = name.split(' ');
    if (slug === undefined) continue;
    if (type === 'step_started') expect(ends.get(slug) ?? names.length).toBeGreaterThan(at);
    if (type === 'step_cancelled') continue;
    for (const parent of dependencies.get(slug)!) expect(ends.get(parent)).toBeLessThan(at);
  }
}
