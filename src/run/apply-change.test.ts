import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyChange } from './apply-change.js';
import type { Change } from './change.js';
import { histories } from './random-history.test-support.js';
import type { Run } from './run.js';
import { ScriptedRun } from './scripted-run.test-support.js';

const from = (change: Change): Run => {
  const applied = applyChange(null, change);
  if (applied.kind !== 'applied') throw new Error('The snapshot did not apply.');
  return applied.run;
};

describe('applyChange', () => {
  it('makes a run of a snapshot, and of nothing else', () => {
    const rows = new ScriptedRun(['a', 'b']);
    const change = rows.begin('a');
    expect(from(rows.change(0))).toEqual(rows.at());
    expect(applyChange(null, change)).toEqual({ kind: 'gap', run: null });
  });

  it('refuses a snapshot that is not whole', () => {
    const rows = new ScriptedRun(['a', 'b', 'c']);
    const whole = rows.change(0);
    const [a, b, c] = whole.steps;
    for (const steps of [
      [a!, c!],
      [a!, b!, { ...c!, index: 7 }],
      [a!, b!, { ...c!, index: 1 }],
      [a!, b!, { ...c!, index: -1 }],
    ]) {
      expect(applyChange(null, { ...whole, steps })).toEqual({ kind: 'gap', run: null });
    }
    expect(applyChange(null, { ...whole, origin: null }).kind).toBe('gap');
  });

  it('applies what follows, ignores what is known, tells a gap', () => {
    const rows = new ScriptedRun(['a', 'b']);
    const first = from(rows.change(0));
    const second = rows.begin('a');
    const third = rows.complete('a');
    expect(applyChange(first, third)).toEqual({ kind: 'gap', run: first });
    const applied = applyChange(first, second);
    expect(applied).toEqual({ kind: 'applied', run: rows.at(2) });
    expect(applyChange(applied.run, second)).toEqual({ kind: 'ignored', run: applied.run });
    expect(applyChange(applied.run, rows.change(0, 1))).toEqual({ kind: 'ignored', run: applied.run });
    expect(applyChange(applied.run, third)).toEqual({ kind: 'applied', run: rows.at(3) });
  });

  it('applies a catch-up from further back, the whole run among them', () => {
    const rows = new ScriptedRun(['a', 'b', 'c']);
    rows.begin('a');
    const second = from(rows.change(0));
    rows.complete('a');
    rows.begin('b');
    for (const since of [0, 1, 2]) {
      const { run } = applyChange(second, rows.change(since));
      expect(run).toEqual(rows.at());
      expect(run?.stepStates[2]).toBe(second.stepStates[2]);
      expect(run?.input).toBe(second.input);
    }
  });

  it('shares the step states that it did not touch', () => {
    const rows = new ScriptedRun(['a', 'b', 'c']);
    const before = from(rows.change(0));
    const { run } = applyChange(before, rows.begin('b'));
    const changed = run!.stepStates.map((step, index) => step !== before.stepStates[index]);
    expect(changed).toEqual([false, true, false]);
    const cancelled = applyChange(run, rows.cancel()).run!;
    expect(cancelled.stepStates).toBe(run!.stepStates);
  });

  it('freezes the run, its list and its step states', () => {
    const rows = new ScriptedRun(['a', 'b']);
    const run = applyChange(from(rows.change(0)), rows.begin('b')).run!;
    for (const part of [run, run.stepStates, ...run.stepStates]) expect(Object.isFrozen(part)).toBe(true);
  });

  it("ignores another run's change", () => {
    const rows = new ScriptedRun(['a']);
    const other = new ScriptedRun(['a'], { runId: '01987654-3210-7abc-8def-ffffffffffff' });
    const run = from(rows.change(0));
    expect(applyChange(run, other.begin('a'))).toEqual({ kind: 'ignored', run });
  });

  it('takes what contradicts the run for a gap', () => {
    const rows = new ScriptedRun(['a', 'b']);
    rows.begin('a');
    rows.complete('a');
    const run = from(rows.change(0));
    const change = rows.begin('b');
    const alter = (alteration: object) => {
      const [step] = change.steps;
      return { ...change, steps: [{ ...step!, ...alteration }] };
    };
    const { state } = change.steps[0]!;
    for (const forged of [
      alter({ index: 0, state: { ...rows.step('a'), status: 'started' } }),
      alter({ index: 0, state: { ...rows.step('a'), status: 'failed' } }),
      alter({ index: 2 }),
      alter({ index: 1, state: { ...state, stepSlug: 'c' } }),
    ]) {
      expect(applyChange(run, forged)).toEqual({ kind: 'gap', run });
    }
    const ended = from(new ScriptedRun(['a', 'b']).change(0));
    const failed = { ...ended, status: 'failed' } as Run;
    expect(applyChange(failed, { ...change, since: 1, seq: 2 }).kind).toBe('gap');
  });

  it('folds the changes 1 … k into the snapshot at k, for every k (L2)', () => {
    fc.assert(
      fc.property(histories, ({ run: rows }) => {
        let run: Run | null = null;
        for (let seq = 1; seq <= rows.seq; seq++) {
          const applied = applyChange(run, rows.change(seq - 1, seq));
          expect(applied.kind).toBe('applied');
          run = applied.run;
          expect(run).toEqual(rows.at(seq));
        }
      }),
    );
  });

  it('reaches the same run by any catch-up as by all changes (C4)', () => {
    const cases = fc.tuple(histories, fc.nat(), fc.nat());
    fc.assert(
      fc.property(cases, ([{ run: rows }, x, y]) => {
        const shown = 1 + (x % rows.seq);
        const since = y % (shown + 1);
        const applied = applyChange(from(rows.change(0, shown)), rows.change(since));
        expect(applied.run).toEqual(rows.at());
      }),
    );
  });
});
