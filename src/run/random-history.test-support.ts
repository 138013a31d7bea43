import fc from 'fast-check';
import type { RunEvent } from './event.js';
import { isTerminalRun, isTerminalStep, type StepState } from './run.js';
import { type Commit, ScriptedRun } from './scripted-run.test-support.js';

/** A run of random shape and fate, with the run and step events that its commits stand for. */
export interface History {
  readonly run: ScriptedRun;
  /** `seq type step`, in the order in which they happened. */
  readonly events: readonly string[];
  /** By step: the steps it waits for. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
}

/** Histories of up to six steps and 40 commits; most reach an end. */
export const histories: fc.Arbitrary<History> = fc
  .record({
    parents: fc.array(fc.nat(63), { minLength: 1, maxLength: 6 }),
    choices: fc.array(fc.nat(10_000), { maxLength: 40 }),
  })
  .map(({ parents, choices }) => new Model(parents).play(choices));

/** An event as `History.events` writes it. */
export function nameOf({ seq, type, stepSlug }: RunEvent): string {
  return type.startsWith('run_') ? `${seq} ${type}` : `${seq} ${type} ${stepSlug}`;
}

type Touched = Record<string, Partial<StepState>>;
type Move = () => void;

class Model {
  readonly #run: ScriptedRun;
  readonly #parents = new Map<string, string[]>();
  readonly #events: string[] = ['1 run_started'];
  #touched: Touched = {};
  #commit: Commit = {};
  #names = new Map<string, string[]>();

  constructor(parents: readonly number[]) {
    const slugs = parents.map((_, index) => `s${index}`);
    for (const [index, bits] of parents.entries()) {
      this.#parents.set(
        slugs[index]!,
        slugs.filter((_, parent) => parent < index && (bits >> parent) & 1),
      );
    }
    this.#run = new ScriptedRun(slugs);
  }

  play(choices: readonly number[]): History {
    for (const choice of choices) {
      if (isTerminalRun(this.#run.at().status)) break;
      this.#touched = {};
      this.#commit = {};
      this.#names = new Map();
      this.#move(choice);
      if (choice % 3 === 0) this.#move(Math.floor(choice / 3));
      this.#write();
    }
    return { run: this.#run, events: this.#events, dependencies: this.#parents };
  }

  #move(choice: number): void {
    if (this.#commit.run !== undefined) return;
    const moves = this.#run.slugs.flatMap((slug) => this.#movesOf(slug, choice));
    if (choice % 37 === 0) moves.push(() => this.#endRun('cancelled'));
    if (moves.length > 0) moves[choice % moves.length]!();
  }

  #movesOf(slug: string, choice: number): Move[] {
    const { status, remainingTasks } = this.#now(slug);
    if (isTerminalStep(status)) return [];
    if (status === 'created') {
      if (this.#waitsFor(slug) > 0) return [];
      if (choice % 7 === 0) return [() => this.#skip(slug)];
      if (choice % 11 === 0) return [() => this.#completeEmpty(slug)];
      const isQuick = choice % 5 === 0;
      return [() => (isQuick ? this.#beginAndComplete(slug, choice) : this.#begin(slug, 1 + (choice % 3)))];
    }
    if (choice % 23 === 0) return [() => this.#fail(slug)];
    if (choice % 4 === 0) return [() => this.#retry(slug)];
    if ((remainingTasks ?? 0) > 1) return [() => this.#touch(slug, { remainingTasks: remainingTasks! - 1 })];
    return [() => this.#complete(slug, choice)];
  }

  #now(slug: string): StepState {
    return { ...this.#run.step(slug), ...this.#touched[slug] };
  }

  #waitsFor(slug: string): number {
    return this.#parents.get(slug)!.filter((parent) => !isTerminalStep(this.#now(parent).status)).length;
  }

  #touch(slug: string, values: Partial<StepState>, ...events: string[]): void {
    this.#touched[slug] = { ...this.#touched[slug], ...values };
    this.#names.set(slug, [...(this.#names.get(slug) ?? []), ...events]);
  }

  #begin(slug: string, tasks: number): void {
    const startedAt = this.#run.nextTime;
    const values = { initialTasks: tasks, remainingTasks: tasks, attempt: 1 };
    this.#touch(slug, { status: 'started', startedAt, ...values }, 'step_started');
  }

  #beginAndComplete(slug: string, output: unknown): void {
    this.#begin(slug, 1);
    this.#complete(slug, output);
  }

  #retry(slug: string): void {
    this.#touch(slug, { attempt: this.#now(slug).attempt + 1, errorMessage: 'again' });
  }

  #complete(slug: string, output: unknown): void {
    const completedAt = this.#run.nextTime;
    const values = { completedAt, remainingTasks: 0, errorMessage: null, output: { value: output } };
    this.#touch(slug, { status: 'completed', ...values }, 'step_completed');
    this.#ended();
  }

  #completeEmpty(slug: string): void {
    const time = this.#run.nextTime;
    const values = { startedAt: time, completedAt: time, initialTasks: 0, remainingTasks: 0, output: [] };
    this.#touch(slug, { status: 'completed', ...values }, 'step_completed');
    this.#ended();
  }

  #skip(slug: string): void {
    const values = { skippedAt: this.#run.nextTime, skipReason: 'condition_unmet' };
    this.#touch(slug, { status: 'skipped', ...values }, 'step_skipped');
    this.#ended();
  }

  #fail(slug: string): void {
    const failedAt = this.#run.nextTime;
    this.#touch(slug, { status: 'failed', failedAt, errorMessage: 'no' }, 'step_failed');
    this.#endRun('failed');
  }

  /** Tells the children, and ends the run when nothing is left. */
  #ended(): void {
    for (const slug of this.#run.slugs) {
      const remainingDeps = this.#waitsFor(slug);
      if (remainingDeps !== this.#now(slug).remainingDeps) this.#touch(slug, { remainingDeps });
    }
    const isOpen = this.#run.slugs.some((slug) => !isTerminalStep(this.#now(slug).status));
    if (!isOpen) this.#endRun('completed');
  }

  #endRun(status: 'completed' | 'failed' | 'cancelled'): void {
    const time = this.#run.nextTime;
    for (const slug of this.#run.slugs) {
      if (this.#now(slug).status !== 'started') continue;
      this.#touch(slug, { status: 'cancelled', cancelledAt: time }, 'step_cancelled');
    }
    const error = { stepSlug: 's0', taskIndex: null, message: 'no' };
    const values = { status, [`${status}At`]: time, ...(status === 'failed' ? { error } : {}) };
    this.#commit = { run: values };
  }

  #write(): void {
    if (Object.keys(this.#touched).length === 0 && this.#commit.run === undefined) return;
    this.#run.commit({ ...this.#commit, steps: this.#touched });
    const { seq } = this.#run;
    for (const slug of this.#run.slugs) {
      for (const event of this.#names.get(slug) ?? []) this.#events.push(`${seq} ${event} ${slug}`);
    }
    const status = this.#commit.run?.status;
    if (status !== undefined) this.#events.push(`${seq} run_${status}`);
  }
}
