import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyChange } from './apply-change.js';
import type { Change } from './change.js';
import { decodeChange, decodeMessage, decodeRun, encodeChange, encodeHint, encodeRun } from './codec.js';
import { histories } from './random-history.test-support.js';
import { SCRIPTED_RUN_ID, ScriptedRun, timeAt } from './scripted-run.test-support.js';

const travel = (value: unknown): any => JSON.parse(JSON.stringify(value));

function busyRun(): ScriptedRun {
  const rows = new ScriptedRun(['a', 'b'], { input: { list: [{ deep: [null, false, 0, ''] }] } });
  rows.begin('a');
  rows.commit({
    steps: {
      b: { progress: { fraction: 0.25, note: 'half of a half' } },
      a: { status: 'completed', completedAt: timeAt(3), output: { nested: [1, { two: '2' }] } },
    },
    tasks: [
      { type: 'task_started', stepSlug: 'b', taskIndex: 0, attempt: 1, at: timeAt(3) },
      { type: 'task_completed', stepSlug: 'a', taskIndex: 0, attempt: 1, at: timeAt(3), output: null },
      {
        type: 'task_failed',
        stepSlug: 'b',
        taskIndex: 1,
        attempt: 2,
        at: timeAt(3),
        error: 'no',
        willRetry: true,
        retryAt: timeAt(9),
      },
      {
        type: 'task_logged',
        stepSlug: 'b',
        taskIndex: 1,
        attempt: 2,
        at: timeAt(3),
        message: 'asked the bank',
        fields: { answer: [null, 0] },
      },
    ],
  });
  return rows;
}

function isDeepFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Date) return true;
  return Object.isFrozen(value) && Object.values(value).every(isDeepFrozen);
}

const LOGGED = { type: 'task_logged', message: 'x' };

describe('encode and decode', () => {
  it('brings runs and changes over unaltered', () => {
    const rows = busyRun();
    expect(decodeRun(travel(encodeRun(rows.at())))).toEqual(rows.at());
    for (const since of [0, 1, 2]) {
      expect(decodeChange(travel(encodeChange(rows.change(since))))).toEqual(rows.change(since));
    }
  });

  it('brings any history over unaltered', () => {
    fc.assert(
      fc.property(histories, ({ run: rows }) => {
        for (let seq = 1; seq <= rows.seq; seq++) {
          const change = rows.change(seq - 1, seq);
          expect(decodeChange(travel(encodeChange(change)))).toEqual(change);
          expect(decodeRun(travel(encodeRun(rows.at(seq))))).toEqual(rows.at(seq));
        }
      }),
    );
  });

  it('keeps falsy values and leaves null out', () => {
    const rows = new ScriptedRun(['a'], { input: 0 });
    rows.begin('a');
    for (const output of [false, 0, '', []]) {
      const change = { ...rows.change(1) };
      const state = { ...change.steps[0]!.state, output };
      const wire = travel(encodeChange({ ...change, steps: [{ index: 0, seq: 2, state }] }));
      expect(decodeChange(wire)?.steps[0]?.state.output).toEqual(output);
    }
    const wire = JSON.stringify(encodeChange(rows.change(0)));
    expect(wire).not.toContain('null');
    expect(wire).toContain('"input":0');
  });

  it('freezes what it decodes through and through', () => {
    const rows = busyRun();
    expect(isDeepFrozen(decodeRun(travel(encodeRun(rows.at()))))).toBe(true);
    expect(isDeepFrozen(decodeChange(travel(encodeChange(rows.change(0)))))).toBe(true);
    expect(isDeepFrozen(decodeChange(travel(encodeChange(rows.change(2)))))).toBe(true);
  });

  it('makes one Date of equal times in one message', () => {
    const rows = new ScriptedRun(['a', 'b']);
    const { steps, origin } = decodeChange(travel(encodeChange(rows.change(0))))!;
    for (const { state } of steps) expect(state.createdAt).toBe(origin?.startedAt);
    rows.begin('a');
    const at = new Date(rows.step('a').startedAt!.getTime() + 1000);
    const a = { status: 'completed', remainingTasks: 0, completedAt: at } as const;
    const fact = { type: 'task_completed', stepSlug: 'a', taskIndex: 0, attempt: 1, at, output: 1 } as const;
    const change = decodeChange(travel(encodeChange(rows.commit({ steps: { a }, tasks: [fact] }))))!;
    expect(change.tasks[0]?.at).toEqual(at);
    expect(change.tasks[0]?.at).toBe(change.steps[0]?.state.completedAt);
  });

  it('keeps the Date that the run has, if it is equal', () => {
    const rows = new ScriptedRun(['a']);
    const run = decodeRun(travel(encodeRun(rows.at())))!;
    const wire = travel(encodeChange(rows.begin('a')));
    expect(decodeChange(wire, run)?.steps[0]?.state.createdAt).toBe(run.startedAt);
    expect(decodeChange(wire)?.steps[0]?.state.createdAt).not.toBe(run.startedAt);
    wire.steps[0].createdAt = '2020-01-01T00:00:00.000Z';
    expect(decodeChange(wire, run)?.steps[0]?.state.createdAt).toEqual(new Date(wire.steps[0].createdAt));
    wire.steps[0].index = 7;
    expect(decodeChange(wire, run)).toEqual(decodeChange(wire));
  });

  it('tells many times apart', () => {
    const rows = new ScriptedRun(Array.from({ length: 30 }, (_, n) => `step_${n}`));
    const wire = travel(encodeRun(rows.at()));
    const times = wire.stepStates.map((_: unknown, n: number) => new Date(n * 1000).toISOString());
    for (const [n, step] of wire.stepStates.entries()) step.createdAt = times[n];
    const states = decodeRun(wire)!.stepStates;
    expect(states.map(({ createdAt }) => createdAt.toISOString())).toEqual(times);
  });

  it('decodes values nested deeper than the stack', () => {
    const depth = 200_000;
    const wire = travel(encodeChange(new ScriptedRun(['a']).change(0)));
    wire.origin.input = JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
    expect(Object.isFrozen(decodeChange(wire)?.origin?.input)).toBe(true);
  });
});

describe('decode', () => {
  const wireChange = () => travel(encodeChange(busyRun().change(2)));
  const wireSnapshot = () => travel(encodeChange(busyRun().change(0)));

  it('refuses garbage without throwing', () => {
    const trap = new Proxy(
      {},
      {
        get() {
          throw new Error('trapped');
        },
      },
    );
    for (const garbage of [
      undefined,
      null,
      0,
      '',
      'x',
      [],
      {},
      [[]],
      () => {},
      Symbol('x'),
      1n,
      trap,
      new Date(),
    ]) {
      expect(decodeRun(garbage)).toBeNull();
      expect(decodeChange(garbage)).toBeNull();
      expect(decodeMessage(garbage)).toBeNull();
    }
  });

  it('never throws, and never makes more of a message than a change', () => {
    fc.assert(
      fc.property(fc.anything(), (anything) => {
        expect(decodeRun(anything)).toBeNull();
        expect(decodeChange(anything)).toBeNull();
        decodeMessage(anything);
      }),
    );
  });

  it('survives any single field being anything: null, or a change that applyChange can take', () => {
    const paths = fc.constantFrom(...pathsOf(wireSnapshot()));
    fc.assert(
      fc.property(paths, fc.jsonValue(), (path, value) => {
        const wire = wireSnapshot();
        setAt(wire, path, value);
        const change = decodeChange(wire);
        if (change !== null) expect(['applied', 'gap']).toContain(applyChange(null, change).kind);
      }),
    );
  });

  it.each<[string, (wire: any) => void]>([
    ['no runId', (wire) => delete wire.runId],
    ['a runId that is none', (wire) => (wire.runId = 'x')],
    ['a seq that is not after since', (wire) => (wire.seq = wire.since)],
    ['a negative since', (wire) => (wire.since = -1)],
    ['a fraction', (wire) => (wire.seq = 2.5)],
    ['a number as text', (wire) => (wire.seq = '3')],
    ['a seq that no column holds', (wire) => (wire.seq = 2 ** 31)],
    ['an origin where none belongs', (wire) => (wire.origin = wireSnapshot().origin)],
    ['an unknown run status', (wire) => (wire.run.status = 'paused')],
    ['a status of the prototype', (wire) => (wire.run.status = 'constructor')],
    ['an unknown step status', (wire) => (wire.steps[0].status = 'paused')],
    ['a progress beyond the end', (wire) => (wire.steps[0].progress = { fraction: 1.01 })],
    ['a progress that is a text', (wire) => (wire.steps[0].progress = '40 %')],
    ['fields that are none', (wire) => (wire.tasks[0] = { ...wire.tasks[0], ...LOGGED, fields: 1 })],
    ['an unknown task', (wire) => (wire.tasks[0].type = 'task_paused')],
    ['a step of later', (wire) => (wire.steps[0].seq = wire.seq + 1)],
    ['a step of before', (wire) => (wire.steps[0].seq = wire.since)],
    ['steps out of order', (wire) => wire.steps.push(wire.steps[0])],
    ['a negative index', (wire) => (wire.steps[0].index = -1)],
    ['a giant index', (wire) => (wire.steps[0].index = 1_000_000)],
    ['a slug too long', (wire) => (wire.steps[0].stepSlug = 'x'.repeat(129))],
    ['a date that is none', (wire) => (wire.steps[0].createdAt = 'yesterday-ish')],
    ['steps that are no list', (wire) => (wire.steps = { 0: wire.steps[0] })],
    ['too many steps', (wire) => (wire.steps = Array(100_001).fill(wire.steps[0]))],
  ])('refuses a change with %s', (_, spoil) => {
    const wire = wireChange();
    expect(decodeChange(wire)).not.toBeNull();
    spoil(wire);
    expect(decodeChange(wire)).toBeNull();
  });

  it('refuses a snapshot without its origin', () => {
    const { origin: _, ...wire } = wireSnapshot();
    expect(decodeChange(wire)).toBeNull();
  });

  it('reads absent progress and fields as none: an older server does not send them', () => {
    const wire = wireChange();
    delete wire.steps[0].progress;
    wire.tasks[0] = { ...wire.tasks[0], ...LOGGED };
    const change = decodeChange(wire) as Change;
    expect(change.steps[0]!.state.progress).toBeNull();
    expect(change.tasks[0]).toMatchObject({ message: 'x', fields: {} });
  });

  it('ignores fields that it does not know', () => {
    const wire = { ...wireChange(), priority: 5 };
    wire.steps[0].color = 'red';
    const change = decodeChange(wire) as Change;
    expect(change).toEqual(decodeChange(wireChange()));
  });

  it('takes __proto__ and constructor as data', () => {
    const rows = new ScriptedRun(['a'], {
      input: JSON.parse('{"__proto__":{"polluted":1},"constructor":2}'),
    });
    const text = JSON.stringify(encodeChange(rows.change(0)));
    const wire = JSON.parse(text.replace('{', '{"__proto__":{"polluted":1},'));
    const input = decodeChange(wire)?.origin?.input as Record<string, unknown>;
    expect(Object.keys(input)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(input)).toBe(Object.prototype);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe('decodeMessage', () => {
  it('tells changes and hints apart', () => {
    const change = busyRun().change(1);
    expect(decodeMessage(travel(encodeChange(change)))).toEqual({ kind: 'change', change });
    const hint = encodeHint(SCRIPTED_RUN_ID, 7);
    expect(decodeMessage(hint)).toEqual({ kind: 'hint', runId: SCRIPTED_RUN_ID, seq: 7 });
  });

  it('takes a change that it cannot read for a hint', () => {
    const wire = travel(encodeChange(busyRun().change(1)));
    wire.run.status = 'paused';
    expect(decodeMessage(wire)).toEqual({ kind: 'hint', runId: SCRIPTED_RUN_ID, seq: 3 });
  });

  it('refuses a hint without a run or with a seq that cannot be', () => {
    for (const seq of [0, -1, 1.5, '2', null, 2 ** 31, Number.NaN]) {
      expect(decodeMessage({ runId: SCRIPTED_RUN_ID, seq })).toBeNull();
    }
    expect(decodeMessage({ runId: 'run', seq: 1 })).toBeNull();
    expect(decodeMessage({ seq: 1 })).toBeNull();
  });
});

function pathsOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [[]];
  return [
    [],
    ...Object.entries(value).flatMap(([key, part]) => pathsOf(part).map((path) => [key, ...path])),
  ].filter((path) => path.length > 0 || typeof value !== 'object');
}

function setAt(target: any, path: string[], value: unknown): void {
  const last = path.at(-1)!;
  const holder = path.slice(0, -1).reduce((part, key) => part[key], target);
  holder[last] = value;
}
